# SPDX-License-Identifier: BSD-3-Clause
"""A host that writes the same blocks with WRITE ATOMIC(16) for ever, each time with the next number.

    atomic_writer.py ADDRESS PORT TARGET LUN FIRST

Prints each number when its write is GOOD; ends with the connection.
"""

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peer"))
import raw

BLOCKS = 16


def main():
    address, port, target, lun, number = sys.argv[1:]
    initiator = raw.Initiator(address, int(port), target, int(lun))
    initiator.ready()
    number = int(number)
    while True:
        data = struct.pack(">I", number) * (BLOCKS * raw.BLOCK // 4)
        cdb = struct.pack(">BBQHHBB", 0x9c, 0, 0, 0, BLOCKS, 0, 0)
        initiator.socket.sendall(initiator.pdu(0x01, raw.FINAL | raw.WRITE | 1, initiator.lun +
                                               struct.pack(">I", len(data)), cdb, data))
        initiator.command += 1
        header, _ = initiator.answer()
        if header[0] & 0x3f == raw.SCSI_RESPONSE and header[3] == 0:
            print(number, flush=True)
        number += 1


if __name__ == "__main__":
    try:
        main()
    except (EOFError, OSError):
        pass
