# SPDX-License-Identifier: BSD-3-Clause
"""As many LUs as there may be: 16,384 in one daemon and one target, of memory and of files."""

import re
import time

from lab import TARGET, wait_for
from load import program
from runner import check

SETTINGS = {"cluster": False}
PORTAL = "10.77.1.1:3260"
COUNT = 16384
# One with few LUs has about 8 MiB; the rest is theirs.
RESIDENT_MIB_MOST = 128
START_S_MOST = 20

HEAD = """\
yoke: 1
cluster: none
controllers:
  - name: a
    portals: [10.77.1.1]
extents:
"""


def yaml(kind):
    place = ", path: /srv/yoke/{0}.img" if kind == "file" else ""
    extents = "".join(f"  - {{name: e{i}, type: {kind}, size: 1MiB{place.format(i)}}}\n"
                      for i in range(COUNT))
    luns = "".join(f"      - {{lun: {i}, extent: e{i}}}\n" for i in range(COUNT))
    return f"{HEAD}{extents}targets:\n  - name: {TARGET}\n    luns:\n{luns}"


def probe(lab, lun, *cdbs):
    return lab.host_run([program("yoke-probe"), "--portal", PORTAL, "--target", TARGET, "--lun",
                         str(lun), *cdbs], timeout=60).stdout.splitlines()


def many(lab, kind):
    node = lab["a"]
    config = lab.layout.node("a") / "yoke" / f"{kind}.yaml"
    config.write_text(yaml(kind), encoding="utf-8")
    begun = time.monotonic()
    node.run(["yoked", "-c", f"/etc/yoke/{kind}.yaml", "--controller", "a"], timeout=120)
    wait_for(lambda: node.run(["yokectl", "status"], check=False).returncode == 0, 60, "it answers")
    started = time.monotonic() - begun
    # The last LUN in flat addressing: READ CAPACITY 10, a read, and the list of all.
    lines = probe(lab, COUNT - 1, "25000000000000000000:8", "28000000000000000800:4096",
                  f"a00000000000{8 + 8 * 1024:08x}0000:{8 + 8 * 1024}")
    check(lines[0].split()[-1] == "000007ff00000200", f"READ CAPACITY of the last LUN: {lines[0]}")
    check(lines[1].split()[:2] == ["00", "4096"], f"READ of the last LUN: {lines[1][:80]}")
    luns = bytes.fromhex(lines[2].split()[-1])
    check(int.from_bytes(luns[:4], "big") == 8 * COUNT, f"REPORT LUNS says {luns[:4].hex()}")
    entries = [luns[8 + 8 * i:16 + 8 * i] for i in range(1024)]
    wanted = [(i | (0x4000 if i > 255 else 0)).to_bytes(2, "big") + bytes(6) for i in range(1024)]
    check(entries == wanted, "REPORT LUNS does not list the first 1,024 as it should")
    with open(f"/proc/{node.pids('yoked')[0]}/status", encoding="ascii") as file:
        resident = int(re.search(r"VmRSS:\s*(\d+) kB", file.read()).group(1)) / 1024
    listed = node.run(["yokectl", "lu", "list"]).stdout
    print(f"{COUNT} LUs of {kind}: up in {started:.1f} s, {resident:.0f} MiB resident")
    check(len(listed.splitlines()) == COUNT + 1, "yokectl does not list every LU")
    check(resident < RESIDENT_MIB_MOST, f"{resident:.0f} MiB for {COUNT} LUs")
    check(started < START_S_MOST, f"it took {started:.1f} s to start")
    node.run(["yokectl", "stop"], check=False)
    wait_for(lambda: not node.pids("yoked"), 20, "the daemon ends")


def test_memory(lab):
    """16,384 LUs of memory: the last answers, and the daemon stays small."""
    many(lab, "ram")


def test_files(lab):
    """16,384 sparse files."""
    many(lab, "file")
