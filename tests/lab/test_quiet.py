# SPDX-License-Identifier: BSD-3-Clause
"""A session that nothing comes on for a while, and a network that is cut under it.

The target asks such a session ever more rarely whether its host is there, so it does not notice the
cut. What TCP delivers when the network is back is carried out only if the host still stands by it.
"""

import json
import subprocess
import sys
import time

from alone import answers, serve
from layout import HERE
from quiet_host import NEW, STALE
from runner import check

SETTINGS = {"cluster": False}
PATH, OTHER = "10.77.1.1", "10.77.2.1"  # over san0 and san1
# Quiet after 2 s; pings then, and 2, 4 and 8 s later. The next one would come after 16 s more.
PINGS, WAITS_S = "iscsi: {nop_interval: 1s, nop_timeout: 1s}\n", (2, 2, 4, 8)
CUT_S = 4  # more than nop_interval and nop_timeout; TCP tries 6.2 s after the write, and once more at 12.6 s
NOP_IN = 0x20


class Host:
    """quiet_host.py at work at the host of the lab, quiet when it is made."""

    def __init__(self, lab):
        self.process = lab.host_start([sys.executable, "-B", HERE / "quiet_host.py", PATH, OTHER, str(len(WAITS_S))],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        waits = [self.heard()["ping"] for _ in WAITS_S]
        check(all(expected - 0.5 < came < expected + 1 for expected, came in zip(WAITS_S, waits)),
              f"pings after {waits} s of silence, not {WAITS_S}")
        check(self.heard()["status"] == 0, "the first WRITE fails")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()

    def heard(self):
        line = self.process.stdout.readline()
        check(line, "quiet_host.py has ended")
        return json.loads(line)

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        return self.heard()


def configured(lab):
    """The daemon runs with times that a test can wait for."""
    serve(lab)
    place = lab.layout.node("a") / "yoke" / "single.yaml"
    text = place.read_text(encoding="utf-8")
    place.write_text(text[:text.index("iscsi:")] + PINGS, encoding="utf-8")
    lab["a"].run(["yokectl", "config", "reload"])
    check(answers(lab), "the daemon does not answer")


def cut(lab, seconds):
    """Begins a cut of the path; returns when that ends."""
    lab["a"].link("san0", False)
    return time.monotonic() + seconds


def mend(lab, at):
    time.sleep(max(0.0, at - time.monotonic()))
    lab["a"].link("san0", True)


def test_given_up(lab):
    """The host gives the path up and writes elsewhere; its first write arrives after all."""
    configured(lab)
    with Host(lab) as host:
        until = cut(lab, CUT_S)
        try:
            host.ask("write")
            check(host.ask("elsewhere")["status"] == 0, "the WRITE over the other path fails")
        finally:
            mend(lab, until)
        came = host.ask("end")["came"]
        check(came == [NOP_IN], f"what came when the network was back: {came}")
        content = host.ask("look")["content"]
        check(content == NEW, f"the block has {content}: the write that was given up was done")
    log = lab["a"].file("log/syslog")
    check("and no answer to a NOP-In" in log, "the daemon does not tell why it has closed the connection")


def test_stood_by(lab):
    """A cut that the host sits out: its write is done when the network is back, the session stays."""
    configured(lab)
    with Host(lab) as host:
        until = cut(lab, CUT_S)
        try:
            host.ask("write")
        finally:
            mend(lab, until)
        check(host.ask("stand-by")["status"] == 0, "the WRITE fails")
        content = host.ask("look")["content"]
        check(content == STALE, f"the block has {content}")
