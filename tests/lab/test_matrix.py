# SPDX-License-Identifier: BSD-3-Clause
"""The cells of the matrix that tests/check runs: one test each, all in one lab. See docs/testing.md.

YOKE_MATRIX_SEED in the environment: other moments than those of seed 1.
"""

import os

import cell as cell_module
from cell import Cell, Judge
from cells import in_check
from faults import FAULTS
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
