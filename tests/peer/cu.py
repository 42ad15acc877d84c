# SPDX-License-Identifier: BSD-3-Clause
"""libiscsi's test suite, iscsi-test-cu: runs it, reads what it prints, compares with `expected`.

CUnit knows only "passed" and "FAILED"; a test that found nothing to do has passed as well. Here it
is skipped when it says so in its own words ("[SKIPPED] ..."), even when it did a part of its work,
and when it says nothing at all: every test names what it does.
"""

import fnmatch
import os
import re
import selectors
import subprocess
import time
from pathlib import Path

from load import program
from runner import check

TESTS = 230
PASSED_LEAST = 215
TEST_LIMIT_S = 180  # the longest that any test may take
EXPECTED = Path(__file__).resolve().parent / "expected"
OPTIONS = ("--dataloss", "--allow-sanitize", "--Verbose-scsi")
START = re.compile(r"^(?:Suite: (\S+)|  Test: (\S+) \.\.\.)", re.M)
RESULT = re.compile(r"^(passed|FAILED)", re.M)


def parse(text):
    """{SUITE.TEST: (outcome, what it printed)} of a run; outcome None for one without an end."""
    found, suite, marks = {}, None, list(START.finditer(text))
    for mark, following in zip(marks, marks[1:] + [None]):
        if mark[1]:
            suite = mark[1]
            continue
        body = text[mark.end():following.start() if following else len(text)]
        result = RESULT.search(body)
        said = body[:result.start()] if result else body
        if not result:
            outcome = None
        elif result[1] == "FAILED":
            outcome = "fail"
            said = body  # the assertions come behind
        else:
            outcome = "skip" if "[SKIPPED]" in said or not said.strip() else "pass"
        found[f"{suite}.{mark[2]}"] = (outcome, said.strip())
    return found


def names(lab):
    """All tests of the suite, as SUITE.TEST."""
    listed = lab.host_run(["iscsi-test-cu", "--list"]).stdout.split()
    return [word.removeprefix("ALL.") for word in listed if word.count(".") == 2
            and word.startswith("ALL.")]


def run_once(lab, test, urls):
    """One process; its output until it ended or began no other test for TEST_LIMIT_S."""
    nap = program("nap.so", "tests/peer")
    process = lab.host_start(["env", f"LD_PRELOAD={nap}", "stdbuf", "-o0", "iscsi-test-cu", *OPTIONS,
                              "-t", f"ALL.{test}" if test else "ALL", *urls],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output, begun, at = bytearray(), 0, time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() - at < TEST_LIMIT_S:
            if not selector.select(1):
                continue
            block = os.read(process.stdout.fileno(), 1 << 16)
            if not block:
                break
            output += block
            count = output.count(b"\n  Test: ", max(0, len(output) - len(block) - 10))
            if count:
                begun, at = begun + count, time.monotonic()
    if process.poll() is None:
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    process.stdout.close()
    return output.decode(errors="replace")


def run(lab, urls, only=None):
    """The complete suite, or the tests whose names match one of `only`: {SUITE.TEST: (outcome, text)}.

    Everything in one process; when that hangs or dies, the test that it was in has the outcome
    "hang", and each of those that are left gets a process of its own.
    """
    wanted = [name for name in names(lab)
              if not only or any(fnmatch.fnmatch(name, pattern) for pattern in only)]
    found, plan = {}, list(wanted) if only else [""]
    while plan:
        test = plan.pop(0)
        got = parse(run_once(lab, test, urls))
        if not got:
            got = {test or wanted[0]: (None, "no test has begun")}
        for name, (outcome, text) in got.items():
            found[name] = (outcome or "hang", text)
        if not test:
            plan = [name for name in wanted if name not in found]
    return found


def expected(extent):
    """[(kind, pattern)] of the file `expected` for a kind of extent; it says which kinds there are."""
    rows = []
    for line in EXPECTED.read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"(skip|part|again|plain|fail|missing) (\S+)(?: \((\w+)\))?: \S.*", line)
        check(match or not line.strip() or line.startswith("#"), f"{EXPECTED}: not a row: {line}")
        if match and match[3] in (None, extent):
            rows.append((match[1], match[2]))
    return rows


def repeat(lab, found, rows, urls, plain):
    """Runs those that need it once more, by themselves; complaints about those that do not."""
    complaints, count = [], 0
    for kind, name in rows:
        if kind in ("again", "plain"):
            if found[name][0] == "pass":
                complaints.append(f"{name}: passes, but is listed in {EXPECTED.name} ({kind})")
            found[name] = run(lab, plain if kind == "plain" else urls, [name])[name]
            count += 1
    return complaints, count


def compare(found, rows):
    """What is not as expected, a line each; a row of the list that does not hold is one as well."""
    complaints = []
    kinds = {}
    for kind, pattern in rows:
        matching = [name for name in found if fnmatch.fnmatch(name, pattern)]
        if not matching:
            complaints.append(f"{pattern}: expected to {kind}, but there is no such test")
        for name in matching:
            kinds[name] = kind
    for name, (outcome, text) in found.items():
        kind = kinds.get(name)
        if kind == "part":
            kind = "skip"
        last = "\n".join("      " + line for line in text.splitlines()[-12:])
        if outcome == "hang":
            complaints.append(f"{name}: hangs or kills the suite\n{last}")
        elif kind not in (None, "again", "plain") and outcome == "pass":
            complaints.append(f"{name}: passes, but is listed in {EXPECTED.name} ({kind})")
        elif kind in ("skip", "fail") and outcome != kind:
            complaints.append(f"{name}: expected to {kind}, but: {outcome}\n{last}")
        elif kind in (None, "again", "plain") and outcome != "pass":
            complaints.append(f"{name}: {outcome}\n{last}")
    return complaints


def whole(lab, urls, extent, plain, before_again=None):
    """Runs everything at an LU with that kind of extent and checks it; the counts, as a note. `plain`
    leads to an LU whose physical blocks are no larger than its logical ones. `before_again` is called
    before tests are run by themselves."""
    started = time.monotonic()
    rows = expected(extent)
    found = run(lab, urls)
    if before_again:
        before_again()
    complaints, repeated = repeat(lab, found, rows, urls, plain)
    counts = {word: sum(outcome == word for outcome, _ in found.values())
              for word in ("pass", "skip", "fail", "hang")}
    parts = sum(found[pattern][0] == "skip" for kind, pattern in rows if kind == "part")
    counts["pass"] += parts
    counts["skip"] -= parts
    missing = [pattern for kind, pattern in rows if kind == "missing"]
    note = (f"{len(found)} tests in {time.monotonic() - started:.0f} s: {counts['pass']} passed, "
            f"{counts['skip']} skipped, {counts['fail']} failed, {counts['hang']} hang; "
            f"{repeated} of them by themselves")
    if missing:
        note += f"; {len(missing)} rows of what Yoke lacks"
    complaints += compare(found, rows)
    check(not complaints, note + "\n" + "\n".join(complaints))
    check(len(found) == TESTS, f"{len(found)} tests, the suite had {TESTS}")
    check(missing or counts["pass"] >= PASSED_LEAST,
          f"{note}; at least {PASSED_LEAST} should pass")
    return note
