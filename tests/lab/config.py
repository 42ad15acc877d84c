# SPDX-License-Identifier: BSD-3-Clause
"""Yoke's own configuration for a lab: yoke.yaml, the interconnect key, the shared disk's files."""

import os
import secrets

from layout import CLUSTER, HOST_NETWORKS, NETWORKS, NODES, TARGET, address

MIB = 1 << 20
# Ways to authenticate; with the setting "chap" there is a target for each, with one LU.
KINDS = ("none", "chap", "mutual")
USER, SECRET = "guest", "guest-secret-16b"
PEER, PEER_SECRET = "array", "array-secret-16b"
SECRETS = (f"yoke: 1\nusers:\n  - name: {USER}\n    secret: {SECRET}\n    peer_name: {PEER}\n"
           f"    peer_secret: {PEER_SECRET}\n")


def extents(settings):
    """[(name, group, bytes, block size)]: the first LUs are the first group's, and so on.

    Every fourth LU has blocks of 4096 bytes.
    """
    groups, count = list(settings["groups"]), settings["lus"]
    first = settings.get("first_lus")

    def place(i):
        return i * len(groups) // count if first is None else int(i >= first)
    return [(f"disk{i}", groups[place(i)], settings["lu_mib"] * MIB,
             4096 if i % 4 == 3 else 512) for i in range(count)]


def luns(settings, group):
    """The LUNs of a group's LUs, as first and last."""
    mine = [lun for lun, extent in enumerate(extents(settings)) if extent[1] == group]
    return mine[0], mine[-1]


def kind_target(kind):
    """The target for one of KINDS."""
    return f"{TARGET}-{kind}"


def yoke_yaml(settings):
    """The text of yoke.yaml, the same for both controllers."""
    lines = ["# SPDX-License-Identifier: BSD-3-Clause", "yoke: 1", f"cluster: {CLUSTER}",
             "controllers:"]
    for name, ident in NODES.items():
        portals = ", ".join(address(net, ident) for net in HOST_NETWORKS)
        lines += [f"  - name: {name}", f"    id: {ident}", f"    portals: [{portals}]",
                  f"    interconnect: {address('ic0', ident)}"]
        if settings["adoption"]:
            lines.append("    interfaces:")
            lines += [f"      - {{name: {net}, network: {NETWORKS[net]}.0/24}}" for net in HOST_NETWORKS]
    lines.append("groups:")
    for group, home in settings["groups"].items():
        lines += [f"  - name: {group}", f"    home: {home}", f"    failback: {settings['failback']}"]
    lines.append("extents:")
    for name, group, size, block in extents(settings):
        lines += [f"  - name: {name}", "    type: file", f"    path: /srv/yoke/{name}.img",
                  f"    size: {size // MIB}MiB", f"    block_size: {block}", f"    group: {group}",
                  *(f"    {k}: {v}" for k, v in {**settings.get("extent_settings", {}),
                                                 **settings.get("extents", {}).get(name, {})}.items())]
    kinds = KINDS if settings.get("chap") else ()
    for kind in kinds:
        lines += [f"  - name: {kind}", "    type: file", f"    path: /srv/yoke/{kind}.img", "    size: 16MiB",
                  f"    group: {next(iter(settings['groups']))}"]
    lines += ["targets:", f"  - name: {TARGET}", "    alias: array1", "    luns:"]
    for lun, (name, _, _, _) in enumerate(extents(settings)):
        lines += [f"      - lun: {lun}", f"        extent: {name}"]
    for kind in kinds:
        lines += [f"  - name: {kind_target(kind)}", f"    initiator_groups: [{kind}]", "    luns:",
                  "      - lun: 0", f"        extent: {kind}"]
    if kinds:
        lines.append("initiator_groups:")
    for kind in kinds:
        lines += [f"  - name: {kind}", f"    auth: {kind}"]
        lines += [f"    users: [{USER}]"] if kind != "none" else []
    extra = {**settings.get("yoke_settings", {}), **({"portal_adoption": "yes"} if settings["adoption"] else {}),
             **({"secrets": "/etc/yoke/secrets.yaml"} if kinds else {})}
    if extra:
        lines.append("settings:")
        lines += [f"  {key}: {value}" for key, value in extra.items()]
    for section in ("iscsi", "isns"):
        if settings.get(section):
            lines.append(f"{section}:")
            lines += [f"  {key}: {value}" for key, value in settings[section].items()]
    return "\n".join(lines) + "\n"


def write(layout, settings):
    """Writes /etc/yoke of both controllers and creates the files of the shared disk."""
    key = secrets.token_hex(32) + "\n"
    for node in NODES:
        place = layout.node(node) / "yoke"
        (place / "yoke.yaml").write_text(yoke_yaml(settings), encoding="utf-8")
        for name, text in (("interconnect.key", key), ("secrets.yaml", SECRETS)):
            descriptor = os.open(place / name, os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(descriptor, text.encode())
            os.close(descriptor)
    layout.shared.mkdir()
    for name, _, size, _ in extents(settings):
        with open(layout.shared / f"{name}.img", "wb") as file:
            file.truncate(size)
