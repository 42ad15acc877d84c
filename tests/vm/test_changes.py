# SPDX-License-Identifier: BSD-3-Clause
"""What changes under a Linux host: large frames on its network, LUNs that come, grow and go."""

import re

import net
from guest import SETTINGS, Guest  # SETTINGS is for the runner
from layout import NODES, TARGET
from runner import check
from test_guest import ready
from test_online import NEW, original, reload, with_new, write

while_settling = Guest.begin
QUICK_HEAL = True  # nothing to heal
MTU, SAN, INTERFACE = 9000, "san1", "eth1"
# Linux names a LUN by its two bytes, and above 255 these have the flat method in front.
LINUX_LUN = 0x4000 | NEW
FIND = f"ls -d /sys/bus/scsi/devices/*:0:0:{LINUX_LUN}/block/*"
MIB = 1 << 20


def set_mtu(lab, guest, mtu):
    net.batch(lab.layout.switch, [f"link set {port} mtu {mtu}" for port in
                                  (*(f"{node}-{SAN}" for node in NODES), f"guest-{SAN}", SAN)])
    for node in NODES:
        lab[node].run(["ip", "link", "set", SAN, "mtu", str(mtu)])
    guest.run(f"ip link set {INTERFACE} mtu {mtu}")


def test_jumbo_frames(lab):
    """MTU 9000 from end to end on the second SAN: segments of full size, the same data."""
    guest = ready(lab)
    set_mtu(lab, guest, MTU)
    portals = [lab[node].portals()[1] for node in NODES]
    guest.log_in(portals)
    disks = [guest.disk(portal, 0) for portal in portals]
    guest.run_all([f"ping -c 1 -M do -s {MTU - 28} {portal.partition(':')[0]}" for portal in portals])
    told = guest.run_all(["head -c 2097152 /dev/urandom >/tmp/jumbo"] + [
        f"dd if=/tmp/jumbo of={disk} bs=1M oflag=direct && "
        f"dd if={there} bs=1M count=2 iflag=direct | cmp -n 2097152 - /tmp/jumbo"
        for disk, there in (disks, disks[::-1])] + [f"ss -tin dst {portal}" for portal in portals])
    for portal, text in zip(portals, told[-2:]):
        sizes = [int(size) for size in re.findall(r"\bmss:(\d+)", text)]
        check(sizes and min(sizes) > MTU - 100, f"segments at {portal}: {text}")
    for portal in portals:
        guest.run(f"iscsiadm -m node -T {TARGET} -p {portal} --logout")
    set_mtu(lab, guest, 1500)
    guest.check_log()


def reload_to(lab, guest, text, told):
    """A configuration put in place, and what the kernel says of it when it next uses its disks."""
    write(lab, text)
    reload(lab)
    guest.run(f"for d in $(ls -d /dev/disk/by-path/*-lun-0) $({FIND} 2>/dev/null | sed 's:.*/:/dev/:'); do "
              "dd if=$d of=/dev/null bs=4k count=1 iflag=direct || exit; done")
    said = "\n".join(guest.check_log())
    check(said.count(told) == 2, f"not once at each path: {told}:\n{said}")


def test_lun_comes_grows_and_goes(lab):
    """A LUN above 255 is added, found, formatted, grows under a mounted file system, is removed."""
    guest = ready(lab)
    moved = "LUN assignments on this target have changed"
    reload_to(lab, guest, with_new(lab, 16), moved)
    names = guest.run(f"iscsiadm -m session --rescan >/dev/null; udevadm settle --timeout=60; {FIND}").split()
    check(len(names) == 2, f"LUN {NEW} is not there at two paths: {names}")
    first, second = (f"/dev/{name.rpartition('/')[2]}" for name in names)
    guest.run(f"mkfs.ext4 -q {first} && mount -t ext4 {first} /mnt && "
              "head -c 3000000 /dev/urandom >/mnt/file && sha256sum /mnt/file >/tmp/sum && sync")
    guest.check_log()
    reload_to(lab, guest, with_new(lab, 32), "Capacity data has changed")
    sizes = guest.run(f"for d in {' '.join(names)}; do echo 1 >$d/device/rescan; done; "
                      f"for d in {first} {second}; do blockdev --getsize64 $d; done").split()
    check(sizes == [str(32 * MIB)] * 2, f"the guest sees {sizes} bytes")
    told = guest.run_all([
        f"resize2fs {first}", "df -m /mnt | tail -n 1", "sha256sum -c /tmp/sum",
        "head -c 14000000 /dev/urandom >/mnt/more && sync && umount /mnt",
        f"e2fsck -fn {second}", *(f"echo 1 >{name}/device/delete" for name in names)], 120)
    check(int(told[1].split()[1]) > 24, f"the file system has not grown: {told[1]}")
    guest.check_log()
    reload_to(lab, guest, original(lab), moved)
    found = guest.attempt(f"iscsiadm -m session --rescan >/dev/null; {FIND}")
    check(found.status != 0, f"LUN {NEW} is still there: {found.output}")
    guest.check_log()
