# SPDX-License-Identifier: BSD-3-Clause
"""Questions to the two controllers of a lab as an array, for the tests."""

import subprocess
import time

import config
from lab import LabError, wait_for
from layout import NODES, TARGET
from load import program
from runner import check

RTPG = ("a30a00000000000004000000:1024", "a32a00000000000004000000:1024")
INQUIRY = {"standard": "120000006000:96", "vpd 80": "120180006000:96", "vpd b0": "1201b0006000:96"}


# knet multiplies its time-out by ten for a link that has just come up, and takes that back in ten
# steps of a second; only after that is a cut noticed before the token is lost.
KNET_SETTLES_S = 11


def links_settle():
    """Waits until the cluster links are old enough for one of them to be cut without harm."""
    time.sleep(KNET_SETTLES_S)


def other(name):
    return next(node for node in NODES if node != name)


def group(lab, name, at=None):
    """What a controller's daemon knows about a group; asks the first that answers."""
    for node in [at] if at else [n for n in NODES if lab[n].is_awake()]:
        try:
            return lab[node].yokectl("group", "show", name, timeout=5)
        except (LabError, ValueError):
            if at:
                raise
    raise LabError(f"no daemon answers about group {name}")


def owner(lab, name):
    return group(lab, name)["owner"]


def in_sync(lab, node):
    try:
        status = lab[node].yokectl("status", timeout=5)
    except (LabError, ValueError):
        return False
    return bool(status["in_sync"] and status["interconnect"]["up"])


def agree(lab):
    """Both daemons are in sync and tell the same owner, epoch and states of every group."""
    if not all(in_sync(lab, node) for node in NODES):
        return False
    for name in lab.settings["groups"]:
        told = [group(lab, name, at=node) for node in NODES]
        if any(told[0][key] != told[1][key] for key in ("owner", "epoch")) or not told[0]["owner"]:
            return False
    return True


def wait_whole(lab, timeout=60):
    """Waits until Pacemaker and both daemons agree that everything is well."""
    lab.wait_settled(timeout)
    wait_for(lambda: agree(lab), timeout, "both daemons are in sync and agree", 0.1)


def move(lab, name, to, at=None):
    """`yokectl group move` and the wait until Pacemaker has followed."""
    lab[at or to].run(["yokectl", "group", "move", name, to])
    lab.wait_owner(name, to)


def home(lab, name):
    """Brings a group home, for the next test."""
    where = lab.settings["groups"][name]
    if owner(lab, name) != where:
        move(lab, name, where)


def lun_range(lab, name):
    first, last = config.luns(lab.settings, name)
    return f"{first}-{last}"


def probe(lab, portal, lun, *cdbs, keep_ua=False):
    """The answers of one portal to some CDBs: lines of "status [sense] bytes hex"."""
    words = [program("yoke-probe"), "--portal", portal, "--target", TARGET, "--lun", str(lun),
             "--initiator", "iqn.2026-01.org.example:probe", *(["--keep-ua"] if keep_ua else []), *cdbs]
    return lab.host_run(words, timeout=20).stdout.splitlines()


def nexus_words(portal, lun, host, *commands, keep_ua=True):
    """The program that runs commands of one I_T nexus, the same for a host and a portal each time."""
    return [program("yoke-probe"), "--portal", portal, "--target", TARGET, "--lun", str(lun), "--isid", "1",
            "--initiator", f"iqn.2026-01.org.example:{host}", *(["--keep-ua"] if keep_ua else []), *commands]


def nexus(lab, portal, lun, host, *commands, keep_ua=True):
    """The answers to them."""
    return lab.host_run(nexus_words(portal, lun, host, *commands, keep_ua=keep_ua), timeout=30).stdout.splitlines()


def constraints(lab):
    """The ids of all location constraints in the CIB."""
    text = lab.controller(next(n for n in NODES if lab[n].is_on())).run(
        ["cibadmin", "--query", "--scope", "constraints"]).stdout
    return sorted(part.split('"')[1] for part in text.split("<rsc_location id=")[1:])


def clean(report, limit_ms, what):
    """Checks an interval of the I/O program: nothing failed, nothing wrong, no long pause."""
    check(report["failed"] == 0, f"{what}: {report['failed']} commands failed: {report}")
    check(report["wrong"] == 0, f"{what}: {report['wrong']} wrong sectors: {report}")
    check(report["commands"] > 0 and report["verified"] > 0, f"{what}: no I/O: {report}")
    check(report["longest_pause_ms"] <= limit_ms,
          f"{what}: a pause of {report['longest_pause_ms']} ms, the limit is {limit_ms} ms: {report}")


def agent(lab, node, action, name):
    """Runs an action of the group agent by hand, as Pacemaker would; its exit code."""
    script = "/usr/lib/ocf/resource.d/yoke/group"
    words = ["env", "OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_PROVIDER=yoke", "OCF_RESOURCE_TYPE=group",
             f"OCF_RESOURCE_INSTANCE=yoke-{name}", f"OCF_RESKEY_group={name}",
             "OCF_RESKEY_CRM_meta_timeout=20000", script, action]
    return lab[node].run(words, check=False).returncode


def monitor_codes(lab, name):
    return {node: agent(lab, node, "monitor", name) for node in NODES if lab[node].is_on()}


def qemu_bench(lab, portal, lun):
    """A sign of life through another initiator."""
    try:
        lab.host_run(["qemu-img", "bench", "-t", "none", "-c", "200", "-d", "8", "-f", "raw",
                      f"iscsi://{portal}/{TARGET}/{lun}"])
    except subprocess.SubprocessError as error:
        raise LabError(str(error)) from error
