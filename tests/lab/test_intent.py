# SPDX-License-Identifier: BSD-3-Clause
"""WRITE ATOMIC: no half of one is ever seen, whoever dies."""

import struct
import subprocess
import sys
from pathlib import Path

from lab import TARGET, wait_for
from questions import home, in_sync, nexus, wait_whole
from runner import check

SETTINGS = {"lus": 2, "groups": {"g1": "a", "g2": "b"}}
LUN = 0  # of group g1
WRITER = Path(__file__).resolve().parent / "atomic_writer.py"
BLOCKS = 16


class Writer:
    """The host's writer at a controller's portal."""

    def __init__(self, lab, node, first):
        address, _, port = lab[node].portals()[0].rpartition(":")
        words = [sys.executable, "-B", WRITER, address, port, TARGET, str(LUN), str(first)]
        self.acknowledged = first - 1
        self.process = lab.host_start(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def until(self, count):
        for _ in range(count):
            line = self.process.stdout.readline()
            check(line, "the writer has ended")
            self.acknowledged = int(line)

    def end(self):
        """What it has been told is done when it ends; kills it if it does not."""
        for line in self.process.stdout:
            self.acknowledged = int(line)
        self.process.stdout.close()
        self.process.wait(10)


def seen(lab, node):
    """The numbers that are in the blocks, as a host reads them."""
    line = nexus(lab, lab[node].portals()[0], LUN, "reader", f"28000000000000{BLOCKS:04x}00:{BLOCKS * 512}",
                 keep_ua=False)[0].split()
    check(line[0] == "00", f"READ: {line[:3]}")
    return set(struct.unpack(f">{BLOCKS * 128}I", bytes.fromhex(line[2])))


def whole(lab, node, acknowledged):
    numbers = seen(lab, node)
    check(len(numbers) == 1 and min(numbers) >= acknowledged,
          f"{sorted(numbers)} in the blocks after {acknowledged} was acknowledged")
    return min(numbers)


def test_owner_killed(lab):
    """The owner's daemon is killed in the middle of them, again and again."""
    wait_whole(lab)
    number = 1
    for _ in range(2):  # a third death within ten minutes keeps the controller down
        home(lab, "g1")
        writer = Writer(lab, "a", number)
        writer.until(40)
        lab["a"].kill_daemon("yoked")
        writer.end()
        lab.wait_owner("g1", "b", 15)
        number = whole(lab, "b", writer.acknowledged) + 1
        wait_for(lambda: in_sync(lab, "a"), 30, "the daemon at a is back and in sync")
        wait_whole(lab)
    home(lab, "g1")


def test_power_lost_everywhere(lab):
    """Both controllers lose power in the middle of them; they came in at the other controller."""
    home(lab, "g1")
    writer = Writer(lab, "b", 1 << 20)
    writer.until(40)
    for node in "ab":
        lab[node].power_off()
    writer.process.kill()
    writer.end()
    for node in "ab":
        lab[node].power_on()
    lab.wait_settled(90)
    wait_whole(lab)
    whole(lab, "a", writer.acknowledged)
