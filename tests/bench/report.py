# SPDX-License-Identifier: BSD-3-Clause
"""What was measured, as a table for people and as plots."""

import os
import platform
import shutil
import subprocess
from pathlib import Path


def machine():
    """What it was measured on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(),
            "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
            "load_average_before": os.getloadavg()[0]}


def rate(value, key):
    return f"{value['bytes_per_s'] / 1e6:,.0f} MB/s" if key.startswith(("read-", "write-")) \
        else f"{value['per_s']:,.0f}/s"


def ratio(found, cell, server, base):
    mine, its = found.get(f"{cell} {server}"), found.get(f"{cell} {base}")
    return f"{mine['per_s'] / its['per_s']:.2f}" if mine and its and its["per_s"] else ""


def table(result, chosen):
    """Cell by cell: rates, ratio to tgt, CPU, latencies."""
    found = result["cells"]
    head = ("cell", "server", "rate", "x tgt", "CPU us", "p50 us", "p99 us", "goal")
    rows = [head]
    for cell in chosen:
        for server in cell.servers:
            value = found.get(f"{cell.name} {server}")
            if value:
                rows.append((cell.name, server, rate(value, cell.name),
                             ratio(found, cell.name, server, "tgt") if server != "tgt" else "",
                             f"{value['target_cpu_us']:.2f}", f"{value['p50_us']:.0f}",
                             f"{value['p99_us']:.0f}", cell.goal if server != "tgt" else ""))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(text.ljust(w) if i in (0, 1, 7) else text.rjust(w)
                       for i, (text, w) in enumerate(zip(row, widths))).rstrip() for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    for name in ("raw_disk", "sessions", "system_calls"):
        for key, value in result.get(name, {}).items():
            if not (isinstance(value, dict) and "kind" in value):
                lines.append(f"{name}: {key}: {value}")
    return "\n".join(lines)


def pair_table(result):
    """The two ways to the same LU, side by side."""
    lines = [f"{'cell':10}{'owner/s':>12}{'other/s':>12}{'ratio':>8}{'owner us':>10}{'other us':>10}{'x':>6}"]
    for cell, v in result["cells"].items():
        lines.append(f"{cell:10}{v['per_s']['optimized']:12,.0f}{v['per_s']['shipped']:12,.0f}{v['ratio']:8.2f}"
                     f"{v['p50_us']['optimized']:10.0f}{v['p50_us']['shipped']:10.0f}{v['latency_ratio']:6.2f}")
    return "\n".join(lines + [f"blocks verified through the other controller: {result['verified_blocks']}"])


PLOT = """set terminal svg size 640,400 background "white"
set output "{out}"
set xlabel "{label}"
set ylabel "4 KiB reads a second"
set logscale x 2
set yrange [0:*]
set format y "%.0f"
set grid
set key top left
plot {lines}
"""


def plots(result, out):
    """One picture for each series; needs gnuplot."""
    if not shutil.which("gnuplot"):
        print("plots: gnuplot is not installed: apt-get install gnuplot-nox")
        return
    labels = {"depth": "queue depth, one session", "sessions": "sessions, depth 8", "luns": "logical units"}
    for name, label in labels.items():
        lines = []
        for key, points in result["series"].items():
            if key.split()[0] == name:
                data = Path(out) / f"{name}-{key.split()[1]}.dat"
                data.write_text("".join(f"{x} {y}\n" for x, y in points), encoding="ascii")
                lines.append(f'"{data}" with linespoints title "{key.split()[1]}"')
        script = PLOT.format(out=Path(out) / f"{name}.svg", label=label, lines=", ".join(lines))
        subprocess.run(["gnuplot"], input=script, text=True, check=True)
