# SPDX-License-Identifier: BSD-3-Clause
"""One cell of the matrix: the array is brought into a state, a fault strikes, everything is healed
and judged.

The parts of a cell are in its log as they happen. What draws times by lot takes them from the
cell's own random numbers, so that its seed tells them again.
"""

import json
import random
import time

import faultdisk
from lab import LabError, wait_for
from layout import NODES
from load import Load, lives
from questions import RTPG, agree, group, other, owner, probe

HEAL_LIMIT_S = 30  # an optimized path again, after healing
WHOLE_LIMIT_S = 90  # both controllers in sync and agreed
TUR = "000000000000"

# What no host may ever hear because a controller, a link or a daemon is lost.
FORBIDDEN = ("3/", "4/", "5/", "7/", "8/", "status 18", "status 30")

SETTINGS = {
    # Deaths are what this is about: they must not add up.
    "deaths": 1000000, "state_mib": 16, "fake_clock": True, "fault_disk": True, "lus": 6, "lu_mib": 16, "extent_settings": {"write_key": "required"},
}


class Violation(Exception):
    """Something that must hold did not."""


class Judge:
    """Looks at what a lab's own logs say, each time at what is new."""

    def __init__(self, lab):
        self.lab = lab
        self.log = faultdisk.LogJudge()
        self.offset = 0
        self.crashes = {node: 0 for node in NODES}

    def disk(self):
        """Complaints about the disk's log since the last time."""
        with open(self.lab.layout.log("disk"), "rb") as file:
            file.seek(self.offset)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        self.offset += whole
        return self.log.feed(json.loads(line) for line in data[:whole].splitlines())

    def crashed(self):
        """Processes that have died of a bug since the last time."""
        found = []
        for node in NODES:
            path = self.lab.layout.node(node) / "log" / "crashes"
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            found += [f"{node}: {line}" for line in lines[self.crashes[node]:]]
            self.crashes[node] = len(lines)
        return found


class Cell:
    """A fault in a state, in a lab that is whole."""

    def __init__(self, lab, judge, fault, state, seed):
        self.lab, self.judge, self.fault, self.state = lab, judge, fault, state
        self.random = random.Random(seed)
        self.seed = seed
        self.started = time.monotonic()
        self.notes = []
        self.loads = []
        self.programs = []  # hosts of other kinds
        self.histories = []
        self.finish = []  # called when the fault is healed, last one first
        self.owner = self.peer = self.victim = None
        self.longest_ms = 0.0

    # ----- for states and faults ----------------------------------------------------------------

    def note(self, text):
        self.notes.append(f"{time.monotonic() - self.started:6.2f} {text}")

    def draw(self, low, high):
        return self.random.uniform(low, high)

    def rest(self, low, high=None):
        """Sleeps for a time between low and high, in seconds."""
        time.sleep(self.draw(low, low if high is None else high))

    def load(self, luns, options, name):
        """Starts the I/O program; it is judged at the end."""
        load = Load(self.lab, luns=luns, name=name, options=options)
        self.loads.append(load)
        return load

    def start(self, node, args):
        """Starts a program at a controller, whatever becomes of it, and waits for its end at last."""
        process = node.start(args, stdout=-3, stderr=-3)
        self.finish.append(lambda: process.wait(90))
        return process

    def check(self, condition, text):
        if not condition:
            raise Violation(text)

    def look(self):
        """Who owns g1, who does not; the fault strikes the owner unless the state says otherwise."""
        name = owner(self.lab, "g1")
        if name not in NODES:
            raise Violation(f"g1 has no owner: {group(self.lab, 'g1')}")
        self.owner, self.peer = self.lab[name], self.lab[other(name)]
        self.victim = self.owner

    # ----- the way of a cell --------------------------------------------------------------------

    def run(self):
        """Raises Violation, or LabError when the lab itself does not work."""
        self.whole()
        self.look()
        self.judge.disk()
        self.state.prepare(self)
        self.look()
        try:
            self.state.loads(self)
            for load in self.loads:
                load.ready()
                load.mark("cell")
            self.note("loads run")
            self.rest(0.1, 0.4)
            began, before = time.monotonic_ns(), lives(self.lab)
            self.state.strike(self)
            self.note(f"{self.fault.name} strikes {self.victim.name}")
            self.fault.inject(self)
            self.note("struck")
            self.rest(*self.fault.hold)
            self.heal()
            self.optimized()
            self.whole()
            if lives(self.lab) != before:
                for load in self.loads:
                    load.losses.append((began, time.monotonic_ns()))
            self.rest(0.3)
            self.end()
        finally:
            for load in self.loads:
                load.__exit__()
            for one in self.programs:
                one.close()

    def heal(self):
        self.note("healing")
        self.fault.heal(self)
        self.state.heal(self)
        while self.finish:
            self.finish.pop()()
        self.note("healed")

    def optimized(self):
        """Each group has an optimized path that answers, within the limit."""
        todo = {name: lun for name, lun in (("g1", 0), ("g2", self.lab.settings["lus"] - 1))}

        def served():
            for name, lun in list(todo.items()):
                if any(self._is_optimized(lun, portal) for portal in self.lab.portals()):
                    del todo[name]
            return not todo
        try:
            wait_for(served, HEAL_LIMIT_S, "optimized paths", 0.1)
        except LabError:
            raise Violation(f"no optimized path to {' '.join(todo)} {HEAL_LIMIT_S} s after healing") from None
        self.note("optimized paths")

    def _is_optimized(self, lun, portal):
        """Does the port say of its own group that it is optimized, and answer?"""
        try:
            lines = probe(self.lab, portal, lun, RTPG[0], TUR)
        except LabError:
            return False
        if len(lines) < 2 or not lines[0].startswith("00 ") or not lines[1].startswith("00"):
            return False
        data = bytes.fromhex(lines[0].split()[-1])
        mine = NODES[next(node for node in NODES if portal in self.lab[node].portals())]
        at = 4
        while at + 8 <= len(data):
            if data[at + 2] << 8 | data[at + 3] == mine and data[at] & 0x0f == 0:
                return True
            at += 8 + 4 * data[at + 7]
        return False

    def whole(self):
        """Both controllers are back, in sync, agreed."""
        lab = self.lab
        end = time.monotonic() + WHOLE_LIMIT_S

        def settled():
            for controller in lab.controllers.values():
                if not controller.is_on():  # fencing that was under way may strike late
                    self.note(f"{controller.name} switched on again")
                    controller.power_on()
            try:
                return lab.settled() and agree(lab) and not self.fencing_pending()
            except (LabError, ValueError):
                return False  # switched off, or killed, in the middle of its answer
        try:
            wait_for(settled, end - time.monotonic(), "both controllers are back and agree", 0.2)
        except LabError as error:
            raise Violation(f"not whole again: {error}; {self.disagreement()}") from None
        self.note("whole")

    def fencing_pending(self):
        """Is fencing under way, as either controller sees it? It would strike in the next cell."""
        told = [one.crm() for one in self.lab.controllers.values() if one.is_awake()]
        return any(event.get("status") == "pending" for state in told if state for event in state["fenced"])

    def disagreement(self):
        """What the cluster and both daemons say, for a report."""
        told = {"crm": self.lab.crm()}
        for node in NODES:
            try:
                told[node] = [group(self.lab, name, at=node) for name in self.lab.settings["groups"]]
            except (LabError, ValueError) as error:
                told[node] = str(error)
        return json.dumps(told)

    def end(self):
        """The questions at the end."""
        allowed = self.fault.allowed
        for load in self.loads:
            total = load.stop()
            self.longest_ms = max(self.longest_ms, total["longest_pause_ms"])
            failed = [e for e in load.events if e["type"] == "failed" and e["sense"] not in allowed]
            self.check(not failed, f"{len(failed)} commands failed: {failed[:3]}")
            wrong = [e for e in load.events if e["type"] == "wrong"]
            self.check(not wrong and not total["wrong"], f"wrong sectors: {total['wrong']}: {wrong[:3]}")
            self.check(allowed or total["exit"] == 0, f"the I/O program ended with {total['exit']}: {total}")
            self.check(total["commands"] > 0, f"no I/O: {total}")
            bad = [s for s in total["senses"] if s.startswith(FORBIDDEN) and s not in allowed]
            self.check(not bad, f"forbidden answers {bad}: {total['senses']}")
            self.check(total["longest_pause_ms"] <= self.fault.limit_s * 1000,
                       f"a pause of {total['longest_pause_ms']} ms, the limit is {self.fault.limit_s} s")
        self.state.end(self)
        complaints = self.judge.disk()
        self.check(not complaints, f"the disk's log: {len(complaints)}: {complaints[:3]}")
        crashed = self.judge.crashed()
        self.check(not crashed, f"crashes: {crashed}")
        told = [self.lab[node].yokectl("status")["ledger"]["index"] for node in NODES]
        self.check(told[0] == told[1], f"the ledgers differ: {told}")
        self.note("judged")
