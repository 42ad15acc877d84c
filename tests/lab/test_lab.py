# SPDX-License-Identifier: BSD-3-Clause
"""The lab itself, with Pacemaker's sample agents in the place of ours: a test of the tests.

What the other tests rely on is shown here: power goes without a word, fencing works in both ways
and can be made to fail, links can be cut, labs do not disturb each other and leave nothing behind.
"""

import os
import signal
import socket
import subprocess
import sys
import time

import cgroups
import proc
from lab import Lab, wait_for
from layout import HERE, HOST_ID, Layout, address
from questions import links_settle
from runner import check

SETTINGS = {"stand_in": True}
LOST_S = 8  # token, consensus, fencing and up to a second of Pacemaker's, on a loaded machine


def fenced(lab, name):
    return lab.ask(do="status")["fenced"][name]


def remains(prefix):
    """What is left of a lab on this machine, as texts; nothing when it is gone."""
    layout = Layout(prefix)
    found = [f"directory {layout.dir}"] if layout.dir.exists() else []
    listing = proc.run(["ip", "netns", "list"]).stdout.splitlines()
    found += [f"namespace {line}" for line in listing if line.split()[0].startswith(f"{prefix}-")]
    found += [f"control group {prefix}"] if cgroups.Tree(layout).exists() else []
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        found += [f"mount {line}" for line in mounts if f"/{prefix}/" in line]
    processes = proc.run(["ps", "-eo", "pid,args"]).stdout.splitlines()
    found += [f"process {line}" for line in processes if f"/{prefix}/" in line
              or line.endswith(f"power.py {prefix}")]
    return found


def test_settles(lab):
    """Both groups are promoted at their homes."""
    check(lab.promoted("g1") == ["a"], "g1 is not promoted at its home a")
    check(lab.promoted("g2") == ["b"], "g2 is not promoted at its home b")


def test_power_loss(lab):
    """a loses its power: b proves it through a's BMC, then promotes; a comes back."""
    lab["a"].power_off()
    lab.wait_owner("g1", "b", LOST_S)
    events = lab["a"].file("log/events")
    check("power status by ipmi: off" in events, f"the BMC was not asked: {events}")
    check("off by fast" not in events, "level 2 was used although level 1 works")
    lab["a"].power_on()
    lab.wait_settled()


def test_frozen_is_fenced(lab):
    """A controller that hangs is really switched off before its group is promoted elsewhere."""
    before = fenced(lab, "b")
    lab["b"].freeze()
    lab.wait_owner("g2", "a", LOST_S)
    check(not lab["b"].is_on(), "g2 was promoted at a while b still had power")
    check(fenced(lab, "b") == before + 1, "b was not fenced exactly once")


def test_dead_bmc(lab):
    """a loses its power and its BMC with it: the second level fences."""
    lab["a"].power_off(bmc=False)
    lab.wait_owner("g1", "b", 25)
    check("power off by fast" in lab["a"].file("log/events"), "level 2 was not used")


def test_fencing_fails(lab):
    """While nothing proves that a is off, nothing is promoted; when it is proved, b takes over."""
    for via in ("ipmi", "fast"):
        lab["a"].fence_fault(via, "fail")
    lab["a"].freeze()
    wait_for(lambda: lab["b"].crm()["nodes"]["a"] == "unclean", LOST_S, "b misses a")
    end = time.monotonic() + 6
    while time.monotonic() < end:
        check("b" not in lab.promoted("g1"), "b promoted g1 without proof that a is off")
        time.sleep(0.2)
    check(lab["a"].is_on(), "a is off although its fencing fails")
    lab["a"].fence_fault("fast", "none")
    lab.wait_owner("g1", "b", 60)


def test_one_link(lab):
    """One cluster link is cut: nothing happens."""
    links_settle()
    before = lab["a"].run(["corosync-quorumtool", "-s"]).stdout
    lab["a"].link("ic0", False)
    time.sleep(3)
    after = lab["a"].run(["corosync-quorumtool", "-s"]).stdout

    def ring(text):
        return [line for line in text.splitlines() if "Ring ID" in line]
    check(ring(before) == ring(after), "the membership changed when one of two links was cut")
    check(lab.settled(), "resources moved when one of two links was cut")


def test_all_links(lab):
    """All cluster links are cut: exactly one controller lives, and it is a, which has the delay."""
    before = fenced(lab, "a"), fenced(lab, "b")
    for network in ("ic0", "ic1"):
        lab["b"].link(network, False)
    lab.wait_owner("g2", "a", LOST_S)
    time.sleep(2)
    check(lab["a"].is_on() and not lab["b"].is_on(), "not exactly a survived")
    check((fenced(lab, "a"), fenced(lab, "b")) == (before[0], before[1] + 1),
          "fenced other than b exactly once")


def test_silent_death(lab):
    """A connection to a controller that loses its power hears nothing: no FIN, no RST."""
    server = lab["a"].command([sys.executable, "-c", (
        "import socket,time; s=socket.create_server(('0.0.0.0',7777)); print('on',flush=True);"
        "c=s.accept()[0]; c.send(b'hello'); time.sleep(600)")], timeout=0)
    client = ("import socket; c=socket.create_connection(('%s',7777)); print(c.recv(9), flush=True);"
              "c.settimeout(3)\n"
              "try: print('heard', c.recv(9))\n"
              "except TimeoutError: print('silence')") % address("san0", 1)
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        with lab.host_start([sys.executable, "-c", client], stdout=subprocess.PIPE,
                            text=True) as peer:
            check("hello" in peer.stdout.readline(), "the connection was not made")
            lab["a"].power_off()
            check(peer.stdout.read().strip() == "silence", "the dead controller spoke")
        process.wait(5)


def test_two_labs(lab):
    """A second lab on the same machine comes up with the same addresses and goes; this one stays."""
    with Lab(f"yk{os.getpid()}1", stand_in=True) as other:
        other.wait_settled()
        other["a"].power_off()
        other.wait_owner("g1", "b", LOST_S)
        check(lab.settled(), "a power loss in one lab disturbed another")
    check(not remains(other.layout.prefix), f"left over: {remains(other.layout.prefix)}")
    check(lab.settled(), "the end of one lab disturbed another")


CRASH = f"""
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
sys.path.insert(0, {str(HERE)!r})
from lab import Lab
lab = Lab(sys.argv[1], stand_in=True).up()
print(lab.supervisor.pid, flush=True)
signal.pause()
"""


def crashing(prefix, number):
    """Runs a program that makes a lab, and ends it by a signal; returns the supervisor's id."""
    with subprocess.Popen([sys.executable, "-B", "-c", CRASH, prefix], stdout=subprocess.PIPE,
                          text=True) as program:
        supervisor = int(program.stdout.readline())
        check(remains(prefix), "remains() finds nothing of a lab that runs")
        program.send_signal(number)
        try:
            program.wait(10)
        except subprocess.TimeoutExpired:
            program.kill()  # so that the test fails and does not wait for ever
            raise
    return supervisor


def test_crash_leaves_nothing():
    """The program that made a lab dies, by any signal: the lab goes away by itself."""
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        prefix = f"yk{os.getpid()}2"
        crashing(prefix, number)
        wait_for(lambda p=prefix: not remains(p), 15, f"lab {prefix} is gone after {number}")


def test_stale_is_found():
    """Program and supervisor are killed: `lab down --stale` finds and removes what is left."""
    prefix = f"yk{os.getpid()}3"
    with subprocess.Popen([sys.executable, "-B", "-c", CRASH, prefix], stdout=subprocess.PIPE,
                          text=True) as program:
        os.kill(int(program.stdout.readline()), signal.SIGKILL)
        program.kill()
    check(remains(prefix), "nothing was left over: the test tests nothing")
    proc.run([HERE / "lab", "down", "--stale"])
    check(not remains(prefix), f"left over: {remains(prefix)}")


def test_host_reaches_portals(lab):
    """The initiator host reaches both controllers over both portal networks."""
    for network in ("san0", "san1"):
        for ident in (1, 2):
            lab.host_run(["ping", "-c", "1", "-W", "2", "-I", address(network, HOST_ID),
                          address(network, ident)])
    check(socket.gethostname() not in ("a", "b"), "a controller's name reached this machine")
