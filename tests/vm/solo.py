# SPDX-License-Identifier: BSD-3-Clause
"""A yoked at the lab's host, with a target for each way to authenticate: for many short logins."""

import os
import subprocess

from lab import LabError, wait_for
from layout import HOST_ID, address
from runner import check

PORTAL = f"{address('san0', HOST_ID)}:3260"
USER, SECRET = "guest", "guest-secret-16b"
PEER, PEER_SECRET = "array", "array-secret-16b"
KINDS = ("none", "chap", "mutual")


def target(kind):
    return f"iqn.2026-01.org.example:solo-{kind}"


def yaml(place):
    lines = ["yoke: 1", "cluster: none", "controllers:", "  - name: solo",
             f"    portals: [{address('san0', HOST_ID)}]", "settings:",
             f"  socket: {place}/yoked.sock", f"  state_dir: {place}/state",
             f"  secrets: {place}/secrets.yaml", "extents:"]
    for kind in KINDS:
        lines += [f"  - name: {kind}", "    type: ram", "    size: 16MiB"]
    lines.append("initiator_groups:")
    for kind in KINDS:
        lines += [f"  - name: {kind}", f"    auth: {kind}"]
        lines += [f"    users: [{USER}]"] if kind != "none" else []
    lines.append("targets:")
    for kind in KINDS:
        lines += [f"  - name: {target(kind)}", f"    initiator_groups: [{kind}]", "    luns:",
                  "      - lun: 0", f"        extent: {kind}"]
    return "\n".join(lines) + "\n"


class Solo:
    """The daemon while the block runs."""

    def __init__(self, lab):
        self.lab = lab
        self.place = lab.layout.dir / "solo"
        self.process = None

    def __enter__(self):
        (self.place / "state").mkdir(parents=True, exist_ok=True)
        (self.place / "yoke.yaml").write_text(yaml(self.place), encoding="utf-8")
        text = (f"yoke: 1\nusers:\n  - name: {USER}\n    secret: {SECRET}\n    peer_name: {PEER}\n"
                f"    peer_secret: {PEER_SECRET}\n")
        descriptor = os.open(self.place / "secrets.yaml", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(descriptor, text.encode())
        os.close(descriptor)
        log = self.lab.layout.log("solo")
        with open(log, "wb") as output:
            self.process = self.lab.host_start(
                [os.path.join(self.lab.settings["stage"], "usr/sbin/yoked"), "-f", "-c",
                 self.place / "yoke.yaml", "--pidfile", self.place / "yoked.pid"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)

        def serves():
            if self.process.poll() is not None:
                raise LabError("yoked has ended: " + log.read_text(errors="replace"))
            return "is open" in log.read_text(errors="replace")
        wait_for(serves, 10, "the daemon serves")
        return self

    def __exit__(self, kind, *_):
        self.process.terminate()
        code = self.process.wait(20)
        check(kind or code == 0, f"yoked ended with {code}: "
              + self.lab.layout.log("solo").read_text(errors="replace")[-2000:])
