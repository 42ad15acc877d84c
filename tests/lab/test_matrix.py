# SPDX-License-Identifier: BSD-3-Clause
"""The cells of the matrix that tests/check runs: one test each, all in one lab. See docs/testing.md.

YOKE_MATRIX_SEED in the environment: other moments than those of seed 1.
"""

import os

import cell as cell_module
from cell import Cell, Judge
from cells import in_check
from faultdisk import LogJudge
from faults import FAULTS
from runner import check
from states import STATES

SETTINGS = cell_module.SETTINGS
QUICK_HEAL = True  # a cell heals its own fault, and judges that everything is whole again
SEED = int(os.environ.get("YOKE_MATRIX_SEED", "1"))
JUDGES = {}  # the lab's prefix -> who has read its logs so far


def one(fault, state):
    def run(lab):
        judge = JUDGES.setdefault(lab.layout.prefix, Judge(lab))
        trial = Cell(lab, judge, FAULTS[fault], STATES[state], f"{fault}/{state}/{SEED}")
        try:
            trial.run()
        except BaseException:
            print("\n".join(trial.notes))
            raise
        return f"longest pause {trial.longest_ms / 1000:.2f} s"
    return run


for cell_fault, cell_state in in_check():
    globals()[f"test_{cell_fault}/{cell_state}"] = one(cell_fault, cell_state)


# ----- the judge of the disk's log is judged -----------------------------------------------------

def key(node, epoch):
    return f"{node:08x}{epoch:08x}"


def record(op, sender, **words):
    return {"file": "disk0.img", "from": sender, "op": op, **words}


MOVED = (
    record("register", "a", old=key(0, 0), key=key(1, 7)), record("reserve", "a", old=key(0, 0), key=key(1, 7)),
    record("write", "a", key=key(1, 7), result="applied"),
    record("register", "b", old=key(0, 0), key=key(2, 8)), record("revoke", "b", old=key(1, 7), key=key(2, 8)),
    record("write", "b", key=key(2, 8), result="applied"),
    record("write", "a", key=key(0, 0), result="refused"),
)


def test_the_judge():
    """A takeover is right; a late write, two owners of an epoch and an old owner's return are not."""
    check(not LogJudge().feed(MOVED), f"a takeover: {LogJudge().feed(MOVED)}")
    for what, more in (
            ("applied without the key", [record("write", "a", key=key(0, 0), result="applied")]),
            ("has two owners", [record("register", "a", old=key(0, 0), key=key(1, 8)),
                                record("reserve", "a", old=key(0, 0), key=key(1, 8))]),
            ("after 8", [record("register", "a", old=key(0, 0), key=key(1, 7)),
                         record("reserve", "a", old=key(0, 0), key=key(1, 7))])):
        told = LogJudge().feed([*MOVED, *more])
        check(len(told) == 1 and what in told[0], f"{what}: {told}")
