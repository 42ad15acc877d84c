# SPDX-License-Identifier: BSD-3-Clause
"""Measures Yoke beside Debian's tgt on this machine: every cell by turns, medians, ratios.

The server has CPU 1, the load generator CPU 0; what differs says so. Figures of two machines, or of
two days, do not compare; ratios within one run do. Results: build/bench/results.json, a table on
standard output; --all adds everything else, with plots and the table of docs/performance.md.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import cells
import report
import special
from measure import TOP, Bench, build_folder
from servers import BenchError


def parse():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the main cells, in less than 3 minutes")
    parser.add_argument("--all", action="store_true",
                        help="all cells, the pair, plots and 10 minutes of mixed load, in 20 minutes")
    parser.add_argument("--rounds", type=int, help="rounds (5; quick: 3)")
    parser.add_argument("--seconds", type=float, help="of each measurement (1.0; quick: 0.8; all: 0.6)")
    parser.add_argument("--cells", help="only these, by commas: " + ", ".join(c.name for c in cells.CELLS))
    parser.add_argument("--no-peer", action="store_true", help="without tgt")
    parser.add_argument("--plots", action="store_true", help="also rate against depth, sessions, LUs")
    parser.add_argument("--pair", action="store_true",
                        help="only: through the owner and through the other controller of a pair")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="only (or with --all): mixed load")
    parser.add_argument("--document", type=Path, metavar="FOLDER",
                        help="put plots and table into FOLDER/performance.md")
    parser.add_argument("--out", type=Path, default=TOP / "build" / "bench")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (3 if arguments.quick else 5)
    arguments.seconds = arguments.seconds or (0.8 if arguments.quick else 0.6 if arguments.all else 1.0)
    if arguments.all and arguments.soak is None:
        arguments.soak = 10
    return arguments


class Results:
    """What was found so far; saved after every part, so that a break loses one part only."""

    def __init__(self, arguments):
        self.path = arguments.out / ("pair.json" if arguments.pair else "results.json")
        self.found = {"machine": report.machine(), "values": {}}
        self.began = time.monotonic()

    def add(self, part, values):
        self.found["values"].update(values)
        self.save(part)

    def save(self, part):
        self.path.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
        print(f"{time.monotonic() - self.began:5.0f} s: {part}", file=sys.stderr, flush=True)


def pair(arguments, results):
    """Needs what tests/demo needs: Corosync, Pacemaker, namespaces."""
    from pair import Pair  # pylint: disable=import-outside-toplevel
    with Pair(build_folder() / "tests/bench/yoke-load") as both:
        results.found["verified_pair"] = both.verify()
        results.add("pair", both.cells(arguments.rounds, arguments.seconds))


def whole(bench, results, chosen):
    """The parts that belong to a run without --quick and --cells."""
    arguments = bench.arguments
    results.add("idle", special.idle(bench))
    results.found["verified"] = {f"{c.name} {s}": bench.verify(c, s) for c in chosen for s in c.servers}
    results.save("verified")
    results.add("cells", bench.cells(chosen))
    results.add("logins under load", special.login_under_load(bench))
    results.add("system calls", special.system_calls(bench))
    if arguments.plots or arguments.all:
        results.found["series"] = special.series(bench)
        results.save("series")


def measure(arguments, results, chosen):
    if arguments.pair:
        pair(arguments, results)
        return
    with Bench(arguments) as bench:
        if arguments.soak and not arguments.all:
            results.add("soak", special.soak(bench, arguments.soak))
        elif arguments.quick or arguments.cells:
            results.found["verified"] = {f"{c.name} {s}": bench.verify(c, s) for c in chosen
                                         for s in c.servers}
            results.add("cells", bench.cells(chosen))
        else:
            whole(bench, results, chosen)
    if arguments.all:
        pair(arguments, results)
        with Bench(arguments) as bench:
            results.add("soak", special.soak(bench, arguments.soak))


def main():
    arguments = parse()
    names = arguments.cells.split(",") if arguments.cells else cells.QUICK if arguments.quick else None
    chosen = [c for c in cells.CELLS if names is None or c.name in names]
    if not chosen:
        print("run: no such cell; see --help", file=sys.stderr)
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = Results(arguments)
    try:
        measure(arguments, results, chosen)
    except BenchError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    print(report.table(results.found))
    print(report.goals(results.found))
    if "series" in results.found:
        report.plots(results.found, arguments.out)
    if arguments.document:
        report.document(results.found, arguments.out, arguments.document)
    print(f"results: {results.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
