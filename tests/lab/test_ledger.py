# SPDX-License-Identifier: BSD-3-Clause
"""Persistent reservations outlive whatever is lost, and a state directory that is full or hangs."""

import time

from lab import wait_for
from layout import NODES, TARGET
from load import program
from questions import group, home, in_sync, move, probe, wait_whole
from runner import check
from test_failure import end, loaded

# A registration, and a look at all of them. APTPL: it outlives the loss of both controllers.
REGISTER = "5f060000000000001800={:048x}"
READ_KEYS = "5e000000000000080000:2048"
KEEP = 1 << 24  # bit 0 of byte 20 of the parameter list
ISID = 4711
PLACE = "/var/lib/yoke"


def host(lab, node, lun, *cdbs):
    """The same initiator port each time: lines of "status [sense] bytes hex"."""
    words = [program("yoke-probe"), "--portal", lab[node].portals()[0], "--target", TARGET, "--lun",
             str(lun), "--initiator", "iqn.2026-01.org.example:pr", "--isid", str(ISID), *cdbs]
    return lab.host_run(words, timeout=40).stdout.splitlines()


def register(lab, node, key, lun=0, keep=True):
    """Registers through a controller's port; the status."""
    text = REGISTER.format(key << 64 | (KEEP if keep else 0))
    return host(lab, node, lun, text)[0].split()[0]


def keys(lab, node, lun=0):
    """The registered keys, as the owner tells them through a controller's port."""
    answer = probe(lab, lab[node].portals()[0], lun, READ_KEYS)[0].split()
    check(answer[0] == "00", f"PERSISTENT RESERVE IN ended with {answer}")
    data = bytes.fromhex(answer[2])
    count = int.from_bytes(data[4:8], "big") // 8
    return sorted(int.from_bytes(data[8 + 8 * i:16 + 8 * i], "big") for i in range(count))


def ledger(lab, node):
    return lab[node].yokectl("status", timeout=5)["ledger"]


def clear(lab, node, lun=0):
    """No registration is left, for the next test."""
    for key in keys(lab, node, lun):
        register(lab, node, key, lun)
        host(lab, node, lun, f"5f030000000000001800={key << 128:048x}")
    check(not keys(lab, node, lun), "CLEAR left a registration")


def ready(lab):
    wait_whole(lab)
    home(lab, "g1")
    clear(lab, "a")


def test_both_have_it(lab):
    """What was registered through one controller is at the other, on both disks, after a move too."""
    ready(lab)
    check(register(lab, "a", 0x11) == "00", "REGISTER through the owner failed")
    check(register(lab, "b", 0x22) == "00", "REGISTER through the other controller failed")
    last = ledger(lab, "a")["index"]
    told = [row["index"] for row in ledger(lab, "a")["acknowledged"]]
    check(told == [last, last], f"GOOD before both had entry {last} on their disks: {told}")
    check(ledger(lab, "b")["index"] == last, "the other controller is not at the same entry")
    check(keys(lab, "a") == keys(lab, "b") == [0x11, 0x22], f"keys: {keys(lab, 'a')}")
    move(lab, "g1", "b")
    check(keys(lab, "a") == [0x11, 0x22], f"after the move: {keys(lab, 'a')}")
    check(register(lab, "a", 0x33) == "00", "REGISTER at the new owner failed")
    move(lab, "g1", "a")
    check(keys(lab, "b") == [0x22, 0x33], f"after the way back: {keys(lab, 'b')}")


def test_owner_killed(lab):
    """SIGKILL of the owner's daemon right after GOOD; the daemon that returns has it, too."""
    ready(lab)
    check(register(lab, "a", 0x44) == "00", "REGISTER failed")
    lab["a"].kill_daemon("yoked")
    lab.wait_owner("g1", "b", 10)
    check(keys(lab, "b") == [0x44], f"after the takeover: {keys(lab, 'b')}")
    check(register(lab, "b", 0x55) == "00", "REGISTER at the survivor failed")
    wait_whole(lab)
    check(ledger(lab, "a")["index"] == ledger(lab, "b")["index"], "a is behind although in sync")
    move(lab, "g1", "a")
    check(keys(lab, "a") == [0x44, 0x55], f"where the daemon had died: {keys(lab, 'a')}")


def test_power_lost(lab):
    """Loss of the owner's power: nothing is lost; what is registered alone comes to it on return."""
    ready(lab)
    check(register(lab, "a", 0x66) == "00", "REGISTER failed")
    lab["a"].power_off()
    lab.wait_owner("g1", "b", 15)
    check(keys(lab, "b") == [0x66], f"after the takeover: {keys(lab, 'b')}")
    check(register(lab, "b", 0x77) == "00", "REGISTER at the survivor failed")
    lab["a"].power_on()
    wait_whole(lab)
    told = [row["index"] for row in ledger(lab, "b")["acknowledged"]]
    check(told[0] == told[1] == ledger(lab, "b")["index"], f"a has not got everything: {told}")
    move(lab, "g1", "a")
    check(keys(lab, "a") == [0x66, 0x77], f"at the one that returned: {keys(lab, 'a')}")


def test_all_power_lost(lab):
    """Both lose power: registrations with APTPL stay, those without go."""
    ready(lab)
    clear(lab, "a", 1)
    check(register(lab, "a", 0x88, 0) == "00" and register(lab, "a", 0x99, 1, keep=False) == "00",
          "REGISTER failed")
    for node in NODES:
        lab[node].power_off()
    for node in NODES:
        lab[node].power_on()
    wait_whole(lab)
    check(keys(lab, "a", 0) == keys(lab, "b", 0) == [0x88], f"with APTPL: {keys(lab, 'a', 0)}")
    check(keys(lab, "a", 1) == [], f"without APTPL: {keys(lab, 'a', 1)}")


def daemon_again(lab, node):
    lab[node].kill_daemon("yoked")
    wait_for(lambda: in_sync(lab, node), 30, f"the daemon at {node} is back and in sync")
    wait_whole(lab)


def test_full_disk(lab):
    """The owner's state directory is full: PERSISTENT RESERVE OUT fails, I/O goes on; it heals."""
    ready(lab)
    lab["a"].run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", PLACE])
    try:
        daemon_again(lab, "a")
        home(lab, "g1")
        check(register(lab, "a", 0xaa) == "00", "REGISTER failed while there was room")
        with loaded(lab, "full") as load:
            lab["a"].run(["dd", "if=/dev/zero", f"of={PLACE}/fill", "bs=64k"], check=False)
            # The space that the journal holds is used up by entries, then it says so.
            for first in range(0x1000, 0x1000 + 20000, 400):
                if ledger(lab, "a")["journal_error"]:
                    break
                host(lab, "a", 0, *[REGISTER.format((first + i) << 64) for i in range(400)])
            error = ledger(lab, "a")["journal_error"]
            check(error == "No space left on device", f"a full directory was not noticed: {error}")
            before = keys(lab, "a")
            status = register(lab, "a", 0xbb)
            check(status != "00", "GOOD although the state directory is full")
            check(keys(lab, "a") == before, "an entry that was refused has been applied")
            time.sleep(1)
            report = load.mark("heal")
            check(report["failed"] == 0 and report["wrong"] == 0, f"a full disk: {report}")
            lab["a"].run(["rm", f"{PLACE}/fill"])
            wait_for(lambda: not ledger(lab, "a")["journal_error"], 10, "the journal is well again")
            check(register(lab, "a", 0xbb) == "00", "REGISTER failed after the disk had room again")
            end(load, lab)
    finally:
        lab["a"].run(["umount", "-l", PLACE])
        daemon_again(lab, "a")
    check(keys(lab, "b") == [0xbb], f"in the end: {keys(lab, 'b')}")


def state_on_a_disk(lab, node):
    """Its state directory is a file system of its own, which can be frozen: a disk that hangs."""
    image = "/run/state.img"
    lab[node].run(["truncate", "-s", "16m", image])
    lab[node].run(["mkfs.ext4", "-q", image])
    lab[node].run(["mount", "-o", "loop", image, PLACE])
    daemon_again(lab, node)


def test_hanging_disk(lab):
    """The owner's state directory hangs: that is said, I/O goes on, the other cannot return; it heals."""
    ready(lab)
    state_on_a_disk(lab, "a")
    try:
        for name in lab.settings["groups"]:
            home(lab, name)
        check(register(lab, "a", 0xd1) == "00", "REGISTER failed while the disk was well")
        with loaded(lab, "hang") as load:
            for name in lab.settings["groups"]:
                if group(lab, name)["owner"] != "a":
                    move(lab, name, "a")
            lab["a"].run(["fsfreeze", "--freeze", PLACE])
            lab["b"].kill_daemon("yoked")
            wait_for(lambda: not in_sync(lab, "b"), 10, "the daemon at b has ended", 0.05)
            wait_for(lambda: ledger(lab, "a")["keeps_other_out"], 30, "a says that b cannot join")
            error = ledger(lab, "a")["journal_error"]
            check(error == "the disk does not answer", f"the journal at a: {error}")
            problems = lab["a"].yokectl("status", timeout=5)["problems"]
            check(any("cannot join" in problem for problem in problems), f"yokectl status says {problems}")
            check(not in_sync(lab, "b"), "b is in sync before a's disk knows that a is not alone")
            check(register(lab, "a", 0xd2) == "08", "a change that a cannot keep is not BUSY")
            check(keys(lab, "a") == [0xd1], "an entry that was refused has been applied")
            lab["a"].run(["fsfreeze", "--unfreeze", PLACE])
            wait_for(lambda: not ledger(lab, "a")["journal_error"], 10, "the journal is well again")
            wait_for(lambda: in_sync(lab, "b"), 30, "b is back and in sync")
            check(register(lab, "b", 0xd2) == "00", "REGISTER failed after the disk was back")
            report = load.mark("healed")
            check(report["failed"] == 0 and report["wrong"] == 0, f"a disk that hangs: {report}")
            end(load, lab)
        check(keys(lab, "a") == keys(lab, "b") == [0xd1, 0xd2], f"in the end: {keys(lab, 'b')}")
    finally:
        lab["a"].run(["fsfreeze", "--unfreeze", PLACE], check=False)
        lab["a"].run(["umount", "-l", PLACE])
        daemon_again(lab, "a")
    clear(lab, "b")


def test_split(lab):
    """The links are cut: no GOOD before the lost controller has been fenced."""
    ready(lab)
    for network in ("ic0", "ic1"):
        lab["b"].link(network, False)
    wait_for(lambda: not lab["a"].yokectl("status", timeout=5)["peer"]["member"], 10,
             "a has noticed the split", 0.05)
    check(register(lab, "a", 0xcc) == "00", "REGISTER failed after the fencing")
    check(not lab["b"].is_on(), "GOOD although b may have been alive")
    lab["b"].power_on()
    wait_whole(lab)
    move(lab, "g1", "b")
    check(keys(lab, "b") == [0xcc], f"at the fenced one, after its return: {keys(lab, 'b')}")
    clear(lab, "b")


def test_speed(lab):
    """A change of a reservation takes milliseconds, not more."""
    ready(lab)
    count = 200
    started = time.monotonic()
    lines = host(lab, "a", 0, *[REGISTER.format((0x2000 + i) << 64) for i in range(count)])
    each_ms = (time.monotonic() - started) * 1000 / count
    check(lines == ["00"] * count, "a REGISTER failed")
    print(f"      {each_ms:.2f} ms for each of {count} REGISTERs, one after the other")
    check(each_ms < 100, f"{each_ms:.1f} ms for each change")
    check(group(lab, "g1")["owner"] == "a", "the group moved")
    clear(lab, "a")
