# SPDX-License-Identifier: BSD-3-Clause
"""The fault disk (tests/faultdisk) from outside: attaching a mount, telling it to go wrong, its log."""

import array
import ctypes
import json
import os
import socket
from pathlib import Path

import proc

LIBC = ctypes.CDLL(None, use_errno=True)
MS_NOSUID, MS_NODEV = 2, 4
TOP = Path(__file__).resolve().parents[2]


class FaultDisk:
    """A connection to the control socket of a running yoke-faultdisk."""

    def __init__(self, path):
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link.settimeout(30)
        self.link.connect(str(path))

    def close(self):
        self.link.close()

    def ask(self, text, descriptor=None):
        """Sends a command; what stands behind "ok" in the answer. LabError when it says no."""
        extra = []
        if descriptor is not None:
            extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        self.link.sendmsg([text.encode()], extra)
        answer = self.link.recv(65536).decode()
        if not answer.startswith("ok"):
            raise proc.LabError(f"fault disk: {text}: {answer or 'it has gone'}")
        return answer[2:].strip()

    def rule(self, action, **words):
        """A rule (see tests/faultdisk/main.c), its words as keywords, `nexus` for from; its id."""
        words = {"from" if key == "nexus" else key: value for key, value in words.items()}
        return self.ask(" ".join(["rule", action, *(f"{k}={v}" for k, v in words.items())]))

    def unrule(self, ident="all"):
        self.ask(f"unrule {ident}")

    def status(self):
        return json.loads(self.ask("status"))

    def waiting(self, nexus):
        """How many operations of a controller are held."""
        return next((n["waiting"] for n in self.status()["nexuses"] if n["name"] == nexus), 0)

    def holder(self, file):
        """Name of the controller that holds the reservation of a file, "" for none."""
        return next(f["holder"] for f in self.status()["files"] if f["name"] == file)

    def attach(self, nexus, place):
        """Mounts the disk at `place`, in this process's mount namespace, as the nexus of that name."""
        descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        try:
            options = f"fd={descriptor},rootmode=40755,user_id=0,group_id=0,allow_other"
            if LIBC.mount(b"yoke-faultdisk", os.fsencode(str(place)), b"fuse.yoke-faultdisk",
                          ctypes.c_ulong(MS_NOSUID | MS_NODEV), options.encode()):
                error = ctypes.get_errno()
                raise OSError(error, f"mount fuse on {place}: {os.strerror(error)}")
            self.ask(f"attach {nexus}", descriptor)
        finally:
            os.close(descriptor)

    def detach(self, nexus):
        self.ask(f"detach {nexus}")


def read_log(path):
    """The records of a disk log, in the order in which things took effect."""
    with open(path, encoding="ascii") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


def check_log(records):
    """Complaints about a disk log: whatever was applied by somebody who had no right to.

    A write is right when its sender was registered with the disk at that moment, or nobody held
    the reservation. The log is replayed; what the disk itself let through is not believed.
    """
    keys, holders, complaints = {}, {}, []
    for record in records:
        place, sender = record["file"], record["from"]
        mine = keys.setdefault(place, {})
        action = record["op"]
        if action == "register":
            mine[sender] = record["key"]
        elif action == "unregister":
            mine.pop(sender, None)
            if holders.get(place) == sender:
                holders.pop(place)
        elif action == "reserve":
            holders[place] = sender
        elif action == "release":
            holders.pop(place, None)
        elif action == "revoke":
            for name in [n for n, key in mine.items() if key == record["old"] and n != sender]:
                mine.pop(name)
                if holders.get(place) == name:
                    holders[place] = sender
        elif action == "clear":
            mine.clear()
            holders.pop(place, None)
        elif record.get("result") in ("applied", "torn") and action in ("write", "zero"):
            if place in holders and sender not in mine:
                complaints.append(f"applied without the key: {record}")
    return complaints


def program():
    """The path of the server in the build tree."""
    build = Path(os.environ.get("YOKE_BUILD") or TOP / "build" / "product")
    path = build / "tests/faultdisk/yoke-faultdisk"
    if not path.exists():
        raise proc.LabError(f"{path} does not exist: build first (tests/check) with libfuse3-dev "
                            "installed, or set YOKE_BUILD to the build directory")
    return path
