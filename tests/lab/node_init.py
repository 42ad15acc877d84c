# SPDX-License-Identifier: BSD-3-Clause
"""Process 1 of a controller: mounts, syslog, Corosync, Pacemaker; then it reaps and logs.

Usage: node_init.py NAME LABDIR, inside fresh mount, UTS, PID and IPC namespaces.
"""

import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import faultdisk

MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_REC = 1, 2, 32, 4096, 16384
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "fuse", "loop-control",
           "net", "pts", "mapper", "mqueue", "hugepages")
LIBC = ctypes.CDLL(None, use_errno=True)
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGSYS)


def mount(source, target, kind=None, flags=0, options=None):
    def text(value):
        return None if value is None else os.fsencode(str(value))
    if LIBC.mount(text(source), text(target), text(kind), ctypes.c_ulong(flags), text(options)):
        error = ctypes.get_errno()
        raise OSError(error, f"mount {kind or ''} {source} on {target}: {os.strerror(error)}")


def bind(source, target):
    mount(source, target, None, MS_BIND | MS_REC)


def mount_devices():
    """A /dev of our own with the machine's usual devices, so that /dev/log can be ours."""
    old, new = Path("/dev"), Path("/run/dev")
    new.mkdir()
    mount("tmpfs", new, "tmpfs", MS_NOSUID, "mode=755")
    wanted = [old / name for name in DEVICES] + sorted(old.glob("loop[0-9]*"))
    for device in wanted:
        if not device.exists():
            continue
        target = new / device.name
        if device.is_dir():
            target.mkdir()
        else:
            target.touch()
        bind(device, target)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"),
                         ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"),
                         ("ptmx", "pts/ptmx")):
        (new / name).symlink_to(target)
    (new / "shm").mkdir()
    bind(new, old)
    mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID, "mode=1777")


def mount_all(home, lab, stage, fault_disk):
    """What the controller sees: the machine's system with our product on top, its own state."""
    # Pacemaker may decide to panic: it must not find the machine's own switches for that.
    if Path("/proc/sysrq-trigger").exists():
        bind("/dev/null", "/proc/sysrq-trigger")
    bind("/proc/sys", "/proc/sys")
    mount("none", "/proc/sys", None, MS_REMOUNT | MS_BIND | MS_RDONLY)
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID, "mode=755")
    Path("/run/lock").mkdir()
    Path("/run/yoke").mkdir(mode=0o750)
    mount_devices()
    for place in ("usr", "etc", "var/lib", "srv"):
        layers = [str(lab / "overlay" / place)]
        if stage and Path(stage, place).is_dir():
            layers.append(str(Path(stage, place)))
        mount("overlay", f"/{place}", "overlay", MS_RDONLY,
              "lowerdir=" + ":".join(layers + [f"/{place}"]))
    for source, target in (("corosync", "/etc/corosync"), ("corosync-state", "/var/lib/corosync"),
                           ("pacemaker", "/var/lib/pacemaker"), ("state", "/var/lib/yoke"),
                           ("yoke", "/etc/yoke"), ("log", "/var/log")):
        bind(home / source, target)
    if fault_disk:
        disk = faultdisk.FaultDisk(lab / "disk.sock")
        disk.attach(home.name, "/srv/yoke")
        disk.close()
    else:
        bind(lab / "shared", "/srv/yoke")


class Syslog:
    """Takes what the daemons send to /dev/log and appends it to /var/log/syslog with the time."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        self.file = open("/var/log/syslog", "ab", buffering=0)

    def read(self):
        data = self.socket.recv(65536).rstrip(b"\n\0")
        if data.startswith(b"<"):
            data = data.partition(b">")[2]
        now = time.time()
        stamp = time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d} "
        self.file.write(stamp.encode() + data + b"\n")


def start(command, console, **environment):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                            env={**os.environ, **environment}, start_new_session=True)


def start_cluster(settings):
    """Corosync, then Pacemaker when Corosync answers."""
    console = sys.stdout.fileno()
    start(["corosync", "-f"], console)
    end = time.monotonic() + 10
    while subprocess.run(["corosync-cfgtool", "-s"], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, check=False).returncode != 0:
        if time.monotonic() > end:
            print("corosync does not answer; see corosync.log", file=sys.stderr, flush=True)
            return
        time.sleep(0.02)
    start(["pacemakerd", "-f"], console, PCMK_logfacility="none",
          PCMK_logfile="/var/log/pacemaker/pacemaker.log",
          PCMK_logpriority=settings.get("pacemaker_log", "notice"))


def reap():
    """Collects what has ended; who died of a bug of its own is noted in /var/log/crashes."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None:
            return
        if ended.si_code != os.CLD_EXITED and ended.si_status in CRASHES:
            name = Path(f"/proc/{ended.si_pid}/comm").read_text(encoding="utf-8").strip()
            with open("/var/log/crashes", "a", encoding="utf-8") as file:
                file.write(f"{name} {signal.Signals(ended.si_status).name}\n")
        os.waitpid(ended.si_pid, os.WNOHANG)


def main():
    name, lab = sys.argv[1], Path(sys.argv[2])
    home = lab / name
    settings = json.loads((lab / "settings.json").read_text(encoding="utf-8"))
    socket.sethostname(name)
    mount_all(home, lab, settings.get("stage"), settings.get("fault_disk"))
    log = Syslog()
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.set_wakeup_fd(wake_write)
    (home / "booted").touch()
    if settings.get("cluster", True):
        start_cluster(settings)
    selector = selectors.DefaultSelector()
    selector.register(log.socket, selectors.EVENT_READ)
    selector.register(wake_read, selectors.EVENT_READ)
    while True:
        reap()
        for key, _ in selector.select():
            if key.fileobj is log.socket:
                log.read()
            else:
                os.read(wake_read, 4096)


if __name__ == "__main__":
    main()
