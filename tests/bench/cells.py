# SPDX-License-Identifier: BSD-3-Clause
"""The cells of the benchmark: what is asked of which target, and what is wanted of the result."""

from dataclasses import dataclass, field

# Servers: "yoked", "yoked-spin", "yoked2" (two reactors on all CPUs), "yoked-many" (1,024 LUs, 1,000 sessions
# that do nothing), "tgt", and "io_uring": fio on the disk file itself, without any target.
RAM = {"yoked": 0, "yoked-spin": 0, "yoked2": 0, "tgt": 1}
DISK = {"yoked": 1, "tgt": 2, "io_uring": None}


@dataclass
class Cell:
    """One kind of load."""

    name: str
    options: list
    luns: dict = field(default_factory=lambda: RAM)
    servers: tuple = ("yoked", "tgt")
    unpinned: bool = False
    verified: bool = True     # a run of the same cell with verification belongs to it
    warm: bool = False        # all of it is read before the rounds: servers differ in what they have read


def size(bs, depth, kind, sessions=1):
    return ["--rw", kind, "--bs", bs, "--depth", str(depth), "--sessions", str(sessions)]


CRC = ["--header-digest", "--data-digest"]
QD1 = ("yoked", "yoked-spin", "tgt")
MANY = 1024
IDLE = 1000
MANY_SPAN = "1M"

CELLS = [
    Cell("rr-qd1", size("4K", 1, "randread"), servers=QD1),
    Cell("rw-qd1", size("4K", 1, "randwrite"), servers=QD1),
    Cell("rr-qd32", size("4K", 32, "randread")),
    Cell("rw-qd32", size("4K", 32, "randwrite")),
    Cell("rr-8x16", size("4K", 16, "randread", 8)),
    Cell("rw-8x16", size("4K", 16, "randwrite", 8)),
    Cell("read-64k", size("64K", 8, "read")),
    Cell("write-64k", size("64K", 8, "write")),
    Cell("read-1m", size("1M", 4, "read")),
    Cell("write-1m", size("1M", 4, "write")),
    Cell("rr-qd32+crc", size("4K", 32, "randread") + CRC),
    Cell("read-1m+crc", size("1M", 4, "read") + CRC),
    Cell("disk-rr-qd32", size("4K", 32, "randread"), luns=DISK, servers=("yoked", "tgt", "io_uring")),
    Cell("disk-rw-qd32", size("4K", 32, "randwrite"), luns=DISK, servers=("yoked", "tgt", "io_uring")),
    Cell("login-1", ["--rw", "login"], verified=False),
    Cell("login-8", ["--rw", "login", "--sessions", "8"], verified=False),
    Cell("rr-8x16-free", size("4K", 16, "randread", 8), servers=("yoked", "yoked2"), unpinned=True,
         verified=False),
    # The same bytes in use, in one LU or in 1,024.
    Cell("one-lu", size("4K", 32, "randread"), servers=("yoked",), verified=False, warm=True),
    Cell("many-lus", size("4K", 32, "randread") + ["--span", MANY_SPAN], servers=("yoked-many",),
         luns={"yoked-many": f"0-{MANY - 1}"}, verified=False, warm=True),
]

# What `--quick` takes.
QUICK = ("rr-qd1", "rr-qd32", "rw-qd32", "rr-8x16", "rw-8x16", "read-1m", "write-1m", "rr-qd32+crc")

# Through a pair of controllers: the same LU at its owner and at the other controller.
PAIR = {
    "pair-rr-qd1": size("4K", 1, "randread"),
    "pair-rw-qd1": size("4K", 1, "randwrite"),
    "pair-rr-qd32": size("4K", 32, "randread"),
    "pair-rw-qd32": size("4K", 32, "randwrite"),
    "pair-read-1m": size("1M", 4, "read"),
    "pair-write-1m": size("1M", 4, "write"),
}

# Series for the plots: (file, what varies, values, options of each).
SERIES = [
    ("depth", "queue depth, one session", (1, 2, 4, 8, 16, 32, 64, 128), lambda v: size("4K", v, "randread")),
    ("sessions", "sessions, depth 8", (1, 2, 4, 8, 16, 32, 64), lambda v: size("4K", 8, "randread", v)),
]
LU_SERIES = (1, 4, 16, 64, 256, 1024)


@dataclass
class Goal:
    """What is wanted of a value: of one cell, or of its ratio to another."""

    cell: str
    server: str
    least: float = None
    most: float = None
    over: tuple = None        # (cell, server): the ratio to it counts
    key: str = "per_s"
    words: str = ""           # what the value is, when it is no rate


def beats(cell, factor, server="yoked"):
    return Goal(cell, server, least=factor, over=(cell, "tgt"))


def within(cell, base, factor, server="yoked", base_server="yoked"):
    return Goal(cell, server, least=factor, over=(base, base_server))


# Memory: 24 MiB, and 32 KiB for each session.
IDLE_KIB = 24 * 1024 + 32 * IDLE

GOALS = [
    beats("rr-qd32", 9),
    Goal("rr-qd32", "yoked", most=2.2, key="target_cpu_us", words="CPU us an I/O"),
    beats("rr-8x16", 11),
    beats("rw-qd32", 7),
    beats("rw-8x16", 9),
    beats("rr-qd1", 2.2, "yoked-spin"),
    beats("rr-qd1", 1.25),
    Goal("calls rr-qd1", "yoked", most=3, key="system_calls", words="system calls an I/O"),
    beats("read-64k", 3.5),
    beats("read-1m", 3.5),
    beats("write-64k", 4),
    beats("write-1m", 4),
    within("rr-qd32+crc", "rr-qd32", 0.9),
    within("read-1m+crc", "read-1m", 0.9),
    within("disk-rr-qd32", "disk-rr-qd32", 0.9, base_server="io_uring"),
    within("disk-rw-qd32", "disk-rw-qd32", 0.9, base_server="io_uring"),
    within("pair-rr-qd32", "pair-rr-qd32", 0.45, "other", "owner"),
    within("pair-rw-qd32", "pair-rw-qd32", 0.45, "other", "owner"),
    within("pair-read-1m", "pair-read-1m", 0.45, "other", "owner"),
    within("pair-write-1m", "pair-write-1m", 0.45, "other", "owner"),
    Goal("pair-rr-qd1", "other", most=1.7, over=("pair-rr-qd1", "owner"), key="p50_us", words="latency"),
    Goal("pair-rw-qd1", "other", most=1.7, over=("pair-rw-qd1", "owner"), key="p50_us", words="latency"),
    beats("login-1", 1),
    beats("login-8", 1),
    Goal("logins", "yoked-many", most=1, key="all_s", words="s until 1,000 are logged in"),
    Goal("login-under-load", "yoked", most=50, key="max_ms", words="ms, the slowest"),
    Goal("idle", "yoked-many", most=IDLE_KIB, key="rss_kib", words="KiB with 1,000 sessions, 1,024 LUs"),
    Goal("idle", "yoked-many", most=0.001, key="cpu_share", words="of a CPU with 1,000 idle sessions"),
    within("many-lus", "one-lu", 0.95, "yoked-many"),
    Goal("rr-8x16-free", "yoked2", least=1, over=("rr-8x16-free", "yoked"), words="two reactors over one"),
    Goal("soak", "yoked", least=0.95, key="drift", words="rate of the last third over the first"),
    Goal("soak", "yoked", most=1.02, key="growth", words="memory at the end over that after a third"),
]
