# SPDX-License-Identifier: BSD-3-Clause
"""Measures Yoke beside Debian's tgt on this machine: every cell by turns, medians, ratios.

The server has CPU 1, the load generator CPU 0; what differs says so. Figures of two machines, or of
two days, do not compare; ratios within one run do. Results: build/bench/results.json, a table on
standard output, and with --plots build/bench/*.svg.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cells
from report import machine, pair_table, plots, table
from servers import IQN, BenchError, Backing, Tgt, Yoked

TOP = Path(__file__).resolve().parents[2]
LOAD_CPU = "0"


class Bench:
    """Servers, and a way to put a load on one of them."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.build = Path(os.environ.get("YOKE_BUILD") or TOP / "build" / "product")
        self.load_program = self.build / "tests/bench/yoke-load"
        self.yoked = self.build / "yoked"
        for program in (self.load_program, self.yoked):
            if not program.exists():
                raise BenchError(f"{program} does not exist: build first, or set YOKE_BUILD")
        if (os.cpu_count() or 1) < 2:
            raise BenchError("two CPUs are needed: one for the server, one for the load")
        self.place = Path(tempfile.mkdtemp(prefix="yoke-bench-"))
        self.backings = {}
        self.servers = {}

    def __enter__(self):
        cpus = f"0-{(os.cpu_count() or 2) - 1}"
        try:
            self.add("yoked", 13270, Backing())
            self.add("yoked-spin", 13271, Backing(disk=False, many=0), spin="50us")
            self.add("yoked2", 13272, Backing(disk=False, many=0), cpus=cpus, reactors=2)
            if not self.arguments.no_peer:
                if not shutil.which("tgtd"):
                    raise BenchError("tgtd is not installed: apt-get install tgt, or say --no-peer")
                self.backings["tgt"] = Backing(many=0)
                self.servers["tgt"] = Tgt(13273, self.place, self.backings["tgt"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def add(self, name, port, backing, **options):
        self.backings[name] = backing
        self.servers[name] = Yoked(name, port, self.place, backing, self.yoked, **options)

    def __exit__(self, *_):
        for server in self.servers.values():
            server.stop()
        for backing in self.backings.values():
            backing.remove()
        shutil.rmtree(self.place, ignore_errors=True)

    def start_load(self, name, options, *, target="", lun=None, seconds=None, pinned=True):
        server = self.servers[name]
        words = ["taskset", "-c", LOAD_CPU] if pinned else []
        words += [self.load_program, "--portal", server.portal(), "--target", IQN + target, "--pid",
                  server.pid, "--seconds", seconds or self.arguments.seconds, *options]
        if lun is not None:
            words += ["--lun", lun]
        return subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True)

    def load(self, name, options, **more):
        process = self.start_load(name, options, **more)
        out, err = process.communicate(timeout=300)
        try:
            answer = json.loads(out)
        except ValueError as error:
            raise BenchError(f"{name} {' '.join(options)}: {err or out}") from error
        if answer["error"] or answer["mismatches"]:
            raise BenchError(f"{name} {' '.join(options)}: {answer['error']}, "
                             f"{answer['mismatches']} wrong blocks")
        return answer

    # ----- cells --------------------------------------------------------------------------------

    def cell(self, cell, name):
        if name not in self.servers:
            return None
        lun = cell.luns.get(name)
        return self.load(name, cell.options, target=cell.target, lun=lun, pinned=not cell.unpinned)

    def verify(self, cell, name):
        """The same load on a part of the LU, with every block written and every read checked."""
        if name not in self.servers or not cell.verified:
            return 0
        options = [*cell.options, "--verify", "--span", "64M"]
        if "randwrite" in options:
            options[options.index("randwrite")] = "randrw"
        if "write" in options:
            options[options.index("write")] = "randrw"
        return self.load(name, options, lun=cell.luns.get(name))["verified"]

    def cells(self, chosen):
        rows = {(cell.name, server): [] for cell in chosen for server in cell.servers
                if server in self.servers}
        for number in range(self.arguments.rounds):
            for cell in chosen:
                for server in cell.servers:
                    answer = self.cell(cell, server)
                    if answer:
                        rows[cell.name, server].append(answer)
            print(f"round {number + 1} of {self.arguments.rounds}", file=sys.stderr, flush=True)
        return {f"{cell} {server}": medians(answers) for (cell, server), answers in rows.items()}

    # ----- what is no cell ----------------------------------------------------------------------

    def raw_disk(self):
        """What io_uring itself reaches on the disk file, by fio, on the server's CPU."""
        found = {}
        for kind in ("randread", "randwrite"):
            rates = []
            for _ in range(self.arguments.rounds):
                done = subprocess.run(
                    ["taskset", "-c", "1", "fio", "--name=raw", f"--filename={self.backings['yoked'].disk}",
                     f"--rw={kind}", "--bs=4k", "--iodepth=32", "--ioengine=io_uring", "--direct=1",
                     "--time_based", f"--runtime={max(1, round(self.arguments.seconds))}",
                     "--output-format=json"], capture_output=True, text=True, check=True)
                job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
                rates.append(job["read" if kind == "randread" else "write"]["iops"])
            found[kind] = statistics.median(rates)
        return found

    def sessions(self):
        """1,000 sessions log in at once, then stay idle; and logins under full load."""
        idle = self.start_load("yoked", ["--rw", "idle", "--sessions", "1000"], target="-many",
                               seconds=6 + 3 * self.arguments.seconds)
        time.sleep(3)
        before = self.servers["yoked"].pid
        ticks = cpu_ticks(before)
        time.sleep(2)
        ticks = cpu_ticks(before) - ticks
        busy = self.load("yoked", ["--rw", "randread", "--depth", "32", "--span", "16M", "--lun", "0-1023"],
                         target="-many")
        full = self.start_load("yoked", ["--rw", "randread", "--depth", "32"], lun=0,
                               seconds=self.arguments.seconds + 1)
        time.sleep(0.5)
        login = self.load("yoked", ["--rw", "login"], pinned=True)
        full.communicate(timeout=60)
        answer = json.loads(idle.communicate(timeout=120)[0])
        return {"all_logged_in_s": answer["ready_s"], "rss_kib": answer["target_rss_kib"],
                "idle_cpu_ticks_in_2_s": ticks, "many_with_idle": busy,
                "login_under_load_max_us": login["max_us"], "login_under_load_p99_us": login["p99_us"]}

    def system_calls(self):
        """System calls and context switches for each I/O, by perf; empty without it."""
        if not shutil.which("perf"):
            return {}
        found = {}
        for name, options in (("rr-qd1", cells.size("4K", 1, "randread")),
                              ("rr-qd32", cells.size("4K", 32, "randread")),
                              ("rw-qd32", cells.size("4K", 32, "randwrite"))):
            for server in ("yoked", "tgt"):
                if server not in self.servers:
                    continue
                load = self.start_load(server, [*options, "--warmup", "1"], lun=cells.RAM[server], seconds=3)
                time.sleep(1.5)
                done = subprocess.run(
                    ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter,context-switches", "-p",
                     str(self.servers[server].pid), "--", "sleep", "1"], capture_output=True, text=True,
                    check=False)
                answer = json.loads(load.communicate(timeout=60)[0])
                counts = [line.split(",")[0] for line in done.stderr.splitlines() if "," in line]
                if done.returncode == 0 and len(counts) == 2 and all(c.isdigit() for c in counts):
                    found[f"{name} {server}"] = {
                        "system_calls": int(counts[0]) / answer["per_s"],
                        "context_switches": int(counts[1]) / answer["per_s"]}
        return found

    def series(self):
        found = {}
        for name, _, values, options in cells.SERIES:
            for server in ("yoked", "tgt"):
                if server in self.servers:
                    found[f"{name} {server}"] = [
                        [v, self.load(server, options(v), lun=cells.RAM[server])["per_s"]] for v in values]
        found["luns yoked"] = [
            [v, self.load("yoked", cells.size("4K", 32, "randread")
                          + ["--span", "16M", "--lun", f"0-{v - 1}"], target="-many")["per_s"]]
            for v in cells.LUN_SERIES]
        return found


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def medians(answers):
    keys = [k for k, v in answers[0].items() if isinstance(v, (int, float)) and not isinstance(v, bool)]
    return {**{k: statistics.median(a[k] for a in answers) for k in keys},
            "best_per_s": max(a["per_s"] for a in answers), "rounds": len(answers)}


def parse():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the main cells, in less than 3 minutes")
    parser.add_argument("--rounds", type=int, help="rounds (5; quick: 3)")
    parser.add_argument("--seconds", type=float, help="of each measurement (1.0; quick: 0.8)")
    parser.add_argument("--cells", help="only these, by commas: " + ", ".join(c.name for c in cells.CELLS))
    parser.add_argument("--no-peer", action="store_true", help="without tgt")
    parser.add_argument("--plots", action="store_true", help="also rate against depth, sessions, LUs")
    parser.add_argument("--pair", action="store_true",
                        help="only: through the owner and through the other controller of a pair")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="only: mixed load for so long")
    parser.add_argument("--out", type=Path, default=TOP / "build" / "bench")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (3 if arguments.quick else 5)
    arguments.seconds = arguments.seconds or (0.8 if arguments.quick else 1.0)
    return arguments


def soak(bench, minutes):
    """Mixed load; rate and memory of every ten seconds, so that a drift shows."""
    rows = []
    until = time.monotonic() + minutes * 60
    while time.monotonic() < until:
        answer = bench.load("yoked", ["--rw", "randrw", "--depth", "16", "--sessions", "8", "--verify",
                                      "--span", "256M"], lun=0, seconds=10)
        rows.append([round(time.monotonic() - until + minutes * 60), answer["per_s"],
                     answer["target_rss_kib"], answer["verified"]])
        print(f"{rows[-1][0]:6d} s  {answer['per_s']:10.0f} a second  {answer['target_rss_kib']:8d} KiB",
              flush=True)
    return rows


def pair(arguments):
    """Needs what tests/demo needs: Corosync, Pacemaker, namespaces."""
    from pair import Pair  # pylint: disable=import-outside-toplevel
    build = Path(os.environ.get("YOKE_BUILD") or TOP / "build" / "product")
    with Pair(build / "tests/bench/yoke-load") as both:
        verified = both.verify()
        return {"cells": both.measure(arguments.rounds, arguments.seconds), "verified_blocks": verified}


def main():
    arguments = parse()
    chosen = [c for c in cells.CELLS if (not arguments.cells and (not arguments.quick or c.name in cells.QUICK))
              or (arguments.cells and c.name in arguments.cells.split(","))]
    if not chosen:
        print("run: no such cell; see --help", file=sys.stderr)
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    try:
        if arguments.pair:
            result = {"machine": machine(), "pair": pair(arguments)}
            (arguments.out / "pair.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(pair_table(result["pair"]))
            return 0
        with Bench(arguments) as bench:
            if arguments.soak:
                result = {"machine": machine(), "soak": soak(bench, arguments.soak)}
            else:
                verified = {f"{c.name} {s}": bench.verify(c, s) for c in chosen for s in c.servers}
                result = {"machine": machine(), "cells": bench.cells(chosen), "verified_blocks": verified}
                if not arguments.quick and not arguments.cells:
                    result["raw_disk"] = bench.raw_disk()
                    result["sessions"] = bench.sessions()
                    result["system_calls"] = bench.system_calls()
                if arguments.plots:
                    result["series"] = bench.series()
    except BenchError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    (arguments.out / "results.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if "cells" in result:
        print(table(result, chosen))
    if "series" in result:
        plots(result, arguments.out)
    print(f"results: {arguments.out / 'results.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
