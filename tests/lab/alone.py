# SPDX-License-Identifier: BSD-3-Clause
"""One yoked without a cluster at controller a of a lab: its configuration, its start and end."""

import os

from lab import TARGET, wait_for
from runner import Skip, check

PORTALS = ("10.77.1.1:3260", "10.77.2.1:3260")
READ_ONLY = 3  # the LUN that cannot be written
PLAIN = 4  # the LUN whose physical blocks are no larger than its logical ones
LUNS = 5
MIB = 1 << 20
# Of sanitize operations: one takes a second, or, for Sanitize.Reset, eight.
FAST, SLOW = "256MiB", "32MiB"
SANITIZERS = ("AddressSanitizer", "runtime error", "LeakSanitizer")

YAML = f"""\
yoke: 1
cluster: none
controllers:
  - name: a
    portals: [10.77.1.1, 10.77.2.1]
extents:
  - name: ram
    type: ram
    size: 256MiB
  - name: file
    type: file
    path: /srv/yoke/single.img
    size: 256MiB
  - name: large-blocks
    type: file
    path: /srv/yoke/single4k.img
    size: 256MiB
    block_size: 4096
  - name: read-only
    type: file
    path: /srv/yoke/single-ro.img
    size: 64MiB
    read_only: true
  - name: plain
    type: ram
    size: 64MiB
    physical_block_size: 512
targets:
  - name: {TARGET}
    luns:
      - lun: 0
        extent: ram
      - lun: 1
        extent: file
      - lun: 2
        extent: large-blocks
      - lun: {READ_ONLY}
        extent: read-only
      - lun: {PLAIN}
        extent: plain
settings:
  sanitize_rate: {FAST}
iscsi:
  nop_interval: 120s  # a test of iscsi-test-cu sleeps for a minute and answers nothing
"""


def answers(lab):
    return lab["a"].run(["yokectl", "status"], check=False).returncode == 0


def prepare(lab):
    """Writes the configuration and the disks, once in a lab."""
    place = lab.layout.node("a") / "yoke" / "single.yaml"
    if not place.exists():
        place.write_text(YAML, encoding="utf-8")
        for name, mib in (("single", 256), ("single4k", 256), ("single-ro", 64)):
            with open(lab.layout.shared / f"{name}.img", "wb") as file:
                file.truncate(mib * MIB)


def sanitize_at(lab, rate):
    """Puts another sanitize_rate in place."""
    (lab.layout.node("a") / "yoke" / "single.yaml").write_text(
        YAML.replace(f"sanitize_rate: {FAST}", f"sanitize_rate: {rate}"), encoding="utf-8")
    lab["a"].run(["yokectl", "config", "reload"])


def serve(lab):
    """The daemon runs and answers; started here when it does not."""
    prepare(lab)
    if not lab["a"].pids("yoked"):
        lab["a"].run(["yoked", "-c", "/etc/yoke/single.yaml", "--controller", "a"])
    wait_for(lambda: answers(lab), 10, "the daemon answers")


def stop(lab):
    """The daemon has ended in good order."""
    if lab["a"].pids("yoked"):
        lab["a"].run(["yokectl", "stop"])
        wait_for(lambda: not lab["a"].pids("yoked"), 20, "the daemon has ended")


class Sanitized:
    """The daemon of the build with sanitizers while the block runs; then it must have no complaint.

    `name` is the configuration's, /etc/yoke/NAME.yaml.
    """

    def __init__(self, lab, name="single"):
        self.config = f"/etc/yoke/{name}.yaml"
        stage = os.environ.get("YOKE_STAGE_SANITIZED", "")
        self.daemon = os.path.join(stage, "usr/sbin/yoked")
        if not os.path.exists(self.daemon):
            raise Skip("there is no build with sanitizers; tests/check unit single peer makes one")
        self.lab = lab
        self.output = lab.layout.log("sanitized")
        self.process = None

    def __enter__(self):
        prepare(self.lab)
        stop(self.lab)
        with open(self.output, "wb") as log:
            self.process = self.lab["a"].start(
                [self.daemon, "-f", "-c", self.config, "--controller", "a"], timeout=0,
                stdout=log, stderr=log)
        wait_for(lambda: answers(self.lab), 20, "the sanitized daemon answers")
        return self

    def __exit__(self, kind, *_):
        try:
            if self.process.poll() is None and kind is None:
                self.lab["a"].run(["yokectl", "stop"])
            code = self.process.wait(30) if kind is None else None
        finally:
            if self.process.poll() is None:
                self.lab["a"].send_signal("yoked", 9)
                self.process.wait(10)
        text = self.output.read_text(encoding="utf-8", errors="replace")
        for word in SANITIZERS:
            check(word not in text, f"the sanitizers complain:\n{text[-6000:]}")
        check(kind or code == 0, f"the daemon ended with {code}:\n{text[-4000:]}")
