# SPDX-License-Identifier: BSD-3-Clause
"""Runs the lab's tests: every test_*.py beside this file and in the folders of FOLDERS, every
function test_* in it, in order.

A module may have SETTINGS, the settings of its lab; modules in a row that name the same object share
one lab. A module may have while_settling(lab), called while a new lab settles. A function that takes an argument
is given the module's lab, up and settled; after it the lab is healed (unless the module has QUICK_HEAL:
its tests do that themselves, or leave nothing to heal), and replaced when that does not succeed or the
test failed. A function passes when it returns, is skipped when it raises Skip, else fails; a text that
it returns goes with the result.
"""

import importlib
import inspect
import sys
import time
import traceback
from pathlib import Path

import proc
from lab import Lab
from layout import HERE, NODES

# Where tests are; the name of a test begins with the name of its folder.
FOLDERS = (HERE, HERE.parent / "peer", HERE.parent / "vm")
LOGS = (("log/console", 30), ("log/syslog", 60), ("log/corosync/corosync.log", 20))


class Skip(Exception):
    """The test cannot run here; the text says why and what would help."""


def check(condition, text):
    """Fails the test with a text when the condition is not true."""
    if not condition:
        raise AssertionError(text)


def modules(names):
    """The test modules called test_NAME, or all of the lab's own."""
    for folder in FOLDERS:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    known = [path.stem for folder in FOLDERS for path in sorted(folder.glob("test_*.py"))]
    own = [path.stem for path in sorted(HERE.glob("test_*.py"))]
    chosen = [name if name.startswith("test_") else f"test_{name}" for name in names] or own
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise proc.LabError(f"no tests {' '.join(unknown)}; known: {' '.join(known)}")
    return [importlib.import_module(name) for name in chosen]


def functions(module, only):
    """The tests of a module, or those of them that are named as MODULE.NAME in `only`."""
    mine = module.__name__.removeprefix("test_")
    wanted = [word.partition(".")[2] for word in only if word.partition(".")[0] == mine]
    found = [(name, function) for name, function in vars(module).items()
             if name.startswith("test_") and inspect.isfunction(function)
             and function.__module__ == module.__name__]
    return [(n, f) for n, f in found if not wanted or n.removeprefix("test_") in wanted]


def show_logs(lab):
    """What the controllers had to say, for a failed test."""
    for name in NODES:
        home = lab.layout.node(name)
        for path, lines in LOGS:
            print(f"--- {name}:{path}\n{proc.tail(home / path, lines)}")
        path = home / "log/pacemaker/pacemaker.log"
        telling = [line for line in proc.tail(path, 2000).splitlines()
                   if any(word in line for word in ("notice:", "warning:", "error:"))]
        print(f"--- {name}:log/pacemaker/pacemaker.log (notice and above)\n"
              + "\n".join(telling[-60:]))
        print(f"--- {name}: events\n{proc.tail(home / 'log/events', 30)}")
    print(f"--- supervisor\n{proc.tail(lab.layout.log('supervisor'), 30)}")


class Runner:
    """Runs functions one by one and counts."""

    def __init__(self):
        self.counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
        self.lab = None
        self.settings = None

    def report(self, word, name, started, text=""):
        self.counts[word] += 1
        print(f"{word} {name} ({time.monotonic() - started:.1f} s){text}", flush=True)

    def drop_lab(self):
        if self.lab is not None:
            self.lab.down()
            self.lab = None

    def make_lab(self, module):
        """The lab of a module; one that was made for the same settings will do."""
        if self.lab is None:
            self.settings = getattr(module, "SETTINGS", {})
            self.lab = Lab(**self.settings).up()
            getattr(module, "while_settling", lambda lab: None)(self.lab)
            self.lab.wait_settled()
        return self.lab

    def one(self, module, name, function):
        folder = Path(module.__file__).parent.name
        label = f"{folder}/{module.__name__.removeprefix('test_')}.{name.removeprefix('test_')}"
        started = time.monotonic()
        try:
            arguments = []
            if inspect.signature(function).parameters:
                arguments = [self.make_lab(module)]
            note = function(*arguments)
            if arguments and not getattr(module, "QUICK_HEAL", False):
                self.lab.heal()
        except Skip as reason:
            self.report("SKIP", label, started, f": {reason}")
        except Exception:  # pylint: disable=broad-except
            self.report("FAIL", label, started)
            print(traceback.format_exc(), flush=True)
            if self.lab is not None:
                show_logs(self.lab)
            self.drop_lab()
        else:
            self.report("PASS", label, started, f": {note}" if note else "")

    def run(self, names, only=()):
        """Runs all tests of these modules; true when none failed."""
        try:
            for module in modules(names):
                if getattr(module, "SETTINGS", None) is not self.settings:
                    self.drop_lab()
                for name, function in functions(module, only):
                    self.one(module, name, function)
        finally:
            self.drop_lab()
        print(f"{self.counts['PASS']} passed, {self.counts['FAIL']} failed, "
              f"{self.counts['SKIP']} skipped", flush=True)
        return self.counts["FAIL"] == 0


def main():
    only = [word for word in sys.argv[1:] if "." in word]
    names = [word for word in sys.argv[1:] if "." not in word]
    for word in only:
        if word.partition(".")[0] not in names:
            names.append(word.partition(".")[0])
    return 0 if Runner().run(names, only) else 1


if __name__ == "__main__":
    # The tests import this file as a module; its classes must be the same ones here.
    sys.exit(importlib.import_module("runner").main())
