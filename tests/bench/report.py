# SPDX-License-Identifier: BSD-3-Clause
"""What was measured, as tables for people, as plots, and in docs/performance.md."""

import os
import platform
import shutil
import statistics
import subprocess
from datetime import date
from pathlib import Path

import cells

BEGIN, END = "<!-- measured: made by tests/bench/run -->", "<!-- end of what was measured -->"
SERVERS = ("yoked", "yoked-spin", "yoked2", "yoked-many", "owner", "other", "io_uring", "tgt")


def machine():
    """What it was measured on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release().partition("-")[0],
            "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
            "load_average_before": os.getloadavg()[0], "date": date.today().isoformat()}


def value(found, cell, server, key):
    """The median of the rounds, or the one value there is; None when it was not measured."""
    row = found["values"].get(f"{cell} {server}")
    if not row:
        return None
    if "rounds" in row:
        return statistics.median(r[key] for r in row["rounds"]) if row["rounds"] else None
    return row.get(key)


def ratio(found, cell, server, over, key="per_s"):
    """Round by round where both were measured in the same rounds; the median of that."""
    mine, its = (found["values"].get(f"{c} {s}", {}).get("rounds") for c, s in ((cell, server), over))
    if not mine or not its:
        return None
    if len(mine) == len(its):
        return statistics.median(a[key] / b[key] for a, b in zip(mine, its) if b[key])
    return value(found, cell, server, key) / value(found, *over, key)


def rate(found, cell, server):
    if cell.removeprefix("pair-").startswith(("read-", "write-")):
        return f"{value(found, cell, server, 'bytes_per_s') / 1e6:,.0f} MB/s"
    return f"{value(found, cell, server, 'per_s'):,.0f}/s"


def base_of(cell, server):
    return (cell, "owner") if server == "other" else (cell, "tgt")


def rows(found):
    """(cell, server, rate, x, CPU, p50, p99) of everything that has a rate."""
    for name, row in found["values"].items():
        cell, _, server = name.rpartition(" ")
        if not row.get("rounds"):
            continue
        x = ratio(found, cell, server, base_of(cell, server)) if server not in ("tgt", "owner") else None
        yield (cell, server, rate(found, cell, server), "" if x is None else f"{x:.2f}",
               f"{value(found, cell, server, 'target_cpu_us'):.2f}",
               f"{value(found, cell, server, 'p50_us'):.0f}", f"{value(found, cell, server, 'p99_us'):.0f}")


HEAD = ("cell", "server", "rate", "x", "CPU us", "p50 us", "p99 us")


def aligned(lines, left):
    widths = [max(len(row[i]) for row in lines) for i in range(len(lines[0]))]
    text = ["  ".join(word.ljust(w) if i < left else word.rjust(w)
                      for i, (word, w) in enumerate(zip(row, widths))).rstrip() for row in lines]
    return [text[0], "-" * len(text[0]), *text[1:]]


def others(found):
    """What has no rate, in words."""
    for name, row in found["values"].items():
        if "rounds" not in row:
            yield name, ", ".join(f"{key.replace('_', ' ')} {number(v)}" for key, v in row.items()
                                  if isinstance(v, (int, float)))


def number(v):
    return f"{v:,.0f}" if v >= 100 else f"{v:.4g}"


def table(found):
    lines = aligned([HEAD, *rows(found)], 2) if any("rounds" in r for r in found["values"].values()) else []
    lines += [f"{name}: {words}" for name, words in others(found)]
    verified = sum(found.get("verified", {}).values()) + found.get("verified_pair", 0)
    lines += [f"blocks verified in runs of the same cells: {verified:,}"] if verified else []
    return "\n".join(lines)


# ----- goals ------------------------------------------------------------------------------------------


def judged(found):
    """(goal, what was measured or None, met or not)."""
    for goal in cells.GOALS:
        got = ratio(found, goal.cell, goal.server, goal.over, goal.key) if goal.over else \
            value(found, goal.cell, goal.server, goal.key)
        met = got is not None and (goal.least is None or got >= goal.least) and \
            (goal.most is None or got <= goal.most)
        yield goal, got, met


def goal_words(goal):
    words = f"{'at least' if goal.least is not None else 'at most'} " \
            f"{number(goal.least if goal.least is not None else goal.most)}"
    if goal.over:
        cell, server = goal.over
        words += f" x {server if cell == goal.cell else cell}"
    return words + (f" {goal.words}" if goal.words else "")


def goal_rows(found):
    return [(g.cell, g.server, goal_words(g), number(got), "met" if met else "short")
            for g, got, met in judged(found) if got is not None]


def goals(found):
    lines = goal_rows(found)
    return "\n" + "\n".join(aligned([("cell", "server", "wanted", "is", ""), *lines], 3)) if lines else ""


# ----- plots and docs/performance.md ------------------------------------------------------------------

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
LABELS = {"depth": "queue depth, one session", "sessions": "sessions, depth 8", "lus": "logical units"}


def plots(found, out):
    """One picture for each series; needs gnuplot."""
    if not shutil.which("gnuplot"):
        print("plots: gnuplot is not installed: apt-get install gnuplot-nox")
        return
    for name, label in LABELS.items():
        lines = []
        for key, points in found["series"].items():
            if key.split()[0] == name:
                data = Path(out) / f"{name}-{key.split()[1]}.dat"
                data.write_text("".join(f"{x} {y}\n" for x, y in points), encoding="ascii")
                lines.append(f'"{data}" with linespoints title "{key.split()[1]}"')
        script = PLOT.format(out=Path(out) / f"{name}.svg", label=label, lines=", ".join(lines))
        subprocess.run(["gnuplot"], input=script, text=True, check=True)


def markdown(head, lines):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head),
            *("| " + " | ".join(row) + " |" for row in lines)]


def document(found, out, folder):
    """Puts the tables between the marks in FOLDER/performance.md, and the plots beside it."""
    page = Path(folder) / "performance.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    m = found["machine"]
    lines = [BEGIN, "", f"Measured {m['date']}: {m['cpu']}, {m['cpus']} CPUs, {m['memory_mib']} MiB, Linux "
             f"{m['kernel']}; load average before: {m['load_average_before']:.2f}.", "",
             *markdown(("cell", "server", "wanted", "is", "goal"), goal_rows(found)), "",
             *markdown(HEAD, rows(found)), "", *markdown(("", ""), others(found)), ""]
    for name, label in LABELS.items():
        picture = Path(out) / f"{name}.svg"
        if "series" in found and picture.exists():
            first, _, drawn = picture.read_text(encoding="utf-8").partition("\n")
            (Path(folder) / f"performance-{name}.svg").write_text(
                f"{first}\n<!-- SPDX-License-Identifier: BSD-3-Clause -->\n{drawn}", encoding="utf-8")
            lines += [f"![Rate against {label}](performance-{name}.svg)", ""]
    page.write_text(before + "\n".join([*lines, END]) + after, encoding="utf-8")
    print(f"document: {page}")
