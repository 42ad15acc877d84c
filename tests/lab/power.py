# SPDX-License-Identifier: BSD-3-Clause
"""The supervisor of a lab: brings it up, is its power supply, and takes it down in every case.

One process per lab, on its own. It answers one JSON object a line on the lab's unix socket:

    {"do": "own"}                       this connection owns the lab: when it ends, so does the lab
    {"do": "keep"}                      ... unless this was said before
    {"do": "up"}                        namespaces, BMCs, both controllers
    {"do": "power", "node": N, "state": "on" | "off" | "status", "via": "ipmi" | "fast" | "lab"}
    {"do": "fault", "node": N, "via": V, "mode": "none" | "fail" | "lie" | "slow", "seconds": S}
    {"do": "bmc", "node": N, "alive": bool}      a dead BMC answers nothing
    {"do": "status"}, {"do": "down"}

Usage: power.py PREFIX
"""

import json
import os
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
import traceback

import bmc
import cgroups
import faultdisk
import net
import proc
from layout import NODES, Layout
from node import Node, note

OWNER_DEADLINE_S = 15


def remove(layout):
    """Ends every process of a lab and removes everything it made. Idempotent, needs no supervisor."""
    tree = cgroups.Tree(layout)
    if net.exists(layout, "switch"):
        for machine in NODES:
            net.unplug(layout, machine)
    tree.remove()
    net.remove(layout)
    for name in NODES:
        if os.path.ismount(layout.node(name) / "state"):
            proc.run(["umount", "-l", layout.node(name) / "state"], check=False)
    shutil.rmtree(layout.dir, ignore_errors=True)
    try:
        layout.dir.parent.rmdir()
    except OSError:
        pass  # other labs are there, or somebody's files


class Supply:
    """The power supply of the controllers, with the faults that it has been told to have."""

    def __init__(self, layout):
        self.layout = layout
        self.tree = cgroups.Tree(layout)
        self.nodes = {}
        self.locks = {name: threading.Lock() for name in NODES}
        self.faults = {}
        self.bmcs = {}
        self.count = {name: 0 for name in NODES}
        self.disk = None

    def up(self):
        self.tree.create([*NODES, "host", "disk", *(bmc.machine(n) for n in NODES)])
        net.create(self.layout)
        settings = json.loads(self.layout.settings.read_text(encoding="utf-8"))
        if settings.get("fault_disk"):
            self.disk_start()
        for name in NODES if settings.get("state_mib") else ():
            proc.run(["mount", "-t", "tmpfs", "-o", f"size={settings['state_mib']}m,mode=700", "tmpfs",
                      self.layout.node(name) / "state"])
        for name in NODES:
            self.bmcs[name] = bmc.start(self.layout, self.tree, name)
            self.nodes[name] = Node(self.layout, self.tree, name)
        for name in NODES:
            self.power(name, "on", "lab")

    def disk_start(self):
        """The fault disk, a machine of its own that serves the files of the shared disk."""
        program = faultdisk.program()
        command = [program, "--disk", self.layout.shared, "--socket", self.layout.disk_socket,
                   "--log", self.layout.log("disk"), "--until-eof"]
        self.disk = subprocess.Popen(self.tree.enter("disk", command), stdin=subprocess.PIPE)
        proc.wait_for(lambda: self.layout.disk_socket.exists() or self.disk.poll() is not None, 10,
                      "the fault disk serves")
        if self.disk.poll() is not None:
            raise proc.LabError("the fault disk did not start; see the supervisor's log")

    def power(self, name, state, via):
        """Does or asks, under the fault that is set for this way; returns whether power is on."""
        fault = self.faults.get((name, via), {"mode": "none"})
        if fault["mode"] == "slow":
            time.sleep(fault["seconds"])
        if state == "status" and fault["mode"] != "lie":
            on = self.nodes[name].is_on()
            if not on:
                note(self.layout, name, f"power status by {via}: off")
            return on
        if fault["mode"] == "fail":
            note(self.layout, name, f"power {state} by {via}: refused, as ordered by the test")
            raise proc.LabError(f"{via}: power {state} of {name} fails (fault set by the test)")
        if fault["mode"] == "lie":
            if state == "status":
                return fault.get("claimed", self.nodes[name].is_on())
            note(self.layout, name, f"power {state} by {via}: claimed, but not done")
            fault["claimed"] = state == "on"
            return fault["claimed"]
        with self.locks[name]:
            started = time.monotonic()
            changed = self.nodes[name].is_on() != (state == "on")
            if state == "on":
                self.nodes[name].on()
            else:
                self.nodes[name].off()
                self.count[name] += 1 if changed and via != "lab" else 0
            took = (time.monotonic() - started) * 1000
            note(self.layout, name, f"power {state} by {via}"
                 f"{'' if changed else ' (was so already)'}: {took:.0f} ms")
            return self.nodes[name].is_on()

    def bmc_alive(self, name, alive):
        self.tree.freeze(bmc.machine(name), not alive)
        note(self.layout, name, f"BMC {'alive' if alive else 'dead'}")

    def status(self):
        return {"nodes": {name: node.is_on() for name, node in self.nodes.items()},
                "fenced": dict(self.count)}


class Handler(socketserver.StreamRequestHandler):
    """One connection: requests and answers, a line each."""

    def handle(self):
        owner = False
        try:
            for line in self.rfile:
                request = json.loads(line)
                if request["do"] == "own":
                    owner = True
                    self.server.owned.set()
                try:
                    answer = self.server.answer(request)
                except Exception as error:  # pylint: disable=broad-except
                    if not isinstance(error, proc.LabError):
                        traceback.print_exc()
                    answer = {"error": str(error)}
                self.wfile.write(json.dumps(answer).encode() + b"\n")
                if request["do"] == "down":
                    self.server.end()
        except (OSError, ValueError):
            pass
        if owner and not self.server.kept:
            self.server.end()


class Supervisor(socketserver.ThreadingUnixStreamServer):
    """Listens on the lab's socket until told to end, by whatever means."""

    daemon_threads = True

    def __init__(self, layout):
        super().__init__(str(layout.socket), Handler)
        self.layout = layout
        self.supply = Supply(layout)
        self.owned = threading.Event()
        self.kept = False
        self.ending = threading.Event()

    def answer(self, request):
        supply = self.supply
        verbs = {
            "own": lambda: {},
            "keep": self.keep,
            "up": lambda: supply.up() or {},
            "status": supply.status,
            "down": lambda: self.down() or {},
            "power": lambda: {"power": supply.power(request["node"], request["state"],
                                                    request.get("via", "lab"))},
            "fault": lambda: self.fault(request),
            "bmc": lambda: supply.bmc_alive(request["node"], request["alive"]) or {},
        }
        if request["do"] not in verbs:
            raise proc.LabError(f"unknown request {request['do']!r}; known: {' '.join(verbs)}")
        return verbs[request["do"]]()

    def keep(self):
        self.kept = True
        return {}

    def fault(self, request):
        key = (request["node"], request["via"])
        self.supply.faults[key] = {"mode": request["mode"], "seconds": request.get("seconds", 0)}
        note(self.layout, key[0], f"power by {key[1]}: fault {request['mode']}")
        return {}

    def down(self):
        remove(self.layout)

    def end(self):
        """Ends serve_forever() from any thread; once is enough."""
        if not self.ending.is_set():
            self.ending.set()
            threading.Thread(target=self.shutdown, daemon=True).start()


def main():
    layout = Layout(sys.argv[1])
    supervisor = Supervisor(layout)
    proc.record(layout.supervisor_pid, os.getpid())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.end())

    def deadline():
        if not supervisor.owned.wait(OWNER_DEADLINE_S):
            supervisor.end()
    threading.Thread(target=deadline, daemon=True).start()
    try:
        supervisor.serve_forever(poll_interval=0.2)
    finally:
        remove(layout)


if __name__ == "__main__":
    main()
