# SPDX-License-Identifier: BSD-3-Clause
"""The targets that are measured: yoked and Debian's tgt, on loopback, each on one CPU."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

MIB = 1 << 20
IQN = "iqn.2026-01.org.example:bench"
TGT_CONTROL = "77"  # tgtd's control channel: ours alone


class BenchError(Exception):
    """The benchmark cannot run; the text says why."""


def run(*words, check=True, **options):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, **options)
    if check and done.returncode:
        raise BenchError(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.returncode}")
    return done.stdout


class Backing:
    """The files behind a server's LUs: one on tmpfs, one on a disk, many small ones, as wanted."""

    def __init__(self, size=1024 * MIB, *, ram=True, disk=True, many=0, place="/var/tmp"):
        self.size, self.many, self.many_bytes = size, many, MIB
        self.fast = Path(tempfile.mkdtemp(prefix="yoke-bench-", dir="/dev/shm"))
        self.slow = Path(tempfile.mkdtemp(prefix="yoke-bench-", dir=place))
        self.ram = self.fast / "ram.img" if ram else None
        self.disk = self.slow / "disk.img" if disk else None
        # Written in full: reads of holes would be no reads.
        if ram:
            run("dd", "if=/dev/zero", f"of={self.ram}", "bs=1M", f"count={size // MIB}", "status=none")
        if disk:
            run("dd", "if=/dev/zero", f"of={self.disk}", "bs=1M", f"count={size // MIB}", "oflag=direct",
                "status=none")
        for number in range(many):
            self.small(number).write_bytes(bytes(self.many_bytes))

    def small(self, number):
        return self.fast / f"lu{number}.img"

    def remove(self):
        shutil.rmtree(self.fast, ignore_errors=True)
        shutil.rmtree(self.slow, ignore_errors=True)


class Server:
    """A process that listens on a port of its own; `pid` is what is measured."""

    def __init__(self, name, port, log):
        self.name, self.port, self.log = name, port, log
        self.process = None

    def start(self, words, environment=None):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env={**os.environ, **(environment or {})})

    @property
    def pid(self):
        return self.process.pid

    def portal(self):
        return f"127.0.0.1:{self.port}"

    def wait(self, answers, seconds=20):
        until = time.monotonic() + seconds
        while not answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise BenchError(f"{self.name} does not come up:\n"
                                 + self.log.read_text(encoding="utf-8", errors="replace")[-2000:])
            time.sleep(0.05)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def listens(port):
    """True when something has that TCP port of 127.0.0.1 open."""
    text = Path("/proc/net/tcp").read_text(encoding="ascii")
    return any(line.split()[1] == f"0100007F:{port:04X}" and line.split()[3] == "0A"
               for line in text.splitlines()[1:])


class Yoked(Server):
    """LUN 0 the tmpfs file, LUN 1 the disk file with direct I/O; or LUNs from 0 on: many small files."""

    def __init__(self, name, port, place, backing, yoked, *, cpus="1", reactors=1, spin="0us"):
        super().__init__(name, port, place / f"{name}.log")
        config = place / f"{name}.yaml"
        config.write_text(self.yaml(place, backing, reactors, spin), encoding="utf-8")
        self.start(["taskset", "-c", cpus, yoked, "-f", "-c", config, "--pidfile",
                    place / f"{name}.pid"])
        self.wait(lambda: listens(port))

    def yaml(self, place, backing, reactors, spin):
        lines = ["yoke: 1", "cluster: none", "controllers:", "  - name: bench",
                 f"    portals: [\"127.0.0.1:{self.port}\"]", "extents:"]
        luns = []
        if backing.ram:
            lines += [f"  - {{name: ram, type: file, path: {backing.ram}, size: {backing.size // MIB}MiB}}"]
            luns += ["ram"]
        if backing.disk:
            lines += [f"  - {{name: disk, type: file, path: {backing.disk}, "
                      f"size: {backing.size // MIB}MiB, direct: yes}}"]
            luns += ["disk"]
        lines += [f"  - {{name: s{n}, type: file, path: {backing.small(n)}, "
                  f"size: {backing.many_bytes // MIB}MiB}}" for n in range(backing.many)]
        luns += [f"s{n}" for n in range(backing.many)]
        lines += ["targets:", f"  - name: {IQN}", "    luns:"]
        lines += [f"      - {{lun: {n}, extent: {name}}}" for n, name in enumerate(luns)]
        lines += ["settings:", f"  reactors: {reactors}", f"  spin: {spin}",
                  f"  state_dir: {place / self.name}-state", f"  socket: {place / self.name}.sock",
                  "  buffers: 256MiB", "iscsi:", "  connections_max: 16384"]
        (place / f"{self.name}-state").mkdir(exist_ok=True)
        return "\n".join(lines) + "\n"


class Tgt(Server):
    """Debian's tgt: LUN 1 the tmpfs file, LUN 2 the disk file (bs_aio, which is direct)."""

    def __init__(self, port, place, backing):
        super().__init__("tgt", port, place / "tgt.log")
        self.start(["taskset", "-c", "1", "tgtd", "-f", "-C", TGT_CONTROL, "--iscsi",
                    f"portal=127.0.0.1:{port}"])
        self.wait(lambda: self.adm("--mode", "target", "--op", "show", check=False) and listens(port))
        self.adm("--mode", "target", "--op", "new", "--tid", 1, "--targetname", IQN)
        for lun, kind, path in ((1, "rdwr", backing.ram), (2, "aio", backing.disk)):
            self.adm("--mode", "logicalunit", "--op", "new", "--tid", 1, "--lun", lun, "--bstype", kind,
                     "--backing-store", path)
        for key in ("HeaderDigest", "DataDigest"):
            # Both are off by default in tgt; then it refuses those who ask for them.
            self.adm("--mode", "target", "--op", "update", "--tid", 1, "--name", key, "--value",
                     "CRC32C,None", check=False)
        self.adm("--mode", "target", "--op", "bind", "--tid", 1, "--initiator-address", "127.0.0.1")

    def adm(self, *words, check=True):
        done = subprocess.run(["tgtadm", "-C", TGT_CONTROL, "--lld", "iscsi", *map(str, words)],
                              capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise BenchError(f"tgtadm {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.returncode == 0
