# SPDX-License-Identifier: BSD-3-Clause
"""dm-multipath with docs/multipath.conf: fio writes and verifies while things happen to the array.
No I/O may fail in any of them; the notes tell how long the longest took, and what it waited for."""

import json
import re
import time

import config
from guest import SETTINGS, Guest  # SETTINGS is for the runner
from layout import NODES
from questions import move, other, owner, wait_whole
from runner import check
from writer import Writer

while_settling = Guest.begin
# What docs/multipath.conf advises for iscsid.conf.
NODE = {"node.conn[0].timeo.noop_out_interval": 2, "node.conn[0].timeo.noop_out_timeout": 2,
        "node.session.timeo.replacement_timeout": 5, "node.session.iscsi.DefaultTime2Wait": 0}
# udev's work for a path takes a second in an emulated machine: an LU of each group is enough.
LUNS = (0, 3)
SCAN = "for f in /sys/class/scsi_host/*/scan; do echo - - {lun} >$f; done"
SETTLES_S = 60
POWER_LOSS_S = 4


def ready(lab):
    """The guest with all four paths to each LU in maps."""
    guest = Guest.of(lab)
    wait_whole(lab)
    if guest.user != __name__:
        guest.log_out()
        guest.run("multipathd -d -s >/run/multipathd.log 2>&1 & "
                  "until multipathd show status; do sleep 0.2; done", 30)
        guest.log_in(lab.portals(), **NODE, **{"node.session.scan": "manual"})
        for lun in LUNS:
            guest.run(SCAN.format(lun=lun))
        guest.settle()
        guest.user = __name__
    wait_paths(guest)
    guest.forget_log()
    return guest


def wait_paths(guest):
    deadline = time.monotonic() + 90
    while True:
        guest.map = find_map(guest)
        if guest.map and [state for _, state in paths(guest)] == ["active"] * 4:
            return
        check(time.monotonic() < deadline, "not four paths:\n" + guest.run("multipath -ll"))
        time.sleep(0.5)


def find_map(guest):
    """The name of LUN 0's map."""
    text = guest.run("multipathd show paths raw format '%i %m'")
    names = {name for hctl, name in re.findall(r"^(\S+) +(\S+)", text, re.M)
             if hctl.endswith(":0") and name.startswith("mpath")}
    return names.pop() if len(names) == 1 else None


def paths(guest):
    """[(priority, state of dm)] of LUN 0's paths."""
    text = guest.run("multipathd show paths raw format '%m %p %t'")
    return [(int(prio), state) for name, prio, state
            in re.findall(r"^(\S+) +(-?\d+) +(\S+)", text, re.M) if name == guest.map]


def check_groups(guest, wanted=(("50", "active"), ("10", "enabled"))):
    """The path groups with priority and state, four paths in all, two each. multipathd looks at
    priorities every 5 s."""
    deadline = time.monotonic() + SETTLES_S
    while True:
        text = guest.run(f"multipath -ll {guest.map}")
        groups = tuple(sorted(re.findall(r"prio=(\d+) status=(\w+)", text), reverse=True))
        if groups == wanted and text.count("active ready running") == 4:
            break
        check(time.monotonic() < deadline, f"not the path groups {wanted}:\n{text}")
        time.sleep(0.5)
    check("YOKE,VIRTUAL-DISK" in text and "hwhandler='1 alua'" in text, f"settings:\n{text}")


def said_after(lab, node, text, since):
    """Seconds from `since` to the first line with a text in a controller's log."""
    today = time.strftime("%Y-%m-%d ", time.localtime(since))
    for stamp, milli in re.findall(rf"^([\d:]{{8}})\.(\d+) .*{re.escape(text)}",
                                   lab[node].file("log/syslog"), re.M):
        at = time.mktime(time.strptime(today + stamp, "%Y-%m-%d %H:%M:%S")) + int(milli) / 1000
        if at >= since:
            return at - since
    raise AssertionError(f"controller {node} has not said {text!r}")


def note(writer, *said):
    """The longest I/O, and what it may have waited for."""
    return "; ".join([f"longest I/O {writer.longest_s:.2f} s", *said, *writer.told()])


def test_groups(lab):
    """ALUA makes two path groups, the owner's first."""
    guest = ready(lab)
    check_groups(guest)
    guest.check_log()


def test_handover_and_failback(lab):
    """A planned move there and back: the groups change places, no I/O fails."""
    guest = ready(lab)
    here, pauses = owner(lab, "g1"), []
    for to in (other(here), here):
        with Writer(guest) as writer:
            move(lab, "g1", to)
            writer.goes_on()
            check_groups(guest)
        pauses.append(writer.longest_s)
    check(max(pauses) < 5, f"an I/O took {max(pauses):.1f} s")
    return f"longest I/O {pauses[0]:.2f} s and {pauses[1]:.2f} s"


def test_daemon_killed(lab):
    """SIGKILL for the owner's daemon."""
    guest = ready(lab)
    victim = owner(lab, "g1")
    with Writer(guest) as writer:
        lab[victim].kill_daemon("yoked")
        writer.goes_on()
        lab.wait_owner("g1", other(victim))
        wait_paths(guest)
    check(writer.longest_s < 8, f"an I/O took {writer.longest_s:.1f} s: {note(writer)}")
    return note(writer)


def cut(lab, guest):
    """The power of g1's owner goes under fio; the Writer, and the time of the event."""
    victim = owner(lab, "g1")
    with Writer(guest) as writer:
        at = time.time()
        lab[victim].power_off()
        writer.goes_on()
        lab.wait_owner("g1", other(victim))
    return writer, at


def test_power_loss_and_return(lab):
    """The owner's power goes: with its portals at the survivor all paths are back while it is away.
    Then it returns."""
    guest = ready(lab)
    victim = owner(lab, "g1")
    survivor = other(victim)
    writer, at = cut(lab, guest)
    wait_paths(guest)
    check(not lab[victim].is_on(), "who has no power has come back by itself")
    adopted = said_after(lab, survivor, "connections of hosts to be reset", at)
    check(writer.longest_s < POWER_LOSS_S, f"an I/O took {writer.longest_s:.2f} s: {note(writer)}")
    guest.forget_log()
    with Writer(guest) as back:
        lab[victim].power_on()
        wait_whole(lab)
        back.goes_on()
        check_groups(guest)
    check(back.longest_s < 5, f"an I/O took {back.longest_s:.1f} s at the return: {note(back)}")
    return note(writer, f"portals adopted after {adopted:.1f} s") + f"; return: {note(back)}"


def test_power_loss_without_adoption(lab):
    """The same where nobody takes the portals over: hosts find out by their own time-outs."""
    guest = ready(lab)
    lab.settings["adoption"] = False
    lab.layout.settings.write_text(json.dumps(lab.settings), encoding="utf-8")
    for node in NODES:
        lab[node].power_off()
        (lab.layout.node(node) / "yoke/yoke.yaml").write_text(config.yoke_yaml(lab.settings),
                                                             encoding="utf-8")
    for node in NODES:
        lab[node].power_on()
    guest = ready(lab)
    writer, _ = cut(lab, guest)
    check(writer.longest_s < 15, f"an I/O took {writer.longest_s:.1f} s: {note(writer)}")
    return note(writer)
