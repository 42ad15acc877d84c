# SPDX-License-Identifier: BSD-3-Clause
"""What goes over the wire between an initiator and a portal: a proxy that keeps every PDU.

Run as a program it listens at 127.0.0.1, in the network namespace where it is started, prints its
port, and at SIGTERM writes one line of JSON for each PDU, in the order in which they passed.
As a module it decodes such a trace.

    wire.py PORTAL_ADDRESS FILE
"""

import json
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass

# RFC 7143 11.1.1.2 (opcodes) by number; those of the target have the bit 20h.
NAMES = {
    0x00: "NOP-Out", 0x01: "SCSI Command", 0x02: "TMF Request", 0x03: "Login Request",
    0x04: "Text Request", 0x05: "Data-Out", 0x06: "Logout Request", 0x10: "SNACK",
    0x20: "NOP-In", 0x21: "SCSI Response", 0x22: "TMF Response", 0x23: "Login Response",
    0x24: "Text Response", 0x25: "Data-In", 0x26: "Logout Response", 0x31: "R2T", 0x32: "Async",
    0x3f: "Reject",
}
HEADER = 48
LU_RESET = 5
S_BIT = 0x01


@dataclass
class Pdu:
    """One PDU: when and on which connection it passed, its header, its data segment."""

    at: float
    connection: int
    header: bytes
    data: bytes

    @property
    def name(self):
        return NAMES.get(self.header[0] & 0x3f, f"opcode {self.header[0] & 0x3f:02x}")

    @property
    def immediate(self):
        """The I bit: the PDU does not use its CmdSN up (4.2.2.1, 11.2.1.1)."""
        return bool(self.header[0] & 0x40)

    @property
    def following(self):
        """The CmdSN that comes after this PDU."""
        return self.command_number + (not self.immediate) & 0xffffffff

    @property
    def itt(self):
        return self.number(16)

    @property
    def function(self):
        """TMF Request: the function (11.5.1)."""
        return self.header[1] & 0x7f

    @property
    def referenced(self):
        """TMF Request: Referenced Task Tag (11.5.5)."""
        return self.number(20)

    @property
    def response(self):
        """Response of SCSI and TMF Response (11.4.3, 11.6.1)."""
        return self.header[2]

    @property
    def status(self):
        """SCSI status where the PDU carries one, else None (11.4.2, 11.7.1)."""
        if self.name == "SCSI Response" or self.name == "Data-In" and self.header[1] & S_BIT:
            return self.header[3]
        return None

    @property
    def command_number(self):
        """CmdSN of what an initiator sends (11.3.5)."""
        return self.number(24)

    @property
    def status_number(self):
        """StatSN of what a target sends (11.4.8)."""
        return self.number(24)

    @property
    def expected_command(self):
        """ExpCmdSN of what a target sends (11.4.9)."""
        return self.number(28)

    @property
    def cdb(self):
        return self.header[32:48]

    def number(self, offset):
        return int.from_bytes(self.header[offset:offset + 4], "big")

    def __str__(self):
        text = f"{self.at:9.4f} c{self.connection} {self.name} ITT {self.itt:08x}"
        if self.name == "SCSI Command":
            text += f" CmdSN {self.command_number:08x} CDB {self.cdb.hex()}"
        elif self.name == "TMF Request":
            text += (f" CmdSN {self.command_number:08x}{' immediate' * self.immediate} "
                     f"function {self.function}")
        elif self.header[0] & 0x20:
            text += (f" StatSN {self.status_number:08x} ExpCmdSN {self.expected_command:08x} "
                     f"response {self.response} status {self.status}")
        return text


def read(path):
    """The PDUs of a trace."""
    with open(path, encoding="ascii") as file:
        records = [json.loads(line) for line in file]
    return [Pdu(r["at"], r["connection"], bytes.fromhex(r["header"]), bytes.fromhex(r["data"]))
            for r in records]


class Proxy:
    """Carries bytes both ways and takes them apart on the way. No digests, no TLS."""

    def __init__(self, portal):
        self.portal = portal
        self.lock = threading.Lock()
        self.records = []
        self.started = time.monotonic()
        self.listener = socket.create_server(("127.0.0.1", 0))

    def port(self):
        return self.listener.getsockname()[1]

    def serve(self):
        for connection in range(1 << 30):
            near, _ = self.listener.accept()
            far = socket.create_connection((self.portal, 3260), 10)
            far.settimeout(None)
            for one, other in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.carry, args=(one, other, connection),
                                 daemon=True).start()

    def carry(self, source, sink, connection):
        """Every PDU is written down before it is passed on, so a cause stands before its effect."""
        pending = b""
        try:
            while block := source.recv(1 << 16):
                pending = self.split(pending + block, connection)
                sink.sendall(block)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def split(self, pending, connection):
        """Takes whole PDUs off (11.2.1); what is left waits for more bytes."""
        while len(pending) >= HEADER:
            extra = pending[4] * 4
            length = int.from_bytes(pending[5:8], "big")
            whole = HEADER + extra + (length + 3 & ~3)
            if len(pending) < whole:
                break
            self.note(connection, pending[:HEADER], pending[HEADER + extra:HEADER + extra + length])
            pending = pending[whole:]
        return pending

    def note(self, connection, header, data):
        with self.lock:
            self.records.append({"at": time.monotonic() - self.started, "connection": connection,
                                 "header": header.hex(), "data": data[:256].hex()})

    def write(self, path):
        with self.lock, open(path, "w", encoding="ascii") as file:
            for record in self.records:
                file.write(json.dumps(record) + "\n")


def main():
    proxy = Proxy(sys.argv[1])
    print(proxy.port(), flush=True)
    threading.Thread(target=proxy.serve, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.sigwait({signal.SIGTERM})
    proxy.write(sys.argv[2])


if __name__ == "__main__":
    main()
