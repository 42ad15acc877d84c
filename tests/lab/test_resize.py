# SPDX-License-Identifier: BSD-3-Clause
"""LUs that grow by `yokectl lu resize`: at both controllers at one moment, under I/O, and yoke.yaml
stays true."""

import time

from layout import NODES
from load import Load
from questions import agree, clean, wait_whole
from runner import check
from test_online import REST_S, digests, reload, same, sizes, write

import config

SETTINGS = {"lus": 4, "lu_mib": 16}
PAUSE_MS = 1000
RATE = ("--depth", "8", "--iops", "300")
MIB = 1 << 20


def resize(lab, node, *words, good=True):
    done = lab[node].run(["yokectl", "lu", "resize", *words], check=False)
    check((done.returncode == 0) == good, f"lu resize {words} at {node}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def text(lab, node):
    return (lab.layout.node(node) / "yoke" / "yoke.yaml").read_text(encoding="utf-8")


def blocks(lab, lun):
    """The size that every portal says, in blocks: one number."""
    told = {int(answer[:8], 16) + 1 for answer in sizes(lab, lun).values()}
    check(len(told) == 1, f"the portals say different sizes: {told}")
    return told.pop()


def test_resize(lab):
    """A size; what is no size; a store that has grown by itself, with and without `size` in the file."""
    wait_whole(lab)
    original = config.yoke_yaml(lab.settings).replace("size: 16MiB", "size: 16MiB  # as ordered", 1)
    write(lab, original)
    with Load(lab, options=RATE) as load:
        load.ready()
        load.mark("start")
        resize(lab, "b", "disk0", "20MiB")
        check(blocks(lab, 0) == 20 * MIB // 512, "20 MiB")
        wanted = original.replace("size: 16MiB  # as ordered", "size: 20MiB  # as ordered")
        for node in NODES:
            check(text(lab, node) == wanted, f"yoke.yaml at {node}:\n{text(lab, node)}")
        check(same(lab), f"different configurations: {digests(lab)}")
        # Nothing to do; smaller; nonsense; nothing of that name.
        check("nothing to do" in resize(lab, "a", "disk0", "20MiB"), "the same size")
        check("never shrinks" in resize(lab, "a", "disk0", "16MiB", good=False), "shrinking")
        check("unit" in resize(lab, "a", "disk0", "24", good=False), "no unit")
        check("no extent" in resize(lab, "a", "disk9", "24MiB", good=False), "no such extent")
        # The file has grown below it.
        with open(lab.layout.shared / "disk1.img", "r+b") as file:
            file.truncate(24 * MIB)
        resize(lab, "a", "disk1", "--rescan")
        check(blocks(lab, 1) == 24 * MIB // 512, "24 MiB after --rescan")
        check("size: 24MiB" in text(lab, "a") and text(lab, "a") == text(lab, "b"), text(lab, "a"))
        time.sleep(REST_S)
        grown = load.mark("grown")
        clean(grown, PAUSE_MS, "growing under I/O")
        # Without `size` the file is as large as it is, and nothing is written.
        bare = text(lab, "a").replace("    size: 20MiB  # as ordered\n", "")
        write(lab, bare)
        reload(lab)
        with open(lab.layout.shared / "disk0.img", "r+b") as file:
            file.truncate(28 * MIB)
        resize(lab, "b", "disk0", "--rescan")
        check(blocks(lab, 0) == 28 * MIB // 512, "28 MiB, without size")
        resize(lab, "a", "disk0", "32MiB")
        check(blocks(lab, 0) == 32 * MIB // 512, "32 MiB, without size")
        check((lab.layout.shared / "disk0.img").stat().st_size == 32 * MIB, "the file was not extended")
        check(text(lab, "a") == bare and text(lab, "b") == bare, "yoke.yaml has changed")
        # A file that is not what runs is not mixed with a new size.
        write(lab, bare.replace("alias: array1", "alias: other"), ("b",))
        check("is not what runs" in resize(lab, "a", "disk0", "36MiB", good=False), "another file at b")
        check("is not what runs" in resize(lab, "b", "disk0", "36MiB", good=False), "another file here")
        check(blocks(lab, 0) == 32 * MIB // 512, "something has changed")
        write(lab, bare)
        time.sleep(REST_S)
        rescanned = load.mark("rescanned")
        clean(rescanned, PAUSE_MS, "rescanning under I/O")
        total = load.stop()
        check(total["exit"] == 0, f"the I/O program ended with {total['exit']}: {total}")
    check(agree(lab), "the controllers do not agree")
    return f"longest pause {grown['longest_pause_ms']} ms and {rescanned['longest_pause_ms']} ms"
