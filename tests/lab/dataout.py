# SPDX-License-Identifier: BSD-3-Clause
"""Writes whose data is still to come: asks, is told to send (R2T), and waits with the data.

    dataout.py TARGET LUN FIRST_LBA FILL ADDRESS...

Says "waiting N" when N writes wait for their data. At a line on standard input the data goes out,
if there is still somebody to take it; then one JSON object says what became of the writes. Each is
on the disk as a whole or not at all, and there if it was GOOD.
"""

import json
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "peer"))

import raw  # noqa: E402

R2T = 0x31
DATA_OUT = 0x05
BLOCK, BLOCKS = 512, 16
WRITES = 4  # at each address
ANSWER_S = 35


class Patient(raw.Initiator):
    """An initiator that sends data only when it is asked to, and then not at once."""

    def __init__(self, address, target, lun):
        super().__init__(address, 3260, target, lun, InitialR2T="Yes", ImmediateData="No")
        self.waiting = []  # (LBA, ITT, TTT)

    def ask(self, first_lba):
        """Some WRITE(10), each until its R2T."""
        self.ready()
        for lba in range(first_lba, first_lba + WRITES * BLOCKS, BLOCKS):
            cdb = struct.pack(">BBIBHB", 0x2a, 0, lba, 0, BLOCKS, 0)
            self.socket.sendall(self.pdu(0x01, raw.FINAL | raw.WRITE | 1,
                                         self.lun + struct.pack(">I", BLOCK * BLOCKS), cdb))
            self.command += 1
            header, _ = self.answer()
            if header[0] & 0x3f != R2T:
                raise ValueError(f"no R2T but {header.hex()}")
            self.waiting.append((lba, header[16:20], header[20:24]))

    def send(self, fill):
        """The data of all; LBA -> "good", another outcome, or None for who got no answer."""
        ends = {lba: None for lba, _, _ in self.waiting}
        tags = {itt: lba for lba, itt, _ in self.waiting}
        self.socket.settimeout(ANSWER_S)
        try:
            for _, itt, ttt in self.waiting:
                header = struct.pack(">BBxx", DATA_OUT, raw.FINAL) + struct.pack(">I", BLOCK * BLOCKS)
                header += self.lun + itt + ttt + bytes(4) + struct.pack(">I", self.status) + bytes(16)
                self.socket.sendall(header + bytes([fill]) * (BLOCK * BLOCKS))
            while None in ends.values():
                header, data = self.answer()
                if header[0] & 0x3f == raw.SCSI_RESPONSE and header[16:20] in tags:
                    ends[tags[header[16:20]]] = outcome(header[3], data)
        except (OSError, EOFError):
            pass
        return ends

    def read(self, lba):
        """One write's blocks; the bytes."""
        cdb = struct.pack(">BBIBHB", 0x28, 0, lba, 0, BLOCKS, 0)
        self.socket.sendall(self.pdu(0x01, raw.FINAL | 0x40 | 1,
                                     self.lun + struct.pack(">I", BLOCK * BLOCKS), cdb))
        self.command += 1
        data = b""
        while len(data) < BLOCK * BLOCKS:
            header, part = self.answer()
            if header[0] & 0x3f != raw.DATA_IN:
                raise ValueError(f"no data but {header.hex()}")
            data += part
            if header[1] & 1:
                return data
        self.answer()
        return data


def outcome(status, data):
    """An answer as text: "good", "status 08", "sense 6/2a/06"."""
    if status == 2 and len(data) > 15:
        return f"sense {data[4] & 15:x}/{data[14]:02x}/{data[15]:02x}"
    return f"status {status:02x}" if status else "good"


def connected(addresses, target, lun):
    """A session by whichever address has one, for half a minute."""
    end = time.monotonic() + 30
    while True:
        for address in addresses:
            try:
                initiator = Patient(address, target, lun)
                initiator.socket.settimeout(ANSWER_S)
                initiator.ready()
                return initiator
            except (OSError, EOFError, ValueError):
                if time.monotonic() > end:
                    raise
        time.sleep(0.1)


def main():
    target, lun, first_lba, fill, *addresses = sys.argv[1:]
    lun, first_lba, fill = int(lun), int(first_lba), int(fill)
    places = {address: first_lba + i * WRITES * BLOCKS for i, address in enumerate(addresses)}
    before, ends, wrong = {}, {}, []
    reader = connected(addresses, target, lun)
    for place in places.values():
        for lba in range(place, place + WRITES * BLOCKS, BLOCKS):
            before[lba] = reader.read(lba)
    reader.socket.close()
    patient = {address: Patient(address, target, lun) for address in addresses}
    for address, place in places.items():
        patient[address].ask(place)
    print(f"waiting {sum(len(p.waiting) for p in patient.values())}", flush=True)
    sys.stdin.readline()
    for one in patient.values():
        ends.update(one.send(fill))
        one.socket.close()
    reader = connected(addresses, target, lun)
    for lba, status in ends.items():
        now = reader.read(lba)
        if now != bytes([fill]) * len(now) and (status == "good" or now != before[lba]):
            wrong.append(lba)
    print(json.dumps({"good": sum(s == "good" for s in ends.values()), "lost": sum(s is None for s in ends.values()),
                      "refused": [s for s in ends.values() if s not in ("good", None)], "wrong": wrong}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except (OSError, EOFError, ValueError, socket.timeout) as error:
        print(json.dumps({"error": repr(error)}), flush=True)
        sys.exit(1)
