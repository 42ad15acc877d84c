# SPDX-License-Identifier: BSD-3-Clause
"""The tests that every way to an LU has in common."""

import sys

import cu
import resets
from layout import TARGET
from runner import check

ROUNDS = 100


def url(portal, lun=0):
    return f"iscsi://{portal}/{TARGET}/{lun}"


def suite(lab, portals, extent, plain, before_again=None):
    """The complete iscsi-test-cu; the first portal is the one that most of its tests use, `plain` a
    LUN whose physical blocks are no larger than its logical ones. `before_again`: see cu.whole()."""
    return cu.whole(lab, [url(portal) for portal in portals], extent,
                    [url(portal, plain) for portal in portals], before_again)


def suite_reset_traced(lab, portal):
    """iSCSITMF.LUNResetSimpleAsync: that it fails is no answer of ours.

    The test looks whether the answer has come in the statement after the one that queues the
    function, so it fails before the function is on the wire, logs out, and what the target would
    have said is lost with the session. The trace shows exactly that: nothing lies between reset and
    logout, and the write before it was answered.
    """
    with resets.Tap(lab, portal) as tap:
        found = cu.run(lab, [url(f"127.0.0.1:{tap.port}")], ["iSCSITMF.LUNResetSimpleAsync"])
    outcome, text = found["iSCSITMF.LUNResetSimpleAsync"]
    check(outcome == "fail" and "reconnect_succeeded" in text and text.count("CU_ASSERT") == 1,
          f"not the failure that is known: {outcome}\n{text}")
    asked = resets.asked(tap.pdus)
    check(len(asked) == 1, f"{len(asked)} LU RESETs in the trace:\n{resets.show(tap.pdus)}")
    mine = [pdu for pdu in tap.pdus if pdu.connection == asked[0].connection]
    sent = [pdu for pdu in mine if not pdu.header[0] & 0x20]
    check(sent[sent.index(asked[0]) + 1:][0].name == "Logout Request",
          f"something between reset and logout:\n{resets.show(mine, asked[0])}")
    write = sent[sent.index(asked[0]) - 1]
    status = [pdu.status for pdu in mine if pdu.itt == write.itt and pdu.status is not None]
    check(status in ([0], []), f"the write was answered with {status}:\n{resets.show(mine, write)}")
    check(mine[-1].name == "Logout Response" and mine[-1].response == 0,
          f"no clean end:\n{resets.show(mine, mine[-1])}")
    check(mine[-1].expected_command == asked[0].following,
          f"ExpCmdSN of the last answer: {mine[-1]}")
    resets.check_numbers(tap.pdus)


def reset_answers(lab, portal, lun=0):
    """LU RESET behind writes in flight, a hundred times: the trace shows the right answers."""
    with resets.Tap(lab, portal) as tap:
        lab.host_run([sys.executable, "-B", resets.HERE / "raw.py", "127.0.0.1", tap.port, TARGET,
                      lun, ROUNDS], timeout=120)
    asked = resets.asked(tap.pdus)
    check(len(asked) == ROUNDS, f"{len(asked)} LU RESETs in the trace")
    aborted = sum(resets.check_reset(tap.pdus, reset) for reset in asked)
    resets.check_numbers(tap.pdus)
    writes = sum(pdu.name == "SCSI Command" and pdu.cdb[0] == 0x2a for pdu in tap.pdus)
    return f"{len(asked)} resets, {writes} writes before them, {aborted} aborted"
