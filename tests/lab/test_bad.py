# SPDX-License-Identifier: BSD-3-Clause
"""Bad input to a real target: hostile.py does it, here is what the daemon must be like afterwards."""

import re
import sys

from alone import Sanitized, answers, stop
from lab import wait_for
from layout import HERE
from runner import check

SETTINGS = {"cluster": False}
HOSTILE = HERE / "hostile.py"
TARGETS = 1000  # with those of YAML nearly as many as a configuration can have
SECRET = "guest-secret-16b"
MEMORY_MAX_MIB = 96  # more than before, with 10,000 connections open
SECRETS = f"""\
yoke: 1
users:
  - name: guest
    secret: {SECRET}
  - name: other
    secret: another-secret-1
"""
YAML = """\
yoke: 1
cluster: none
controllers:
  - name: a
    portals: [10.77.1.1]
settings:
  secrets: /etc/yoke/secrets.yaml
extents:
  - name: ram
    type: ram
    size: 64MiB
  - name: proved
    type: ram
    size: 16MiB
initiator_groups:
  - name: open
  - name: guests
    auth: chap
    users: [guest]
targets:
  - name: iqn.2026-01.org.example:array1
    initiator_groups: [open]
    luns: [{lun: 0, extent: ram}]
  - name: iqn.2026-01.org.example:proved
    initiator_groups: [guests]
    luns: [{lun: 0, extent: proved}]
"""


def config(lab, secrets_mode=0o600):
    place = lab.layout.node("a") / "yoke"
    many = "".join(f"  - name: iqn.2026-01.org.example:t{n}\n    initiator_groups: [open]\n"
                   "    luns: [{lun: 0, extent: ram}]\n" for n in range(TARGETS))
    (place / "bad.yaml").write_text(YAML + many, encoding="utf-8")
    secrets = place / "secrets.yaml"
    secrets.write_text(SECRETS, encoding="utf-8")
    secrets.chmod(secrets_mode)


def serve(lab):
    if not lab["a"].pids("yoked"):
        config(lab)
        lab["a"].run(["yoked", "-c", "/etc/yoke/bad.yaml", "--controller", "a"])
    wait_for(lambda: answers(lab), 30, "the daemon answers")
    return lab["a"].pids("yoked")


def hostile(lab, test, *arguments, timeout=120):
    """One of hostile.py's tests; the daemon must be the same process afterwards. What it printed."""
    pids = lab["a"].pids("yoked")
    done = lab.host_run([sys.executable, "-B", HOSTILE, "10.77.1.1", "3260", test, *arguments],
                        check=False, timeout=timeout)
    check(done.returncode == 0, f"{test}:\n{done.stdout}{done.stderr}")
    check(lab["a"].pids("yoked") == pids, f"{test}: the daemon is not the one that it was")
    return done.stdout.strip()


def memory_mib(lab):
    with open(f"/proc/{lab['a'].pids('yoked')[0]}/status", encoding="utf-8") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024


def test_login_text(lab):
    """Row 1: 2,048 unknown keys, keys without values, 8,180 to 8,200 bytes, no final NUL."""
    serve(lab)
    hostile(lab, "login_text")


def test_chap(lab):
    """Row 2: responses of every wrong form, another's name, reflection, order; all refused alike."""
    serve(lab)
    hostile(lab, "chap", SECRET)


def test_order(lab):
    """Row 3: skipped stages, PDUs before their time, bytes right behind the login."""
    serve(lab)
    hostile(lab, "order")


def test_split(lab):
    """Row 3: the byte stream of a session, cut at every place."""
    serve(lab)
    hostile(lab, "split")


def test_silent(lab):
    """Row 4: 10,000 connections that say nothing: bounded in time and memory, a login among them."""
    serve(lab)
    before = memory_mib(lab)
    note = hostile(lab, "silent", timeout=200)
    grown = memory_mib(lab) - before
    check(grown < MEMORY_MAX_MIB, f"10,000 silent connections have left {grown:.0f} MiB")
    return f"{note}; {grown:.0f} MiB more"


def test_discovery(lab):
    """Row 5: SendTargets before the proof; 1,000 targets to an initiator that takes 512 bytes."""
    serve(lab)
    return hostile(lab, "discovery", str(TARGETS))


def test_second_login(lab):
    """Row 6: the same name and ISID end a session only once they have proved themselves."""
    serve(lab)
    hostile(lab, "second_login", SECRET)


def test_numbers(lab):
    """Row 7: CmdSN and ITT twice, SNACK, Data-Out beyond its burst and after an abort."""
    serve(lab)
    hostile(lab, "numbers")


def test_digests(lab):
    """Row 7: digests that are wrong."""
    serve(lab)
    hostile(lab, "digests")


def test_commands(lab):
    """Rows 8 to 11: ranges that wrap, lists that lie, LUs that are not there, every RSOC index."""
    serve(lab)
    hostile(lab, "commands")


def test_secrets(lab):
    """Row 13: readable by others: no start. And never in argv, log, or an answer of the API."""
    serve(lab)
    hostile(lab, "chap", SECRET)
    lab["a"].run(["yokectl", "log", "debug"], check=False)
    hostile(lab, "second_login", SECRET)
    said = lab["a"].run(["yokectl", "--json", "config", "show"], check=False).stdout
    said += lab["a"].run(["yokectl", "--json", "session", "list"]).stdout
    said += lab["a"].run(["yokectl", "--json", "status"]).stdout + lab["a"].file("log/syslog")
    for pid in lab["a"].pids("yoked"):
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            said += file.read()
        with open(f"/proc/{pid}/environ", encoding="utf-8") as file:
            said += file.read()
    for secret in (SECRET, "another-secret-1"):
        check(secret not in said, "a secret is shown")
    stop(lab)
    for mode in (0o644, 0o640, 0o604, 0o602):
        config(lab, mode)
        done = lab["a"].run(["yoked", "-c", "/etc/yoke/bad.yaml", "--controller", "a"], check=False)
        check(done.returncode != 0 and not lab["a"].pids("yoked"), f"mode {mode:o}: the daemon starts")
        check("others than its owner" in done.stdout + done.stderr, f"mode {mode:o}: no word of why")
    config(lab)


def test_sanitized(lab):
    """All of it again with the build with sanitizers: no report."""
    stop(lab)
    config(lab)
    with Sanitized(lab, "bad"):
        for test in ("login_text", "order", "numbers", "digests", "commands"):
            hostile(lab, test)
        for test in ("chap", "second_login"):
            hostile(lab, test, SECRET)
        hostile(lab, "discovery", str(TARGETS))
