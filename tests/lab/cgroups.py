# SPDX-License-Identifier: BSD-3-Clause
"""One control group (version 2) for each machine of a lab: to kill, freeze and count it as a whole."""

import os
import time
from pathlib import Path

import proc


def mounts():
    """Mount points of cgroup2 file systems that can be written to here."""
    found = []
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for line in file:
            _, point, kind, options = line.split()[:4]
            if kind == "cgroup2" and "rw" in options.split(","):
                found.append(Path(point))
    return found


class Tree:
    """The control groups of a lab: PREFIX/a, PREFIX/b, PREFIX/host, ..."""

    def __init__(self, layout):
        self.layout = layout
        self.private = layout.dir / "cgroup"
        self.root = None
        for point in mounts():
            if (point / layout.prefix).is_dir():
                self.root = point / layout.prefix

    def create(self, machines):
        """Makes the groups, in the system's cgroup2 tree or, when that refuses, a mount of our own."""
        for point in mounts():
            try:
                (point / self.layout.prefix).mkdir()
                self.root = point / self.layout.prefix
                break
            except OSError:
                continue
        if self.root is None:
            self.private.mkdir(parents=True, exist_ok=True)
            proc.run(["mount", "-t", "cgroup2", "none", self.private])
            self.root = self.private / self.layout.prefix
            self.root.mkdir()
        for machine in machines:
            (self.root / machine).mkdir()

    def exists(self):
        return self.root is not None and self.root.is_dir()

    def enter(self, machine, args):
        """The command line that runs `args` as a part of the machine."""
        procs = str(self.root / machine / "cgroup.procs")
        return ["sh", "-c", 'echo 0 >"$1" && shift && exec "$@"', "sh", procs, *map(str, args)]

    def pids(self, machine):
        text = (self.root / machine / "cgroup.procs").read_text(encoding="ascii")
        return [int(word) for word in text.split()]

    def populated(self, machine):
        """True while a process of the machine lives. A machine without a group has none."""
        try:
            text = (self.root / machine / "cgroup.events").read_text(encoding="ascii")
        except (OSError, TypeError):
            return False
        return "populated 1" in text

    def freeze(self, machine, frozen):
        (self.root / machine / "cgroup.freeze").write_text("1" if frozen else "0", encoding="ascii")

        def done():
            text = (self.root / machine / "cgroup.events").read_text(encoding="ascii")
            return f"frozen {int(frozen)}" in text
        proc.wait_for(done, 10, f"machine {machine} is {'frozen' if frozen else 'thawed'}", 0.002)

    def frozen(self, machine):
        """True for a machine whose processes stand still."""
        try:
            text = (self.root / machine / "cgroup.events").read_text(encoding="ascii")
        except (OSError, TypeError):
            return False
        return "frozen 1" in text

    def kill(self, machine, timeout=20):
        """SIGKILL to every process of the machine at once; returns when all have ended."""
        end = time.monotonic() + timeout
        while self.populated(machine):
            # Again and again: a question of a test may be entering the machine just now.
            (self.root / machine / "cgroup.kill").write_text("1", encoding="ascii")
            if time.monotonic() > end:
                left = proc.children_names(self.pids(machine))
                raise proc.LabError(f"machine {machine} is not dead {timeout} s after cgroup.kill: {left}")
            time.sleep(0.001)

    def remove(self):
        """Kills whatever is left in any group of the lab and removes the groups."""
        if self.exists():
            machines = [entry.name for entry in self.root.iterdir() if entry.is_dir()]
            for machine in machines:
                self.kill(machine)
                proc.wait_for(lambda m=machine: self._rmdir(self.root / m), 10,
                              f"control group {self.root / machine} can be removed")
            self.root.rmdir()
        if os.path.ismount(self.private):
            proc.run(["umount", self.private])

    @staticmethod
    def _rmdir(path):
        try:
            path.rmdir()
        except OSError:
            return not path.exists()
        return True
