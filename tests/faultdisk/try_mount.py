# SPDX-License-Identifier: BSD-3-Clause
"""The fault disk through the kernel: two mounts, O_DIRECT, IOC_PR_*, held and spoiled writes.

Usage: try_mount.py PROGRAM DIRECTORY, as root in a mount namespace of its own.
"""

import errno
import fcntl
import mmap
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
import faultdisk  # noqa: E402  pylint: disable=wrong-import-position

REGISTER, RESERVE, PREEMPT_ABORT = 0x401870c8, 0x401070c9, 0x401870cc
READ_RESERVATION = 0x801070cf
CONFLICT, EXCLUSIVE_REGISTRANTS = 0x18, 3
BLOCK = 4096


def register(descriptor, key):
    return fcntl.ioctl(descriptor, REGISTER, struct.pack("QQII", 0, key, 1, 0))


def reserve(descriptor, key):
    return fcntl.ioctl(descriptor, RESERVE, struct.pack("QII", key, EXCLUSIVE_REGISTRANTS, 0))


def ioctl_result(descriptor, request, argument):
    """fcntl.ioctl() with bytes hides the result; a mutable buffer does not."""
    return fcntl.ioctl(descriptor, request, bytearray(argument), True)


def holder(descriptor):
    buffer = bytearray(16)
    fcntl.ioctl(descriptor, READ_RESERVATION, buffer, True)
    return struct.unpack("QII", buffer)[0]


def page(byte, blocks=1):
    memory = mmap.mmap(-1, BLOCK * blocks)
    memory.write(bytes([byte]) * (BLOCK * blocks))
    return memory


def write(descriptor, byte, offset=0, blocks=1):
    """0, or the errno of the write."""
    try:
        done = os.pwrite(descriptor, page(byte, blocks), offset)
    except OSError as error:
        return error.errno
    assert done == BLOCK * blocks, done
    return 0


def first(descriptor, offset=0):
    memory = mmap.mmap(-1, BLOCK)
    assert os.preadv(descriptor, [memory], offset) == BLOCK
    return memory[0], memory[BLOCK - 1]


def expect(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, expected {wanted!r}")


def plain(disk, a, b):
    expect(write(a, 1), 0, "a write")
    expect(first(b), (1, 1), "b reads what a wrote, past any cache")
    os.fdatasync(a)
    fcntl.flock(a, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two machines: the locks do not meet
    try:
        fcntl.ioctl(a, 0x1234)
        raise AssertionError("an unknown ioctl worked")
    except OSError as error:
        expect(error.errno, errno.ENOTTY, "an unknown ioctl")
    expect(holder(a), 0, "nobody holds the disk")


def reservations(disk, a, b):
    register(a, 0x10)
    reserve(a, 0x10)
    expect(holder(b), 0x10, "who holds the disk")
    expect(write(b, 2), errno.EBADE, "a write without a key")
    expect(first(b)[0], 1, "a read without a key")
    expect(ioctl_result(b, RESERVE, struct.pack("QII", 0x20, 3, 0)), CONFLICT, "reserve unregistered")
    register(b, 0x20)
    expect(write(b, 2), 0, "a write of a second registrant")
    preempt = struct.pack("QQII", 0x10, 0x20, EXCLUSIVE_REGISTRANTS, 0)
    expect(ioctl_result(b, PREEMPT_ABORT, preempt), 0, "preempt and abort")
    expect(ioctl_result(b, PREEMPT_ABORT, preempt), CONFLICT, "the same again")
    expect(holder(a), 0x20, "who holds the disk after it")
    expect(write(a, 3), errno.EBADE, "a write under the revoked key")
    expect(first(b)[0], 2, "nothing of it was applied")


def held(disk, a, b):
    """The late write: held on its way, released after the key has been revoked."""
    register(a, 0x30)
    rule = disk.rule("hold", nexus="a")
    results = []
    thread = threading.Thread(target=lambda: results.append(write(a, 9)))
    thread.start()
    while disk.waiting("a") == 0:
        time.sleep(0.005)
    expect(write(b, 4), 0, "b writes meanwhile")
    preempt = struct.pack("QQII", 0x30, 0x20, EXCLUSIVE_REGISTRANTS, 0)
    expect(ioctl_result(b, PREEMPT_ABORT, preempt), 0, "the key of a is revoked")
    disk.unrule(rule)
    thread.join(10)
    expect(results, [errno.EBADE], "the late write")
    expect(first(b)[0], 4, "nothing of it was applied")


def spoiled(disk, a, b):
    for action, wanted in (("eio", errno.EIO), ("enospc", errno.ENOSPC)):
        rule = disk.rule(action, nexus="b", count=1, at="8192-12287")
        expect(write(b, 5, 0), 0, f"{action}: outside of the range")
        expect(write(b, 5, 8192), wanted, action)
        expect(write(b, 5, 8192), 0, f"{action}: only once")
        disk.unrule(rule)
    rule = disk.rule("torn", nexus="b", count=1)
    expect(write(b, 6), errno.EIO, "torn")
    expect(first(b), (6, 5), "half of it was applied")
    disk.unrule(rule)
    rule = disk.rule("lost", nexus="b", count=1)
    expect(write(b, 7), 0, "lost")
    expect(first(b), (6, 5), "nothing of it was applied")
    disk.unrule(rule)
    rule = disk.rule("slow", nexus="b", ms=100, op="all")
    started = time.monotonic()
    expect(write(b, 8), 0, "slow")
    assert time.monotonic() - started >= 0.1
    disk.unrule(rule)
    expect(write(b, 8, 0, 256), 0, "a megabyte")


def power_loss(disk, a, b, place):
    """A controller that loses its power with a write held: the write arrives later all the same."""
    register(a, 0x40)
    rule = disk.rule("hold", nexus="a")
    thread = threading.Thread(target=lambda: write(a, 11))
    thread.start()
    while disk.waiting("a") == 0:
        time.sleep(0.005)
    disk.detach("a")
    thread.join(10)
    assert not thread.is_alive(), "the kernel still waits for a disk that is gone"
    expect(disk.waiting("a"), 1, "what is on its way stays on its way")
    disk.unrule(rule)
    expect(first(b)[0], 11, "it was applied")
    subprocess.run(["umount", "-l", place], check=True)
    disk.attach("a", place)
    again = os.open(place / "disk.img", os.O_RDWR | os.O_DIRECT)
    expect(write(again, 12), 0, "a write after the power came back: the registration has survived")
    os.close(again)


def main():
    program, top = sys.argv[1], Path(sys.argv[2])
    for name in ("disk", "a", "b"):
        (top / name).mkdir()
    with open(top / "disk" / "disk.img", "wb") as file:
        file.truncate(4 << 20)
    server = subprocess.Popen(
        [program, "--disk", top / "disk", "--socket", top / "socket", "--log", top / "log",
         "--until-eof"], stdin=subprocess.PIPE)
    disk = None
    while not disk:
        assert server.poll() is None, "the server did not start"
        try:
            disk = faultdisk.FaultDisk(top / "socket")
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.01)
    try:
        files = []
        for name in ("a", "b"):
            disk.attach(name, top / name)
            files.append(os.open(top / name / "disk.img", os.O_RDWR | os.O_DIRECT))
        for test in (plain, reservations, held, spoiled):
            test(disk, *files)
        power_loss(disk, *files, top / "a")
        records = faultdisk.read_log(top / "log")
        expect(faultdisk.check_log(records), [], "the log")
        refused = [r for r in records if r.get("result") == "refused"]
        expect([(r["from"], r["waited"]) for r in refused],
               [("b", False), ("a", False), ("a", True)], "the writes that were refused")
        # The log tells on a disk that lets a late write through.
        planted = [dict(r, result="applied") if r.get("result") == "refused" else r for r in records]
        expect(len(faultdisk.check_log(planted)), 3, "complaints about a disk without keys")
    finally:
        disk.unrule()
        server.stdin.close()
        server.wait(10)
        for name in ("a", "b"):
            subprocess.run(["umount", "-l", top / name], check=False, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
