# SPDX-License-Identifier: BSD-3-Clause
"""Reservations hold at both controllers, through moves, takeovers and the loss of all power."""

import subprocess
import time

from lab import wait_for
from questions import home, in_sync, move, nexus, nexus_words, owner, wait_whole
from runner import check

SETTINGS = {"lus": 2, "groups": {"g1": "a", "g2": "b"}}
LUN = 0  # of group g1

GOOD, CONFLICT = "00", "18"
TUR = "000000000000"
READ = "28000000000000000100:512"
WRITE = "2a000000000000000100=" + "00" * 512
READ_KEYS = "5e000000000000010000:256"
READ_RESERVATION = "5e010000000000010000:256"
RESERVE_6, RELEASE_6 = "160000000000", "170000000000"
REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT_AND_ABORT, IGNORE = 0, 1, 2, 3, 5, 6
WRITE_EXCLUSIVE, REGISTRANTS_ONLY = 1, 5


def out(action, key=0, new_key=0, kind=0, aptpl=False):
    """PERSISTENT RESERVE OUT with a basic list."""
    return (f"5f{action:02x}{kind:02x}0000" + "0000001800=" + f"{key:016x}{new_key:016x}"
            + "00000000" + ("01" if aptpl else "00") + "000000")


def port(lab, node, index=0):
    return lab[node].portals()[index]


def ask(lab, node, host, *commands):
    """The outcomes of commands of a host at a controller, without data and without pending UAs."""
    return [line.split()[0] for line in nexus(lab, port(lab, node), LUN, host, *commands, keep_ua=False)]


def keys(lab, node):
    data = nexus(lab, port(lab, node), LUN, "reader", READ_KEYS, keep_ua=False)[0].split()[2]
    return sorted(int(data[16 + 16 * i:32 + 16 * i], 16) for i in range((len(data) - 16) // 16))


def clear(lab):
    """No registration is left."""
    ask(lab, "a", "cleaner", out(IGNORE, 0, 0xc1ea), out(CLEAR, 0xc1ea))
    check(keys(lab, "a") == keys(lab, "b") == [], f"keys after CLEAR: {keys(lab, 'a')}, {keys(lab, 'b')}")


def shown(lab, node):
    """What yokectl says of the LU's reservations there."""
    lus = lab[node].json(["yokectl", "lu", "list", "--json"])
    return next(lu["reservations"] for lu in lus["lus"]
                if any(row["lun"] == LUN for row in lu["luns"]))


def reserve(lab, aptpl=False):
    """Host 1 registers at both controllers and reserves; host 2 does not."""
    for node, key in (("a", 0xa1), ("b", 0xb1)):
        answer = ask(lab, node, "host1", out(IGNORE, 0, key, aptpl=aptpl))
        check(answer == [GOOD], f"REGISTER at {node}: {answer}")
    answer = ask(lab, "b", "host1", out(RESERVE, 0xb1, 0, REGISTRANTS_ONLY))
    check(answer == [GOOD], f"RESERVE at b: {answer}")


def binds(lab, nodes="ab"):
    """Host 1 writes by either controller, host 2 only reads."""
    for node in nodes:
        answer = ask(lab, node, "host1", WRITE, READ)
        check(answer == [GOOD, GOOD], f"the registered host at {node}: {answer}")
        answer = ask(lab, node, "host2", WRITE, READ)
        check(answer == [CONFLICT, GOOD], f"the other host at {node}: {answer}")


def test_binds_at_both(lab):
    """Made through the controller that does not own the LU, it binds at both, and both show it."""
    wait_whole(lab)
    clear(lab)
    reserve(lab)
    binds(lab)
    check(keys(lab, "a") == keys(lab, "b") == [0xa1, 0xb1], f"keys: {keys(lab, 'a')}, {keys(lab, 'b')}")
    a, b = shown(lab, "a"), shown(lab, "b")
    check(a == b, f"yokectl shows {a} at a, {b} at b")
    holders = [(r["key"], r["target_port"]) for r in a["registrants"] if r["holds"]]
    check(a["registrations"] == 2 and a["type"] == "write exclusive, registrants only"
          and holders == [("0x00000000000000b1", 0x201)], f"yokectl shows {a}")
    clear(lab)


def test_preempt(lab):
    """A host at one controller takes the reservation from a host at the other."""
    reserve(lab)
    ask(lab, "a", "host2", out(IGNORE, 0, 0xa2))
    answer = ask(lab, "a", "host2", out(PREEMPT_AND_ABORT, 0xa2, 0xb1, WRITE_EXCLUSIVE))
    check(answer == [GOOD], f"PREEMPT AND ABORT: {answer}")
    answer = ask(lab, "b", "host1", WRITE)
    check(answer == [CONFLICT], f"the preempted host: {answer}")
    check(keys(lab, "b") == [0xa1, 0xa2], f"keys: {keys(lab, 'b')}")
    clear(lab)


def test_move_keeps(lab):
    """A planned move there and back."""
    reserve(lab)
    for to in ("b", "a"):
        move(lab, "g1", to)
        binds(lab)
    clear(lab)


def test_takeover_keeps(lab):
    """The owner's daemon dies; the survivor enforces, changes and tells the one that returns."""
    home(lab, "g1")
    reserve(lab)
    lab["a"].kill_daemon("yoked")
    lab.wait_owner("g1", "b", 15)
    binds(lab, "b")
    answer = ask(lab, "b", "host1", out(RELEASE, 0xb1, 0, REGISTRANTS_ONLY),
                 out(RESERVE, 0xb1, 0, WRITE_EXCLUSIVE))
    check(answer == [GOOD, GOOD], f"changed by the survivor: {answer}")
    wait_for(lambda: in_sync(lab, "a"), 30, "the daemon at a is back and in sync")
    wait_whole(lab)
    check(keys(lab, "a") == [0xa1, 0xb1], f"keys at the one that returned: {keys(lab, 'a')}")
    answer = ask(lab, "a", "host2", WRITE)
    check(answer == [CONFLICT], f"at the one that returned: {answer}")
    check(shown(lab, "a") == shown(lab, "b"), f"{shown(lab, 'a')} at a, {shown(lab, 'b')} at b")
    clear(lab)
    home(lab, "g1")


def test_spc2(lab):
    """RESERVE(6) binds at both as long as its session lives, and no longer."""
    portal = port(lab, "b")
    held = nexus(lab, portal, LUN, "host1", RESERVE_6, READ, keep_ua=False)
    check([line.split()[0] for line in held] == [GOOD, GOOD], f"RESERVE(6): {held}")
    # its session has ended with the program
    wait_for(lambda: ask(lab, "a", "host2", READ) == [GOOD], 5, "the reservation has ended")


def test_spc2_until_fenced(lab):
    """What a session through a lost controller has reserved stays until that one is known not to live."""
    home(lab, "g1")
    words = nexus_words(port(lab, "b"), LUN, "host1", RESERVE_6, "@60000", keep_ua=False)
    with lab.host_start(words, stdout=subprocess.DEVNULL) as held:
        try:
            wait_for(lambda: ask(lab, "a", "host2", READ) == [CONFLICT], 5, "the reservation binds at a")
            for via in ("ipmi", "fast"):
                lab["b"].fence_fault(via, "fail")
            lab["b"].freeze()
            wait_for(lambda: not in_sync(lab, "a"), 10, "the controller at a has lost the other from sight")
            until = time.monotonic() + 5
            while time.monotonic() < until:
                answer = ask(lab, "a", "host2", READ)
                check(answer == [CONFLICT], f"while b may be alive: {answer}")
                time.sleep(0.25)
            for via in ("ipmi", "fast"):
                lab["b"].fence_fault(via, "none")
            wait_for(lambda: ask(lab, "a", "host2", READ) == [GOOD], 60, "the reservation has ended")
        finally:
            held.kill()
    lab["b"].power_on()
    lab.wait_settled(90)
    wait_whole(lab)


def test_power_lost_everywhere(lab):
    """Both controllers lose power: with APTPL registrations stay, without they go."""
    for aptpl in (True, False):
        reserve(lab, aptpl)
        for node in "ab":
            lab[node].power_off()
        time.sleep(1)
        for node in "ab":
            lab[node].power_on()
        lab.wait_settled(90)
        wait_whole(lab)
        if aptpl:
            binds(lab)
            clear(lab)
        else:
            check(keys(lab, "a") == keys(lab, "b") == [], f"keys: {keys(lab, 'a')}, {keys(lab, 'b')}")
            answer = ask(lab, "a", "host2", WRITE)
            check(answer == [GOOD], f"a write without any reservation: {answer}")
    check(owner(lab, "g1") in "ab", "g1 has no owner")
