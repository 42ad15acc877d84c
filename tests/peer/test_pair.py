# SPDX-License-Identifier: BSD-3-Clause
"""libiscsi's suite at two controllers: through the owner, through the other, through both."""

import config
import ways
from questions import owner, wait_whole
from runner import check

# Sanitize operations take a second; but Sanitize.Reset, which the suite runs by itself, must find one
# still going on after its naps and resets: for that they take eight. LUN 1 is as LUN 0, but for its
# physical blocks.
PLAIN = 1
FAST, SLOW = "64MiB", "8MiB"
SETTINGS = {"lus": 3, "groups": {"g1": "a", "g2": "b"}, "yoke_settings": {"sanitize_rate": FAST},
            "iscsi": {"nop_interval": "120s"},
            "extents": {f"disk{PLAIN}": {"physical_block_size": 512}}}


def sanitize_at(lab, rate):
    """Puts another sanitize_rate in place at both controllers."""
    text = config.yoke_yaml(lab.settings).replace(f"sanitize_rate: {FAST}", f"sanitize_rate: {rate}")
    for node in "ab":
        (lab.layout.node(node) / "yoke" / "yoke.yaml").write_text(text, encoding="utf-8")
    lab["a"].run(["yokectl", "config", "reload"])


def suite(lab, *portals):
    """LUN 0 belongs to group g1, and that to controller a, before and after."""
    wait_whole(lab)
    pids = [lab[node].pids("yoked") for node in "ab"]
    check(owner(lab, "g1") == "a", "g1 is not at a")
    sanitize_at(lab, FAST)
    note = ways.suite(lab, portals, "file", PLAIN, lambda: sanitize_at(lab, SLOW))
    check([lab[node].pids("yoked") for node in "ab"] == pids, "a daemon died under iscsi-test-cu")
    check(owner(lab, "g1") == "a", "g1 has moved")
    return note


def test_owner(lab):
    """Both paths at the owner's portals."""
    return suite(lab, *lab["a"].portals())


def test_non_owner(lab):
    """Both paths at the other controller: every command is shipped."""
    return suite(lab, *lab["b"].portals())


def test_one_path_each(lab):
    """MultipathIO, reservations and all the rest with the second path at the other controller."""
    return suite(lab, lab["a"].portals()[0], lab["b"].portals()[1])


def test_one_path_each_reversed(lab):
    """The same with the first path at the controller that does not own the LU."""
    return suite(lab, lab["b"].portals()[0], lab["a"].portals()[1])


def test_lu_reset_on_the_wire(lab):
    """LU RESET at the other controller's portal: it reaches what was shipped."""
    wait_whole(lab)
    return ways.reset_answers(lab, lab["b"].portals()[0])
