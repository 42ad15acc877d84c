# SPDX-License-Identifier: BSD-3-Clause
"""The states of the matrix: what the array and its hosts are doing when a fault strikes."""

import json
import subprocess
import sys
from typing import Callable, NamedTuple

import config
from layout import HERE, NODES, TARGET
from load import check_history, program
from questions import move, nexus

MIX_LUNS = "1-4"  # two of each group

# 32 commands of each host and LU wait as soon as anything stands still.
MIXED = ("--hosts", "2", "--depth", "32", "--iops", "80", "--span", "1048576")
# A sign of life: what sessions without I/O go through, and nothing is asked while it strikes.
IDLE = ("--depth", "1", "--iops", "2", "--span", "65536")
# Three hosts at all ports of both controllers swap the same few blocks.
SWAPS = ("--hosts", "3", "--everywhere", "--shared", "--swap-percent", "60", "--read-percent", "80",
         "--block-bytes", "512", "--span", "16384", "--depth", "4", "--iops", "60")


def nothing(_cell):
    """For states and faults with nothing to do there."""


def mixed(cell):
    cell.load(MIX_LUNS, MIXED, "mixed")


def idle(cell):
    cell.load(MIX_LUNS, IDLE, "idle")


def swaps(cell):
    cell.load("1-2", SWAPS, "swaps")


# ----- hosts of their own kind ------------------------------------------------------------------

class Program:
    """A host program of a cell that ends when its standard input says so, with a line of JSON."""

    def __init__(self, cell, name, args):
        self.log = cell.lab.layout.log(name)
        self.errors = open(self.log, "wb")
        self.process = cell.lab.host_start(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=self.errors, text=True)

    def line(self):
        return self.process.stdout.readline().strip()

    def end(self, timeout=60):
        """Tells it to end; its last word as an object, with its exit code."""
        try:
            out = self.process.communicate("\n", timeout=timeout)[0].strip().splitlines()
        except subprocess.TimeoutExpired:
            return {"error": f"no end after {timeout} s"}
        said = self.log.read_text(encoding="utf-8", errors="replace")[-500:]
        if not out:
            return {"error": f"exit {self.process.returncode}: {said}"}
        return {**json.loads(out[-1]), "exit": self.process.returncode, "said": said}

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self.errors.close()


PR_LUN = 0
PR_HOSTS = 4
CLEAN = ("5f060000000000001800=" + f"{0:016x}{0xc1ea:016x}" + "00" * 8,
         "5f030000000000001800=" + f"{0xc1ea:016x}{0:016x}" + "00" * 8)


def no_registrations(cell):
    for node in NODES:
        if cell.lab[node].is_on():
            nexus(cell.lab, cell.lab[node].portals()[0], PR_LUN, "cleaner", *CLEAN, keep_ua=False)
            return


def storm(cell):
    """Four hosts, two at each controller, fight for a reservation of g1's first LU."""
    cell.load(MIX_LUNS, IDLE, "idle")
    cell.histories = [cell.lab.layout.log(f"lock-{i}") for i in range(PR_HOSTS)]
    for i, history in enumerate(cell.histories):
        portal = cell.lab[list(NODES)[i % 2]].portals()[i // 2]
        cell.programs.append(Program(cell, f"lock-{i}.err", [
            program("yoke-lock"), "--client", i, "--clients", PR_HOSTS, "--portal", portal, "--target",
            TARGET, "--lun", PR_LUN, "--history", history, "--seed", cell.random.randrange(1 << 30)]))


def storm_over(cell):
    ends = [one.end() for one in cell.programs]
    cell.check(all(end.get("exit") == 0 for end in ends), f"reservations: {ends}")
    told = check_history(*cell.histories, undecided=True)
    cell.note(f"reservations: {sum(end['ops'] for end in ends)} operations, "
              f"{sum(end['maybe'] for end in ends)} without an answer, {told['most_states']} states"
              f"{', not to be judged' if 'gave_up_at' in told else ''}")
    cell.check(sum(end["ops"] for end in ends) > 20, f"hardly any reservations: {ends}")
    no_registrations(cell)


DATA_LUN = 0
DATA_LBA = 8192  # behind what the others use


def data_out(cell):
    """Writes through both controllers whose data has been asked for and is still to come."""
    cell.load(MIX_LUNS, MIXED, "mixed")
    addresses = [cell.lab[node].portals()[0].partition(":")[0] for node in NODES]
    one = Program(cell, "dataout.err", [sys.executable, "-B", HERE / "dataout.py", TARGET, DATA_LUN, DATA_LBA,
                                        cell.random.randrange(1, 256), *addresses])
    cell.programs.append(one)
    said = one.line()
    cell.check(said == "waiting 8", f"writes that wait for data: {said}")


def data_sent(cell):
    end = cell.programs[0].end()
    cell.check(end.get("exit") == 0 and not end["wrong"], f"writes with late data: {end}")
    harmless = ("status 08", "status 28", "status 40", "sense 6/", "sense 2/04/", "sense b/")
    cell.check(not [s for s in end["refused"] if not s.startswith(harmless)], f"writes with late data: {end}")
    cell.note(f"late data: {end['good']} good, {end['lost']} without an answer, refused {end['refused']}")


# ----- what is under way ------------------------------------------------------------------------

def handover(cell):
    """A move of g1 has begun."""
    cell.start(cell.owner, ["yokectl", "group", "move", "g1", cell.peer.name])
    cell.rest(0, 0.12)
    if cell.random.random() < 0.5:
        cell.victim = cell.peer


def away(cell):
    """g1 is not at home."""
    if cell.lab.settings["groups"]["g1"] == cell.owner.name:
        move(cell.lab, "g1", cell.peer.name)


def takeover(cell):
    """The owner's daemon has died a moment ago; the fault strikes its heir."""
    cell.owner.kill_daemon("yoked")
    cell.rest(0, 0.5)
    cell.victim = cell.peer


def yaml(cell, alias):
    """The configuration with another alias, at both controllers."""
    text = config.yoke_yaml(cell.lab.settings).replace("alias: array1", f"alias: {alias}")
    for node in NODES:
        (cell.lab.layout.node(node) / "yoke" / "yoke.yaml").write_text(text, encoding="utf-8")


def reload(cell):
    """A changed configuration is being put in place."""
    yaml(cell, f"x{cell.random.randrange(1 << 20)}")
    cell.start(cell.owner, ["yokectl", "config", "reload"])
    cell.rest(0, 0.03)
    if cell.random.random() < 0.5:
        cell.victim = cell.peer


def one_configuration(cell):
    digests = {node: cell.lab[node].yokectl("config", "show")["digest"] for node in NODES}
    cell.check(len(set(digests.values())) == 1, f"two configurations: {digests}")


def alone(cell):
    """The other controller is off, and the owner has everything."""
    cell.peer.power_off()
    for name in cell.lab.settings["groups"]:
        cell.lab.wait_owner(name, cell.owner.name, 30)


def peer_on(cell):
    cell.peer.power_on()


def rejoin(cell):
    """The other controller boots; the fault strikes either of the two."""
    alone(cell)
    cell.peer.power_on()
    cell.rest(1.0, 4.5)
    if cell.random.random() < 0.5:
        cell.victim = cell.peer


class State(NamedTuple):
    """A state as functions of the cell, in the order in which they are called."""
    text: str
    loads: Callable = mixed
    prepare: Callable = nothing  # before the hosts come
    strike: Callable = nothing  # right before the fault
    heal: Callable = nothing  # after the fault has been healed
    end: Callable = nothing  # more questions at the end


STATES = {
    "idle": State("sessions without I/O", loads=idle),
    "mixed": State("reads and writes of two hosts at depth 32"),
    "caw": State("three hosts swap the same blocks through both controllers", loads=swaps),
    "pr": State("four hosts at both controllers fight for a reservation", loads=storm,
                prepare=no_registrations, end=storm_over),
    "data-out": State("writes wait for data that hosts have not sent yet", loads=data_out, end=data_sent),
    "handover": State("a move of the group is under way", strike=handover),
    "takeover": State("the owner's daemon has just died", strike=takeover),
    "failback": State("a move of the group to its home is under way", prepare=away, strike=handover),
    "reload": State("a changed configuration is put in place", strike=reload, end=one_configuration),
    "alone": State("the other controller is off", strike=alone, heal=peer_on),
    "rejoin": State("the other controller comes back", strike=rejoin, heal=peer_on),
}
