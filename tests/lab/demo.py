# SPDX-License-Identifier: BSD-3-Clause
"""What can happen to a controller, under I/O that is verified; started by tests/demo."""

import argparse
import json
import shutil
import signal
import statistics
import sys
import time
from pathlib import Path

from lab import Lab, LabError, labs, stop, wait_for
from layout import BASE, NODES, TARGET, TOP, Layout, portals
from load import Load

GROUP = "g1"
KEPT = "demo --keep"
COLUMNS = ("event", "owner before", "owner after", "longest pause ms", "commands failed",
           "sectors verified", "wrong sectors")


class Demo:
    """One run through all events; rows collects the table."""

    def __init__(self, lab):
        self.lab = lab
        self.load = None
        self.rows = []
        self.started = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.started:6.1f} s  {text}", flush=True)

    def owner(self):
        """Who owns the group, as the daemons say it; "-" while nobody does."""
        for controller in self.lab.controllers.values():
            try:
                answer = controller.yokectl("group", "show", GROUP, timeout=5)
            except (LabError, ValueError):
                continue
            owner = answer.get("owner")
            return owner if owner else "-"
        return "-"

    def in_sync(self, name):
        try:
            status = self.lab[name].yokectl("status", timeout=5)
        except (LabError, ValueError):
            return False
        return bool(status["in_sync"] and status["interconnect"]["up"])

    def whole(self):
        """True when both controllers serve, agree, and the host has all its paths."""
        return self.lab.settled() and all(map(self.in_sync, NODES)) and self.load.paths_up()

    def event(self, name, limit_ms, act, done, rest=3.0):
        """One event: marks an interval around act(), done() and a rest, adds a row."""
        before = self.owner()
        self.say(f"{name}: {GROUP} is owned by {before} ...")
        self.load.mark(name)
        started = time.monotonic()
        act(before)
        wait_for(lambda: done(before), 40, f"{name} is through", 0.05)
        took = time.monotonic() - started
        time.sleep(rest)
        after = self.owner()
        report = self.load.mark(f"after {name}")
        row = {"event": name, "owner_before": before, "owner_after": after,
               "longest_pause_ms": report["longest_pause_ms"], "limit_ms": limit_ms,
               "commands": report["commands"], "failed": report["failed"],
               "verified": report["verified"], "wrong": report["wrong"],
               "seconds": round(took, 2)}
        self.rows.append(row)
        self.say(f"{name}: {before} -> {after}, done after {took:.1f} s, longest pause "
                 f"{row['longest_pause_ms']:.0f} ms (limit {limit_ms}), {row['commands']} commands, "
                 f"{row['failed']} failed, {row['wrong']} wrong")

    # ----- the events ---------------------------------------------------------------------------

    def other(self, name):
        return next(node for node in NODES if node != name)

    def move(self, owner):
        target = self.other(owner)
        self.lab[owner].run(["yokectl", "group", "move", GROUP, target])

    def moved(self, before):
        return self.owner() == self.other(before) and self.lab.promoted(GROUP) == [self.other(before)]

    def kill(self, owner):
        self.lab[owner].kill_daemon("yoked")

    def cut(self, owner):
        self.dead = owner
        self.lab[owner].power_off()

    def restore(self, _):
        self.lab[self.dead].power_on()

    def run(self):
        """All events in turn; the totals of the I/O program."""
        self.say("two controllers: Corosync, Pacemaker, fencing, yoked ...")
        self.say(f"settled after {self.lab.wait_settled():.1f} s more: {GROUP} at {self.owner()}")
        with Load(self.lab, options=("--depth", "8", "--iops", "400")) as self.load:
            ready = self.load.ready()
            self.say(f"the host is logged in at all {len(self.lab.portals())} portals and writes "
                     f"({ready['seconds']:.1f} s)")
            time.sleep(2)
            self.event("planned handover", 1000, self.move, self.moved)
            self.event("failback", 1000, self.move, self.moved)
            self.event("SIGKILL of yoked", 3000, self.kill, self.moved)
            wait_for(self.whole, 60, "the killed daemon is back and in sync", 0.1)
            self.say("the daemon was started again by Pacemaker and is in sync")
            self.event("power loss", 6000, self.cut, self.moved)
            self.event("its return", 1000, self.restore, lambda _: self.whole())
            self.say("last scan: every sector ever written ...")
            total = self.load.stop()
        self.rows.append({"event": "whole run, last scan", "owner_before": "", "owner_after": "",
                          "longest_pause_ms": total["longest_pause_ms"], "limit_ms": 6000,
                          "commands": total["commands"], "failed": total["failed"],
                          "verified": total["verified"], "wrong": total["wrong"],
                          "seconds": round(total["seconds"], 2), "exit": total["exit"]})
        return total


def table(rows):
    """The rows as an aligned table."""
    cells = [COLUMNS] + [(r["event"], r["owner_before"], r["owner_after"],
                          f"{r['longest_pause_ms']:.0f}", str(r["failed"]), str(r["verified"]),
                          str(r["wrong"])) for r in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(COLUMNS))]
    lines = []
    for number, row in enumerate(cells):
        lines.append("  ".join(cell.ljust(width) if i < 3 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))).rstrip())
        if number == 0:
            lines.append("-" * len(lines[0]))
    return "\n".join(lines)


def complaints(rows):
    """Why a run does not pass, as texts."""
    found = []
    for row in rows:
        if row["failed"]:
            found.append(f"{row['event']}: {row['failed']} commands failed")
        if row["wrong"]:
            found.append(f"{row['event']}: {row['wrong']} wrong sectors")
        if row["longest_pause_ms"] > row["limit_ms"]:
            found.append(f"{row['event']}: a pause of {row['longest_pause_ms']:.0f} ms is longer "
                         f"than {row['limit_ms']} ms")
        if not row["commands"] or not row["verified"]:
            found.append(f"{row['event']}: nothing was read and verified")
        if row.get("exit"):
            found.append(f"the I/O program ended with exit code {row['exit']}")
    return found


def medians(runs):
    """Rows with the medians of the pauses, and the sums of everything else."""
    rows = []
    for same in zip(*runs):
        rows.append({**same[0],
                     "longest_pause_ms": statistics.median(r["longest_pause_ms"] for r in same),
                     **{key: sum(r[key] for r in same)
                        for key in ("failed", "verified", "wrong", "commands")}})
    return rows


def look_around(lab):
    """How to look at what --keep has left running."""
    tool = f"tests/lab/lab --lab {lab.layout.prefix}"
    one = portals("a")[0]
    print(f"""
It keeps running. Look around (as root, from {TOP}):

  {tool} status
  {tool} run a -- yokectl status
  {tool} run a -- yokectl group list
  {tool} run a -- yokectl group move {GROUP} b
  {tool} run a -- crm_mon -1rfA
  {tool} run host -- iscsi-ls -s iscsi://{one}
  {tool} run host -- iscsi-inq iscsi://{one}/{TARGET}/0
  {tool} run host -- qemu-img bench -t none -c 20000 -d 32 iscsi://{one}/{TARGET}/0
  {tool} power b off        {tool} power b on

As a Linux host would (open-iscsi and multipath-tools, a kernel with iscsi_tcp, docs/multipath.conf):

  iscsiadm -m discovery -t sendtargets -p {one}
  iscsiadm -m node -T {TARGET} --loginall=all
  multipath -ll

Logs and disks of both controllers: {lab.layout.dir}
Stop it: tests/demo --stop""")


def one_run(arguments, keep):
    lab = Lab(purpose=KEPT if keep else "demo")
    with lab:
        demo = Demo(lab)
        try:
            demo.run()
        except LabError:
            if demo.rows:
                print("\n" + table(demo.rows) + "\n")
            copy_logs(lab)
            raise
        if complaints(demo.rows):
            copy_logs(lab)
        if keep:
            lab.keep()
    return lab, demo.rows


def copy_logs(lab):
    """Keeps the logs of a run that did not pass."""
    place = TOP / "build" / "demo-logs"
    shutil.rmtree(place, ignore_errors=True)
    for name in NODES:
        shutil.copytree(lab.layout.node(name) / "log", place / name, dirs_exist_ok=True)
    shutil.copytree(lab.layout.dir / "log", place / "lab", dirs_exist_ok=True)
    print(f"logs: {place}", file=sys.stderr)


def stop_kept():
    found = False
    for prefix in labs():
        try:
            settings = json.loads(Layout(prefix).settings.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if settings.get("purpose") == KEPT:
            stop(Layout(prefix))
            print(f"{prefix} is down")
            found = True
    if not found:
        print(f"nothing that `tests/demo --keep` left is running (looked in {BASE})")


def interrupted(number, _):
    """A signal ends the program through its contexts, so that the lab goes too."""
    raise KeyboardInterrupt(signal.Signals(number).name)


def main():
    parser = argparse.ArgumentParser(prog="demo")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--stop", action="store_true")
    parser.add_argument("--no-build", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.stop:
        stop_kept()
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    runs, lab = [], None
    try:
        for number in range(arguments.runs):
            if arguments.runs > 1:
                print(f"run {number + 1} of {arguments.runs}", flush=True)
            lab, rows = one_run(arguments, arguments.keep and number == arguments.runs - 1)
            print("\n" + table(rows) + "\n", flush=True)
            runs.append(rows)
    except (LabError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 2
    result = medians(runs)
    if len(runs) > 1:
        print(f"medians of the pauses, sums of the rest, of {len(runs)} runs:\n{table(result)}\n")
    if arguments.json:
        arguments.json.write_text(json.dumps({"runs": runs, "medians": result}, indent=1) + "\n",
                                  encoding="utf-8")
    wrong = [text for rows in runs for text in complaints(rows)]
    for text in wrong:
        print(f"demo: {text}", file=sys.stderr)
    print("demo: " + ("FAILED" if wrong else "no command failed, no sector is wrong"))
    if arguments.keep and lab:
        look_around(lab)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
