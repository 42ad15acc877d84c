# SPDX-License-Identifier: BSD-3-Clause
"""Corosync's and Pacemaker's configuration for a lab.

The cib.xml is written before the first start (that saves twenty seconds). Its resources are those
that `yokectl pacemaker` prints for the same yoke.yaml; test_config.py holds the two together.
Stand-ins from Pacemaker itself can take the agents' places, to try the lab without the product.
"""

import xml.etree.ElementTree as ET

from bmc import bmc_address
from layout import BMC_PASSWORD, BMC_USER, CLUSTER, NODES, address

COROSYNC = """\
# SPDX-License-Identifier: BSD-3-Clause
totem {{
    version: 2
    cluster_name: {cluster}
    transport: knet
    crypto_cipher: aes256
    crypto_hash: sha256
    token: {token}
{consensus}{interfaces}}}
nodelist {{
{nodes}}}
quorum {{
    provider: corosync_votequorum
    two_node: 1
}}
system {{
    move_to_root_cgroup: no
}}
logging {{
    to_stderr: no
    to_syslog: no
    to_logfile: yes
    logfile: /var/log/corosync/corosync.log
    timestamp: hires
}}
"""

INTERFACE = """\
    interface {{
        linknumber: {number}
        knet_ping_interval: 50
        knet_ping_timeout: 300
        knet_pong_count: 1
    }}
"""

NODE = """\
    node {{
        name: {name}
        nodeid: {ident}
        ring0_addr: {ring0}
        ring1_addr: {ring1}
    }}
"""


def corosync_conf(settings):
    """The text of corosync.conf: two knet links, encrypted, two_node (so wait_for_all)."""
    consensus = settings.get("consensus")
    return COROSYNC.format(
        cluster=CLUSTER, token=settings["token"],
        consensus=f"    consensus: {consensus}\n" if consensus else "",
        interfaces="".join(INTERFACE.format(number=n) for n in (0, 1)),
        nodes="".join(NODE.format(name=name, ident=ident, ring0=address("ic0", ident),
                                  ring1=address("ic1", ident)) for name, ident in NODES.items()))


def nvpairs(parent, tag, ident, pairs):
    """<tag id=...><nvpair .../>...</tag>, nothing for no pairs."""
    if not pairs:
        return
    element = ET.SubElement(parent, tag, id=ident)
    for name, value in pairs.items():
        ET.SubElement(element, "nvpair", id=f"{ident}-{name}", name=name, value=str(value))


def primitive(parent, ident, agent, params, operations, meta=None):
    """A primitive; agent = "ocf:provider:type" or "stonith:type", operations = [{...attributes}]."""
    parts = agent.split(":")
    attributes = {"id": ident, "class": parts[0], "type": parts[-1]}
    if len(parts) == 3:
        attributes["provider"] = parts[1]
    element = ET.SubElement(parent, "primitive", attributes)
    nvpairs(element, "instance_attributes", f"{ident}-params", params)
    nvpairs(element, "meta_attributes", f"{ident}-meta", meta or {})
    if operations:
        list_ = ET.SubElement(element, "operations")
        for operation in operations:
            name = f"{ident}-{operation['name']}-{operation.get('role', '')}"
            ET.SubElement(list_, "op", {"id": name.rstrip("-"), "interval": "0s", **operation})
    return element


def fencing(resources, constraints, configuration, layout, settings):
    """The fence devices of both controllers and their levels."""
    topology = ET.Element("fencing-topology")
    for node in NODES:
        # The delay is on one controller's devices only, so that in a fence race (all cluster links
        # cut) the two cannot shoot each other: a lives. It must be longer than the second that
        # Pacemaker sometimes sleeps plus the time fencing takes.
        delay = {"pcmk_delay_base": "2s"} if node == "a" and settings["fence_delay"] else {}
        retries = {"pcmk_host_list": node, "pcmk_off_timeout": "4s", "pcmk_off_retries": 1,
                   "pcmk_reboot_timeout": "4s", "pcmk_reboot_retries": 1, **delay}
        devices = {
            "ipmi": ("stonith:fence_ipmilan", {
                "ip": bmc_address(node), "username": BMC_USER, "password": BMC_PASSWORD,
                "lanplus": 1, "cipher": 3, "power_wait": 0, **retries}),
            "fast": ("stonith:fence_lab", {"plug": node, "socket": layout.socket, **retries}),
        }
        for level, kind in enumerate(settings["fencing"], 1):
            agent, params = devices[kind]
            ident = f"fence-{node}-{kind}"
            primitive(resources, ident, agent, params,
                      [{"name": "monitor", "interval": "60s", "timeout": "20s"}])
            ET.SubElement(constraints, "rsc_location", id=f"{ident}-elsewhere", rsc=ident,
                          node=node, score="-INFINITY")
            ET.SubElement(topology, "fencing-level", id=f"level-{node}-{level}", target=node,
                          index=str(level), devices=ident)
    configuration.append(topology)


def clone(resources, ident, meta):
    element = ET.SubElement(resources, "clone", id=ident)
    nvpairs(element, "meta_attributes", f"{ident}-meta", meta)
    return element


PRODUCT = {
    "controller": ("ocf:yoke:controller", {"config": "/etc/yoke/yoke.yaml"}, [
        {"name": "start", "timeout": "60s"}, {"name": "stop", "timeout": "60s"},
        {"name": "monitor", "interval": "10s", "timeout": "20s"}],
        {"migration-threshold": 3, "failure-timeout": "10min"}),
    "group": ("ocf:yoke:group", {}, [
        {"name": "start", "timeout": "30s"}, {"name": "stop", "timeout": "60s"},
        {"name": "promote", "timeout": "60s"}, {"name": "demote", "timeout": "30s"},
        {"name": "monitor", "interval": "9s", "role": "Promoted", "timeout": "20s"},
        {"name": "monitor", "interval": "10s", "role": "Unpromoted", "timeout": "20s"}],
        {"migration-threshold": 1, "failure-timeout": "5s"}),
}
STAND_IN = {
    "controller": ("ocf:pacemaker:Dummy", {}, *PRODUCT["controller"][2:]),
    "group": ("ocf:pacemaker:Stateful", {}, *PRODUCT["group"][2:]),
}


def yoke_resources(resources, constraints, settings):
    """The controller clone, and for each group a promotable clone that follows it."""
    agents = STAND_IN if settings["stand_in"] else PRODUCT
    base = "yoke-controller"
    *what, meta = agents["controller"]
    if settings.get("deaths"):
        meta = {**meta, "migration-threshold": settings["deaths"]}
    primitive(clone(resources, f"{base}-clone", {"interleave": "true"}), base, *what, meta)
    for group, home in settings["groups"].items():
        ident = f"yoke-{group}"
        agent, params, operations, meta = agents["group"]
        if not settings["stand_in"]:
            params = {"group": group}
        primitive(clone(resources, f"{ident}-clone", {
            "promotable": "true", "promoted-max": 1, "notify": "false", "interleave": "true"}),
            ident, agent, params, operations, meta)
        ET.SubElement(constraints, "rsc_order", id=f"order-{ident}", kind="Mandatory",
                      first=f"{base}-clone", then=f"{ident}-clone")
        ET.SubElement(constraints, "rsc_colocation", id=f"with-controller-{ident}", score="INFINITY",
                      rsc=f"{ident}-clone", **{"with-rsc": f"{base}-clone"})
        if settings["stand_in"]:
            location = ET.SubElement(constraints, "rsc_location", id=f"home-{ident}",
                                     rsc=f"{ident}-clone")
            rule = ET.SubElement(location, "rule", id=f"home-{ident}-rule", score="100",
                                 role="Promoted")
            ET.SubElement(rule, "expression", id=f"home-{ident}-where", attribute="#uname",
                          operation="eq", value=home)


def cib(layout, settings):
    """The text of the first cib.xml."""
    root = ET.Element("cib", {
        "crm_feature_set": "3.16.0", "validate-with": "pacemaker-3.9", "epoch": "1",
        "num_updates": "0", "admin_epoch": "0"})
    configuration = ET.SubElement(root, "configuration")
    crm_config = ET.SubElement(configuration, "crm_config")
    nvpairs(crm_config, "cluster_property_set", "cib-bootstrap-options", {
        "stonith-enabled": "true", "stonith-action": settings["stonith_action"],
        "cluster-name": CLUSTER, "cluster-infrastructure": "corosync", "have-watchdog": "false",
        "dc-deadtime": "1s", "no-quorum-policy": "stop", "stonith-timeout": "20s",
        "cluster-recheck-interval": "5min"})
    nodes = ET.SubElement(configuration, "nodes")
    for name, ident in NODES.items():
        node = ET.SubElement(nodes, "node", id=str(ident), uname=name)
        nvpairs(node, "instance_attributes", f"nodes-{ident}",
                {"standby": "on"} if settings.get("standby") == name else {})
    resources = ET.SubElement(configuration, "resources")
    constraints = ET.SubElement(configuration, "constraints")
    yoke_resources(resources, constraints, settings)
    fencing(resources, constraints, configuration, layout, settings)
    ET.SubElement(root, "status")
    ET.indent(root)
    return '<?xml version="1.0"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def parse_state(text):
    """What `crm_mon --output-as=xml -1` says, as a plain dictionary.

    {"dc": name or None, "quorum": bool, "nodes": {name: "online" | "standby" | "offline" | ...},
     "roles": {resource: {node: role}}, "failed": [operation...], "constraints": [id...]}
    """
    root = ET.fromstring(text)
    dc = root.find("summary/current_dc")
    nodes, roles = {}, {}
    for node in root.findall("nodes/node"):
        flags = [f for f in ("unclean", "pending", "standby", "maintenance") if
                 node.get(f) == "true"]
        nodes[node.get("name")] = flags[0] if flags else (
            "online" if node.get("online") == "true" else "offline")
    for resource in root.iter("resource"):
        for node in resource.findall("node"):
            role = resource.get("role")
            if resource.get("failed") == "true":
                role = "failed"
            elif resource.get("orphaned") == "true":
                role = "orphaned"
            roles.setdefault(resource.get("id"), {})[node.get("name")] = role
    return {
        "dc": dc.get("name") if dc is not None and dc.get("present") == "true" else None,
        "quorum": dc is not None and dc.get("with_quorum") == "true",
        "nodes": nodes, "roles": roles,
        "failed": [dict(f.attrib) for f in root.findall("failures/failure")],
        "fenced": [dict(f.attrib) for f in root.findall("fence_history/fence_event")],
        "constraints": [b.get("id") for b in root.findall("bans/ban")],
    }
