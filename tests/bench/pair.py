# SPDX-License-Identifier: BSD-3-Clause
"""The shipped path: two whole controllers on this machine, the same LU through either of them.

The shared disk is on tmpfs, so that the way and not the disk is measured. Both daemons have CPU 1,
the load CPU 0: the ratio is the work of one controller against that of two.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cells import PAIR

HERE = Path(__file__).resolve().parent
SPAN = "64M"


class Pair:
    """A lab with one reactor for each controller; use it as a context."""

    def __init__(self, load_program):
        self.place = Path(tempfile.mkdtemp(prefix="yoke-bench-", dir="/var/tmp"))
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.place], check=True)
        os.environ["YOKE_LAB_BASE"] = str(self.place)
        sys.path.insert(0, str(HERE.parent / "lab"))
        import lab as lab_module  # pylint: disable=import-outside-toplevel
        import layout
        self.load_program = load_program
        self.target = layout.TARGET
        self.portals = {name: layout.portals(name)[0] for name in layout.NODES}
        self.lab = lab_module.Lab(purpose="bench", lus=1, lu_mib=64, groups={"g1": "a"},
                                  yoke_settings={"reactors": 1})

    def __enter__(self):
        try:
            self.settle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def settle(self):
        self.lab.up()
        self.lab.wait_settled()
        # Blocks that were never written are not read from anywhere.
        self.load("a", ["--rw", "randrw", "--verify", "--span", SPAN, "--depth", "8"], 0.2)
        for name in self.portals:
            for pid in self.pids(name):
                subprocess.run(["taskset", "-a", "-c", "-p", "1", str(pid)], check=True, capture_output=True)

    def __exit__(self, *_):
        self.lab.down()
        subprocess.run(["umount", self.place], check=False)
        self.place.rmdir()

    def pids(self, name):
        """The daemon's process id as this side of the namespaces sees it."""
        tree = self.lab.controller(name)
        return tree.pids("yoked")

    def load(self, name, options, seconds):
        words = ["taskset", "-c", "0", self.load_program, "--portal", self.portals[name], "--target",
                 self.target, "--lun", "0", "--seconds", seconds, *options]
        for controller in self.portals:  # the work of both, whichever way it went
            words += ["--pid", self.pids(controller)[0]]
        done = self.lab.host_run([str(w) for w in words], timeout=120)
        answer = json.loads(done.stdout)
        if answer["error"] or answer["mismatches"]:
            raise RuntimeError(f"{name}: {answer}")
        return answer

    def cells(self, rounds, seconds):
        """{"cell owner", "cell other": {"rounds": what each round brought}}, by turns."""
        kinds = {"owner": "a", "other": "b"}
        found = {f"{cell} {kind}": {"rounds": []} for cell in PAIR for kind in kinds}
        for _ in range(rounds):
            for cell, options in PAIR.items():
                for kind, name in kinds.items():
                    found[f"{cell} {kind}"]["rounds"].append(
                        self.load(name, [*options, "--span", SPAN], seconds))
        return found

    def verify(self):
        """The shipped path with every read checked."""
        return self.load("b", ["--rw", "randrw", "--depth", "32", "--verify", "--span", SPAN], 1)["verified"]
