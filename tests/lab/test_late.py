# SPDX-License-Identifier: BSD-3-Clause
"""A network that comes back late: what a host has sent again elsewhere must not be done after all.

Linux closes a lost connection and leaves what it sent to TCP, which delivers it when it can.
"""

import time

import config
from lab import wait_for
from layout import NODES
from load import Load
from questions import home, wait_whole
from runner import check

# Times of the target and of the host in the proportion of the defaults: 6 s, and 7 s and more. The host does
# not log in again before TCP has delivered: that would end the old connection.
PINGS = "iscsi: {nop_interval: 2s, nop_timeout: 1s}\n"
HOST = ("--plain-close", "--nop-interval", "2000", "--nop-timeout", "2500", "--depth", "8",
        "--iops", "300", "--span", "262144", "--reconnect", "30000")
CUT_S = 5.5  # the host has gone elsewhere and written everything again; TCP tries 6.2 s after the cut
TCP_S = 8.0  # ... and once more 12.6 s after it


def configure(lab, text):
    for node in NODES:
        (lab.layout.node(node) / "yoke" / "yoke.yaml").write_text(text, encoding="utf-8")
    lab["a"].run(["yokectl", "config", "reload"])


def dropped(lab):
    """How many connections the owner has given up for their silence."""
    return lab["a"].file("log/syslog").count("no sign of life for")


def test_late_retransmission(lab):
    """Writes that were on their way when the network of the owner went, and have been sent again."""
    wait_whole(lab)
    for name in lab.settings["groups"]:
        home(lab, name)
    configure(lab, config.yoke_yaml(lab.settings) + PINGS)
    before = dropped(lab)
    try:
        with Load(lab, options=HOST) as load:
            load.ready()
            time.sleep(1)
            lab["a"].link("san0", False)
            time.sleep(CUT_S)
            lab["a"].link("san0", True)
            time.sleep(TCP_S)
            total = load.stop()  # and has the history checked
    finally:
        configure(lab, config.yoke_yaml(lab.settings))
    check(total["exit"] == 0 and total["failed"] == 0 and total["wrong"] == 0, f"in all: {total}")
    check(total["history"]["ops"] > 1000, f"too short a history: {total}")
    wait_for(lambda: dropped(lab) > before, 5, "the owner has given up a silent connection")
