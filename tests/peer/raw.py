# SPDX-License-Identifier: BSD-3-Clause
"""An initiator of bare PDUs: writes and LU RESETs one behind the other, for a trace.

    raw.py ADDRESS PORT TARGET LUN ROUNDS
"""

import socket
import struct
import sys

NONE = 0xffffffff
FINAL, WRITE = 0x80, 0x20
BLOCK = 512
WRITES = 8  # in flight when the reset comes
SCSI_RESPONSE, TMF_RESPONSE, LOGIN_RESPONSE, DATA_IN = 0x21, 0x22, 0x23, 0x25


class Initiator:
    """One session with one connection, without digests."""

    def __init__(self, address, port, target, lun, **keys):
        self.lun = bytes([0, lun, 0, 0, 0, 0, 0, 0])
        self.itt, self.command, self.status = 0, 1, 0
        self.socket = socket.create_connection((address, port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.login(target, keys)

    def receive(self, length):
        data = b""
        while len(data) < length:
            block = self.socket.recv(length - len(data))
            if not block:
                raise EOFError("the target has closed the connection")
            data += block
        return data

    def answer(self):
        """The next PDU from the target: header and data."""
        header = self.receive(48)
        length = int.from_bytes(header[5:8], "big")
        data = self.receive(length + 3 & ~3)[:length]
        self.status = int.from_bytes(header[24:28], "big") + 1
        return header, data

    def pdu(self, opcode, flags, middle, rest=b"", data=b""):
        """A PDU with the next task tag: bytes 8 to 15 and 20 to 23 in `middle`, from 32 in `rest`."""
        self.itt += 1
        header = struct.pack(">BBxx", opcode, flags) + struct.pack(">I", len(data)) + middle[:8]
        header += struct.pack(">I", self.itt) + middle[8:12]
        header += struct.pack(">II", self.command, self.status) + rest.ljust(16, b"\0")
        return header + data + bytes(-len(data) % 4)

    def login(self, target, more):
        """One Login Request, straight to full feature phase (RFC 7143 11.12); `more` text keys."""
        keys = {"InitiatorName": "iqn.2026-01.org.example:raw", "TargetName": target,
                "SessionType": "Normal", "InitialR2T": "No", "ImmediateData": "Yes", **more}
        text = "".join(f"{key}={value}\0" for key, value in keys.items()).encode()
        self.socket.sendall(self.pdu(0x43, 0x87, bytes([0x80, 0, 0, 0, 0, 1, 0, 0]) + bytes(4),
                                     data=text))
        header, _ = self.answer()
        if header[0] & 0x3f != LOGIN_RESPONSE or header[36]:
            raise ValueError(f"login refused: {header.hex()}")

    def write(self, lba):
        """WRITE(10) of one block, its data in the same PDU."""
        cdb = struct.pack(">BBIBHB", 0x2a, 0, lba, 0, 1, 0)
        pdu = self.pdu(0x01, FINAL | WRITE | 1, self.lun + struct.pack(">I", BLOCK), cdb,
                       bytes([lba & 0xff]) * BLOCK)
        self.command += 1
        return pdu

    def reset(self, immediate):
        """LOGICAL UNIT RESET; either way it comes after the writes (RFC 7143 11.5, 4.2.2.1)."""
        opcode = 0x42 if immediate else 0x02
        pdu = self.pdu(opcode, FINAL | 5, self.lun + struct.pack(">I", NONE))
        self.command += not immediate
        return pdu

    def ready(self):
        """TEST UNIT READY until it is GOOD."""
        while True:
            self.socket.sendall(self.pdu(0x01, FINAL | 1, self.lun + bytes(4), bytes(6)))
            self.command += 1
            header, _ = self.answer()
            if header[0] & 0x3f == SCSI_RESPONSE and header[3] == 0:
                return

    def round(self, immediate):
        self.ready()
        writes = b"".join(self.write(lba) for lba in range(WRITES))
        self.socket.sendall(writes + self.reset(immediate))
        while self.answer()[0][0] & 0x3f != TMF_RESPONSE:
            pass


def main():
    address, port, target, lun, rounds = sys.argv[1:]
    initiator = Initiator(address, int(port), target, int(lun))
    for number in range(int(rounds)):
        initiator.round(immediate=number % 2 == 1)
    initiator.ready()


if __name__ == "__main__":
    main()
