# SPDX-License-Identifier: BSD-3-Clause
"""A hostile initiator: bad input to a real target, PDU by PDU.

    hostile.py ADDRESS PORT TEST [ARGUMENT...]

Each function of TESTS does one kind of harm, looks at the answers, and ends by an honest login at a
connection of its own. An answer that is wrong, or none within LIMIT, is an exception.
"""

import hashlib
import resource
import socket
import struct
import sys
import time

NONE = 0xffffffff
LIMIT = 20  # seconds that any answer may take on a loaded machine
TARGET = "iqn.2026-01.org.example:array1"
PROVED = "iqn.2026-01.org.example:proved"  # wants CHAP
HOST = "iqn.2026-01.org.example:hostile"
BLOCK = 512
FINAL, READ, WRITE = 0x80, 0x40, 0x20
(NOP_OUT, COMMAND, TMF, LOGIN, TEXT, DATA_OUT, LOGOUT, SNACK) = (0, 1, 2, 3, 4, 5, 6, 0x10)
(NOP_IN, RESPONSE, TMF_RESPONSE, LOGIN_RESPONSE, TEXT_RESPONSE, DATA_IN, LOGOUT_RESPONSE, R2T,
 REJECT) = (0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x31, 0x3f)
SECURITY, OPERATIONAL, PROOF, TO_FULL = 0x00, 0x04, 0x83, 0x87


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def pdu(opcode, flags, lun=0, itt=1, w20=0, w24=0, w28=0, tail=b"", data=b"", isid=None):
    """A PDU: LUN or ISID and TSIH, task tag, the words at bytes 20, 24, 28, bytes 32 to 47."""
    eight = isid if isid is not None else bytes([0, lun, 0, 0, 0, 0, 0, 0])
    header = struct.pack(">BBxx", opcode, flags) + struct.pack(">I", len(data)) + eight
    header += struct.pack(">IIII", itt, w20, w24, w28) + tail.ljust(16, b"\0")
    return header + data + bytes(-len(data) % 4)


def text_of(pairs):
    return b"".join(pair.encode() + b"\0" for pair in pairs)


class Wire:
    """One connection."""

    def __init__(self, isid=1):
        self.socket = socket.create_connection(PORTAL, LIMIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.isid = bytes([0x80, 0, 0, 0, 0, isid, 0, 0])
        self.cmdsn, self.itt, self.digests = 1, 0, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def receive(self, length):
        data = b""
        while len(data) < length:
            try:
                block = self.socket.recv(length - len(data))
            except ConnectionResetError as error:
                raise EOFError("reset") from error
            if not block:
                raise EOFError("closed")
            data += block
        return data

    def answer(self, *opcodes):
        """The next PDU, of one of these opcodes: its header and data. Pings are passed over."""
        while True:
            header = self.receive(48)
            length = int.from_bytes(header[5:8], "big")
            if self.digests:
                check(self.receive(4) == struct.pack("<I", crc32c(header)), "a wrong header digest")
            data = self.receive(length + 3 & ~3)
            if self.digests and length:
                check(self.receive(4) == struct.pack("<I", crc32c(data)), "a wrong data digest")
            if header[0] == NOP_IN and NOP_IN not in opcodes:
                continue
            check(not opcodes or header[0] in opcodes, f"{header.hex()} instead of {opcodes}")
            return header, data[:length]

    def expect_closed(self):
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass

    def send(self, data):
        self.socket.sendall(data)

    def login_pdu(self, flags, pairs, raw=None):
        return pdu(LOGIN | 0x40, flags, itt=0, w20=1 << 16, w24=self.cmdsn, isid=self.isid,
                   data=text_of(pairs) if raw is None else raw)

    def login_step(self, flags, pairs, raw=None):
        """One Login Request: status, flags and text of the response."""
        self.send(self.login_pdu(flags, pairs, raw))
        header, data = self.answer(LOGIN_RESPONSE)
        return int.from_bytes(header[36:38], "big"), header[1], data

    def login(self, *keys, target=TARGET):
        pairs = [f"InitiatorName={HOST}", *keys]
        pairs += [f"TargetName={target}"] if target else ["SessionType=Discovery"]
        status, flags, data = self.login_step(TO_FULL, pairs)
        check(status == 0 and flags == TO_FULL, f"login: status {status:04x}, flags {flags:02x}")
        self.digests = b"HeaderDigest=CRC32C\0" in data
        return self

    def command(self, cdb, flags=FINAL, length=0, data=b"", lun=0, itt=None, cmdsn=None):
        """The bytes of a SCSI Command with the next CmdSN and task tag."""
        self.itt = self.itt + 1 if itt is None else itt
        made = pdu(COMMAND, flags | 1, lun, self.itt, length, self.cmdsn if cmdsn is None else cmdsn, 0,
                   cdb, data)
        self.cmdsn += cmdsn is None
        return made

    def status_of(self):
        """The end of a command: its status, and its sense data as key << 16 | asc << 8 | ascq."""
        while True:
            header, data = self.answer(RESPONSE, DATA_IN)
            if header[0] == DATA_IN and not header[1] & 1:
                continue
            if header[0] == RESPONSE and header[3] == 2:
                return (data[4] & 15) << 16 | data[14] << 8 | data[15]
            return header[3]

    def do(self, cdb, flags=FINAL, length=0, data=b"", lun=0):
        self.send(self.command(cdb, flags, length, data, lun))
        return self.status_of()

    def calm(self):
        while self.do(bytes(6)) >> 16 == 6:
            pass
        return self


def honest(limit=LIMIT):
    """A good login and a read, in time."""
    started = time.monotonic()
    with Wire(isid=99) as wire:
        wire.login().calm()
        check(wire.do(struct.pack(">BBIBHB", 0x28, 0, 0, 0, 1, 0), FINAL | READ, BLOCK) == 0, "READ fails")
    took = time.monotonic() - started
    check(took < limit, f"an honest login takes {took:.1f} s")
    return took


def login_text():
    """Row 1: unknown keys by the thousand, no values, 8,180 to 8,200 bytes, no NUL at the end."""
    with Wire() as wire:
        pairs = [f"InitiatorName={HOST}", f"TargetName={TARGET}"] + [f"X-{n:04d}=1" for n in range(2048)]
        text, sent, understood = text_of(pairs), 0, b""
        while len(text) - sent > 8000:
            status, flags, _ = wire.login_step(0x40 | OPERATIONAL, [], text[sent:sent + 8000])
            sent += 8000
            check(status == 0 and flags & 0x80 == 0, f"status {status:04x} to a part of a text")
        status, flags, data = wire.login_step(TO_FULL, [], text[sent:])
        while status == 0 and not flags & 0x80:
            understood += data
            status, flags, data = wire.login_step(TO_FULL, [])
        check(status in (0, 0x0200, 0x0302), f"2,048 unknown keys: status {status:04x}")
    for raw in (b"InitiatorName\0", b"=\0", b"InitiatorName=\0TargetName=\0", b"\0" * 100, b"=" * 8192):
        with Wire() as wire:
            status, _, _ = wire.login_step(TO_FULL, [], raw)
            check(status >> 8 == 2, f"{raw[:20]}: status {status:04x}")
            wire.expect_closed()
    for size in range(8180, 8201):
        head = text_of([f"InitiatorName={HOST}", f"TargetName={TARGET}"])
        filled = head
        while len(filled) < size:
            room = min(size - len(filled), 200)
            filled += (b"X-a=" + b"b" * 200)[:room - 1] + b"\0"
        with Wire() as wire:
            try:
                status, _, _ = wire.login_step(TO_FULL, [], filled)
                check(size <= 8192 or status >> 8 == 2, f"{size} bytes of text: status {status:04x}")
            except EOFError:
                check(size > 8192, f"a text of {size} bytes closes the connection")
    with Wire() as wire:
        status, _, _ = wire.login_step(TO_FULL, [], text_of([f"InitiatorName={HOST}"]) + b"TargetName=x")
        check(status >> 8 == 2, f"a text without a final NUL: status {status:04x}")


def chap_step(wire, algorithm="5"):
    """Up to the challenge: identifier and challenge."""
    keys = [f"InitiatorName={HOST}", f"TargetName={PROVED}", "AuthMethod=CHAP"]
    status, _, _ = wire.login_step(SECURITY, keys)
    check(status == 0, f"AuthMethod: status {status:04x}")
    status, _, data = wire.login_step(SECURITY, [f"CHAP_A={algorithm}"])
    check(status == 0, f"CHAP_A: status {status:04x}")
    answer = dict(pair.split("=", 1) for pair in data.decode().split("\0") if pair)
    return int(answer["CHAP_I"]), bytes.fromhex(answer["CHAP_C"][2:])


def chap_response(identifier, challenge, secret):
    return "0x" + hashlib.md5(bytes([identifier]) + secret.encode() + challenge).hexdigest()


def proved(secret, isid=7):
    """A login with CHAP that succeeds; the connection."""
    wire = Wire(isid)
    identifier, challenge = chap_step(wire)
    status, flags, _ = wire.login_step(
        PROOF, ["CHAP_N=guest", "CHAP_R=" + chap_response(identifier, challenge, secret)])
    check(status == 0 and flags == PROOF, f"CHAP: status {status:04x}")
    return wire


def chap(secret):
    """Row 2: whatever is wrong with CHAP, the same refusal."""
    rows = ["", "0x", "0x123", "0b====", "0b" + "A" * 24, "12345", "0x" + "a" * 2050, "0x" + "g" * 32]
    for response in rows:
        with Wire() as wire:
            chap_step(wire)
            status, _, _ = wire.login_step(PROOF, ["CHAP_N=guest", f"CHAP_R={response}"])
            check(status in (0x0200, 0x0201), f"CHAP_R={response[:20]}: status {status:04x}")
            wire.expect_closed()
    for name, key in (("stranger", secret), ("guest", "not the secret 1"), ("other", secret)):
        with Wire() as wire:
            identifier, challenge = chap_step(wire)
            wire.send(wire.login_pdu(PROOF, [f"CHAP_N={name}",
                                               "CHAP_R=" + chap_response(identifier, challenge, key)]))
            header, data = wire.answer(LOGIN_RESPONSE)
            check(header[36:38] == b"\x02\x01" and data == b"", f"CHAP_N={name}: {header.hex()}")
            wire.expect_closed()
    with Wire() as wire:  # the target's own challenge comes back: no word more
        identifier, challenge = chap_step(wire)
        wire.send(wire.login_pdu(PROOF, ["CHAP_N=guest", "CHAP_R=0x00", f"CHAP_I={identifier}",
                                           "CHAP_C=0x" + challenge.hex()]))
        wire.expect_closed()
    for keys in (["CHAP_R=0x00"], ["CHAP_N=guest"], ["CHAP_A=5", "CHAP_N=guest", "CHAP_R=0x00"]):
        with Wire() as wire:
            chap_step(wire)
            status, _, _ = wire.login_step(PROOF, keys)
            check(status in (0x0200, 0x0201), f"{keys}: status {status:04x}")
    proved(secret).socket.close()
    chap_alike(secret)


def chap_alike(secret):
    """A wrong user and a wrong secret take alike: medians of many, taken by turns."""
    took = {"stranger": [], "guest": []}
    for _ in range(60):
        for name, times in took.items():
            with Wire() as wire:
                identifier, challenge = chap_step(wire)
                last = wire.login_pdu(PROOF, [f"CHAP_N={name}", "CHAP_R=" + chap_response(
                    identifier, challenge, secret + "x")])
                started = time.perf_counter()
                wire.send(last)
                wire.answer(LOGIN_RESPONSE)
                times.append(time.perf_counter() - started)
    stranger, guest = (sorted(times)[len(times) // 4] for times in took.values())
    check(max(stranger, guest) < 3 * min(stranger, guest) + 0.001,
          f"a wrong user takes {stranger:.6f} s, a wrong secret {guest:.6f} s")


def order():
    """Row 3: stages skipped, PDUs before their time, bytes right behind the login."""
    with Wire() as wire:  # authentication is required
        status, _, _ = wire.login_step(TO_FULL, [f"InitiatorName={HOST}", f"TargetName={PROVED}"])
        check(status == 0x0201, f"no security stage: status {status:04x}")
    with Wire() as wire:  # T before the proof
        wire.login_step(SECURITY, [f"InitiatorName={HOST}", f"TargetName={PROVED}", "AuthMethod=CHAP"])
        status, flags, _ = wire.login_step(0x83, ["CHAP_A=5"])
        check(status or not flags & 0x80, "the target lets an unproved initiator on")
    for opcode in (NOP_OUT, COMMAND, TMF, TEXT, DATA_OUT, LOGOUT, SNACK, 0x1f, 0x3f):
        with Wire() as wire:
            wire.send(pdu(opcode, FINAL, w20=NONE))
            wire.expect_closed()
        with Wire() as wire:
            wire.login_step(SECURITY, [f"InitiatorName={HOST}", f"TargetName={PROVED}", "AuthMethod=CHAP"])
            wire.send(pdu(opcode, FINAL, w20=NONE))
            try:
                header, _ = wire.answer(LOGIN_RESPONSE)
                check(header[36:38] == b"\x02\x0b", f"opcode {opcode:02x}: {header.hex()}")
            except (EOFError, ConnectionResetError):
                pass
            wire.expect_closed()
    with Wire() as wire:  # the commands come in one segment with the login
        login = wire.login_pdu(TO_FULL, [f"InitiatorName={HOST}", f"TargetName={TARGET}"])
        wire.send(login + b"".join(wire.command(bytes(6)) for _ in range(8)))
        wire.answer(LOGIN_RESPONSE)
        for _ in range(8):
            wire.status_of()


def split():
    """Row 3: a session's byte stream cut at every place, and byte by byte, has the same answers."""
    def stream(wire):
        cdb = struct.pack(">BBIBHB", 0x2a, 0, 7, 0, 1, 0)
        read = struct.pack(">BBIBHB", 0x28, 0, 7, 0, 1, 0)
        pairs = [f"InitiatorName={HOST}", f"TargetName={TARGET}", "InitialR2T=No", "ImmediateData=Yes"]
        return (wire.login_pdu(TO_FULL, pairs)
                + b"".join(wire.command(bytes(6)) for _ in range(4))
                + wire.command(cdb, FINAL | WRITE, BLOCK, b"\x5a" * BLOCK)
                + wire.command(read, FINAL | READ, BLOCK))

    def answers(wire):
        got = [wire.answer(LOGIN_RESPONSE)[1]]
        got += [wire.status_of() for _ in range(5)]
        header, data = wire.answer(DATA_IN)
        check(header[1] & 1 and data == b"\x5a" * BLOCK, "a cut write is read back otherwise")
        return got[:1] + got[5:]

    with Wire() as wire:
        whole = stream(wire)
        wire.send(whole)
        right = answers(wire)
    for at in range(1, len(whole)):
        with Wire() as wire:
            stream(wire)
            wire.send(whole[:at])
            wire.send(whole[at:])
            check(answers(wire) == right, f"cut at byte {at} the answers differ")
    with Wire() as wire:
        stream(wire)
        for byte in whole:
            wire.send(bytes([byte]))
        check(answers(wire) == right, "byte by byte the answers differ")


def silent():
    """Row 4: 10,000 connections that say nothing; an honest login among them; they are all ended."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    check(hard > 10100, f"{soft}, {hard}: not enough descriptors for this test")
    started = time.monotonic()
    open_ones = [socket.create_connection(PORTAL, LIMIT) for _ in range(10000)]
    took = honest()
    for connection in open_ones:
        connection.settimeout(60)
        try:
            check(connection.recv(1) == b"", "the target says something to one that says nothing")
        except ConnectionResetError:
            pass
        connection.close()
    print(f"a login among 10,000 silent connections took {took:.2f} s; all were ended after "
          f"{time.monotonic() - started:.1f} s")


def discovery(count):
    """Row 5: nothing before the proof; a list of many targets in answers of 512 bytes."""
    with Wire() as wire:
        wire.login_step(SECURITY, [f"InitiatorName={HOST}", "SessionType=Discovery"])
        wire.send(pdu(TEXT, FINAL, w20=NONE, data=text_of(["SendTargets=All"])))
        try:
            check(wire.answer()[0][0] != TEXT_RESPONSE, "SendTargets is answered before the login is over")
        except (EOFError, ConnectionResetError):
            pass
    with Wire() as wire:
        wire.login("MaxRecvDataSegmentLength=512", target=None)
        tag, names, exchanges, ask = NONE, b"", 0, text_of(["SendTargets=All"])
        while True:
            wire.send(pdu(TEXT | 0x40, FINAL, itt=5, w20=tag, w24=wire.cmdsn, data=ask))
            header, data = wire.answer(TEXT_RESPONSE)
            check(len(data) <= 512, f"{len(data)} bytes to one who takes 512")
            names, ask, exchanges = names + data, b"", exchanges + 1
            tag = int.from_bytes(header[20:24], "big")
            if header[1] & 0x80:
                break
        found = names.count(b"TargetName=")
        check(found >= int(count), f"{found} targets are listed")
        print(f"{found} targets in {exchanges} answers")


def second_login(secret):
    """Row 6: the same name and ISID: the first session ends only for one who has proved himself."""
    first = proved(secret)
    first.calm()
    with Wire(7) as thief:
        chap_step(thief)
        check(first.do(bytes(6)) == 0, "the session is gone for one who has proved nothing")
        status, _, _ = thief.login_step(PROOF, ["CHAP_N=guest", "CHAP_R=0x" + "00" * 16])
        check(status == 0x0201, f"a wrong response: status {status:04x}")
        check(first.do(bytes(6)) == 0, "the session is gone for one with a wrong response")
    second = proved(secret)
    first.expect_closed()
    second.calm()
    second.socket.close()


def numbers():
    """Row 7: CmdSN and ITT twice, SNACK, Data-Out where none belongs, data after an abort."""
    keys = ("InitialR2T=Yes", "ImmediateData=No", "MaxBurstLength=1024")
    write = struct.pack(">BBIBHB", 0x2a, 0, 0, 0, 4, 0)
    with Wire() as wire:
        wire.login(*keys).calm()
        again = wire.command(bytes(6))
        wire.send(again + again + wire.command(bytes(6)))  # the second is dropped without a word
        check((wire.status_of(), wire.status_of()) == (0, 0), "a CmdSN twice")
        wire.send(wire.command(write, FINAL | WRITE, 2048, itt=77))
        ttt = int.from_bytes(wire.answer(R2T)[0][20:24], "big")
        wire.send(wire.command(bytes(6), itt=77))
        check(wire.answer(REJECT)[0][2] == 0x07, "an ITT twice is no \"task in progress\"")
        wire.cmdsn -= 1  # what is rejected has not used its CmdSN (RFC 7143 7.3)
        wire.send(pdu(SNACK, FINAL, itt=77, w20=NONE))
        check(wire.answer(REJECT)[0][2] in (0x03, 0x05), "a SNACK at level 0")
        data = pdu(DATA_OUT, FINAL, 0, 77, ttt + 9, tail=bytes(16), data=b"x" * 512)
        wire.send(data)
        check(wire.answer(REJECT)[0][2] == 0x09, "Data-Out for a tag that nobody gave")
        # Beyond the burst that was asked for: the command fails, the connection lives.
        wire.send(pdu(DATA_OUT, FINAL, 0, 77, ttt, tail=bytes(16), data=b"x" * 2048))
        check(wire.status_of() == 0x0b0c0d, "Data-Out beyond its burst")
        wire.send(wire.command(write, FINAL | WRITE, 2048, itt=78))
        ttt = int.from_bytes(wire.answer(R2T)[0][20:24], "big")
        wire.send(pdu(TMF | 0x40, FINAL | 1, 0, 500, 78, wire.cmdsn, 0, struct.pack(">I", wire.cmdsn - 1)))
        check(wire.answer(TMF_RESPONSE)[0][2] == 0, "ABORT TASK")
        # What was on its way when the task was aborted is dropped without a word.
        wire.send(pdu(DATA_OUT, FINAL, 0, 78, ttt, tail=bytes(16), data=b"x" * 1024))
        check(wire.do(bytes(6)) == 0, "the connection is worth nothing any more")


def digests():
    """Row 7: a wrong data digest is rejected and mended by a retry; a wrong header digest ends it."""
    with Wire() as wire:
        wire.login("HeaderDigest=CRC32C", "DataDigest=CRC32C", "InitialR2T=No", "ImmediateData=Yes")

        def seal(made, spoil_header=0, spoil_data=0):
            header, data = made[:48], made[48:]
            sealed = header + struct.pack("<I", crc32c(header) ^ spoil_header)
            return sealed + (data + struct.pack("<I", crc32c(data) ^ spoil_data) if data else b"")
        for _ in range(8):
            wire.send(seal(wire.command(bytes(6))))
            wire.status_of()
        write = wire.command(struct.pack(">BBIBHB", 0x2a, 0, 3, 0, 1, 0), FINAL | WRITE, BLOCK, b"d" * BLOCK)
        wire.send(seal(write, spoil_data=1))
        check(wire.answer(REJECT)[0][2] == 0x02, "a wrong data digest is not rejected")
        wire.send(seal(write))
        check(wire.status_of() == 0, "the retry of a command whose digest was wrong")
        wire.send(seal(wire.command(bytes(6)), spoil_header=1))
        wire.expect_closed()


def commands():
    """Rows 8 to 11: ranges that wrap, lists that lie, LUs that are not there, every RSOC index."""
    with Wire() as wire:
        wire.login("InitialR2T=No", "ImmediateData=Yes").calm()
        top = b"\xff" * 8
        for opcode in (0x88, 0x8a, 0x8b, 0x8e, 0x8f, 0x90, 0x91, 0x93):
            out = opcode in (0x8a, 0x8b, 0x8e, 0x93)
            cdb = bytes([opcode, 0]) + top + struct.pack(">IBB", 2, 0, 0)
            length = BLOCK if opcode == 0x93 else 2 * BLOCK
            got = wire.do(cdb, FINAL | (WRITE if out else READ if opcode == 0x88 else 0),
                          length if out or opcode == 0x88 else 0, bytes(length) if out else b"")
            check(got == 0x052100, f"opcode {opcode:02x} round the end: {got:06x}")
        lie = bytes(8) + struct.pack(">Q", 0x1234) + bytes(4) + b"\x08" + bytes(3) + b"\xff\xff\xff\xff"
        got = wire.do(bytes([0x5f, 0, 0, 0, 0, 0, 0, 0, len(lie), 0]), FINAL | WRITE, len(lie), lie)
        check(got >> 8 in (0x051a, 0x0526), f"PR OUT with a length that lies: {got:06x}")
        unseen = [xcopy(wire, naa) for naa in (bytes([0x60]) + bytes(15), bytes([0x60]) + b"\xaa" * 15)]
        check(unseen[0] == unseen[1] == 0x0a0d02, f"EXTENDED COPY to what is not there: {unseen}")
        got = wire.do(struct.pack(">BBQIBB", 0x83, 0, 0, 16, 0, 0), FINAL | WRITE, 16, b"\xff" * 16)
        check(got >> 16 == 5, f"EXTENDED COPY whose lengths lie: {got:06x}")
        for form in range(8):
            for opcode in range(256):
                got = wire.do(struct.pack(">BBBBHIBB", 0xa3, 0x0c, 0x80 | form, opcode, 0, 8192, 0, 0),
                              FINAL | READ, 8192)
                check(got in (0, 0x052400), f"RSOC form {form} opcode {opcode:02x}: {got:06x}")


def xcopy(wire, naa):
    """EXTENDED COPY from an LU of this name to LUN 0's: its sense data."""
    def cscd(name):
        return bytes([0xe4, 0, 0, 0, 1, 3, 0, 16]) + name + bytes(4) + bytes([0]) + (512).to_bytes(3, "big")
    segment = bytes([2, 0, 0, 0x18, 0, 0, 0, 1, 0, 0, 0, 8]) + bytes(16)
    cscds = cscd(naa) * 2
    header = bytes([1, 0]) + struct.pack(">HIII", len(cscds), 0, len(segment), 0)
    data = header + cscds + segment
    return wire.do(struct.pack(">BBQIBB", 0x83, 0, 0, len(data), 0, 0), FINAL | WRITE, len(data), data)


TESTS = {test.__name__: test for test in (login_text, chap, order, split, silent, discovery, second_login,
                                          numbers, digests, commands)}

if __name__ == "__main__":
    PORTAL = (sys.argv[1], int(sys.argv[2]))
    TESTS[sys.argv[3]](*sys.argv[4:])
    honest()
