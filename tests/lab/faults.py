# SPDX-License-Identifier: BSD-3-Clause
"""The faults of the matrix, as rows: how each strikes, how it is healed, in which states it counts."""

import json
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Callable, NamedTuple, Tuple

import nft
import proc
from lab import LabError, wait_for
from layout import HERE, HOST_NETWORKS, NODES, address
from questions import agent, group, in_sync, other
from states import nothing

CLUSTER_LINKS = ("ic0", "ic1")
FENCES = ("ipmi", "fast")
# pacemakerd starts these again; itself nobody would, in the lab.
PACEMAKER = ("pacemaker-based", "pacemaker-fenced", "pacemaker-execd", "pacemaker-attrd",
             "pacemaker-schedulerd", "pacemaker-controld")


# ----- daemons ----------------------------------------------------------------------------------

def kill(daemon):
    return lambda cell: cell.victim.send_signal(daemon, signal.SIGKILL)


def kill_both(cell):
    for node in NODES:
        cell.lab[node].send_signal("yoked", signal.SIGKILL)


def freeze(low, high):
    """Stops yoked and wakes it again."""
    def inject(cell):
        cell.victim.send_signal("yoked", signal.SIGSTOP)
        cell.rest(low, high)
        cell.victim.send_signal("yoked", signal.SIGCONT)
    return inject


def pacemaker_killed(cell):
    daemon = cell.random.choice(PACEMAKER)
    cell.note(f"SIGKILL of {daemon}")
    cell.victim.send_signal(daemon, signal.SIGKILL)


def pacemaker_hangs(cell):
    daemon = cell.random.choice(PACEMAKER)
    cell.note(f"{daemon} stops")
    cell.victim.send_signal(daemon, signal.SIGSTOP)
    cell.rest(1, 4)
    if cell.victim.is_on():
        cell.victim.send_signal(daemon, signal.SIGCONT)


# ----- controllers ------------------------------------------------------------------------------

def fenced(cell, seconds=25):
    """Waits until the victim is off, and the other has its groups."""
    survivor = other(cell.victim.name)
    wait_for(lambda: not cell.victim.is_on(), seconds, f"{cell.victim.name} is fenced", 0.01)
    for name in cell.lab.settings["groups"]:
        cell.lab.wait_owner(name, survivor, seconds)


def power(cell):
    cell.victim.power_off()
    fenced(cell)


def power_both(cell):
    for node in NODES:
        cell.lab[node].power_off()


def hard_freeze(cell):
    cell.victim.freeze()
    fenced(cell)


def init_killed(cell):
    """The first process dies: the kernel lives a moment longer and says goodbye to everybody."""
    proc.kill(proc.recorded(cell.lab.layout.pid(cell.victim.name)))
    fenced(cell)


def corosync(number):
    def inject(cell):
        cell.victim.send_signal("corosync", number)
        fenced(cell)
    return inject


def on(cell):
    """Power for whoever has none."""
    for node in NODES:
        cell.lab[node].power_on()


# ----- fencing ----------------------------------------------------------------------------------

def fencing(cell, mode, seconds=0):
    for via in FENCES:
        cell.victim.fence_fault(via, mode, seconds)


def fencing_slow(cell):
    cell.victim.fence_fault("ipmi", "slow", 2)
    power(cell)


def fencing_fails(cell):
    """Without proof that the frozen controller is off nobody serves its groups."""
    survivor = other(cell.victim.name)
    mine = [name for name in cell.lab.settings["groups"] if group(cell.lab, name)["owner"] == cell.victim.name]
    fencing(cell, "fail")
    cell.victim.freeze()
    until = time.monotonic() + cell.draw(4, 6)
    while time.monotonic() < until:
        for name in mine:
            told = group(cell.lab, name, at=survivor)
            cell.check(told["owner"] != survivor, f"{survivor} took {name} without proof: {told}")
        time.sleep(0.2)
    fencing(cell, "none")
    # Pacemaker that has given up tries again at its next occasion, minutes later: this is one.
    cell.lab[survivor].run(["crm_resource", "--cleanup"], check=False)
    fenced(cell, 60)


def fencing_lies(cell):
    """The frozen controller wakes after the takeover, with its power on: the disk refuses it."""
    fencing(cell, "lie")
    cell.victim.freeze()
    survivor = other(cell.victim.name)
    for name in cell.lab.settings["groups"]:
        cell.lab.wait_owner(name, survivor, 30)
    cell.check(cell.victim.is_on(), "fencing did not lie")
    cell.rest(0.2, 1.0)
    cell.victim.thaw()
    cell.rest(0.5, 1.0)


def fencing_true(cell):
    fencing(cell, "none")
    cell.victim.power_off()
    on(cell)


# ----- networks ---------------------------------------------------------------------------------

def links(networks, up):
    def inject(cell):
        for network in networks:
            cell.victim.link(network, up)
    return inject


def one_survivor(cell):
    """Waits until exactly one controller lives, with everything."""
    def one_left():
        living = [node for node in NODES if cell.lab[node].is_on()]
        return len(living) == 1 and living
    survivor = wait_for(one_left, 25, "exactly one controller lives")[0]
    for name in cell.lab.settings["groups"]:
        cell.lab.wait_owner(name, survivor, 25)


def split(cell):
    links(CLUSTER_LINKS, False)(cell)
    one_survivor(cell)


def split_one_way(cell):
    nft.deaf(cell.lab, cell.victim.name, CLUSTER_LINKS)
    one_survivor(cell)


def links_flap(cell):
    """For shorter than Corosync waits, and sometimes nearly as long."""
    for _ in range(3):
        links(CLUSTER_LINKS, False)(cell)
        cell.rest(0.05, 0.8)
        links(CLUSTER_LINKS, True)(cell)
        cell.rest(0.3, 0.8)


def links_lossy(cell):
    nft.lossy(cell.lab, cell.victim.name, CLUSTER_LINKS, cell.random.choice((5, 10, 20)))


def mended(cell):
    """Links and packets as they should be; power for whoever was shot meanwhile."""
    on(cell)
    for node in NODES:
        nft.clear(cell.lab, node)
        for network in CLUSTER_LINKS:
            cell.lab[node].link(network, True)


def interconnect(chain, verdict):
    """Of both chains, or of one: then it is half open."""
    def inject(cell):
        for name in chain.split():
            nft.interconnect(cell.lab, cell.victim.name, name, verdict)
    return inject


def interconnect_replayed(cell):
    """Everything that went over the interconnect is sent again, by somebody in the middle of it."""
    name = cell.peer.name  # who ships to the owner
    peer = address("ic0", NODES[other(name)])
    middle = cell.peer.start([sys.executable, "-B", HERE / "replay.py", peer, nft.INTERCONNECT_PORT,
                                nft.MIDDLE_PORT], timeout=100, text=True, pipes=True)
    cell.finish.append(lambda: middle.communicate("\n", timeout=20))
    cell.check(middle.stdout.readline() == "ready\n", "nobody in the middle")
    nft.redirect_interconnect(cell.lab, name)
    cell.rest(2.0, 2.5)
    for _ in range(3):
        middle.stdin.write("again\n")
        middle.stdin.flush()
        told = json.loads(middle.stdout.readline())
        cell.rest(0.2, 0.4)
    cell.note(f"in the middle: {told}")
    cell.check(told["replayed"] > 0, f"nothing to replay: {told}")


def flap(networks, count, low, high):
    def inject(cell):
        for _ in range(count):
            links(networks, False)(cell)
            cell.rest(low, high)
            links(networks, True)(cell)
            cell.rest(low, high)
    return inject


def portals_reset(cell):
    """Hosts' connections are reset again and again."""
    for _ in range(3):
        nft.reset_hosts(cell.lab, cell.victim.name)
        cell.rest(0.05, 0.2)
        nft.clear(cell.lab, cell.victim.name)
        cell.rest(0.2, 0.5)


# ----- the disk ---------------------------------------------------------------------------------

def ruled(cell, action, **words):
    disk = cell.lab.disk()
    disk.rule(action, **words)
    disk.close()


def disk_hangs(cell):
    ruled(cell, "hold", nexus=cell.victim.name, op="all")


def disk_hangs_everywhere(cell):
    for node in NODES:
        ruled(cell, "hold", nexus=node, op="all")


def disk_slow(cell):
    ruled(cell, "slow", nexus=cell.victim.name, op="all", ms=cell.random.randrange(20, 200))


def disk_well(cell):
    disk = cell.lab.disk()
    disk.unrule()
    disk.close()


def writes_on_their_way(cell):
    """The controller loses its power with writes under way, which arrive after the takeover."""
    disk = cell.lab.disk()
    disk.rule("hold", nexus=cell.victim.name)
    try:
        wait_for(lambda: disk.waiting(cell.victim.name) > 0, 5, "writes are on their way")
    except LabError:
        cell.note("no write was on its way")
    cell.victim.power_off()
    fenced(cell)
    disk.unrule()
    disk.close()


def answers_late(then):
    """Writes are applied, their answers are not there yet: then something happens to who waits."""
    def inject(cell):
        disk = cell.lab.disk()
        disk.rule("late", nexus=cell.victim.name)
        try:
            wait_for(lambda: disk.waiting(cell.victim.name) > 0, 3, "answers are late")
            cell.note(f"{disk.waiting(cell.victim.name)} answers are late")
        except LabError:
            cell.note("no write was under way")
        disk.close()
        cell.rest(0, 0.1)
        then(cell)
    return inject


def answered(cell):
    disk_well(cell)
    mended(cell)


# ----- roles ------------------------------------------------------------------------------------

AGENT = ("env", "OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_PROVIDER=yoke", "OCF_RESOURCE_TYPE=group",
         "OCF_RESOURCE_INSTANCE=yoke-g1", "OCF_RESKEY_group=g1", "OCF_RESKEY_CRM_meta_timeout=20000",
         "/usr/lib/ocf/resource.d/yoke/group")


def promote_both(cell):
    """The agent's promote at both controllers at the same moment, behind Pacemaker's back."""
    for node in NODES:
        cell.start(cell.lab[node], [*AGENT, "promote"])


def demote_again(cell):
    for _ in range(3):
        agent(cell.lab, cell.victim.name, "demote", "g1")


def agents_killed(cell):
    """Whatever agents run during a second are killed; there is something for them to do."""
    to = other(cell.victim.name)
    cell.start(cell.lab[to], ["yokectl", "group", "move", "g1", to])
    end = time.monotonic() + 1
    while time.monotonic() < end:
        for node in NODES:
            for name in ("group", "controller"):
                cell.lab[node].send_signal(name, signal.SIGKILL)
        cell.rest(0.01, 0.1)


def agents_left_alone(cell):
    """An agent that was killed counts as failed, and a stop that fails as a reason to fence."""
    wait_for(lambda: any(cell.lab[node].is_on() for node in NODES), 30, "a controller lives")
    on(cell)


# ----- resources --------------------------------------------------------------------------------

def state_place(cell):
    return cell.lab.layout.node(cell.victim.name) / "state"


def state_full(cell):
    cell.victim.run(["dd", "if=/dev/zero", "of=/var/lib/yoke/fill", "bs=64k"], check=False)


def state_has_room(cell):
    (state_place(cell) / "fill").unlink(missing_ok=True)


def state_read_only(cell):
    """A daemon that comes up finds that it cannot write."""
    cell.victim.kill_daemon("yoked")
    wait_for(lambda: not cell.victim.pids("yoked"), 5, "yoked has ended", 0.001)
    proc.run(["mount", "-o", "remount,ro", state_place(cell)], check=False)


def state_writable(cell):
    proc.run(["mount", "-o", "remount,rw", state_place(cell)])


def state_torn(cell):
    """The daemon dies, and the last bytes of its journal never got to the disk."""
    cell.victim.kill_daemon("yoked")
    journal = state_place(cell) / "ledger.journal"
    size = journal.stat().st_size
    with open(journal, "r+b") as file:
        file.truncate(max(size - cell.random.randrange(1, 40), size // 2))


def limited(limit, room):
    """A limit of the running daemon a little above what it uses."""
    def inject(cell):
        for pid in cell.victim.pids("yoked"):
            most = room(pid)
            cell.note(f"limit {limit}: {most}")
            resource.prlimit(pid, limit, (most, resource.prlimit(pid, limit)[1]))
        flap(("san0",), 2, 0.2, 0.4)(cell)
    return inject


def descriptors(pid):
    """As many as it has, and two more."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir())) + 2


def address_space(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        size = next(line for line in file if line.startswith("VmSize")).split()[1]
    return (int(size) + 256) * 1024


def unlimited(cell):
    for pid in cell.victim.pids("yoked"):
        for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS):
            hard = resource.prlimit(pid, limit)[1]
            resource.prlimit(pid, limit, (hard, hard))


# ----- time -------------------------------------------------------------------------------------

def clock_jumps(cell):
    """Years forth and back, for a daemon that gets its time from libfaketime."""
    clock = cell.lab.layout.node(cell.victim.name) / "yoke" / "clock"
    clock.write_text("+0\n", encoding="ascii")
    cell.victim.kill_daemon("yoked")
    wait_for(lambda: in_sync(cell.lab, cell.victim.name), 30, "the daemon is back, on the other clock")
    for jump in ("+10y", "-8y", "+1h", "-1d"):
        clock.write_text(jump + "\n", encoding="ascii")
        cell.rest(0.3, 0.6)


def clock_right(cell):
    clock = cell.lab.layout.node(cell.victim.name) / "yoke" / "clock"
    clock.write_text("+0\n", encoding="ascii")


class Fault(NamedTuple):
    """A fault: it strikes, lasts for a time between two numbers of seconds, is healed."""
    name: str
    text: str
    inject: Callable
    states: str  # in tests/check
    more: str = ""  # with --all, too
    heal: Callable = nothing
    hold: Tuple[float, float] = (0.2, 0.5)
    limit_s: float = 30  # the longest that a command may take
    allowed: Tuple[str, ...] = ()  # senses that this fault may bring


ROWS = (
    Fault("yoked-killed", "SIGKILL of yoked", kill("yoked"),
          "mixed data-out caw pr handover takeover failback reload rejoin", "idle alone"),
    Fault("both-killed", "SIGKILL of yoked at both", kill_both, "mixed", "idle caw pr handover reload", limit_s=60),
    Fault("yoked-frozen-ms", "yoked does not run for 10 to 900 ms", freeze(0.01, 0.9),
          "mixed caw handover reload", "idle data-out pr failback alone rejoin"),
    Fault("yoked-frozen-s", "yoked does not run for 1 to 4 s", freeze(1, 4),
          "mixed caw pr handover", "idle data-out takeover failback reload alone rejoin"),
    Fault("power", "the controller loses its power", power, "mixed pr", "idle data-out caw handover reload",
          heal=on),
    Fault("power-late-writes", "... with writes on their way to the disk", writes_on_their_way, "mixed",
          "caw pr", heal=on),
    Fault("power-both", "both controllers lose their power", power_both, "mixed", "idle caw pr handover reload",
          heal=on, limit_s=60),
    Fault("controller-frozen", "the whole controller stands still", hard_freeze, "mixed", "idle caw pr handover",
          heal=on),
    Fault("init-killed", "the controller's first process dies", init_killed, "mixed", "caw handover", heal=on),
    Fault("fencing-slow", "... and the BMC takes its time", fencing_slow, "mixed", "caw", heal=fencing_true),
    Fault("fencing-fails", "no fencing of a frozen controller for some seconds", fencing_fails, "mixed", "pr caw",
          heal=on, limit_s=60),
    Fault("fencing-lies", "fencing lies, and the frozen controller wakes", fencing_lies, "mixed", "caw",
          heal=fencing_true),
    Fault("corosync-killed", "SIGKILL of corosync", corosync(signal.SIGKILL), "mixed",
          "idle caw pr handover reload", heal=on),
    Fault("corosync-hung", "SIGSTOP of corosync", corosync(signal.SIGSTOP), "mixed", "idle caw handover",
          heal=on),
    Fault("pacemaker-killed", "SIGKILL of one of Pacemaker's daemons", pacemaker_killed, "mixed handover",
          "idle caw takeover failback rejoin", heal=on, hold=(1.0, 2.0)),
    Fault("pacemaker-hangs", "one of Pacemaker's daemons does not run for seconds", pacemaker_hangs,
          "mixed handover", "idle takeover failback", heal=on),
    Fault("cluster-links-cut", "both cluster links are cut", split, "mixed", "idle caw pr handover reload",
          heal=mended),
    Fault("cluster-links-one-way", "the controller hears nothing more of the other", split_one_way, "mixed",
          "caw pr handover", heal=mended),
    Fault("cluster-links-flap", "both cluster links go down and up", links_flap, "mixed", "caw pr handover",
          heal=mended),
    Fault("cluster-links-lossy", "packets of the cluster go missing", links_lossy, "mixed handover", "caw pr reload",
          heal=mended, hold=(1.5, 3.0)),
    Fault("one-link-cut", "one cluster link is cut", links(("ic1",), False), "mixed", "idle caw handover",
          heal=mended, hold=(1.5, 2.5)),
    Fault("interconnect-cut", "no packet of the interconnect passes", interconnect("input output", "drop"),
          "caw pr", "idle mixed data-out handover", heal=mended, hold=(1.0, 2.5)),
    Fault("interconnect-half-open", "what the controller sends over it gets lost", interconnect("output", "drop"),
          "caw", "mixed pr handover", heal=mended, hold=(1.0, 2.5)),
    Fault("interconnect-reset", "its connections are reset", interconnect("input", "reject with tcp reset"),
          "caw", "mixed data-out pr handover", heal=mended),
    Fault("interconnect-replayed", "what went over it is sent again", interconnect_replayed, "caw", "pr mixed",
          heal=mended),
    Fault("portal-flaps", "a portal's network goes down and up", flap(("san0",), 4, 0.2, 0.6),
          "mixed caw handover", "idle data-out pr takeover failback alone"),
    Fault("portals-down", "no host network for seconds", flap(HOST_NETWORKS, 1, 1.0, 4.0), "mixed",
          "caw data-out pr handover"),
    Fault("portals-reset", "hosts' connections are reset", portals_reset, "mixed caw", "pr data-out handover",
          heal=mended),
    Fault("disk-hangs", "the disk hangs at the controller", disk_hangs, "mixed", "caw pr handover takeover",
          heal=disk_well, hold=(1.0, 7.0)),
    Fault("disk-hangs-everywhere", "the disk hangs at both", disk_hangs_everywhere, "mixed", "caw pr handover",
          heal=disk_well, hold=(1.0, 6.0)),
    Fault("disk-slow", "the disk takes its time", disk_slow, "handover", "mixed caw takeover failback",
          heal=disk_well, hold=(1.0, 3.0)),
    Fault("answers-late-reset", "a write is applied, its connection is reset before the answer",
          answers_late(portals_reset), "mixed caw", "pr handover", heal=answered),
    Fault("answers-late-killed", "a write is applied, yoked is killed before the answer",
          answers_late(kill("yoked")), "mixed", "caw data-out pr handover", heal=answered),
    Fault("answers-late-power", "a write is applied, the power is lost before the answer",
          answers_late(power), "caw", "mixed handover", heal=answered),
    Fault("promote-both", "promote at both controllers at once", promote_both, "mixed",
          "idle caw handover failback", hold=(0.5, 1.0)),
    Fault("demote-again", "demote at the owner, three times", demote_again, "mixed", "idle caw handover"),
    Fault("agents-killed", "agents are killed while they work", agents_killed, "mixed", "caw failback",
          heal=agents_left_alone),
    Fault("state-full", "no room in the state directory", state_full, "pr mixed", "handover takeover reload",
          heal=state_has_room, hold=(1.0, 2.0)),
    Fault("state-read-only", "the state directory cannot be written", state_read_only, "pr", "mixed",
          heal=state_writable, hold=(1.0, 2.0)),
    Fault("state-torn", "the end of the journal got lost with the daemon", state_torn, "pr", "mixed"),
    Fault("descriptors", "no more descriptors", limited(resource.RLIMIT_NOFILE, descriptors), "mixed", "caw reload",
          heal=unlimited),
    Fault("memory", "no more memory", limited(resource.RLIMIT_AS, address_space), "mixed", "caw pr reload handover",
          heal=unlimited),
    Fault("clock-jumps", "the clock jumps by years", clock_jumps, "mixed", "caw handover", heal=clock_right),
)
FAULTS = {row.name: row for row in ROWS}
