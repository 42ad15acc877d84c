# SPDX-License-Identifier: BSD-3-Clause
"""The Promela model (docs/model) under spin: the right one must hold, every wrong one must not.

All searches are complete (no bitstate hashing); the bounds are in the names.
"""

import re
import shutil
import tempfile
from pathlib import Path

from report import Failed, Skipped, command

MEMORY_MIB = 3500
DEPTH = 200000

# Bounds under which nothing goes wrong: assertions, and no end without everything served.
RIGHT = {
    "one-move-one-freeze": "",
    "moves-2-breaks-1": "-DMOVES=2 -DBREAKS=1",
    "freezes-2-breaks-1": "-DFREEZES=2 -DBREAKS=1",
    "ledger": "-DPRS=1 -DWRITES=1",
    "no-write-key-honest-fencing": "-DNO_WRITE_KEY -DHONEST -DMOVES=2",
}
# ... and under which, with fairness, everything is served in the end.
LIVE = {
    "one-move-one-freeze": "",
    "breaks-1": "-DBREAKS=1",
    "ledger": "-DPRS=1 -DWRITES=1 -DMOVES=0",
}
# Wrong on purpose: each must break an assertion, by the counter-example that spin finds.
WRONG = {
    "no-write-key": "-DNO_WRITE_KEY",
    "reply-before-durable": "-DEARLY_REPLY -DPRS=1 -DMOVES=0 -DWRITES=1",
    "no-epoch-check": "-DNO_EPOCH_CHECK -DMOVES=2",
    "no-barrier": "-DNO_BARRIER -DBREAKS=1 -DMOVES=0 -DFREEZES=0",
    "stale-lease": "-DSTALE_LEASE -DPRS=1 -DMOVES=0 -DWRITES=1",
    "no-snapshot": "-DNO_SNAPSHOT -DPRS=1 -DWRITES=1",
    "no-drain": "-DNO_DRAIN -DNO_WRITE_KEY -DFREEZES=0",
}


def search(model, definitions, compiled, run, timeout=300):
    """Generates, compiles and runs a verifier in a folder of its own; what it printed."""
    with tempfile.TemporaryDirectory() as place:
        command(["spin", "-a", *definitions.split(), model], cwd=place, nice=10)
        command(["gcc", "-O2", "-w", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MIB}", *compiled, "-o", "pan",
                 "pan.c"], cwd=place, nice=10)
        try:
            return command(["./pan", f"-m{DEPTH}", "-n", "-w24", *run], cwd=place, timeout=timeout,
                           nice=10)
        except Failed as failure:
            return str(failure)  # verdict() tells what it was


def verdict(output):
    """What a search found: None, or the first line about an error. Failed when it did not end."""
    if "Search not completed" not in output and re.search(r"errors: 0$", output, re.M):
        return None
    found = re.search(r"pan:1: (.*) \(at depth", output)
    if not found:
        raise Failed(f"the search did not end:\n{output}")
    return found[1]


def must_hold(output):
    wrong = verdict(output)
    if wrong:
        raise Failed(f"the model does not hold: {wrong}\n{output}")


def must_break(output):
    wrong = verdict(output)
    if not wrong or not wrong.startswith("assertion violated"):
        raise Failed(f"a model that is wrong on purpose broke no assertion: {wrong}\n{output}")


def run(report, top):
    """One result for each search."""
    model = Path(top).resolve() / "docs/model/group.pml"
    safety = ["-DSAFETY", "-DNOCLAIM"]
    if not shutil.which("spin"):
        with report.test("model/spin"):
            raise Skipped("spin is missing; install it with: apt-get install spin")
        return
    for name, definitions in RIGHT.items():
        with report.test(f"model/right.{name}"):
            must_hold(search(model, definitions, safety, []))
    for name, definitions in LIVE.items():
        with report.test(f"model/live.{name}"):
            must_hold(search(model, definitions, ["-DNFAIR=4"], ["-a", "-f", "-N", "served"]))
    for name, definitions in WRONG.items():
        with report.test(f"model/wrong.{name}"):
            must_break(search(model, definitions, safety, ["-E"]))
