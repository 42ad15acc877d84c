# SPDX-License-Identifier: BSD-3-Clause
"""Runs the parts of tests/check side by side: labs in lanes, what needs only the processor below them."""

import contextlib
import os
import queue
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import model
import style
from build import KINDS, Builder
from report import RUNNING, Failed, Report, command

TOP = Path(__file__).resolve().parents[2]
PARTS = ("style", "unit", "model", "sim", "dist", "lab", "single", "peer", "demo", "vm")
LAB_SINGLE = ("single", "bad")
PEER = ("alone", "pair", "sanitized")
VM = ("guest", "changes", "logins", "multipath")
SIM_BUG_MOVES = "10000"  # within which a planted bug must be found

# A lab waits for timers most of the time: so many run side by side, in namespaces of their own.
LANES = 2
# These take longest and so come first; what is not named here comes behind them.
LONGEST = ("pair", "matrix", "more", "failure", "sanitized", "lab", "faultdisk")


class Check:
    """One run of some parts."""

    def __init__(self, source, parts):
        self.parts = parts
        self.source = source
        self.report = Report(TOP / "build" / "check-logs")
        self.timed = Builder(source, TOP)
        self.patient = Builder(source, TOP, nice=19)
        self.built = {}
        self.building = {kind: threading.Lock() for kind in KINDS}

    def build(self, builder, kind):
        """Compiles and stages once, whoever asks first; True when that worked. One result, build/KIND."""
        with self.building[kind]:
            if kind not in self.built:
                name = f"build/{kind}"
                with self.report.test(name):
                    builder.compile(kind)
                    if kind != "clang":
                        builder.stage(kind)
                self.built[kind] = self.report.passed(name)
            return self.built[kind]

    def environment(self):
        build = TOP / "build"
        return {**os.environ, "YOKE_BUILD": str(build / "product"), "YOKE_STAGE": str(build / "stage"),
                "YOKE_STAGE_SANITIZED": str(build / "stage-sanitized"), "PYTHONUNBUFFERED": "1"}

    def lab(self, modules):
        """The lab's runner prints results in our form; passes them on."""
        process = subprocess.Popen(
            [sys.executable, "-B", TOP / "tests/lab/runner.py", *modules], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env=self.environment())
        last, log, seen = None, [], 0

        def flush():
            if last:
                self.report.result(last[1], last[2], float(last[3]), "\n".join(log), last[4] or "")
        for line in process.stdout:
            match = re.fullmatch(r"(PASS|FAIL|SKIP) ((?:lab|peer|vm)/\S+) \(([\d.]+) s\)(?:: (.*))?", line.strip())
            if match or re.fullmatch(r"\d+ passed, \d+ failed, \d+ skipped", line.strip()):
                flush()
                last, log = (match and [None, *match.groups()]), []
                seen += bool(match)
            else:
                log.append(line.rstrip())
        flush()
        process.wait()
        if not seen or process.returncode not in (0, 1):
            self.report.result("FAIL", "lab/runner", 0, "\n".join(log))

    def sim(self):
        """Moves in virtual time, each seed another story; every bug planted into the world must be found."""
        program = TOP / "build/product/tests/sim/yoke-sim"
        count = os.environ.get("SEEDS", "10000")
        with self.report.test(f"sim/moves-{count}"):
            print(f"sim: {command([program, '--moves', count], timeout=360000, nice=10).strip()}",
                  flush=True)
        with self.report.test("sim/moves-sanitized"):
            command([TOP / "build/sanitized/tests/sim/yoke-sim", "--moves", "300"], timeout=600, nice=10)
        for bug in command([program, "--bugs"], nice=10).split():
            with self.report.test(f"sim/bug.{bug}"):
                command([program, "--moves", SIM_BUG_MOVES, "--bug", bug], timeout=600, nice=10)

    def image(self):
        """The guest's image in advance; what is wrong with it, the tests that need it tell."""
        with contextlib.suppress(Failed):
            command([sys.executable, "-B", TOP / "tests/vm/image.py", TOP / "build/vm"], nice=19)

    def demo(self):
        with self.report.test("demo"):
            done = subprocess.run(
                [sys.executable, "-B", TOP / "tests/lab/demo.py", "--json", TOP / "build/demo.json"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace", env=self.environment(), timeout=300, check=False)
            (TOP / "build/demo.log").write_text(done.stdout, encoding="utf-8")
            if done.returncode:
                raise Failed(done.stdout)

    # ----- the lanes ----------------------------------------------------------------------------

    def jobs(self):
        """What the timed lanes do: name -> (the build it needs beside the product, what to call)."""
        found = {}
        if "lab" in self.parts:
            for path in (TOP / "tests/lab").glob("test_*.py"):
                name = path.stem.removeprefix("test_")
                if name not in LAB_SINGLE:
                    found[name] = (None, lambda name=name: self.lab([name]))
        if "single" in self.parts:
            for name in LAB_SINGLE:
                found[name] = ("sanitized", lambda name=name: self.lab([name]))
        if "peer" in self.parts:
            for name in PEER:
                need = "sanitized" if name == "sanitized" else None
                found[name] = (need, lambda name=name: self.lab([name]))
        if "demo" in self.parts:
            found["demo"] = (None, self.demo)
        order = {name: at for at, name in enumerate(LONGEST)}
        return sorted(found.items(), key=lambda job: (order.get(job[0], len(order)), job[0]))

    def timed_lane(self, jobs):
        """Takes one job after the other, until none is left."""
        while not RUNNING.interrupted:
            try:
                need, call = jobs.get_nowait()
            except queue.Empty:
                return
            if self.build(self.timed, "product") and (not need or self.build(self.patient, need)):
                self.guard(call)

    def patient_lane(self):
        """Compilers and tests without a clock, with the other lanes' leave."""
        if {"unit", "single", "peer", "sim"} & set(self.parts):
            self.build(self.patient, "sanitized")
        if "style" in self.parts:
            style.run(self.report, TOP, self.source)
        if {"unit", "dist"} & set(self.parts):
            self.build(self.patient, "clang")
        if "unit" in self.parts and self.built["sanitized"]:
            self.patient.unit("sanitized", self.report)
        if "model" in self.parts:
            model.run(self.report, TOP)
        if "sim" in self.parts and self.built["sanitized"] and self.build(self.patient, "product"):
            self.sim()
        if "dist" in self.parts and self.built["clang"]:
            self.dist()
        if "style" in self.parts and self.build(self.patient, "product"):
            style.run_installed(self.report, TOP / "build/stage")
        if "vm" in self.parts:
            self.image()

    def run(self):
        jobs = queue.Queue()
        for _, job in self.jobs():
            jobs.put(job)
        lanes = [threading.Thread(target=self.guard, args=(self.patient_lane,))]
        lanes += [threading.Thread(target=self.guard, args=(lambda: self.timed_lane(jobs),))
                  for _ in range(LANES)]
        for lane in lanes:
            lane.start()
        try:
            for lane in lanes:
                lane.join()
        except KeyboardInterrupt:
            RUNNING.interrupt()  # the labs have heard it themselves, and clean up
            for lane in lanes:
                lane.join()
            raise
        # An emulated machine leaves no processor to others, and others' clocks run beside it.
        if "vm" in self.parts and self.build(self.timed, "product"):
            self.guard(lambda: self.lab(VM))

    def dist(self):
        with self.report.test("dist/distcheck"):
            self.patient.dist("clang")

    def guard(self, lane):
        """A bug in the tests themselves is a failure, not silence."""
        started = time.monotonic()
        try:
            lane()
        except Exception as error:  # pylint: disable=broad-except
            name = getattr(lane, "__name__", "lane")
            self.report.result("FAIL", f"check/{name}", time.monotonic() - started, repr(error))


def main():
    source, parts = sys.argv[1], sys.argv[2:] or list(PARTS)
    unknown = [p for p in parts if p not in PARTS]
    if unknown:
        print(f"check: no part {' '.join(unknown)}; parts: {' '.join(PARTS)}", file=sys.stderr)
        return 2
    check = Check(source, parts)
    try:
        check.run()
    except KeyboardInterrupt:
        print("check: interrupted", file=sys.stderr)
        return 130
    for name, reason in check.report.reasons.items():
        print(f"failed: {name}: {reason}")
    print(check.report.last_line(), flush=True)
    return 1 if check.report.counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
