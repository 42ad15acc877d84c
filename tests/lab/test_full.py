# SPDX-License-Identifier: BSD-3-Clause
"""A file system that is too small for its thin LUs: full is said as 7/27/07, and freeing helps."""

from alone import stop
from lab import TARGET, wait_for
from load import program
from runner import check

SETTINGS = {"cluster": False}
PORTAL = "10.77.1.1:3260"
YAML = f"""\
yoke: 1
cluster: none
controllers:
  - name: a
    portals: [10.77.1.1]
extents:
  - {{name: one, type: file, path: /mnt/one.img, size: 16MiB, threshold_available: 4MiB}}
  - {{name: two, type: file, path: /mnt/two.img, size: 16MiB}}
targets:
  - name: {TARGET}
    luns:
      - {{lun: 0, extent: one}}
      - {{lun: 1, extent: two}}
"""
BLOCK = "=" + "5a" * 512
FULL = "02 7/27/07"


def probe(lab, lun, *commands):
    words = [program("yoke-probe"), "--portal", PORTAL, "--target", TARGET, "--lun", str(lun), *commands]
    return lab.host_run(words, timeout=60).stdout.splitlines()


def mib(i):
    return f"4100{i * 2048:08x}00080000" + BLOCK


def test_full(lab):
    """Two thin LUs of 16 MiB on 16 MiB: both stop at the end, and go on when one gives some back."""
    node = lab["a"]
    (lab.layout.node("a") / "yoke" / "full.yaml").write_text(YAML, encoding="utf-8")
    node.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", "/mnt"])
    try:
        node.run(["yoked", "-c", "/etc/yoke/full.yaml", "--controller", "a"])
        wait_for(lambda: node.run(["yokectl", "status"], check=False).returncode == 0, 10, "it answers")
        check(probe(lab, 0, *[mib(i) for i in range(10)]) == ["00"] * 10, "10 MiB do not fit")
        answers = probe(lab, 1, *[mib(i) for i in range(16)])
        check(answers[:5] == ["00"] * 5 and answers[6:] == [FULL] * 10, f"into a full file system: {answers}")
        # A WRITE(10) of one block as well; what has its storage can be written and read.
        one = probe(lab, 1, "2a000000700000000100" + BLOCK, "28000000000000000100:512",
                    "2a000000000000000100" + BLOCK)
        check(one == [FULL, "00 512 " + "5a" * 512, "00"], f"one block: {one}")
        wait_for(lambda: node.yokectl("lu", "list")["lus"][0]["space"]["threshold_reached"], 15,
                 "the threshold for what is left is reached")
        freed = probe(lab, 0, "42000000000000001800=001600100000000000000000000000000000500000000000")
        check(freed == ["00"], f"UNMAP: {freed}")
        check(probe(lab, 1, *[mib(i) for i in range(10)]) == ["00"] * 10, "no writes after UNMAP")
        check(node.yokectl("status")["health"] == "ok", "a full file system has left its mark")
        stop(lab)
    finally:
        if node.pids("yoked"):
            node.kill_daemon("yoked")
            wait_for(lambda: not node.pids("yoked"), 10, "the daemon has ended")
        node.run(["umount", "/mnt"])
