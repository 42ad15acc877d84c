# SPDX-License-Identifier: BSD-3-Clause
"""Measurements that are no cells: sessions that do nothing, logins, system calls, a long run."""

import re
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import cells

SECONDS_IDLE = 4
# A quiet session is pinged less and less often, in the end once a minute (daemon/iscsi/nop.c): that
# is so after 6 + 6 + 12 + 24 + 48 s, and what it costs can only be seen over a minute.
MINUTE, QUIET_S = 60, 100
EXTENT_SUFFIX = ".img"  # see servers.py


def cpu_ns(pid):
    """Time on a CPU of all threads: exact, unlike the ticks of /proc/PID/stat."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        total += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    return total


def wakeups(pid):
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for line in (thread / "status").read_text(encoding="ascii").splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


def rss_kib(pid):
    """What a process has in memory, but for pages of extents that it has mapped: those belong to the
    page cache, with it or without it."""
    total, counts = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        words = line.split(None, 5)
        if re.match(r"[0-9a-f]+-[0-9a-f]+$", words[0]):
            counts = not (len(words) == 6 and words[5].endswith(EXTENT_SUFFIX))
        elif words[0] == "Rss:" and counts:
            total += int(words[1])
    return total


def at_rest(pid, seconds=SECONDS_IDLE):
    """CPU and wake-ups of a process that has nothing to do, and its memory."""
    cpu, woken = cpu_ns(pid), wakeups(pid)
    time.sleep(seconds)
    return {"cpu_share": (cpu_ns(pid) - cpu) / 1e9 / seconds,
            "wakeups_per_s": (wakeups(pid) - woken) / seconds, "rss_kib": rss_kib(pid)}


def idle(bench):
    """A fresh server with 1,024 LUs: at rest, how fast 1,000 sessions log in, and with them while they do
    nothing: the first minute, and a minute when all of them are quiet."""
    pid = bench.servers["yoked-many"].pid
    found = {"rest yoked-many": at_rest(pid)}
    times = []
    for _ in range(bench.arguments.rounds):
        answer = bench.load("yoked-many", ["--rw", "idle", "--sessions", str(cells.IDLE), "--warmup", "0"],
                            lun=0, seconds=0.1)
        times.append(answer["ready_s"])
        time.sleep(0.3)
    found["logins yoked-many"] = {"all_s": statistics.median(times)}
    bench.idle_begin()
    began = time.monotonic()
    found["idle-first yoked-many"] = at_rest(pid, MINUTE)
    time.sleep(max(0.0, began + QUIET_S - time.monotonic()))
    found["idle yoked-many"] = at_rest(pid, MINUTE)
    bench.idle_end()
    return found


def login_under_load(bench):
    """One session logs in and out again and again while another keeps the server fully busy."""
    slowest, p99 = [], []
    for _ in range(bench.arguments.rounds):
        full = bench.start_load("yoked", cells.size("4K", 32, "randread"), lun=0,
                                seconds=bench.arguments.seconds + 1)
        time.sleep(0.5)
        answer = bench.load("yoked", ["--rw", "login", "--first", "1000"])
        bench.answer(full, "load beside logins")
        slowest.append(answer["max_us"] / 1e3)
        p99.append(answer["p99_us"] / 1e3)
    return {"login-under-load yoked": {"max_ms": statistics.median(slowest), "p99_ms": statistics.median(p99)}}


def system_calls(bench):
    """System calls and context switches for each I/O, by perf; empty without it."""
    found = {}
    for name in ("rr-qd1", "rr-qd32", "rw-qd32", "rr-8x16"):
        cell = next(c for c in cells.CELLS if c.name == name)
        for server in ("yoked", "tgt"):
            if bench.has(server) and shutil.which("perf"):
                counts = counted(bench, cell, server)
                if counts:
                    found[f"calls {name} {server}"] = counts
    return found


def counted(bench, cell, server):
    load = bench.start_load(server, [*cell.options, "--warmup", "0.5"], lun=cell.luns[server], seconds=2)
    time.sleep(0.8)
    done = subprocess.run(
        ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter,context-switches", "-p",
         str(bench.servers[server].pid), "--", "sleep", "1"], capture_output=True, text=True, check=False)
    answer = bench.answer(load, f"system calls of {server}")
    counts = [line.split(",")[0] for line in done.stderr.splitlines() if "," in line]
    if done.returncode or len(counts) != 2 or not all(c.isdigit() for c in counts):
        return None
    return {"system_calls": int(counts[0]) / answer["per_s"],
            "context_switches": int(counts[1]) / answer["per_s"]}


def series(bench):
    """Points for the plots: the median of three turns each."""
    jobs = [(f"{name} {server}", v, server, options(v), cells.RAM[server])
            for name, _, values, options in cells.SERIES for v in values
            for server in ("yoked", "tgt") if bench.has(server)]
    jobs += [("lus yoked", v, "yoked-many", cells.size("4K", 32, "randread") + ["--span", cells.MANY_SPAN],
              f"0-{v - 1}") for v in cells.LU_SERIES]
    rates = {(key, v): [] for key, v, *_ in jobs}
    for _ in range(3):
        for key, v, server, options, lun in jobs:
            rates[key, v].append(bench.load(server, [*options, "--warmup", "0.1"], lun=lun,
                                            seconds=0.4)["per_s"])
    found = {}
    for (key, v), answers in rates.items():
        found.setdefault(key, []).append([v, statistics.median(answers)])
    return found


def soak(bench, minutes):
    """Mixed load, every read checked: does the rate drift, does memory grow?"""
    rows = []
    begin = time.monotonic()
    while time.monotonic() - begin < minutes * 60:
        answer = bench.load("yoked", ["--rw", "randrw", "--depth", "16", "--sessions", "8", "--verify",
                                      "--span", "256M"], lun=0, seconds=10)
        rows.append({"at_s": round(time.monotonic() - begin), "per_s": answer["per_s"],
                     "rss_kib": answer["target_rss_kib"], "verified": answer["verified"]})
        print(f"{rows[-1]['at_s']:6d} s  {answer['per_s']:10.0f} a second  {answer['target_rss_kib']:8d} KiB",
              flush=True)
    third = max(1, len(rows) // 3)
    first = statistics.median(r["per_s"] for r in rows[:third])
    last = statistics.median(r["per_s"] for r in rows[-third:])
    return {"soak yoked": {"minutes": minutes, "drift": last / first,
                           "growth": rows[-1]["rss_kib"] / rows[third - 1]["rss_kib"],
                           "verified": sum(r["verified"] for r in rows), "rows": rows}}
