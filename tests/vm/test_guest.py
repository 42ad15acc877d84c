# SPDX-License-Identifier: BSD-3-Clause
"""A Linux host at two controllers: sg3_utils and a file system, through the owner and the
other.

One guest for the whole module. LUNs 0 and 1 belong to controller a, 2 and 3 to b; LUN 3 has blocks
of 4096 bytes.
"""

import re

from guest import SETTINGS, Guest  # SETTINGS is for the runner
from layout import TARGET
from questions import home, wait_whole
from runner import check

while_settling = Guest.begin
QUICK_HEAL = True  # nothing to heal
OWNER, OTHER = "10.77.1.1:3260", "10.77.1.2:3260"
PATHS = (OWNER, OTHER)
MISCOMPARE = 14  # exit status of sg3_utils


def ready(lab):
    """The guest, logged in at one portal of each controller; g1 at home."""
    guest = Guest.of(lab)
    if guest.user != __name__:
        wait_whole(lab)
        guest.log_out()
        guest.log_in(PATHS)
        guest.user = __name__
        guest.forget_log()
    home(lab, "g1")
    return guest


def both(guest, *commands, lun=0):
    """What commands print at the owner's path and at the other's; {} stands for the device. A pair
    of texts, or a list of pairs when there are several commands."""
    disks = [guest.disk(portal, lun) for portal in PATHS]
    texts = guest.run_all([command.replace("{}", disk) for command in commands for disk in disks])
    pairs = [texts[i:i + 2] for i in range(0, len(texts), 2)]
    return pairs if len(commands) > 1 else pairs[0]


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
    guest.user = __name__
    said = "\n".join(guest.check_log())
    check(said.count("alua: supports implicit TPGS") == 8, f"the ALUA handler missed a path:\n{said}")
    for group, count in ((1, 4), (2, 4)):
        found = len(re.findall(rf"port group {group} rel port", said))
        check(found == count, f"{found} paths of group {group}:\n{said}")
    return f"the guest boots in {guest.boot_s:.0f} s"


def test_inquiry_and_vpd(lab):
    """sg_inq; sg_vpd with every page that is listed."""
    guest = ready(lab)
    texts, listed, ids = both(guest, "sg_inq {}", "sg_vpd -p sv -q {}", "sg_vpd -p di {}")
    same(texts)
    expect(texts, r"PDT=0", r"TPGS=1", r"CmdQue=1", r"3PC=1", r"Vendor identification: YOKE",
           r"Unit serial number: \w+")
    same(listed)
    pages = re.findall(r"\[(\w+)\]", listed[0])
    for needed in ("sn", "di", "ei", "mpp", "sp", "tpc", "bl", "bdc", "lbpv"):
        check(needed in pages, f"VPD page {needed} is not listed: {pages}")
    for page, texts in zip(pages, both(guest, *(f"sg_vpd -p {page} {{}}" for page in pages))):
        expect(texts, r"VPD page")
        if page != "di":  # which has the port's own designators
            same(texts)
        check("unexpected" not in texts[0].lower() and "bad" not in texts[0].lower(),
              f"sg_vpd does not like page {page}:\n{texts[0]}")
    expect(ids, r"designator type: NAA", r"Target port group: 0x[12]", r"Relative target port: 0x[12]01",
           rf"{re.escape(TARGET)},t,0x000[12]")
    check(re.findall(r"0x6\w{31}", ids[0]) == re.findall(r"0x6\w{31}", ids[1]),
          f"different NAA designators: {ids}")
    guest.check_log()


def test_luns_and_capacity(lab):
    """sg_luns and sg_readcap."""
    guest = ready(lab)
    texts, sizes = both(guest, "sg_luns {}", "sg_readcap --long {}")
    same(texts)
    expect(texts, r"imples 4 lun entries", r"^\s*0003000000000000")
    same(sizes)
    expect(sizes, r"Last LBA=131071 ", r"block length=512 bytes", r"lbpme=1, lbprz=1", r"exponent=3")
    texts = both(guest, "sg_readcap --long {}", lun=3)
    same(texts)
    expect(texts, r"Last LBA=16383 ", r"block length=4096 bytes")
    guest.check_log()


def test_opcodes_logs_modes(lab):
    """sg_opcodes, sg_logs, sg_modes."""
    guest = ready(lab)
    texts, one, logs, modes, *_ = both(guest, "sg_opcodes --mask {}", "sg_opcodes --opcode=0x93 {}",
                                       "sg_logs --all {}", "sg_modes --all {}", "sg_turs {}", "sg_requests {}")
    same(texts)
    expect(texts, r"Read\(16\)", r"Compare and write", r"Unmap", r"Extended copy\(LID1\)",
           r"Persistent reserve out", r"Report target port groups")
    expect(one, r"93 [0-9a-f]")
    expect(logs, r"Supported log pages", r"Write error counter page", r"Logical block provisioning page",
           r"Used LBA mapping threshold resource count")
    same(modes)
    expect(modes, r"WP=0, DpoFua=1", r">> Caching", r">> Control", r">> Informational exceptions")
    guest.check_log()


def test_rtpg(lab):
    """sg_rtpg in both formats: one group optimized, the other not, the same from both."""
    guest = ready(lab)
    pairs = both(guest, "sg_rtpg --decode {}", "sg_rtpg --decode --extended {}")
    for texts in pairs:
        same(texts)
        expect(texts, r"group id : 0x1 [\s\S]*?0x00 \(active/optimized\)[\s\S]*?0x101",
               r"group id : 0x2 [\s\S]*?0x01 \(active/non optimized\)[\s\S]*?0x201")
    expect(pairs[1], r"Implicit transition time: [1-9]")
    guest.check_log()


def test_persistent_reservations(lab):
    """sg_persist: a registration and a reservation at one controller hold at the other."""
    guest = ready(lab)
    first, second = (guest.disk(portal, 0) for portal in PATHS)

    def out(words, disk):
        return f"sg_persist -n --out {words} {disk}"

    def on_both(letter):
        return [f"sg_turs {disk} >/dev/null; sg_persist -n -{letter} {disk}" for disk in (first, second)]
    *masks, _, _, k1, k2, _, r1, r2, s1, s2, _ = guest.run_all(
        on_both("c") + [out("--register-ignore --param-sark=0xa1", first),
                        out("--register --param-sark=0xb2", second), *on_both("k"),
                        out("--reserve --param-rk=0xa1 --prout-type=5", first), *on_both("r"), *on_both("s"),
                        f"dd if=/dev/zero of={second} bs=4k count=1 oflag=direct"])
    expect(masks, r"Persistent Reservations? [Tt]ype [Mm]ask|Type Mask")
    same((k1, k2))
    expect((k1, k2), r"2 registered reservation keys", r"0xa1", r"0xb2")
    same((r1, r2))
    expect((r1, r2), r"Key ?= ?0xa1", r"Write Exclusive, registrants only")
    same((s1, s2))
    expect((s1, s2), r"Relative port address: 0x101", r"Relative port address: 0x201",
           r"iqn\.2026-01\.org\.example:guest,i,0x")
    guest.run(out("--register --param-rk=0xb2 --param-sark=0", second))
    refused = guest.attempt(f"dd if=/dev/zero of={second} bs=4k count=1 oflag=direct")
    check(refused.status != 0, "who is not registered any more could write")
    _, _, _, *texts = guest.run_all(
        [f"sg_turs {second} || true", out("--register --param-sark=0xb2", second),
         out("--preempt --param-rk=0xb2 --param-sark=0xa1 --prout-type=7", second), *on_both("r")])
    expect(texts, r"Write Exclusive, all registrants")
    _, *texts = guest.run_all([out("--clear --param-rk=0xb2", second), *on_both("k")])
    expect(texts, r"NO registered reservation keys")
    guest.check_log(allowed=(
        "reservation conflict", "reservation error", "critical nexus error", "Sense Key", "FAILED Result"))


def test_xcopy(lab):
    """sg_xcopy between LUs of one owner and of both, started at either controller."""
    guest = ready(lab)
    guest.run("head -c 1048576 /dev/urandom >/tmp/random")
    for portal in PATHS:
        source = guest.disk(portal, 0)
        guest.run(f"dd if=/tmp/random of={source} bs=1M count=1 oflag=direct")
        for lun in (1, 2):
            target = guest.disk(portal, lun)
            _, text, _ = guest.run_all([
                f"sg_write_same --16 --lba=0 --num=2048 --ndob {target}",
                f"sg_xcopy if={source} of={target} bs=512 count=2048 2>&1",
                f"dd if={target} bs=1M count=1 iflag=direct | cmp -n 1048576 - /tmp/random"])
            check("2048" in text, f"sg_xcopy: {text}")
    guest.check_log()


def test_reset(lab):
    """sg_reset of the LU and of the target at either path, with a reader beside it: the host goes on."""
    guest = ready(lab)
    for portal in PATHS:
        disk = guest.disk(portal, 0)
        # The reader goes on until both are done; sg_turs may be the first that is told of the last one.
        guest.run("set -e\nrm -f /tmp/done /tmp/reads\n"
                  f"(until [ -e /tmp/done ]; do dd if={disk} of=/dev/null bs=64k count=16 iflag=direct || exit 1; "
                  "echo >>/tmp/reads; done) & reader=$!\n"
                  "until [ -s /tmp/reads ]; do sleep 0.01; done\n"
                  f"sg_reset --device --no-escalate {disk}\nsg_reset --target --no-escalate {disk}\n"
                  f"touch /tmp/done\nwait $reader\nsg_turs {disk} || sg_turs {disk}")
    # Every LU of the target has something to tell at each path, if the kernel has not heard it yet.
    guest.run("for d in /dev/disk/by-path/*-lun-?; do for i in 1 2 3; do sg_turs $d && continue 2; done; "
              "exit 1; done")
    said = "\n".join(guest.check_log())
    check("Power-on or device reset occurred" in said, f"no unit attention told:\n{said}")


def test_write_commands(lab):
    """sg_unmap, sg_write_same, sg_compare_and_write: done at one path, seen at the other."""
    guest = ready(lab)
    guest.run("seq 500000 | head -c 1048576 >/tmp/text; head -c 512 /tmp/text >/tmp/block;"
              "head -c 512 /dev/zero >/tmp/zeros; cat /tmp/block /tmp/zeros >/tmp/swap")

    def holds(disk, block, count, file, skip=0):
        return (f"dd if={disk} bs={512 * count} skip={512 * block} count=1 iflag=direct,skip_bytes | "
                f"cmp -n {512 * count} - {file} 0 {skip}")
    for here, there in (PATHS, PATHS[::-1]):
        mine, other = guest.disk(here, 1), guest.disk(there, 1)
        swap = f"sg_compare_and_write --in=/tmp/swap --lba=9 --num=1 --xferlen=1024 {{}}; echo status=$?"
        told = guest.run_all([
            f"dd if=/tmp/text of={mine} bs=1M count=1 oflag=direct",
            f"sg_unmap --force --lba=0 --num=1024 {mine}",
            f"sg_get_lba_status --lba=0 {other}",
            holds(other, 0, 1024, "/dev/zero"), holds(other, 1024, 1024, "/tmp/text", 512 * 1024),
            f"sg_write_same --16 --in=/tmp/block --lba=8 --num=64 {mine}",
            holds(other, 8, 1, "/tmp/block"), holds(other, 71, 1, "/tmp/block"), holds(other, 72, 1, "/tmp/zeros"),
            swap.format(mine), holds(other, 9, 1, "/tmp/zeros"), swap.format(other),
            f"sg_sync {mine} && sg_verify --lba=0 --count=128 {other}",
            f"sg_get_lba_status --32 --report-type=3 --scan-len=64 --lba=960 --maxlen=512 {other}"])
        check("deallocated" in told[2].splitlines()[2], f"what was unmapped is not deallocated: {told[2]}")
        check("scan length" in told[13] and "RTP=1" in told[13] and
              re.search(r"LBA: 0x0*3c0 .*blocks: *64 .*deallocated", told[13]), f"GET LBA STATUS(32): {told[13]}")
        check("status=0\n" in told[9], f"COMPARE AND WRITE: {told[9]}")
        check(f"status={MISCOMPARE}\n" in told[11], f"a second COMPARE AND WRITE: {told[11]}")
    guest.check_log()


def test_file_system(lab):
    """mkfs.ext4, files, fstrim; mounted again through the other controller; blkdiscard -z."""
    guest = ready(lab)
    first, second = (guest.disk(portal, 0) for portal in PATHS)
    trimmed = guest.run_all([
        f"mkfs.ext4 -q {first} && mount -t ext4 {first} /mnt",
        "cd /mnt && for i in 1 2 3 4; do head -c 2000000 /dev/urandom >$i; done; "
        "sha256sum 1 2 3 4 >sums && rm 4 && sync; cd /",
        "fstrim -v /mnt",
        f"umount /mnt && e2fsck -fn {second} && mount -t ext4 -o ro {second} /mnt",
        "cd /mnt && head -n 3 sums | sha256sum -c - && cd / && umount /mnt",
        f"sg_get_lba_status --lba=0 --maxlen=65536 {second}"], 180)
    size = re.search(r"\((\d+) bytes\)", trimmed[2])
    check(size and int(size[1]) > 2000000, f"fstrim: {trimmed[2]}")
    check("deallocated" in trimmed[5], f"nothing is deallocated: {trimmed[5]}")
    guest.run_all([f"blkdiscard --zeroout {first}",
                   f"dd if={second} bs=1M iflag=direct | cmp -n 67108864 - /dev/zero",
                   f"blkdiscard {second}"], 180)
    guest.check_log()
