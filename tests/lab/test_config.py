# SPDX-License-Identifier: BSD-3-Clause
"""The lab's configuration is the one that the product itself prints; nothing runs here."""

import subprocess
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import cluster
import config
from lab import DEFAULTS, default_stage
from layout import Layout
from runner import Skip, check


def normal(element):
    """The children of a CIB section, without ids that are only names of names, in a fixed order."""
    def one(item):
        attributes = {k: v for k, v in item.attrib.items()
                      if k != "id" or item.tag in ("primitive", "clone")}
        if item.tag == "op":
            attributes.setdefault("timeout", "")
        if item.tag in ("rsc_order", "rsc_colocation"):
            attributes = {k: v.replace("infinity", "INFINITY") for k, v in attributes.items()
                          if k not in ("first-action", "then-action")}
        return (item.tag, tuple(sorted(attributes.items())), tuple(sorted(one(c) for c in item)))
    return sorted(one(item) for item in element)


def printed(stage, yaml):
    """The CIB that the crm commands printed by `yokectl pacemaker` make."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "yoke.yaml")
        file.write_text(yaml, encoding="utf-8")
        done = subprocess.run([Path(stage, "usr/sbin/yokectl"), "pacemaker", "--format", "crm",
                               "--config", file], capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"yokectl pacemaker: {done.stderr}")
        text = done.stdout.replace(str(file), "/etc/yoke/yoke.yaml")
        lines = text.split("<<'END'\n", 1)[1].split("\nEND", 1)[0]
        cib = Path(place, "cib.xml")
        cib.write_text('<cib validate-with="pacemaker-3.9" epoch="1" num_updates="0" admin_epoch="0">'
                       "<configuration><crm_config/><nodes/><resources/><constraints/>"
                       "</configuration><status/></cib>", encoding="utf-8")
        done = subprocess.run(["crm", "-F", "configure", "load", "update", "-"], input=lines,
                              capture_output=True, text=True, check=False,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CIB_file": str(cib),
                                   "HOME": place, "LC_ALL": "C.UTF-8"})
        return ET.parse(cib).getroot(), done.stdout + done.stderr


def test_same_as_printed():
    """Resources, operations and constraints equal those that `yokectl pacemaker` prints for crm."""
    stage = default_stage()
    if stage is None:
        raise Skip("the product is not built; tests/check builds it")
    settings = {**DEFAULTS, "fencing": []}
    ours = ET.fromstring(cluster.cib(Layout("yk1"), settings))
    theirs, said = printed(stage, config.yoke_yaml(settings))
    for section in ("resources", "constraints"):
        left = normal(ours.find(f"configuration/{section}"))
        right = normal(theirs.find(f"configuration/{section}"))
        check(left == right, f"{section} of the lab:\n{left}\nprinted by yokectl:\n{right}\n{said}")


def test_corosync_conf():
    """The token and consensus of the settings are in corosync.conf, one key a line, with crypto."""
    text = cluster.corosync_conf({**DEFAULTS, "token": 1000, "consensus": 300})
    for line in ("token: 1000", "consensus: 300", "crypto_cipher: aes256", "crypto_hash: sha256",
                 "two_node: 1"):
        check(line in [part.strip() for part in text.splitlines()], f"{line!r} is not in:\n{text}")
