# SPDX-License-Identifier: BSD-3-Clause
"""The networks of a lab: a namespace with one bridge per network, and a namespace per machine.

The ports of a machine on the switch side are called MACHINE-NETWORK and are in one `ip link` group,
so that all of them go down in a single request: nothing that a dying controller's kernel still
sends (FIN, RST) may reach the others, for a machine that loses its power sends nothing either.
"""

import json
import proc
from layout import BMC_ID, BMC_NETWORK, HOST_ID, HOST_NETWORKS, NETWORKS, NODES, address

GROUPS = {"a": 11, "b": 12, "host": 13, "bmc": 14}


def batch(netns, lines):
    """Runs `ip` requests inside a network namespace."""
    proc.run(["ip", "-n", netns, "-batch", "-"], stdin="\n".join(lines) + "\n")


def exists(layout, machine):
    return layout.netns_path(machine).exists()


def create(layout):
    """The switch with its bridges, the initiator host and the management station with the BMCs."""
    proc.run(["ip", "netns", "add", layout.switch])
    lines = []
    for net in NETWORKS:
        lines += [f"link add {net} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
                  f"link set {net} up"]
    batch(layout.switch, ["link set lo up"] + lines)
    attach(layout, "host", {net: [HOST_ID] for net in HOST_NETWORKS})
    attach(layout, "bmc", {BMC_NETWORK: [BMC_ID] + [BMC_ID + i for i in NODES.values()]})


def attach(layout, machine, networks):
    """Makes a machine's namespace and plugs it in: networks = {name: [last byte of address...]}."""
    proc.run(["ip", "netns", "add", layout.netns(machine)])
    outside, inside = [], ["link set lo up"]
    for index, (net, idents) in enumerate(networks.items()):
        port = f"{machine}-{net}"
        mac = f"02:59:6b:{GROUPS[machine]:02x}:00:{index + 1:02x}"
        outside += [f"link add {port} type veth peer name {net} address {mac} "
                    f"netns {layout.netns(machine)}",
                    f"link set {port} master {net} group {GROUPS[machine]} up"]
        inside += [f"addr add {address(net, ident)}/24 dev {net}" for ident in idents]
        inside += [f"link set {net} up"]
    batch(layout.switch, outside)
    batch(layout.netns(machine), inside)


def attach_node(layout, node):
    """With portal adoption the daemon itself puts the portals' addresses on the interfaces."""
    settings = json.loads(layout.settings.read_text(encoding="utf-8"))
    attach(layout, node, {net: [] if settings["adoption"] and net in HOST_NETWORKS else [NODES[node]]
                          for net in NETWORKS})


def unplug(layout, machine):
    """All links of a machine down, at once."""
    proc.run(["ip", "-n", layout.switch, "link", "set", "group", str(GROUPS[machine]), "down"])


def link_set(layout, machine, net, up):
    """One link of a machine up or down, as if the cable were plugged or pulled. One that has lost its
    power has none; it gets them, up, with its power."""
    try:
        batch(layout.switch, [f"link set {machine}-{net} {'up' if up else 'down'}"])
    except proc.LabError:
        if not proc.run(["ip", "-n", layout.switch, "link", "show", f"{machine}-{net}"], check=False).returncode:
            raise


def detach(layout, machine):
    """Removes a machine's ports and its namespace with every socket in it. Idempotent."""
    if not exists(layout, machine):
        return
    if exists(layout, "switch"):
        proc.run(["ip", "-n", layout.switch, "link", "del", "group", str(GROUPS[machine])],
                 check=False)
    proc.run(["ip", "netns", "del", layout.netns(machine)])


def remove(layout):
    """Removes every namespace of the lab."""
    for machine in (*NODES, "host", "bmc"):
        detach(layout, machine)
    if exists(layout, "switch"):
        proc.run(["ip", "netns", "del", layout.switch])
