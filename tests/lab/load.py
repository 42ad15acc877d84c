# SPDX-License-Identifier: BSD-3-Clause
"""The multipath I/O program (tests/io/yoke-mpio) at work at the initiator host of a lab."""

import json
import os
import queue
import subprocess
import threading
import time
from pathlib import Path

from layout import NODES, TARGET, TOP
from proc import LabError


def program(name, folder="tests/io"):
    """The path of one of the tests' own programs in the build tree."""
    build = Path(os.environ.get("YOKE_BUILD") or TOP / "build" / "product")
    path = build / folder / name
    if not path.exists():
        raise LabError(f"{path} does not exist: build first (tests/demo, tests/check), or set "
                       "YOKE_BUILD to the build directory")
    return path


def check_history(*paths, undecided=False):
    """What yoke-checker says about histories; LabError when no order of events explains them.

    `undecided`: it may also say that too many operations got no answer to tell.
    """
    words = [program("yoke-checker", "tests/checker"), *paths]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          check=False)
    if undecided and done.returncode == 2 and "gave_up_at" in done.stdout:
        return json.loads(done.stdout)
    if done.returncode != 0:
        lines = []
        try:
            at = json.loads(done.stdout)["unexplained"]
            lines = around(paths, at)
        except (ValueError, KeyError):
            pass
        raise LabError(f"the history is not linearizable: {done.stdout}{done.stderr}" + "".join(lines))
    return json.loads(done.stdout)


def lives(lab):
    """Which daemons there are: another answer later, and one has ended in between."""
    return {node: lab[node].pids("yoked") for node in NODES}


def doubled(path, losses):
    """A copy of a history that knows what its host cannot: where an owner was lost with a plain WRITE or a COMPARE AND
    WRITE under way, that runs again at the other controller, and may have been done twice before its answer
    (docs/ha.md, "Commands that may have been done"). `losses`: from and to, in ns of the monotonic clock."""
    copy = path.with_name(path.name + "-doubled")
    with open(path, encoding="ascii") as old, open(copy, "w", encoding="ascii") as new:
        for line in old:
            words = line.split()
            if len(words) == 12 and words[0] in "WC" and words[11] == "1":
                sent, answered = int(words[8]), int(words[9])
                if any(sent < end and (words[10] == "maybe" or answered > begin) for begin, end in losses):
                    line = " ".join([*words[:11], "2"]) + "\n"
            new.write(line)
    return copy


def around(paths, at, most=60):
    """The lines of a history about the sector of an operation, up to its answer."""
    found = []
    for path in paths:
        with open(path, encoding="ascii") as file:
            for line in file:
                words = line.split()
                if len(words) == 12 and int(words[3]) == at["unit"] and int(words[8]) <= at["returned_ns"] \
                        and int(words[4]) <= at["sector"] < int(words[4]) + int(words[5]):
                    found.append(line)
    return sorted(found, key=lambda line: int(line.split()[8]))[-most:]


class Load:
    """A running yoke-mpio. Use it as a context; every mark() reports an interval.

    With a limited rate it leaves a history behind, which stop() has checked for linearizability.
    """

    def __init__(self, lab, luns=None, name="host1", options=()):
        count = lab.settings["lus"]
        args = [program("yoke-mpio"), "--target", TARGET, "--luns", luns or f"0-{count - 1}",
                "--initiator", f"iqn.2026-01.org.example:{name}", *options]
        for portal in lab.portals():
            args += ["--portal", portal]
        self.history = None
        if "--iops" in options:
            self.history = lab.layout.log(f"history-{name}")
            args += ["--history", self.history]
        self.log = lab.layout.log(f"mpio-{name}")
        self.errors = open(self.log, "ab")
        self.process = lab.host_start(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=self.errors, text=True, bufsize=1)
        self.lines = queue.Queue()
        self.events = []
        self.losses = []  # see doubled()
        self.total = None
        self.interval = "start"
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            try:
                record = json.loads(line)
            except ValueError:
                record = {"type": "garbage", "line": line}
            record["at"] = time.monotonic()
            if record["type"] in ("event", "failed", "wrong", "garbage"):
                self.events.append(record)
            else:
                self.lines.put(record)
        self.lines.put(None)

    def _next(self, kind, timeout):
        end = time.monotonic() + timeout
        while True:
            try:
                record = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty as error:
                raise LabError(f"yoke-mpio gave no {kind} within {timeout} s; {self._why()}") from error
            if record is None:
                raise LabError(f"yoke-mpio ended without {kind}; {self._why()}")
            if record["type"] == kind:
                return record

    def _why(self):
        text = self.log.read_text(encoding="utf-8", errors="replace")[-1500:]
        return f"its last events: {self.events[-5:]}; its errors: {text or 'none'}"

    def ready(self, timeout=20):
        """Waits until all paths are up and the first I/O is done."""
        return self._next("ready", timeout)

    def mark(self, name, timeout=60):
        """Begins the interval `name`; returns the report of the one that ends with that."""
        self.process.stdin.write(f"mark {self.interval}\n")
        self.interval = name
        return self._next("interval", timeout)

    def stop(self, timeout=120):
        """Ends the run with a scan of everything written; returns the totals."""
        self.process.stdin.write("stop\n")
        senses = self._next("senses", timeout)
        self.total = self._next("total", timeout)
        self.total["senses"] = senses["senses"]
        self.total["exit"] = self.process.wait(30)
        if self.history:
            self.total["history"] = check_history(doubled(self.history, self.losses) if self.losses else self.history)
        return self.total

    def paths_up(self):
        """Names of the portals that are up for every LU, as far as the events tell."""
        down = set()
        for event in self.events:
            if event["type"] != "event":
                continue
            key = (event["portal"], event.get("host"), event["lun"])
            if event["what"] == "path down":
                down.add(key)
            elif event["what"] == "path up":
                down.discard(key)
        return not down

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.errors.close()
