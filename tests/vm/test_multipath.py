# SPDX-License-Identifier: BSD-3-Clause
"""dm-multipath with docs/multipath.conf: fio writes and verifies while things happen to the array."""

import json
import re
import time

from guest import Guest
from questions import home, move, other, owner, wait_whole
from runner import check

SETTINGS = {"lus": 2}
# What docs/multipath.conf advises for iscsid.conf.
NODE = {"node.conn[0].timeo.noop_out_interval": 2, "node.conn[0].timeo.noop_out_timeout": 2,
        "node.session.timeo.replacement_timeout": 5}
QUIET_S = 3
SETTLES_S = 45
FIO = ("fio --name=verify --filename={map} --rw=randwrite --bs=4k --size=24m --ioengine=libaio "
       "--direct=1 --iodepth=4 --rate_iops=100 --verify=crc32c --verify_backlog=64 --verify_fatal=1 "
       "--time_based --runtime={seconds} --output-format=json --output=/tmp/fio.json; "
       "status=$?; cat /tmp/fio.json; exit $status")


def ready(lab):
    """The guest with all four paths to each LU in maps."""
    guest = Guest.of(lab)
    if not guest.logged_in:
        wait_whole(lab)
        guest.log_out()
        guest.run("multipathd -s; sleep 1; multipathd show status", 30)
        guest.log_in(lab.portals(), **NODE)
        guest.logged_in = True
    wait_whole(lab)
    home(lab, "g1")
    deadline = time.monotonic() + 90
    while True:
        guest.map = find_map(guest)
        if guest.map and len(paths(guest)) == 4 and all(
                state == "active" for _, state in paths(guest)):
            return guest
        check(time.monotonic() < deadline, "not four paths:\n" + guest.run("multipath -ll"))
        time.sleep(1)


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


def during(lab, guest, seconds, event):
    """fio for some seconds with an event in it; the longest that one I/O took, in seconds."""
    running = guest.start(FIO.format(map=f"/dev/mapper/{guest.map}", seconds=seconds))
    time.sleep(QUIET_S)
    event()
    done = guest.finish(running, seconds + 90, "fio")
    check(done.status == 0, f"fio ended with {done.status}:\n{done.output[-3000:]}")
    job = json.loads(done.output[done.output.index("{"):])["jobs"][0]
    check(job["error"] == 0 and job["total_err"] == 0 if "total_err" in job else job["error"] == 0,
          f"fio counts errors: {job['error']}")
    check(job["write"]["total_ios"] > 100 and job["read"]["total_ios"] > 100,
          f"fio did not much: {job['write']['total_ios']} writes, {job['read']['total_ios']} reads")
    lost = [line for line in guest.kernel_log()[guest.mark:]
            if re.search(r"I/O error, dev dm-|Buffer I/O error on dev dm-|remaining active paths: 0$", line)
            and "remaining active paths: 0" not in line]
    check(not lost, "the map has lost I/O:\n" + "\n".join(lost))
    guest.forget_log()
    return max(job[way]["clat_ns"]["max"] for way in ("write", "read")) / 1e9


def check_groups(guest):
    """Two path groups: two paths of priority 50 in use, two of 10 in reserve. multipathd looks at
    priorities every 5 to 20 s."""
    deadline = time.monotonic() + SETTLES_S
    wanted = [("50", "active"), ("10", "enabled")]
    while True:
        text = guest.run(f"multipath -ll {guest.map}")
        groups = re.findall(r"prio=(\d+) status=(\w+)", text)
        if sorted(groups, reverse=True) == wanted or time.monotonic() > deadline:
            break
        time.sleep(1)
    check(sorted(groups, reverse=True) == wanted, f"path groups {groups}:\n{text}")
    check(text.count("active ready running") == 4, f"paths:\n{text}")
    check("YOKE,VIRTUAL-DISK" in text and "hwhandler='1 alua'" in text, f"settings:\n{text}")


def test_groups(lab):
    """ALUA makes two path groups, the owner's first."""
    guest = ready(lab)
    check_groups(guest)
    guest.check_log()


def test_handover_and_failback(lab):
    """A planned move there and back: the groups change places, no I/O fails."""
    guest = ready(lab)
    pauses = []
    for to in ("b", "a"):
        pauses.append(during(lab, guest, 15, lambda to=to: move(lab, "g1", to)))
        check_groups(guest)
        check(max(pauses) < 5, f"an I/O took {max(pauses):.1f} s")
    return f"longest I/O {pauses[0]:.2f} s and {pauses[1]:.2f} s"


def test_daemon_killed(lab):
    """SIGKILL for the owner's daemon."""
    guest = ready(lab)
    victim = owner(lab, "g1")
    pause = during(lab, guest, 25, lambda: lab[victim].kill_daemon("yoked"))
    check(owner(lab, "g1") == other(victim), "nobody took over")
    check(pause < 15, f"an I/O took {pause:.1f} s")
    return f"longest I/O {pause:.2f} s"


def test_power_loss(lab):
    """The owner's power goes, and comes back."""
    guest = ready(lab)
    victim = owner(lab, "g1")
    pause = during(lab, guest, 40, lab[victim].power_off)
    check(owner(lab, "g1") == other(victim), "nobody took over")
    check(pause < 30, f"an I/O took {pause:.1f} s")
    lab.heal()
    wait_whole(lab)
    guest = ready(lab)
    check_groups(guest)
    return f"longest I/O {pause:.2f} s"
