# SPDX-License-Identifier: BSD-3-Clause
"""What a trace says of LU RESET: that the answers are those of SAM-5 and RFC 7143."""

import signal
import subprocess
import sys
from pathlib import Path

import wire
from runner import check

HERE = Path(__file__).resolve().parent
FUNCTION_COMPLETE = 0
GOOD, CHECK_CONDITION = 0, 2
UA_RESET = (0x06, 0x29, 0x03)
TEST_UNIT_READY = 0x00


class Tap:
    """A proxy before a portal while the block runs; the PDUs afterwards."""

    def __init__(self, lab, portal):
        self.lab, self.portal = lab, portal.partition(":")[0]
        self.file = lab.layout.log("trace")
        self.pdus = []

    def __enter__(self):
        self.process = self.lab.host_start(
            [sys.executable, "-B", HERE / "wire.py", self.portal, self.file],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.process.stdout.close()
        self.pdus = wire.read(self.file)


def show(pdus, around=None):
    """The trace as text; the part around a PDU when one is given."""
    if around is not None:
        place = pdus.index(around)
        pdus = pdus[max(0, place - 12):place + 12]
    return "\n".join(map(str, pdus))


def asked(pdus):
    return [pdu for pdu in pdus if pdu.name == "TMF Request" and pdu.function == wire.LU_RESET]


def sense(pdu):
    """(key, ASC, ASCQ) of a SCSI Response with fixed-format sense data (SPC-4 4.5.3)."""
    data = pdu.data[2:]
    return (data[2] & 0x0f, data[12], data[13]) if len(data) > 13 else None


def check_reset(pdus, reset):
    """One LU RESET with what was in flight before it; how many of these commands were aborted.

    RFC 7143 11.6.1: the function is complete. 4.2.2.3.3: a command that it ended has no answer, one
    that had its answer has it before the TMF Response. 11.3.5, 11.4.9: every number is used once,
    none is left out. SAM-5 6.3.3: a unit attention for the nexus that asked as well.
    """
    mine = [pdu for pdu in pdus if pdu.connection == reset.connection]
    place = mine.index(reset)
    answers = [pdu for pdu in mine[place:] if pdu.name == "TMF Response" and pdu.itt == reset.itt]
    check(len(answers) == 1, f"{len(answers)} answers to an LU RESET:\n{show(mine, reset)}")
    answer = answers[0]
    end = mine.index(answer)
    check(answer.response == FUNCTION_COMPLETE, f"not complete: {answer}\n{show(mine, answer)}")
    check(answer.expected_command == reset.following,
          f"ExpCmdSN does not follow the reset: {answer}")
    begin = max((n for n, pdu in enumerate(mine[:place]) if pdu.name == "TMF Response"), default=0)
    before = {pdu.itt for pdu in mine[begin:place] if pdu.name == "SCSI Command"}
    answered = {pdu.itt for pdu in mine[begin:place] if pdu.status is not None}
    for pdu in mine[place:end]:
        if pdu.status is not None:
            check(pdu.status == GOOD, f"an answer before the reset that is not GOOD: {pdu}")
            answered.add(pdu.itt)
    late = [pdu for pdu in mine[end:] if pdu.itt in before and pdu.header[0] & 0x20]
    check(not late, f"answered after the reset was complete: {late and late[0]}\n{show(mine, answer)}")
    first = next((pdu for pdu in mine[end:] if pdu.name == "SCSI Command"
                  and pdu.cdb[0] == TEST_UNIT_READY), None)
    if first:
        told = next(pdu for pdu in mine if pdu.itt == first.itt and pdu.name == "SCSI Response")
        check(told.status == CHECK_CONDITION and sense(told) == UA_RESET,
              f"no 29/03 after the reset: {told} {sense(told)}")
    return len(before - answered)


def check_numbers(pdus):
    """StatSN of every connection runs without a gap (RFC 7143 4.2.2.2)."""
    nexts = {}
    for pdu in pdus:
        if pdu.name in ("SCSI Response", "TMF Response", "Login Response", "Logout Response") or \
                pdu.status is not None:
            follows = nexts.get(pdu.connection, pdu.status_number)
            check(pdu.status_number == follows, f"StatSN {follows:08x} was due: {pdu}")
            nexts[pdu.connection] = follows + 1 & 0xffffffff
