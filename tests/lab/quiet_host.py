# SPDX-License-Identifier: BSD-3-Clause
"""A host with a session that is idle for long, and a network that is cut when it writes again.

    quiet_host.py PATH OTHER PINGS

PATH and OTHER are addresses of two portals of a target. Writes a block over PATH, then answers PINGS
pings and says when each came. A line on standard input has it do one thing, which a line confirms:

    write      sends another content for the block over PATH, and does not look at the answer
    elsewhere  gives PATH up without closing it, and writes a third content over OTHER
    stand-by   answers pings at PATH until the write there has ended; tells its status
    end        waits until PATH is closed; tells what came there before
    look       tells the content, read over OTHER

Each answer is a line of JSON.
"""

import json
import struct
import sys
import time

import hostile

LBA = 100
FIRST, STALE, NEW = 1, 2, 3


def wire(address, isid):
    hostile.PORTAL = (address, 3260)
    return hostile.Wire(isid).login().calm()


def write10(lba):
    return struct.pack(">BBIBHB", 0x2a, 0, lba, 0, 1, 0)


def put(over, content):
    return over.do(write10(LBA), hostile.FINAL | hostile.WRITE, hostile.BLOCK, bytes([content]) * hostile.BLOCK)


def pong(over, header):
    """The NOP-Out that answers a NOP-In."""
    over.send(hostile.pdu(hostile.NOP_OUT | 0x40, hostile.FINAL, itt=hostile.NONE,
                          w20=int.from_bytes(header[20:24], "big"), w24=over.cmdsn))


def tell(**what):
    print(json.dumps(what), flush=True)


def stand_by(path):
    while True:
        header, _ = path.answer(hostile.NOP_IN, hostile.RESPONSE)
        if header[0] == hostile.RESPONSE:
            return header[3]
        pong(path, header)


def until_closed(path):
    came = []
    try:
        while True:
            header, _ = path.answer(hostile.NOP_IN, hostile.RESPONSE, hostile.REJECT)
            came.append(header[0])
    except EOFError:
        return came


def look(address):
    with wire(address, 2) as other:
        other.send(other.command(struct.pack(">BBIBHB", 0x28, 0, LBA, 0, 1, 0), hostile.FINAL | hostile.READ,
                                 hostile.BLOCK))
        _, data = other.answer(hostile.DATA_IN)
        return data[0]


def put_elsewhere(address):
    with wire(address, 2) as other:
        return put(other, NEW)


def main():
    address, other_address, pings = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with wire(address, 1) as path:
        status, since = put(path, FIRST), time.monotonic()
        for _ in range(pings):
            header, _ = path.answer(hostile.NOP_IN)
            tell(ping=time.monotonic() - since)
            since = time.monotonic()
            pong(path, header)
        tell(status=status)
        for line in sys.stdin:
            word = line.strip()
            if word == "write":
                path.send(path.command(write10(LBA), hostile.FINAL | hostile.WRITE, hostile.BLOCK,
                                       bytes([STALE]) * hostile.BLOCK))
                tell(sent=True)
            elif word == "elsewhere":
                tell(status=put_elsewhere(other_address))
            elif word == "stand-by":
                tell(status=stand_by(path))
            elif word == "end":
                tell(came=until_closed(path))
            elif word == "look":
                tell(content=look(other_address))


if __name__ == "__main__":
    main()
