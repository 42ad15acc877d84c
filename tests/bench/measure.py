# SPDX-License-Identifier: BSD-3-Clause
"""Servers, loads on them, and what comes of it: cells by turns, in rounds."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import cells
from servers import IQN, BenchError, Backing, Tgt, Yoked

TOP = Path(__file__).resolve().parents[2]
LOAD_CPU = "0"


def build_folder():
    return Path(os.environ.get("YOKE_BUILD") or TOP / "build" / "product")


class Bench:
    """The servers, all up at once, and a way to put a load on one of them."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.load_program = build_folder() / "tests/bench/yoke-load"
        self.yoked = build_folder() / "yoked"
        for program in (self.load_program, self.yoked):
            if not program.exists():
                raise BenchError(f"{program} does not exist: build first, or set YOKE_BUILD")
        if (os.cpu_count() or 1) < 2:
            raise BenchError("two CPUs are needed: one for the server, one for the load")
        self.place = Path(tempfile.mkdtemp(prefix="yoke-bench-"))
        self.backings = {}
        self.servers = {}
        self.idle = None

    def __enter__(self):
        cpus = f"0-{(os.cpu_count() or 2) - 1}"
        try:
            self.add("yoked", 13270, Backing())
            self.add("yoked-spin", 13271, Backing(disk=False), spin="50us")
            self.add("yoked2", 13272, Backing(disk=False), cpus=cpus, reactors=2)
            self.add("yoked-many", 13274, Backing(disk=False, ram=False, many=cells.MANY))
            if not self.arguments.no_peer:
                if not shutil.which("tgtd"):
                    raise BenchError("tgtd is not installed: apt-get install tgt, or say --no-peer")
                self.backings["tgt"] = Backing()
                self.servers["tgt"] = Tgt(13273, self.place, self.backings["tgt"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def add(self, name, port, backing, **options):
        self.backings[name] = backing
        self.servers[name] = Yoked(name, port, self.place, backing, self.yoked, **options)

    def __exit__(self, *_):
        self.idle_end()
        for server in self.servers.values():
            server.stop()
        for backing in self.backings.values():
            backing.remove()
        shutil.rmtree(self.place, ignore_errors=True)

    def has(self, server):
        if server == "io_uring":
            return shutil.which("fio") is not None
        return server in self.servers

    # ----- loads --------------------------------------------------------------------------------

    def start_load(self, name, options, *, lun=None, seconds=None, pinned=True):
        server = self.servers[name]
        words = ["taskset", "-c", LOAD_CPU] if pinned else []
        words += [self.load_program, "--portal", server.portal(), "--target", IQN, "--pid",
                  server.pid, "--seconds", seconds or self.arguments.seconds, *options]
        if lun is not None:
            words += ["--lun", lun]
        return subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True)

    def load(self, name, options, **more):
        return self.answer(self.start_load(name, options, **more), f"{name} {' '.join(options)}")

    @staticmethod
    def answer(process, what):
        out, err = process.communicate(timeout=300)
        try:
            answer = json.loads(out)
        except ValueError as error:
            raise BenchError(f"{what}: {err or out}") from error
        if answer["error"] or answer["mismatches"]:
            raise BenchError(f"{what}: {answer['error']}, {answer['mismatches']} wrong blocks")
        return answer

    def raw_disk(self, options):
        """What io_uring itself reaches on the disk file, by fio, on the server's CPU."""
        given = dict(zip(options[::2], options[1::2]))
        done = subprocess.run(
            ["taskset", "-c", "1", "fio", "--name=raw", f"--filename={self.backings['yoked'].disk}",
             f"--rw={given['--rw']}", f"--bs={given['--bs']}", f"--iodepth={given['--depth']}",
             "--ioengine=io_uring", "--direct=1", "--time_based", "--ramp_time=300ms",
             f"--runtime={round(self.arguments.seconds * 1000)}ms", "--output-format=json"],
            capture_output=True, text=True, check=True)
        job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
        side = job["write" if "write" in given["--rw"] else "read"]
        cpu = (job["usr_cpu"] + job["sys_cpu"]) * 1e4 / side["iops"]
        spread = side["clat_ns"].get("percentile", {})
        return {"per_s": side["iops"], "bytes_per_s": side["bw_bytes"], "target_cpu_us": cpu,
                "p50_us": spread.get("50.000000", 0) / 1e3, "p99_us": spread.get("99.000000", 0) / 1e3}

    # ----- cells --------------------------------------------------------------------------------

    def cell(self, cell, name):
        if name == "io_uring":
            return self.raw_disk(cell.options)
        if name == "yoked-many":
            self.idle_begin()
        return self.load(name, cell.options, lun=cell.luns.get(name), pinned=not cell.unpinned)

    def verify(self, cell, name):
        """The same load on a part of the LU, with every block written and every read checked."""
        if name not in self.servers or not cell.verified:
            return 0
        options = [*cell.options, "--verify", "--span", "32M"]
        for kind in ("randwrite", "write"):
            if kind in options:
                options[options.index(kind)] = "randrw"
        return self.load(name, options, lun=cell.luns.get(name), seconds=0.4)["verified"]

    def warm(self, cell, name):
        """Reads all that the cell will read, so that no round is the first to see a page."""
        span = cell.options[cell.options.index("--span"):] if "--span" in cell.options else []
        self.load(name, [*cells.size("64K", 8, "read"), *span], lun=cell.luns.get(name), seconds=2)

    def cells(self, chosen):
        """{"cell server": {"rounds": what each round brought}}, all cells by turns."""
        for cell in chosen:
            for server in cell.servers if cell.warm else ():
                self.warm(cell, server)
        rows = {f"{cell.name} {server}": {"rounds": []} for cell in chosen for server in cell.servers
                if self.has(server)}
        for number in range(self.arguments.rounds):
            for cell in chosen:
                for server in cell.servers:
                    if self.has(server):
                        rows[f"{cell.name} {server}"]["rounds"].append(self.cell(cell, server))
            self.idle_end()
            print(f"round {number + 1} of {self.arguments.rounds}", flush=True)
        return rows

    # ----- sessions that do nothing -------------------------------------------------------------

    def idle_begin(self, wait=2.5):
        if not self.idle:
            self.idle = self.start_load("yoked-many", ["--rw", "idle", "--sessions", str(cells.IDLE),
                                                       "--first", "1000"], lun=0,
                                        seconds=600)
            time.sleep(wait)
            if self.idle.poll() is not None:
                self.answer(self.idle, "idle sessions")

    def idle_end(self):
        if self.idle:
            self.idle.terminate()
            self.idle.communicate()
            self.idle = None
