# SPDX-License-Identifier: BSD-3-Clause
"""The cluster lab: two controllers on one machine, with real Corosync, Pacemaker and fencing.

    with Lab() as lab:
        lab.wait_settled()
        lab.controller("a").run(["crm_mon", "-1"])
        lab.controller("a").power_off()

Whatever happens to the program that made it, the lab goes away with it; lab.keep() says otherwise.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cgroups
import cluster
import config
import faultdisk
import net
import node
import power
import proc
from layout import HERE, HOST_NETWORKS, NETWORKS, NODES, TARGET, TOP, Layout, labs, portals
from proc import LabError, wait_for

__all__ = ["Lab", "LabError", "wait_for", "labs", "TARGET"]

DEFAULTS = {
    "cluster": True,               # start Corosync and Pacemaker at boot
    "stand_in": False,             # Pacemaker's sample agents in the place of ours
    "stage": None,                 # directory that the product was installed into (DESTDIR)
    "groups": {"g1": "a", "g2": "b"},
    "failback": "manual",          # of every group
    "standby": None,               # this controller is in standby at first
    "purpose": "test",             # who made it: for `lab status` and `tests/demo --stop`
    "lus": 4,
    "lu_mib": 64,
    "first_lus": None,             # so many LUs are the first group's; None: shared out evenly
    "fault_disk": False,           # the shared disk is tests/faultdisk, which can go wrong
    "extent_settings": {},         # more keys of every extent
    "extents": {},                 # and of those that are named
    "token": 1000,
    "consensus": 300,              # ms, allowed for two nodes; None: Corosync's 1.2 * token
    "fencing": ["ipmi", "fast"],   # the levels, in order
    "fence_delay": True,
    "stonith_action": "off",       # the lab switches on again, as an administrator would
    "state_mib": None,             # each controller's state directory is as small as that
    "fake_clock": False,           # yoked obeys a file "clock" beside its yoke.yaml (libfaketime)
    "deaths": None,                # of a daemon, until it is left alone; None: as the product has it
    "adoption": False,             # portal adoption: portals' addresses are the daemons'
    "chap": False,                 # targets for every way to authenticate (config.KINDS)
    "yoke_settings": {},
    "iscsi": {},                   # the iscsi section of yoke.yaml
    "isns": {},                    # its isns section
    "pacemaker_log": "info",
}


# Only the time of day is false; whoever counts seconds asks another clock.
FAKE_CLOCK = """\
#!/bin/sh
if [ -f /etc/yoke/clock ]; then
	export FAKETIME_TIMESTAMP_FILE=/etc/yoke/clock FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
	export LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1
fi
exec /usr/lib/yoke-lab/yoked "$@"
"""


def default_stage():
    """Where tests/demo and tests/check install the product for the lab."""
    stage = os.environ.get("YOKE_STAGE") or TOP / "build" / "stage"
    return str(stage) if os.path.exists(os.path.join(stage, "usr/sbin/yoked")) else None


class Controller:
    """One controller, seen from outside."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name

    def command(self, args, timeout=30):
        """The command line that runs `args` inside, as a part of the controller."""
        return self.lab.tree.enter(self.name, node.inside(self.lab.layout, self.name, args, timeout))

    def run(self, args, check=True, timeout=30, stdin=None):
        """Runs a program inside to its end and returns its subprocess.CompletedProcess."""
        return proc.run(self.command(args, timeout), check=check, timeout=timeout + 5, stdin=stdin,
                        env=node.ENVIRONMENT)

    def start(self, args, timeout=60, pipes=False, **options):
        """Starts a program inside: a subprocess.Popen; with `pipes` to write to and to read from."""
        ways = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} if pipes else {
            "stdin": subprocess.DEVNULL}
        return subprocess.Popen(self.command(args, timeout), env=node.ENVIRONMENT, **ways, **options)

    def json(self, args, timeout=30):
        """The JSON that a program prints, for example json(["yokectl", "--json", "status"])."""
        return json.loads(self.run(args, timeout=timeout).stdout)

    def yokectl(self, *args, timeout=30):
        return self.json(["yokectl", "--json", *args], timeout=timeout)

    def file(self, path):
        """The text of a log or state file of this controller, also when it is off."""
        return (self.lab.layout.node(self.name) / path).read_text(encoding="utf-8", errors="replace")

    def crm(self):
        """The cluster as this controller sees it (cluster.parse_state), None while it cannot say."""
        try:
            done = self.run(["crm_mon", "--output-as=xml", "-1"], check=False, timeout=5)
        except LabError:
            return None
        return cluster.parse_state(done.stdout) if done.returncode == 0 else None

    def is_on(self):
        return self.lab.tree.populated(self.name)

    def is_awake(self):
        """On, and not frozen: it could answer."""
        return self.is_on() and not self.lab.tree.frozen(self.name)

    def power_off(self, bmc=True):
        """Loses its power, at once and without a sound; with bmc=False its BMC is dead too."""
        if not bmc:
            self.lab.ask(do="bmc", node=self.name, alive=False)
        self.lab.ask(do="power", node=self.name, state="off")

    def power_on(self):
        """Switches it on, with all its links (and its BMC, if that was dead)."""
        self.lab.ask(do="bmc", node=self.name, alive=True)
        self.lab.ask(do="power", node=self.name, state="on")

    def bmc(self, alive):
        self.lab.ask(do="bmc", node=self.name, alive=alive)

    def fence_fault(self, via, mode, seconds=0):
        """Makes fencing of this controller by "ipmi" or "fast" go wrong: none, fail, lie, slow."""
        self.lab.ask(do="fault", node=self.name, via=via, mode=mode, seconds=seconds)

    def pids(self, daemon):
        """Process ids (as seen from outside) of the controller's processes with this name."""
        found = proc.children_names(self.lab.tree.pids(self.name))
        return [pid for pid, name in found if name == daemon[:15]]

    def send_signal(self, daemon, number):
        """Sends a signal to every process of that name in this controller; how many there were."""
        pids = self.pids(daemon)
        for pid in pids:
            proc.kill(pid, number)
        return len(pids)

    def kill_daemon(self, daemon="yoked", number=signal.SIGKILL):
        """Kills a daemon; LabError when it does not run."""
        if not self.send_signal(daemon, number):
            raise LabError(f"{daemon} does not run on controller {self.name}")

    def stop_cluster(self, timeout=60):
        """Stops Pacemaker and then Corosync in good order, as a shutdown of the machine does."""
        self.send_signal("pacemakerd", signal.SIGTERM)
        wait_for(lambda: not self.pids("pacemakerd"), timeout, f"Pacemaker at {self.name} has ended")
        self.run(["corosync-cfgtool", "-H"], check=False)
        wait_for(lambda: not self.pids("corosync"), timeout, f"Corosync at {self.name} has ended")

    def freeze(self):
        """Stops the whole controller in mid-instruction; its links stay up."""
        self.lab.tree.freeze(self.name, True)

    def thaw(self):
        self.lab.tree.freeze(self.name, False)

    def link(self, network, up):
        """Pulls or plugs one cable: san0, san1, ic0, ic1 or mgmt."""
        net.link_set(self.lab.layout, self.name, network, up)

    def portals(self):
        return portals(self.name)


class Lab:
    """A lab. Settings: the keys of DEFAULTS."""

    def __init__(self, prefix=None, **settings):
        unknown = set(settings) - set(DEFAULTS)
        if unknown:
            raise LabError(f"unknown settings {sorted(unknown)}; known: {' '.join(DEFAULTS)}")
        self.settings = {**DEFAULTS, **settings}
        if not self.settings["stand_in"] and self.settings["stage"] is None:
            self.settings["stage"] = default_stage()
        self.layout = Layout(prefix or f"yk{os.getpid()}")
        self.tree = cgroups.Tree(self.layout)
        self.controllers = {name: Controller(self, name) for name in NODES}
        self.link = None
        self.new = False
        self.supervisor = None
        self.kept = False

    @classmethod
    def attach(cls, prefix):
        """A lab that runs already; ending this program does not end it."""
        lab = cls(prefix)
        try:
            lab.settings = json.loads(lab.layout.settings.read_text(encoding="utf-8"))
            lab.link = lab._connect()
        except OSError as error:
            raise LabError(f"lab {prefix} does not run ({error}); see `lab status`") from error
        return lab

    def __enter__(self):
        return self.up()

    def __exit__(self, *_):
        if self.kept:
            self.link.close()
        else:
            self.down()

    def __getitem__(self, name):
        return self.controllers[name]

    def controller(self, name):
        return self.controllers[name]

    # ----- up and down --------------------------------------------------------------------------

    def up(self):
        """Starts the supervisor, which builds everything; returns when both controllers boot."""
        settings, layout = self.settings, self.layout
        if not settings["stand_in"] and settings["cluster"] and settings["stage"] is None:
            raise LabError("the product is not installed for the lab: run tests/check or tests/demo "
                           "first, or set YOKE_STAGE to a directory of `make install DESTDIR=`")
        os.umask(0o022)
        try:
            layout.dir.mkdir(parents=True)
            self._write()
            with open(layout.log("supervisor"), "ab") as log:
                self.supervisor = subprocess.Popen(
                    [sys.executable, "-B", HERE / "power.py", layout.prefix], cwd="/",
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            self.link = wait_for(self._try_connect, 10, "the supervisor of the lab answers")
            self.ask(do="own")
            self.ask(do="up")
            self.tree = cgroups.Tree(layout)
            self.new = True
        except BaseException:
            self.down()
            raise
        return self

    def _write(self):
        """Everything on disk that the lab needs before its first process."""
        layout, settings = self.layout, self.settings
        (layout.dir / "log").mkdir()
        layout.settings.write_text(json.dumps(settings), encoding="utf-8")
        for name in NODES:
            node.prepare(layout, name)
        config.write(layout, settings)
        key = os.urandom(256)
        conf = cluster.corosync_conf(settings)
        cib = cluster.cib(layout, settings)
        for name in NODES:
            home = layout.node(name)
            (home / "corosync" / "corosync.conf").write_text(conf, encoding="ascii")
            (home / "corosync" / "authkey").write_bytes(key)
            (home / "corosync" / "authkey").chmod(0o400)
            (home / "pacemaker" / "cib" / "cib.xml").write_text(cib, encoding="utf-8")
            (home / "pacemaker" / "cib" / "cib.xml").chmod(0o600)
            proc.run(["chown", "-R", "hacluster:haclient", home / "pacemaker"])
        for place in ("usr/sbin", "etc/yoke", "var/lib/yoke", "srv/yoke"):
            (layout.overlay / place).mkdir(parents=True)
        if settings["fake_clock"]:
            self._fake_clock()
        agent = layout.overlay / "usr/sbin/fence_lab"
        agent.write_bytes((HERE / "fence_lab").read_bytes())
        agent.chmod(0o755)

    def _fake_clock(self):
        """Puts a script in the daemon's place that starts it under libfaketime, when asked to."""
        real = self.layout.overlay / "usr/lib/yoke-lab"
        real.mkdir(parents=True)
        shutil.copy(Path(self.settings["stage"]) / "usr/sbin/yoked", real / "yoked")
        script = self.layout.overlay / "usr/sbin/yoked"
        script.write_text(FAKE_CLOCK, encoding="ascii")
        script.chmod(0o755)

    def down(self):
        """Removes the lab with everything in it."""
        stop(self.layout)
        if self.link is not None:
            self.link.close()
            self.link = None
        if self.supervisor is not None:
            self.supervisor.wait(30)
            self.supervisor = None

    def keep(self):
        """The lab outlives this program; `lab down` ends it."""
        self.ask(do="keep")
        self.kept = True

    def _connect(self):
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(60)
        link.connect(str(self.layout.socket))
        return link.makefile("rw", encoding="utf-8")

    def _try_connect(self):
        if self.supervisor.poll() is not None:
            raise LabError("the supervisor died: "
                           + self.layout.log("supervisor").read_text(encoding="utf-8"))
        try:
            return self._connect()
        except OSError:
            return None

    def ask(self, **request):
        """A request to the supervisor (see power.py); LabError when it says no."""
        try:
            self.link.write(json.dumps(request) + "\n")
            self.link.flush()
            line = self.link.readline()
        except OSError as error:
            raise LabError(f"the supervisor of lab {self.layout.prefix} is gone: {error}") from error
        if not line:
            raise LabError(f"the supervisor of lab {self.layout.prefix} is gone")
        answer = json.loads(line)
        if "error" in answer:
            raise LabError(answer["error"])
        return answer

    # ----- the initiator host -------------------------------------------------------------------

    def host_command(self, args):
        """The command line that runs `args` at the initiator host."""
        inside = ["nsenter", f"--net={self.layout.netns_path('host')}", *map(str, args)]
        return self.tree.enter("host", inside)

    def host_run(self, args, check=True, timeout=30, stdin=None):
        return proc.run(self.host_command(args), check=check, timeout=timeout, stdin=stdin)

    def host_start(self, args, **options):
        """Starts a program at the initiator host: a subprocess.Popen."""
        return subprocess.Popen(self.host_command(args), **options)

    def host_link(self, network, up):
        net.link_set(self.layout, "host", network, up)

    def disk(self):
        """The fault disk's control connection, a faultdisk.FaultDisk; close() it."""
        return faultdisk.FaultDisk(self.layout.disk_socket)

    def disk_log(self):
        """What the fault disk has done so far, in order."""
        return faultdisk.read_log(self.layout.log("disk"))

    def portals(self):
        """All portals, path by path."""
        return [portals(name)[i] for i in range(len(HOST_NETWORKS)) for name in NODES]

    # ----- the cluster --------------------------------------------------------------------------

    def crm(self):
        """The cluster as the first controller sees it that can say."""
        for controller in self.controllers.values():
            if controller.is_awake():
                state = controller.crm()
                if state is not None and state["dc"] is not None:
                    return state
        return None

    def promoted(self, group):
        """Names of the controllers where the group's resource is promoted."""
        state = self.crm()
        roles = state["roles"].get(f"yoke-{group}", {}) if state else {}
        return sorted(name for name, role in roles.items() if role == "Promoted")

    def settled(self):
        """True when both are online and each group is promoted at one and unpromoted at the other."""
        if not self.settings["cluster"]:
            return True
        state = self.crm()
        if state is None or any(state["nodes"].get(n) != "online" for n in NODES):
            return False
        return all(sorted(state["roles"].get(f"yoke-{g}", {}).values())
                   == ["Promoted", "Unpromoted"] for g in self.settings["groups"])

    def at_home(self):
        """True when each group is promoted at its home."""
        return not self.settings["cluster"] or all(
            self.promoted(group) == [home] for group, home in self.settings["groups"].items())

    def wait_settled(self, timeout=60):
        """Waits until both controllers serve; how long it took, in seconds.

        Where one has come up later than the other, its groups were at the other first; the first
        time all this waits for them to come home.
        """
        start = time.monotonic()
        wait_for(lambda: self.settled() and (not self.new or self.at_home()), timeout,
                 f"lab {self.layout.prefix} has settled", 0.05)
        self.new = False
        return time.monotonic() - start

    def heal(self, timeout=60):
        """Undoes every fault: power and links on, BMCs alive, failures forgotten; waits."""
        if self.settings.get("fault_disk"):
            disk = self.disk()
            disk.unrule()
            disk.close()
        for name, controller in self.controllers.items():
            for via in ("ipmi", "fast"):
                controller.fence_fault(via, "none")
            if controller.is_on():
                controller.thaw()
            controller.power_on()
            for network in NETWORKS:
                controller.link(network, True)
            if self.settings["cluster"]:
                controller.run(["crm_standby", "--node", name, "-D"], check=False)
        for network in HOST_NETWORKS:
            self.host_link(network, True)

        def whole():
            # Fencing that was under way may strike a controller that has just been switched on.
            for controller in self.controllers.values():
                if not controller.is_on():
                    controller.power_on()
            return self.settled()
        wait_for(whole, timeout, f"lab {self.layout.prefix} has settled", 0.05)
        if self.settings["cluster"] and any(self.crm()["failed"]):
            self.controllers["a"].run(["crm_resource", "--cleanup"])
            self.wait_settled(timeout)

    def wait_owner(self, group, name, timeout=30):
        wait_for(lambda: self.promoted(group) == [name], timeout,
                 f"group {group} is promoted at {name} only", 0.05)


def stop(layout):
    """Takes a lab down through its supervisor, or without it when that is gone or does not answer."""
    pid = proc.recorded(layout.supervisor_pid)
    if pid is not None:
        proc.kill(pid, signal.SIGTERM)
        try:
            wait_for(lambda: proc.start_time(pid) is None, 60, f"supervisor {pid} has ended")
        except LabError:
            proc.kill(pid)
    power.remove(layout)
