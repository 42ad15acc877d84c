# SPDX-License-Identifier: BSD-3-Clause
"""A Linux host at two controllers: sg3_utils and a file system, through the owner and the
other.

One guest for the whole module. LUNs 0 and 1 belong to controller a, 2 and 3 to b; LUN 3 has blocks
of 4096 bytes.
"""

import re

from guest import Guest
from layout import TARGET
from questions import home, wait_whole
from runner import check

SETTINGS = {"lus": 4}
OWNER, OTHER = "10.77.1.1:3260", "10.77.1.2:3260"
PATHS = (OWNER, OTHER)
MISCOMPARE = 14  # exit status of sg3_utils


def ready(lab):
    """The guest, logged in at one portal of each controller; g1 at home."""
    guest = Guest.of(lab)
    if not guest.logged_in:
        wait_whole(lab)
        guest.log_out()
        guest.log_in(PATHS)
        guest.logged_in = True
        guest.forget_log()
    home(lab, "g1")
    return guest


def both(guest, command, lun=0):
    """What a command prints at the owner's path and at the other's; {} stands for the device."""
    return [guest.run(command.replace("{}", guest.disk(portal, lun))) for portal in PATHS]


def expect(texts, *patterns):
    """Every text has every pattern."""
    for portal, text in zip(PATHS, texts):
        for pattern in patterns:
            check(re.search(pattern, text, re.M), f"{portal}: no {pattern!r} in:\n{text}")


def same(texts):
    check(texts[0] == texts[1], f"{OWNER} says:\n{texts[0]}\n{OTHER} says:\n{texts[1]}")


def test_boots_and_logs_in(lab):
    """iscsid finds all portals and logs in; the kernel attaches its ALUA handler, without a word."""
    guest = Guest.of(lab)
    guest.forget_log()
    listed = guest.run("iscsiadm -m discovery -t sendtargets -p 10.77.1.1")
    for portal in lab.portals():
        check(f"{portal}," in listed and TARGET in listed, f"{portal} is not listed:\n{listed}")
    guest.log_in(PATHS)
    guest.logged_in = True
    said = "\n".join(guest.check_log())
    check(said.count("alua: supports implicit TPGS") == 8, f"the ALUA handler missed a path:\n{said}")
    for group, count in ((1, 4), (2, 4)):
        found = len(re.findall(rf"port group {group} rel port", said))
        check(found == count, f"{found} paths of group {group}:\n{said}")
    return f"the guest boots in {guest.boot_s:.0f} s"


def test_inquiry_and_vpd(lab):
    """sg_inq; sg_vpd with every page that is listed."""
    guest = ready(lab)
    texts = both(guest, "sg_inq {}")
    same(texts)
    expect(texts, r"PDT=0", r"TPGS=1", r"CmdQue=1", r"3PC=1", r"Vendor identification: YOKE",
           r"Unit serial number: \w+")
    listed = both(guest, "sg_vpd -p sv -q {}")
    same(listed)
    pages = re.findall(r"\[(\w+)\]", listed[0])
    for needed in ("sn", "di", "ei", "mpp", "sp", "tpc", "bl", "bdc", "lbpv"):
        check(needed in pages, f"VPD page {needed} is not listed: {pages}")
    for page in pages:
        texts = both(guest, f"sg_vpd -p {page} {{}}")
        expect(texts, r"VPD page")
        if page != "di":  # which has the port's own designators
            same(texts)
        check("unexpected" not in texts[0].lower() and "bad" not in texts[0].lower(),
              f"sg_vpd does not like page {page}:\n{texts[0]}")
    ids = both(guest, "sg_vpd -p di {}")
    expect(ids, r"designator type: NAA", r"Target port group: 0x[12]", r"Relative target port: 0x[12]01",
           rf"{re.escape(TARGET)},t,0x000[12]")
    check(re.findall(r"0x6\w{31}", ids[0]) == re.findall(r"0x6\w{31}", ids[1]),
          f"different NAA designators: {ids}")
    guest.check_log()


def test_luns_and_capacity(lab):
    """sg_luns and sg_readcap."""
    guest = ready(lab)
    texts = both(guest, "sg_luns {}")
    same(texts)
    expect(texts, r"imples 4 lun entries", r"^\s*0003000000000000")
    texts = both(guest, "sg_readcap --long {}")
    same(texts)
    expect(texts, r"Last LBA=131071 ", r"block length=512 bytes", r"lbpme=1, lbprz=1", r"exponent=3")
    texts = both(guest, "sg_readcap --long {}", 3)
    same(texts)
    expect(texts, r"Last LBA=16383 ", r"block length=4096 bytes")
    guest.check_log()


def test_opcodes_logs_modes(lab):
    """sg_opcodes, sg_logs, sg_modes."""
    guest = ready(lab)
    texts = both(guest, "sg_opcodes --mask {}")
    same(texts)
    expect(texts, r"Read\(16\)", r"Compare and write", r"Unmap", r"Extended copy\(LID1\)",
           r"Persistent reserve out", r"Report target port groups")
    expect(both(guest, "sg_opcodes --opcode=0x93 {}"), r"93 [0-9a-f]")
    texts = both(guest, "sg_logs --all {}")
    expect(texts, r"Supported log pages", r"Write error counter page", r"Logical block provisioning page",
           r"Used LBA mapping threshold resource count")
    texts = both(guest, "sg_modes --all {}")
    same(texts)
    expect(texts, r"WP=0, DpoFua=1", r">> Caching", r">> Control", r">> Informational exceptions")
    both(guest, "sg_turs {}")
    both(guest, "sg_requests {}")
    guest.check_log()


def test_rtpg(lab):
    """sg_rtpg in both formats: one group optimized, the other not, the same from both."""
    guest = ready(lab)
    for option in ("", "--extended"):
        texts = both(guest, f"sg_rtpg --decode {option} {{}}")
        same(texts)
        expect(texts, r"group id : 0x1 [\s\S]*?0x00 \(active/optimized\)[\s\S]*?0x101",
               r"group id : 0x2 [\s\S]*?0x01 \(active/non optimized\)[\s\S]*?0x201")
    expect(both(guest, "sg_rtpg --decode --extended {}"), r"Implicit transition time: [1-9]")
    guest.check_log()


def test_persistent_reservations(lab):
    """sg_persist: a registration and a reservation at one controller hold at the other."""
    guest = ready(lab)
    first, second = (guest.disk(portal, 0) for portal in PATHS)

    def out(words, disk):
        guest.run(f"sg_persist -n --out {words} {disk}")
    expect(both(guest, "sg_persist -n -c {}"), r"Persistent Reservations? [Tt]ype [Mm]ask|Type Mask")
    out("--register-ignore --param-sark=0xa1", first)
    out("--register --param-sark=0xb2", second)
    texts = both(guest, "sg_persist -n -k {}")
    same(texts)
    expect(texts, r"2 registered reservation keys", r"0xa1", r"0xb2")
    out("--reserve --param-rk=0xa1 --prout-type=5", first)
    texts = both(guest, "sg_persist -n -r {}")
    same(texts)
    expect(texts, r"Key ?= ?0xa1", r"Write Exclusive, registrants only")
    texts = both(guest, "sg_persist -n -s {}")
    same(texts)
    expect(texts, r"Relative port address: 0x101", r"Relative port address: 0x201",
           r"iqn\.2026-01\.org\.example:guest,i,0x")
    guest.run(f"dd if=/dev/zero of={second} bs=4k count=1 oflag=direct")
    out("--register --param-rk=0xb2 --param-sark=0", second)
    refused = guest.attempt(f"dd if=/dev/zero of={second} bs=4k count=1 oflag=direct")
    check(refused.status != 0, "who is not registered any more could write")
    guest.attempt(f"sg_turs {second}")
    out("--register --param-sark=0xb2", second)
    out("--preempt --param-rk=0xb2 --param-sark=0xa1 --prout-type=7", second)
    texts = [guest.run(f"sg_turs {disk} >/dev/null; sg_persist -n -r {disk}")
             for disk in (first, second)]
    expect(texts, r"Write Exclusive, all registrants")
    out("--clear --param-rk=0xb2", second)
    texts = [guest.run(f"sg_turs {disk} >/dev/null; sg_persist -n -k {disk}")
             for disk in (first, second)]
    expect(texts, r"NO registered reservation keys")
    guest.check_log(allowed=(
        "reservation conflict", "reservation error", "critical nexus error", "Sense Key", "FAILED Result"))


def test_xcopy(lab):
    """sg_xcopy between LUs of one owner, started at either controller."""
    guest = ready(lab)
    guest.run("head -c 2097152 /dev/urandom >/tmp/random")
    for portal in PATHS:
        source, target = guest.disk(portal, 0), guest.disk(portal, 1)
        guest.run(f"dd if=/tmp/random of={source} bs=1M count=2 oflag=direct")
        guest.run(f"sg_write_same --16 --lba=0 --num=4096 --ndob {target}")
        text = guest.run(f"sg_xcopy if={source} of={target} bs=512 count=4096 2>&1")
        check("4096" in text, f"sg_xcopy: {text}")
        guest.run(f"dd if={target} bs=1M count=2 iflag=direct | cmp - /tmp/random")
    guest.check_log()


def test_reset(lab):
    """sg_reset of the LU at either path, with a reader beside it: the host goes on."""
    guest = ready(lab)
    for portal in PATHS:
        disk = guest.disk(portal, 0)
        reader = guest.start(f"dd if={disk} of=/dev/null bs=64k count=512 iflag=direct")
        guest.run(f"sg_reset --device --no-escalate {disk}")
        done = guest.finish(reader, 60, "a reader beside a reset")
        check(done.status == 0, f"the reader failed: {done.output}")
        guest.run(f"sg_turs {disk}")
    said = "\n".join(guest.check_log())
    check("Power-on or device reset occurred" in said, f"no unit attention told:\n{said}")


def test_write_commands(lab):
    """sg_unmap, sg_write_same, sg_compare_and_write: done at one path, seen at the other."""
    guest = ready(lab)
    guest.run("seq 500000 | head -c 1048576 >/tmp/text; head -c 512 /tmp/text >/tmp/block;"
              "head -c 512 /dev/zero >/tmp/zeros; cat /tmp/block /tmp/zeros >/tmp/swap")
    for here, there in (PATHS, PATHS[::-1]):
        mine, other = guest.disk(here, 1), guest.disk(there, 1)
        guest.run(f"dd if=/tmp/text of={mine} bs=1M count=1 oflag=direct")
        guest.run(f"sg_unmap --lba=0 --num=1024 {mine}")
        check("deallocated" in guest.run(f"sg_get_lba_status --lba=0 {other}").splitlines()[2],
              "what was unmapped is not deallocated")
        guest.run(f"dd if={other} bs=512 count=1024 iflag=direct | cmp -n 524288 - /dev/zero")
        guest.run(f"dd if={other} bs=512 skip=1024 count=1024 iflag=direct | "
                  "cmp -n 524288 - /tmp/text 0 524288")
        guest.run(f"sg_write_same --16 --in=/tmp/block --lba=8 --num=64 {mine}")
        for block in (8, 71):
            guest.run(f"dd if={other} bs=512 skip={block} count=1 iflag=direct | cmp - /tmp/block")
        guest.run(f"dd if={other} bs=512 skip=72 count=1 iflag=direct | cmp - /tmp/zeros")
        words = "sg_compare_and_write --in=/tmp/swap --lba=9 --num=1 --xferlen=1024"
        guest.run(f"{words} {mine}")
        guest.run(f"dd if={other} bs=512 skip=9 count=1 iflag=direct | cmp - /tmp/zeros")
        status = guest.attempt(f"{words} {other}").status
        check(status == MISCOMPARE, f"a second COMPARE AND WRITE ends with {status}")
        guest.run(f"sg_sync {mine} && sg_verify --lba=0 --count=128 {other}")
    guest.check_log()


def test_file_system(lab):
    """mkfs.ext4, files, fstrim; mounted again through the other controller; blkdiscard -z."""
    guest = ready(lab)
    first, second = (guest.disk(portal, 0) for portal in PATHS)
    guest.run(f"mkfs.ext4 -q {first} && mount -t ext4 {first} /mnt", 90)
    guest.run("for i in 1 2 3 4; do head -c 3000000 /dev/urandom >/mnt/$i; done; "
              "cd /mnt && sha256sum 1 2 3 4 >/tmp/sums && cp /tmp/sums sums && rm 4 && sync", 90)
    trimmed = guest.run("fstrim -v /mnt")
    size = re.search(r"\((\d+) bytes\)", trimmed)
    check(size and int(size[1]) > 3000000, f"fstrim: {trimmed}")
    guest.run(f"umount /mnt && e2fsck -fn {second} && mount -t ext4 -o ro {second} /mnt", 90)
    guest.run("cd /mnt && head -n 3 sums | sha256sum -c -")
    guest.run("umount /mnt")
    check("deallocated" in guest.run(f"sg_get_lba_status --lba=0 --maxlen=65536 {second}"),
          "nothing is deallocated")
    guest.run(f"blkdiscard --zeroout {first}", 90)
    guest.run(f"dd if={second} bs=1M iflag=direct | cmp -n 67108864 - /dev/zero", 90)
    guest.run(f"blkdiscard {second}", 90)
    guest.check_log()
