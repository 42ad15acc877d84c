# SPDX-License-Identifier: BSD-3-Clause
"""SANITIZE goes on through a move, the death of its owner and the loss of all power."""

import time

from lab import wait_for
from questions import home, in_sync, move, nexus, owner, wait_whole
from runner import check

# 64 MiB: eight seconds.
SETTINGS = {"lus": 2, "groups": {"g1": "a", "g2": "b"}, "yoke_settings": {"sanitize_rate": "8MiB"}}
LUN = 0  # of group g1
TUR = "000000000000"
READ = "28000000000000000100:512"
IN_PROGRESS = "02 2/04/1b"
PATTERN = b"\xc3\x5a\x99"


def overwrite(immediate=True):
    """One pass of three bytes, which do not divide a block."""
    return f"48{'81' if immediate else '01'}0000000000000700=" + "01000003" + PATTERN.hex()


def ask(lab, node, *commands):
    """What commands come to at a controller, without their data and without pending UAs."""
    lines = nexus(lab, lab[node].portals()[0], LUN, "wiper", *commands, keep_ua=False)
    return [" ".join(line.split()[:2]) if line.startswith("02") else line.split()[0] for line in lines]


def image(lab):
    return lab.layout.shared / f"disk{LUN}.img"


def soil(lab):
    """There is something to wipe: written through the owner, at both ends."""
    data = "a7" * 512
    for lba in (0, 0x1ffff):
        answer = ask(lab, owner(lab, "g1"), f"2a00{lba:08x}00000100={data}")
        check(answer == ["00"], f"WRITE: {answer}")


def begin(lab, node):
    soil(lab)
    answer = ask(lab, node, overwrite())
    check(answer == ["00"], f"SANITIZE: {answer}")


def goes_on(lab, nodes="ab"):
    for node in nodes:
        for command in (TUR, READ):
            answer = ask(lab, node, command)
            check(answer == [IN_PROGRESS], f"{command} at {node}: {answer}")


def ends(lab, node, timeout=40):
    """It ends, and every block has the pattern."""
    wait_for(lambda: ask(lab, node, TUR) == ["00"], timeout, "the LU is ready again")
    block = (PATTERN * 171)[:512]
    with open(image(lab), "rb") as file:
        content = file.read()
    wrong = [at for at in range(0, len(content), 512) if content[at:at + 512] != block]
    check(len(content) == 64 << 20 and not wrong, f"{len(wrong)} blocks are not wiped, the first at {wrong[:1]}")


def progress(lab, node):
    data = nexus(lab, lab[node].portals()[0], LUN, "asker", "0300000012" + "00:18", keep_ua=False)[0]
    sense = bytes.fromhex(data.split()[2])
    check(sense[2] == 2 and sense[12:14] == b"\x04\x1b" and sense[15] == 0x80, f"REQUEST SENSE: {data}")
    return int.from_bytes(sense[16:18], "big") / 65536


def test_refuses_at_both(lab):
    """Begun at the other controller's portal: both refuse, both tell the progress, and it ends."""
    wait_whole(lab)
    begin(lab, "b")
    goes_on(lab)
    wait_for(lambda: progress(lab, "a") > 0.2 and progress(lab, "b") > 0.2, 10, "progress at both")
    ends(lab, "b")
    check(ask(lab, "a", READ) == ["00"], "the LU is not ready at a")


def test_waits_for_the_end(lab):
    """Without IMMED the command takes as long as the work, through a move too."""
    soil(lab)
    started = time.monotonic()
    answer = ask(lab, "b", overwrite(immediate=False))
    took = time.monotonic() - started
    check(answer == ["00"] and took > 5, f"SANITIZE: {answer} after {took:.1f} s")
    ends(lab, "a")


def test_move(lab):
    """Moved in the middle, there and back."""
    home(lab, "g1")
    begin(lab, "a")
    time.sleep(2.5)
    for to in ("b", "a"):
        move(lab, "g1", to)
        goes_on(lab)
    ends(lab, "a")


def test_takeover(lab):
    """The owner's daemon is killed in the middle."""
    home(lab, "g1")
    begin(lab, "a")
    time.sleep(3)
    lab["a"].kill_daemon("yoked")
    lab.wait_owner("g1", "b", 15)
    goes_on(lab, "b")
    ends(lab, "b")
    wait_for(lambda: in_sync(lab, "a"), 30, "the daemon at a is back and in sync")
    wait_whole(lab)
    home(lab, "g1")


def test_power_lost_everywhere(lab):
    """Both controllers lose power in the middle: it goes on when they are back."""
    home(lab, "g1")
    begin(lab, "a")
    time.sleep(3)
    for node in "ab":
        lab[node].power_off()
    for node in "ab":
        lab[node].power_on()
    lab.wait_settled(90)
    wait_whole(lab)
    ends(lab, owner(lab, "g1"))
