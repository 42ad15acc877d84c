# SPDX-License-Identifier: BSD-3-Clause
"""Names, addresses and places of one lab. Everything it owns is named after its prefix."""

import os
import re
from pathlib import Path

# Where labs live: on a real file system, since the shared disk is opened with O_DIRECT.
BASE = Path(os.environ.get("YOKE_LAB_BASE", "/var/tmp/yoke-lab"))
TOP = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent

# Controller name -> Corosync node id.
NODES = {"a": 1, "b": 2}

# Networks: interface name in the controllers -> first three bytes of its addresses.
# san0, san1: portals.  ic0: cluster link 0 and the interconnect.  ic1: cluster link 1.
# mgmt: the way to the BMCs, so that fencing survives the loss of both cluster links.
NETWORKS = {
    "san0": "10.77.1",
    "san1": "10.77.2",
    "ic0": "10.78.0",
    "ic1": "10.78.1",
    "mgmt": "10.79.0",
}
HOST_NETWORKS = ("san0", "san1")
HOST_ID = 10
BMC_NETWORK = "mgmt"
BMC_ID = 100
BMC_USER = "yoke"
BMC_PASSWORD = "lab-only"
CLUSTER = "lab"
TARGET = "iqn.2026-01.org.example:array1"


def address(network, ident):
    """The IPv4 address of a machine (node id, HOST_ID, BMC_ID + node id) on a network."""
    return f"{NETWORKS[network]}.{ident}"


def portals(node):
    """The portal addresses of a controller."""
    return [f"{address(net, NODES[node])}:3260" for net in HOST_NETWORKS]


class Layout:
    """The places of the lab called `prefix`."""

    PATTERN = re.compile(r"yk[0-9]+")

    def __init__(self, prefix):
        if not self.PATTERN.fullmatch(prefix):
            raise ValueError(f"{prefix!r} is not a lab; labs are called yk<number>, see `lab status`")
        self.prefix = prefix
        self.dir = BASE / prefix
        self.socket = self.dir / "power.sock"
        self.supervisor_pid = self.dir / "supervisor.pid"
        self.settings = self.dir / "settings.json"
        self.shared = self.dir / "shared"
        self.disk_socket = self.dir / "disk.sock"
        self.overlay = self.dir / "overlay"
        self.switch = f"{prefix}-switch"
        self.host = f"{prefix}-host"

    def netns(self, machine):
        """Name of the network namespace of a controller, of the switch, of the host, of the BMCs."""
        return f"{self.prefix}-{machine}"

    def netns_path(self, machine):
        return Path("/run/netns") / self.netns(machine)

    def node(self, node):
        """Directory of what outlives a controller's power: its disks, configuration and logs."""
        return self.dir / node

    def pid(self, node):
        """File with the process id of the controller's init, as seen from outside."""
        return self.dir / node / "init.pid"

    def log(self, name):
        return self.dir / "log" / name


def labs():
    """Prefixes of all labs that have a directory here, running or left over."""
    if not BASE.is_dir():
        return []
    return sorted(d.name for d in BASE.iterdir() if Layout.PATTERN.fullmatch(d.name))
