# SPDX-License-Identifier: BSD-3-Clause
"""A configuration that changes while both controllers serve hosts: LUNs come, grow and go, a bad
file is refused, a daemon dies in the middle. Commands for LUs that stay never fail."""

import threading
import time

import config
from questions import agree, clean, home, probe, wait_whole
from lab import wait_for
from layout import NODES
from load import Load
from runner import check

SETTINGS = {"lus": 4, "lu_mib": 16}
PAUSE_MS = 1000
REST_S = 2.0  # long enough to read what was written
RATE = ("--depth", "8", "--iops", "300")
NEW = 300
MIB = 1 << 20
CAPACITY = "25000000000000000000:8"
TUR = "000000000000"
NO_UNIT = "5/25/00"


def calm(load, name, what):
    """Ends an interval some time after the change: nothing failed, nothing is wrong."""
    time.sleep(REST_S)
    clean(load.mark(name), PAUSE_MS, what)


def write(lab, text, nodes=NODES):
    for node in nodes:
        (lab.layout.node(node) / "yoke" / "yoke.yaml").write_text(text, encoding="utf-8")


def original(lab):
    return config.yoke_yaml(lab.settings)


def with_new(lab, mib=8):
    """The original with one more extent, at LUN 300."""
    return (original(lab)
            .replace("targets:\n", f"  - name: extra\n    type: file\n    path: /srv/yoke/extra.img\n"
                     f"    size: {mib}MiB\n    group: g1\ntargets:\n")
            .replace("    luns:\n", f"    luns:\n      - lun: {NEW}\n        extent: extra\n"))


def reload(lab, node="a", good=True):
    done = lab[node].run(["yokectl", "config", "reload"], check=False)
    check((done.returncode == 0) == good,
          f"config reload at {node}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def digests(lab):
    return {node: lab[node].yokectl("config", "show")["digest"] for node in NODES}


def same(lab):
    """Both run one configuration."""
    return len(set(digests(lab).values())) == 1


def sizes(lab, lun):
    """READ CAPACITY's answer at every portal."""
    return {portal: probe(lab, portal, lun, CAPACITY)[0].split()[-1] for portal in lab.portals()}


def test_lun_comes_grows_and_goes(lab):
    """Under verified I/O: added at both, grown at both, removed at both; no command fails."""
    wait_whole(lab)
    with Load(lab, options=RATE) as load:
        load.ready()
        load.mark("start")
        write(lab, with_new(lab))
        shown = lab["b"].run(["yokectl", "config", "diff", "/etc/yoke/yoke.yaml"]).stdout
        check("added    extents[extra]" in shown and f"luns[{NEW}]" in shown, f"config diff: {shown}")
        reload(lab)
        check(same(lab), f"different configurations after a reload: {digests(lab)}")
        check(set(sizes(lab, NEW).values()) == {"00003fff00000200"}, f"added: {sizes(lab, NEW)}")
        calm(load, "added", "adding a LUN")
        write(lab, with_new(lab, 16))
        reload(lab, "b")
        check(set(sizes(lab, NEW).values()) == {"00007fff00000200"}, f"grown: {sizes(lab, NEW)}")
        calm(load, "grown", "growing an LU")
        write(lab, original(lab))
        reload(lab)
        for portal in lab.portals():
            answer = probe(lab, portal, NEW, TUR)[0]
            check(NO_UNIT in answer, f"LUN {NEW} is still there at {portal}: {answer}")
        calm(load, "removed", "removing a LUN")
        total = load.stop()
        check(total["exit"] == 0, f"the I/O program ended with {total['exit']}: {total}")
    check(agree(lab), "the controllers do not agree")


def test_growing_is_told(lab):
    """The LUs that hosts use grow: 2A/09, both controllers say the same size, nothing fails."""
    wait_whole(lab)
    before = sizes(lab, 0)
    with Load(lab, luns="0", options=RATE) as load:
        load.ready()
        load.mark("start")
        write(lab, original(lab).replace("size: 16MiB", "size: 20MiB"))
        reload(lab)
        after = sizes(lab, 0)
        check(len(set(after.values())) == 1 and after != before, f"{before} became {after}")
        calm(load, "grown", "growing under I/O")
        load.stop()
    write(lab, original(lab))
    said = reload(lab, good=False)
    check("can only grow" in said, f"shrinking: {said}")
    write(lab, original(lab).replace("size: 16MiB", "size: 20MiB"))


def test_bad_files_change_nothing(lab):
    """A mistake, a key that needs a restart, and two files that differ: refused, named, harmless."""
    good = original(lab).replace("size: 16MiB", "size: 20MiB")
    running = digests(lab)
    with Load(lab, options=RATE) as load:
        load.ready()
        load.mark("start")
        for text, nodes, said in (
                (good.replace("alias:", "alais:"), NODES, 'unknown key "alais"'),
                (good.replace("block_size: 512", "block_size: 4096", 1), NODES, "block_size"),
                (good.replace("alias: array1", "alias: array2"), ("a",), "is another one here"),
                (with_new(lab).replace("size: 16MiB", "size: 20MiB")
                 .replace("/srv/yoke/extra.img", "/nowhere/extra.img"), NODES, "/nowhere/extra.img")):
            write(lab, text, nodes)
            answer = reload(lab, "a", good=False)
            check(said in answer, f"it lacks {said}: {answer}")
            check(digests(lab) == running, f"something has changed: {answer}")
            write(lab, good)
        calm(load, "refused", "refused reloads")
        load.stop()
    check(agree(lab), "the controllers do not agree")


def killed(lab, node, pause_s):
    """A reload at a; `node`'s daemon is killed so long after it began."""
    timer = threading.Timer(pause_s, lab[node].kill_daemon)
    timer.start()
    lab["a"].run(["yokectl", "config", "reload"], check=False)
    timer.join()
    wait_for(lambda: all(lab[n].pids("yoked") for n in NODES), 30, "both daemons run")
    wait_whole(lab, 60)
    wait_for(lambda: same(lab), 30, f"both run one configuration: {digests(lab)}")


def test_killed_midway(lab):
    """Either daemon is killed around a reload: afterwards both run the old or both the new file."""
    files = [original(lab).replace("size: 16MiB", "size: 20MiB").replace("alias: array1", f"alias: x{i}")
             for i in range(6)]
    for i, (node, pause_s) in enumerate((("b", 0.0), ("a", 0.005), ("b", 0.01), ("a", 0.0))):
        write(lab, files[i])
        killed(lab, node, pause_s)
        for group in lab.settings["groups"]:
            home(lab, group)
    write(lab, files[5])
    reload(lab)
    check(same(lab), "the last reload is not in place at both")
