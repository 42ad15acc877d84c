# SPDX-License-Identifier: BSD-3-Clause
"""The cells of the benchmark: what is asked of which target, and what is wanted of the result."""

from dataclasses import dataclass, field

# Servers: "yoked", "yoked-spin", "yoked2" (two reactors on all CPUs), "tgt".
RAM = {"yoked": 0, "yoked-spin": 0, "yoked2": 0, "tgt": 1}
DISK = {"yoked": 1, "tgt": 2}


@dataclass
class Cell:
    """One kind of load. `goal` is text for people; `wanted` a function of the cell's medians."""

    name: str
    options: list
    luns: dict = field(default_factory=lambda: RAM)
    servers: tuple = ("yoked", "tgt")
    unpinned: bool = False
    verified: bool = True     # a run of the same cell with verification belongs to it
    target: str = ""          # suffix of the target's name
    goal: str = ""


def size(bs, depth, kind, sessions=1):
    return ["--rw", kind, "--bs", bs, "--depth", str(depth), "--sessions", str(sessions)]


CELLS = [
    Cell("rr-qd1", size("4K", 1, "randread"), servers=("yoked", "yoked-spin", "tgt"),
         goal="1.25 x tgt; with spin 2.2 x tgt"),
    Cell("rw-qd1", size("4K", 1, "randwrite"), servers=("yoked", "yoked-spin", "tgt")),
    Cell("rr-qd32", size("4K", 32, "randread"), goal="9 x tgt, 2.2 us of CPU an I/O"),
    Cell("rw-qd32", size("4K", 32, "randwrite"), goal="7 x tgt"),
    Cell("rr-8x16", size("4K", 16, "randread", 8), goal="11 x tgt"),
    Cell("rw-8x16", size("4K", 16, "randwrite", 8), goal="9 x tgt"),
    Cell("read-64k", size("64K", 8, "read"), goal="3.5 x tgt"),
    Cell("write-64k", size("64K", 8, "write"), goal="4 x tgt"),
    Cell("read-1m", size("1M", 4, "read"), goal="3.5 x tgt"),
    Cell("write-1m", size("1M", 4, "write"), goal="4 x tgt"),
    Cell("rr-qd32+crc", size("4K", 32, "randread") + ["--header-digest", "--data-digest"],
         goal="0.9 x rr-qd32"),
    Cell("read-1m+crc", size("1M", 4, "read") + ["--header-digest", "--data-digest"],
         goal="0.9 x read-1m"),
    Cell("disk-rr-qd32", size("4K", 32, "randread"), luns=DISK, goal="0.9 x the file by io_uring"),
    Cell("disk-rw-qd32", size("4K", 32, "randwrite"), luns=DISK, goal="0.9 x the file by io_uring"),
    Cell("login-1", ["--rw", "login"], verified=False),
    Cell("login-8", ["--rw", "login", "--sessions", "8"], verified=False, goal="1 x tgt"),
    Cell("rr-8x16-two", size("4K", 16, "randread", 8), servers=("yoked2",), unpinned=True, verified=False,
         goal="more than one reactor"),
    Cell("rr-8x16-one", size("4K", 16, "randread", 8), servers=("yoked",), unpinned=True, verified=False),
    Cell("many-luns", size("4K", 32, "randread") + ["--span", "16M", "--lun", "0-1023"],
         servers=("yoked",), luns={"yoked": None}, target="-many", verified=False,
         goal="0.95 x one LUN, with 1,000 idle sessions"),
    Cell("one-lun", size("4K", 32, "randread") + ["--span", "16M", "--lun", "0"],
         servers=("yoked",), luns={"yoked": None}, target="-many", verified=False),
]

# What `--quick` takes.
QUICK = ("rr-qd1", "rr-qd32", "rw-qd32", "rr-8x16", "rw-8x16", "read-1m", "write-1m", "rr-qd32+crc")

# Series for the plots: (file, what varies, values, options of each).
SERIES = [
    ("depth", "queue depth, one session", (1, 2, 4, 8, 16, 32, 64, 128), lambda v: size("4K", v, "randread")),
    ("sessions", "sessions, depth 8", (1, 2, 4, 8, 16, 32, 64), lambda v: size("4K", 8, "randread", v)),
]
LUN_SERIES = (1, 4, 16, 64, 256, 1024)
