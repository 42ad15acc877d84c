# SPDX-License-Identifier: BSD-3-Clause
"""Choosing cells of the matrix, running them in labs, and what came of them as a table."""

import time
import traceback
from typing import List, NamedTuple

import cell as cell_module
from cell import Cell, Judge, Violation
from faults import FAULTS
from lab import Lab, LabError
from states import STATES

CELLS_EACH_LAB = 100  # so that logs do not grow without end


class Result(NamedTuple):
    """What came of one cell."""
    fault: str
    state: str
    seed: int
    seconds: float
    longest_ms: float
    violation: str  # "" when there is none
    notes: List[str]


def in_check():
    """The cells of tests/check."""
    return [(row.name, state) for row in FAULTS.values() for state in row.states.split()]


def every():
    return [(row.name, state) for row in FAULTS.values()
            for state in STATES if state in (row.states + " " + row.more).split()]


def choose(words):
    """Cells by FAULT, FAULT/STATE or /STATE; ValueError with what is known."""
    chosen = []
    for word in words:
        fault, _, state = word.partition("/")
        found = [c for c in every() if fault in ("", c[0]) and state in ("", c[1])]
        if not found:
            raise ValueError(f"no cell {word}: faults: {' '.join(FAULTS)}; states: {' '.join(STATES)}")
        chosen += found
    return chosen


class Labs:
    """The lab that cells run in: made when needed, replaced after a violation and after many cells."""

    def __init__(self):
        self.lab = self.judge = None
        self.used = 0

    def get(self):
        if self.lab is not None and self.used >= CELLS_EACH_LAB:
            self.drop()
        if self.lab is None:
            self.lab = Lab(**cell_module.SETTINGS).up()
            self.lab.wait_settled()
            self.judge = Judge(self.lab)
            self.used = 0
        self.used += 1
        return self.lab

    def drop(self):
        if self.lab is not None:
            self.lab.down()
            self.lab = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop()


def run_one(labs, fault, state, seed, on_violation=None):
    """Runs a cell; a Result. The lab of a violation is given to on_violation(lab), then dropped."""
    started = time.monotonic()
    trial, violation = None, ""
    try:
        trial = Cell(labs.get(), labs.judge, FAULTS[fault], STATES[state], f"{fault}/{state}/{seed}")
        trial.run()
    except (Violation, LabError, AssertionError) as error:
        violation = f"{type(error).__name__}: {error}"
    except Exception:  # pylint: disable=broad-except
        violation = traceback.format_exc()
    result = Result(fault, state, seed, time.monotonic() - started, trial.longest_ms if trial else 0.0,
                    violation, trial.notes if trial else [])
    if violation:
        if on_violation and labs.lab:
            on_violation(labs.lab)
        labs.drop()
    return result


def table(results):
    """Faults down, states across: passes/violations, and the longest pause in seconds."""
    states = [s for s in STATES if any(r.state == s for r in results)]
    faults = [f for f in FAULTS if any(r.fault == f for r in results)]
    width = max([len(f) for f in faults] + [5])
    lines = [" " * width + "".join(f"{s:>12}" for s in states)]
    for fault in faults:
        line = f"{fault:<{width}}"
        for state in states:
            mine = [r for r in results if (r.fault, r.state) == (fault, state)]
            bad = sum(1 for r in mine if r.violation)
            pause = max([r.longest_ms for r in mine] + [0.0]) / 1000
            text = f"{len(mine) - bad}/{bad} {pause:.1f}s" if mine else ""
            line += f"{text:>12}"
        lines.append(line)
    bad = sum(1 for r in results if r.violation)
    lines.append(f"{len(results)} cells run, {len(results) - bad} passed, {bad} violations "
                 "(each place: passed/violations, longest pause of a command)")
    return "\n".join(lines)
