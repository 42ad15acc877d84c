# SPDX-License-Identifier: BSD-3-Clause
"""Third-party copy and offloaded transfer between LUs of both controllers, also while groups move."""

import os
import struct
import subprocess

from questions import home, move, other, owner, probe, wait_whole
from lab import TARGET
from load import program
from runner import check

MIB = 1 << 20
SIZE = 64 * MIB


def image(lab, lun):
    return lab.layout.shared / f"disk{lun}.img"


def content(lab, lun):
    """What is on the shared disk; the controllers write past their page cache."""
    with open(image(lab, lun), "rb") as file:
        return file.read()


def fill(lab, lun, seed):
    """Writes every block of an LU, through its owner."""
    wanted = (struct.pack(">QQ", seed, lun) * 32 + os.urandom(512)) * (SIZE // 1024)
    source = lab.layout.dir / "copy.img"
    source.write_bytes(wanted)
    lab.host_run(["qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source,
                  f"iscsi://{lab[owner(lab, 'g1' if lun < 2 else 'g2')].portals()[0]}/{TARGET}/{lun}"],
                 timeout=60)
    check(content(lab, lun) == wanted, f"LUN {lun} was not filled")
    return wanted


def naa(lab, lun):
    page = probe(lab, lab.portals()[0], lun, "12018300ff00:255")[0].split()[2]
    at = page.index("01030010")
    return bytes.fromhex(page[at + 8:at + 40])


def copy_list(lab, source, destination, size):
    """EXTENDED COPY(LID1): one block to block segment with offsets, `size` bytes from the begin."""
    cscds = b"".join(struct.pack(">BBHBBBB16s4xB3x", 0xe4, 0, 0, 1, 3, 0, 16, naa(lab, lun), 0)
                     for lun in (source, destination))
    segment = struct.pack(">BBHHHIQQHH", 0x0a, 0, 0x1c, 0, 1, size, 0, 0, 0, 0)
    return struct.pack(">BBHIII", 1, 0, len(cscds), 0, len(segment), 0) + cscds + segment


def cdb(action, length, list_id=0):
    return struct.pack(">BBIIIH", 0x83, action, 0, list_id, length, 0).hex()


def copy_words(lab, portal, lun, parameters):
    return [program("yoke-probe"), "--portal", portal, "--target", TARGET, "--lun", str(lun),
            "--initiator", "iqn.2026-01.org.example:probe",
            f"{cdb(0, len(parameters))}={parameters.hex()}"]


def copy(lab, portal, lun, source, destination):
    """Copies the whole LU and compares."""
    parameters = copy_list(lab, source, destination, SIZE)
    said = lab.host_run(copy_words(lab, portal, lun, parameters), timeout=60).stdout.strip()
    check(said == "00", f"EXTENDED COPY {source} to {destination} at {portal}: {said}")
    check(content(lab, destination) == content(lab, source),
          f"LUN {destination} is not what LUN {source} is")


def test_between_owners(lab):
    """Within a group and across; to the owner of either side, and through the other controller."""
    wait_whole(lab)
    for source, destination in ((0, 1), (1, 2), (2, 0), (0, 3)):
        fill(lab, source, 7)
        for node in ("a", "b"):
            for lun in (source, destination):
                fill(lab, destination, 8)
                copy(lab, lab[node].portals()[0], lun, source, destination)


def test_moves_meanwhile(lab):
    """Groups move while copies run: each ends GOOD, and the copy is right."""
    wait_whole(lab)
    fill(lab, 0, 9)
    for group in ("g1", "g2"):
        for _ in range(2):
            fill(lab, 2, 10)
            parameters = copy_list(lab, 0, 2, SIZE)
            running = [lab.host_start(copy_words(lab, lab[node].portals()[0], 0, parameters),
                                      stdout=subprocess.PIPE, text=True) for node in ("a", "b")]
            move(lab, group, other(owner(lab, group)))
            for process in running:
                said = process.communicate(timeout=60)[0].strip()
                check(said == "00", f"a copy while {group} moved: {said}")
            check(content(lab, 2) == content(lab, 0), f"a copy while {group} moved is not right")
    home(lab, "g1")
    home(lab, "g2")


def token_list(lba, blocks):
    return struct.pack(">HBBIIHHQII", 14 + 16, 0, 0, 0, 0, 0, 16, lba, blocks, 0)


def write_list(token, lba, blocks):
    return (struct.pack(">HB5xQ", 534 + 16, 0, 0) + token +
            struct.pack(">6xHQII", 16, lba, blocks, 0))


def populate(lab, portal, lun, blocks):
    """A token of the LU's first blocks."""
    parameters = token_list(0, blocks)
    said = probe(lab, portal, lun, f"{cdb(0x10, len(parameters), 5)}={parameters.hex()}",
                 struct.pack(">BBIIIH", 0x84, 7, 5, 0, 1024, 0).hex() + ":1024")
    check(said[0] == "00" and said[1].startswith("00"), f"POPULATE TOKEN: {said}")
    answer = bytes.fromhex(said[1].split()[2])
    return answer[38:38 + 512]


def use(lab, portal, lun, token, blocks):
    parameters = write_list(token, 0, blocks)
    return probe(lab, portal, lun, f"{cdb(0x11, len(parameters), 6)}={parameters.hex()}")[0]


def test_tokens(lab):
    """A token through either controller; it ends with a write, and with a move of its group."""
    wait_whole(lab)
    blocks = 16 * MIB // 512
    fill(lab, 0, 11)
    for node in ("a", "b"):
        fill(lab, 1, 12)
        portal = lab[node].portals()[0]
        token = populate(lab, portal, 0, blocks)
        check(use(lab, portal, 1, token, blocks) == "00", "WRITE USING TOKEN failed")
        check(content(lab, 1)[:16 * MIB] == content(lab, 0)[:16 * MIB], "the data is another")
        check(use(lab, lab[other(node)].portals()[0], 1, token, blocks) == "00",
              "the token is not good at the other controller's portal")
        said = probe(lab, portal, 0, "2a000000001000000100=" + "ee" * 512)
        check(said == ["00"], f"a write: {said}")
        said = use(lab, portal, 1, token, blocks)
        check(said == "02 5/23/06", f"after a write: {said}")
    token = populate(lab, lab["a"].portals()[0], 0, blocks)
    move(lab, "g1", other(owner(lab, "g1")))
    for node in ("a", "b"):
        said = use(lab, lab[node].portals()[0], 1, token, blocks)
        check(said in ("02 5/23/04", "02 5/23/06"), f"after a move: {said}")
    home(lab, "g1")
    zeros = struct.pack(">IHH504x", 0xffff0001, 0, 0x1f8)
    check(use(lab, lab["b"].portals()[0], 1, zeros, SIZE // 512) == "00", "the token of zeros")
    check(content(lab, 1) == bytes(SIZE), "not zeros")
