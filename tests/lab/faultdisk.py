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


class LogJudge:
    """Replays a disk log record by record and complains of what its sender had no right to.

    A write is right when its sender was registered with the disk at that moment, or nobody held
    the reservation; what the disk itself let through is not believed. With `epochs`: the low half
    of a key is the epoch; a file has one owner under each, and a holder of an older one never comes
    back.
    """

    def __init__(self, epochs=True):
        self.epochs = epochs
        self.keys, self.holders, self.owners, self.newest = {}, {}, {}, {}

    def feed(self, records):
        """The complaints about some more records."""
        return [text for record in records for text in self._one(record)]

    def _one(self, record):
        place, sender, action = record["file"], record["from"], record["op"]
        mine = self.keys.setdefault(place, {})
        if action == "register":
            mine[sender] = record["key"]
        elif action == "unregister":
            mine.pop(sender, None)
            if self.holders.get(place) == sender:
                self.holders.pop(place)
        elif action == "reserve":
            yield from self._hold(place, sender, record)
        elif action == "release":
            self.holders.pop(place, None)
        elif action == "revoke":
            for name in [n for n, key in mine.items() if key == record["old"] and n != sender]:
                mine.pop(name)
                if self.holders.get(place) == name:
                    yield from self._hold(place, sender, record)
        elif action == "clear":
            mine.clear()
            self.holders.pop(place, None)
        elif record.get("result") in ("applied", "torn") and action in ("write", "zero"):
            if place in self.holders and sender not in mine:
                yield f"applied without the key: {record}"

    def _hold(self, place, sender, record):
        self.holders[place] = sender
        if not self.epochs:
            return
        epoch = int(record["key"], 16) & 0xffffffff
        if self.owners.setdefault((place, epoch), sender) != sender:
            yield f"epoch {epoch} has two owners: {record}"
        if epoch < self.newest.get(place, 0):
            yield f"epoch {epoch} after {self.newest[place]}: {record}"
        self.newest[place] = max(epoch, self.newest.get(place, 0))


def check_log(records):
    """Writes in a whole disk log that were applied without the right to."""
    return LogJudge(epochs=False).feed(records)


def program():
    """The path of the server in the build tree."""
    build = Path(os.environ.get("YOKE_BUILD") or TOP / "build" / "product")
    path = build / "tests/faultdisk/yoke-faultdisk"
    if not path.exists():
        raise proc.LabError(f"{path} does not exist: build first (tests/check) with libfuse3-dev "
                            "installed, or set YOKE_BUILD to the build directory")
    return path
