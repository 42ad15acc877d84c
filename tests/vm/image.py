# SPDX-License-Identifier: BSD-3-Clause
"""The guest: Debian's kernel, and an initramfs made of the tools that are installed here.

The kernel's package is downloaded by apt and unpacked below build/vm, never installed. Nothing is
built again as long as the packages and these files are the same.

    image.py FOLDER
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
METAPACKAGE = "linux-image-amd64"

TOOLS = """bash busybox ip ss ping udevadm kmod dmsetup blkid blockdev lsblk blkdiscard fio cmp
mkfs.ext4 e2fsck resize2fs fstrim mount umount iscsid iscsiadm multipath multipathd mpathpersist
kpartx qemu-ga sha256sum dd hexdump
sg_inq sg_vpd sg_luns sg_readcap sg_persist sg_opcodes sg_logs sg_modes sg_unmap sg_write_same
sg_compare_and_write sg_xcopy sg_rtpg sg_reset sg_turs sg_raw sg_get_lba_status sg_sync sg_verify
sg_start sg_requests sg_stpg sg_dd""".split()
# busybox gives these; they may be names of programs of their own in another Debian
APPLETS = """sh cat ls cp mv rm mkdir ln chmod sleep echo printf grep sed awk cut sort uniq head tail
tr wc seq test [ true false env date uname hostname ps kill pidof dmesg touch find xargs basename
dirname readlink expr mknod mountpoint stty sync tee timeout truncate du df mktemp id od""".split()
MODULES = """virtio_pci virtio_net virtio_console sd_mod sg iscsi_tcp dm_mod dm_multipath
dm_service_time dm_round_robin dm_queue_length scsi_dh_alua crc32c_generic crc32c_intel
crct10dif_generic ext4 tcp_diag inet_diag""".split()
# Loaded at run time by name, so that ldd does not see them.
LIBRARIES = ("libgcc_s.so.1", "libnss_files.so.2")
FOLDERS = ("/lib/x86_64-linux-gnu/multipath", "/lib/multipath")
# Not those of sg3-utils-udev: a dozen sg_inq for each path take half a minute here.
RULES = ("50-udev-default", "60-block", "60-persistent-storage", "55-dm", "60-persistent-storage-dm",
         "56-dm-mpath", "60-multipath", "95-dm-notify")
FILES = ("/lib/udev/scsi_id", "/lib/udev/kpartx_id", "/etc/iscsi/iscsid.conf")
TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n" + "".join(
        f"{name}:x:{number}:\n" for number, name in enumerate(
            "tty disk lp cdrom dialout audio video tape input kvm render sgx kmem".split(), 5)),
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    # Tests wait for multipathd's next look at priorities; by default that is up to 20 s away.
    "etc/multipath/conf.d/quick.conf": "defaults {\n\tmax_polling_interval 5\n}\n",
}


class ImageError(Exception):
    """The guest cannot be made here; the text says why and what would help."""


def run(words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          check=False, **options)
    if done.returncode:
        raise ImageError(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done.stdout


def kernel_package():
    """The name of the package with the kernel that METAPACKAGE stands for now."""
    match = re.search(r"Depends: (linux-image-[0-9]\S+)", run(["apt-cache", "depends", METAPACKAGE]))
    if not match:
        raise ImageError(f"apt-cache knows no {METAPACKAGE}; run: apt-get update")
    return match[1]


def kernel(place):
    """Unpacks the kernel once; its folder and release."""
    package = kernel_package()
    folder = place / package
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run(["apt-get", "download", package], cwd=folder, timeout=300)
        run(["dpkg", "-x", next(folder.glob("*.deb")), folder])
        release = next((folder / "lib/modules").iterdir()).name
        run(["depmod", "-b", folder, release])
        next(folder.glob("*.deb")).unlink()
        (folder / "done").touch()
    return folder, next((folder / "lib/modules").iterdir()).name


class Root:
    """The tree that becomes the initramfs."""

    def __init__(self, folder):
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("usr/bin", "usr/lib", "usr/lib64", "proc", "sys", "dev", "run", "tmp", "mnt",
                     "root", "var/lib", "etc/iscsi"):
            (folder / name).mkdir(parents=True)
        (folder / "usr/sbin").symlink_to("bin")
        for name in ("bin", "sbin", "lib", "lib64"):
            (folder / name).symlink_to(f"usr/{name}")
        (folder / "var/run").symlink_to("../run")

    def file(self, source, target=None):
        """Copies a file to the same place (or `target`), with the libraries that it names."""
        target = self.folder / (target or str(source).lstrip("/"))
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        done = subprocess.run(["ldd", source], capture_output=True, text=True, check=False)
        for library in re.findall(r"(/\S+) \(0x", done.stdout):
            self.file(library)

    def program(self, name):
        path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
        if not path:
            raise ImageError(f"{name} is not installed; tests/packages lists what is needed")
        self.file(path, f"usr/bin/{name}")

    def fill(self):
        for name in TOOLS:
            self.program(name)
        for name in APPLETS:
            path = self.folder / "usr/bin" / name
            if not path.exists():
                path.symlink_to("bash" if name == "sh" else "busybox")
        (self.folder / "usr/bin/modprobe").symlink_to("kmod")
        (self.folder / "usr/lib/systemd").mkdir(exist_ok=True)
        (self.folder / "usr/lib/systemd/systemd-udevd").symlink_to("/usr/bin/udevadm")
        for name in LIBRARIES:
            path = Path("/lib/x86_64-linux-gnu") / name
            if path.exists():
                self.file(path)
        for name in FILES:
            if Path(name).exists():
                self.file(name)
        for name in FOLDERS:
            for path in sorted(Path(name).glob("*")) if Path(name).is_dir() else ():
                self.file(path)
        for name in RULES:
            path = Path("/usr/lib/udev/rules.d") / f"{name}.rules"
            if path.exists():
                self.file(path)
        (self.folder / "etc/multipath/conf.d").mkdir(parents=True)
        for name, text in TEXTS.items():
            (self.folder / name).write_text(text, encoding="ascii")
        self.file(TOP / "docs/multipath.conf", "etc/multipath.conf")
        self.file(HERE / "guest-init", "init")

    def modules(self, folder, release):
        """The modules, with what they depend on."""
        wanted = set()
        for name in MODULES:
            text = run(["modprobe", "-d", folder, "-S", release, "--show-depends", name])
            wanted |= set(re.findall(r"^insmod (\S+)", text, re.M))
        for path in wanted:
            target = self.folder / "usr" / Path(path).relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            shutil.copy(folder / "lib/modules" / release / name,
                        self.folder / "usr/lib/modules" / release)
        run(["depmod", "-b", self.folder, release])

    def pack(self, file):
        names = sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))
        with open(file, "wb") as output:
            done = subprocess.run(["cpio", "--null", "-o", "-H", "newc", "--quiet", "-R", "0:0"],
                                  input="\0".join(names).encode(), stdout=output, cwd=self.folder,
                                  check=False)
        if done.returncode:
            raise ImageError("cpio could not pack the initramfs")


def stamp():
    """A digest of everything that the image is made from."""
    digest = hashlib.sha256(kernel_package().encode())
    for path in (HERE / "image.py", HERE / "guest-init", TOP / "docs/multipath.conf"):
        digest.update(path.read_bytes())
    digest.update(run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", "open-iscsi",
                       "multipath-tools", "sg3-utils", "udev", "fio", "qemu-guest-agent",
                       "e2fsprogs", "busybox-static"]).encode())
    return digest.hexdigest()


def make(place):
    """Makes kernel and initramfs in a folder unless they are there; returns both paths."""
    place = Path(place).resolve()
    place.mkdir(parents=True, exist_ok=True)
    wanted = stamp()
    mark = place / "stamp"
    if not mark.exists() or mark.read_text(encoding="ascii") != wanted:
        folder, release = kernel(place)
        root = Root(place / "root")
        root.fill()
        root.modules(folder, release)
        root.pack(place / "initrd")
        shutil.copy(folder / "boot" / f"vmlinuz-{release}", place / "vmlinuz")
        shutil.rmtree(place / "root")
        mark.write_text(wanted, encoding="ascii")
    return place / "vmlinuz", place / "initrd"


if __name__ == "__main__":
    for made in make(sys.argv[1]):
        print(f"{os.stat(made).st_size >> 20} MiB {made}")
