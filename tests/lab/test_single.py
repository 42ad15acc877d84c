# SPDX-License-Identifier: BSD-3-Clause
"""One yoked without a cluster, with the tools that Debian has: the plain target."""

import re
import time

from alone import LUNS, MIB, PORTALS, Sanitized, serve
from lab import TARGET, wait_for
from load import program
from runner import check

SETTINGS = {"cluster": False}
PORTAL = PORTALS[0]


def url(lun=None):
    return f"iscsi://{PORTAL}/{TARGET}" + ("" if lun is None else f"/{lun}")


def test_starts(lab):
    """yoked comes up, says so, and iscsi-ls finds the target with its LUs."""
    serve(lab)
    listed = lab.host_run(["iscsi-ls", "-s", f"iscsi://{PORTAL}"]).stdout
    check(TARGET in listed, f"iscsi-ls does not list {TARGET}:\n{listed}")
    check(len(re.findall(r"Lun:\s*\d+", listed)) == LUNS * len(PORTALS), f"iscsi-ls does not show every LU:\n{listed}")


def test_inquiry(lab):
    """iscsi-inq reads the standard data and every VPD page that it knows."""
    serve(lab)
    text = lab.host_run(["iscsi-inq", url(0)]).stdout
    check("DIRECT_ACCESS" in text, f"not a disk:\n{text}")
    for page in ("0", "128", "131", "176", "177", "178"):
        text = lab.host_run(["iscsi-inq", "-e", "1", "-c", page, url(1)]).stdout
        check(text.strip(), f"iscsi-inq shows nothing for VPD page {page}")


def test_qemu_bench(lab):
    """qemu-img writes and reads at depth 32, every LU; 4 KiB and 64 KiB.

    Reads of 32 KiB and more of a thin LU with 4096-byte blocks trip an assertion in qemu itself
    (block/iscsi.c rounds a limit to 512 bytes), so that LU's reads are of 16 KiB.
    """
    serve(lab)
    for lun in (0, 1, 2):
        for size, write in ((4096, ["-w"]), (65536, ["-w"]), (16384 if lun == 2 else 65536, [])):
            lab.host_run(["qemu-img", "bench", "-f", "raw", "-t", "none", "-c", "2000", "-d", "32",
                          "-s", size, *write, url(lun)], timeout=60)


def test_verified(lab):
    """The multipath program writes and verifies over the one path that there is."""
    serve(lab)
    lab.host_run([program("yoke-mpio"), "--portal", PORTAL, "--target", TARGET, "--luns", "0-2",
                  "--depth", "16", "--seconds", "4"], timeout=60)


def test_restart_keeps_data(lab):
    """What was written to a file is there after SIGKILL and a new start."""
    serve(lab)
    lab.host_run(["qemu-img", "bench", "-f", "raw", "-t", "none", "-c", "64", "-d", "4", "-s", "65536",
                  "-w", "--pattern", "171", url(1)])
    lab["a"].kill_daemon("yoked")
    wait_for(lambda: not lab["a"].pids("yoked"), 5, "the daemon is dead")
    serve(lab)
    image = lab.layout.shared / "single.img"
    with open(image, "rb") as file:
        check(file.read(MIB) == b"\xab" * MIB, "data acknowledged before SIGKILL is not in the file")
    lab.host_run(["qemu-img", "compare", "-f", "raw", "-F", "raw", url(1), image])


def test_garbage(lab):
    """Random bytes at the portal: the daemon lives and a login still answers at once."""
    serve(lab)
    code = ("import os,socket\n"
            "for size in [1, 47, 48, 49, 512, 8192, 65536] * 8:\n"
            "    s = socket.create_connection(('10.77.1.1', 3260), 5)\n"
            "    try: s.sendall(os.urandom(size)); s.settimeout(0.05); s.recv(100)\n"
            "    except OSError: pass\n"
            "    s.close()\n")
    lab.host_run(["/usr/bin/python3", "-c", code], timeout=60)
    started = time.monotonic()
    lab.host_run(["iscsi-ls", f"iscsi://{PORTAL}"])
    check(time.monotonic() - started < 2, "a login took long after garbage")
    check(lab["a"].pids("yoked"), "the daemon died of garbage")


def test_sanitized(lab):
    """The build with sanitizers under the same tools: no report."""
    with Sanitized(lab):
        lab.host_run(["iscsi-ls", "-s", f"iscsi://{PORTAL}"])
        lab.host_run([program("yoke-mpio"), "--portal", PORTAL, "--target", TARGET, "--luns", "0-2",
                      "--depth", "8", "--seconds", "4"], timeout=90)
