# SPDX-License-Identifier: BSD-3-Clause
"""Packets that go missing at a controller: one-way cuts, losses, resets, in nftables of its own.

A rule ends with the controller's power, as everything in its network namespace does.
"""

import proc
from layout import NETWORKS

INTERCONNECT_PORT = 3261
PORTAL_PORT = 3260
TABLE = "inet yoke_lab"


def rules(lab, node, chain, lines):
    """Makes rules for what comes in at a controller ("input") or leaves it ("output")."""
    text = "".join([f"add table {TABLE}\n",
                    f"add chain {TABLE} {chain} {{ type filter hook {chain} priority 0; }}\n",
                    *(f"add rule {TABLE} {chain} {line}\n" for line in lines)])
    proc.run(["nsenter", f"--net={lab.layout.netns_path(node)}", "nft", "-f", "-"], stdin=text)


def clear(lab, node):
    """Removes all rules; nothing when there are none, or the controller has no power."""
    proc.run(["nsenter", f"--net={lab.layout.netns_path(node)}", "nft", "delete", "table",
              *TABLE.split()], check=False)


def deaf(lab, node, networks):
    """Nothing comes in by these networks any more; what the controller sends goes out."""
    rules(lab, node, "input", [f"iifname {network} drop" for network in networks])


def lossy(lab, node, networks, percent):
    rules(lab, node, "input", [f"iifname {network} numgen random mod 100 < {percent} drop"
                               for network in networks])


def interconnect(lab, node, chain, verdict):
    """What becomes of the interconnect's packets, in both its directions, at one chain."""
    rules(lab, node, chain, [f"tcp {side} {INTERCONNECT_PORT} {verdict}" for side in ("dport", "sport")])


MIDDLE_PORT, MIDDLE_MARK = 13261, 7  # replay.py


def redirect_interconnect(lab, node):
    """What the controller sends to its peer's interconnect goes through replay.py from now on.

    Its old connections are reset with their next packet, so that there are new ones.
    """
    text = (f"add table {TABLE}\nadd chain {TABLE} middle {{ type nat hook output priority -100; }}\n"
            f"add rule {TABLE} middle tcp dport {INTERCONNECT_PORT} meta mark != {MIDDLE_MARK} "
            f"redirect to :{MIDDLE_PORT}\n")
    rules(lab, node, "output", [f"tcp dport {INTERCONNECT_PORT} meta mark != {MIDDLE_MARK} reject with tcp reset"])
    proc.run(["nsenter", f"--net={lab.layout.netns_path(node)}", "nft", "-f", "-"], stdin=text)


def reset_hosts(lab, node):
    """Each host's connections end with a reset at their next packet, and new ones are refused."""
    rules(lab, node, "input", [f"iifname {network} tcp dport {PORTAL_PORT} reject with tcp reset"
                               for network in NETWORKS if network.startswith("san")])
