# SPDX-License-Identifier: BSD-3-Clause
"""A Linux host in a virtual machine, plugged into the two SANs of a lab.

    guest = Guest.of(lab)
    guest.run("multipath -ll")

QEMU runs in the namespace of the lab's switch, within the lab's control group, so that it goes away
with the lab. The processor is emulated: behaviour and pauses of seconds can be seen here, speed
cannot. Commands go to QEMU's guest agent, as many at once as you like.
"""

import base64
import json
import shlex
import socket
import subprocess
import time

import image
import net
from lab import LabError, wait_for
from layout import HOST_NETWORKS, TOP, address, TARGET
from runner import Skip, check

IDENT = 11  # last byte of the guest's addresses
INITIATOR = "iqn.2026-01.org.example:guest"
BOOT_LIMIT_S = 120
MEMORY_MB = 768
MARK = "==== next"
# One lab and one guest for all modules.
SETTINGS = {"lus": 4, "adoption": True, "chap": True, "yoke_settings": {"long_cdbs": "yes"}}
# What no command of a test may bring into the kernel's log.
COMPLAINTS = ("I/O error", "Sense Key", "Unexpected", "unsupported", "timed out", "Aborting", "WARNING:",
              "BUG:", "failed", "conn error", "session recovery", "DID_")


class Done:
    """A command that has ended in the guest."""

    def __init__(self, words, status, output):
        self.words, self.status, self.output = words, status, output


class Guest:
    """The machine. `mark` is how much of its kernel's log has been looked at; `user`, the module whose
    sessions it has, and `map` are for the tests, which share it."""

    def __init__(self, lab):
        self.lab = lab
        self.mark = 0
        self.user = None
        self.map = None
        self.boot_s = None
        self.process = None
        self.agent = None
        self.socket = lab.layout.dir / "guest.sock"
        self.console = lab.layout.log("guest-console")
        self.started = time.monotonic()
        self._start()

    @classmethod
    def begin(cls, lab):
        """Starts the guest of a lab, which boots while the lab settles."""
        if getattr(lab, "guest", None) is None:
            lab.guest = cls(lab)

    @classmethod
    def of(cls, lab):
        """The guest of a lab, ready for commands."""
        cls.begin(lab)
        if lab.guest.agent is None:
            lab.guest.wait_boot()
        return lab.guest

    def _start(self):
        try:
            kernel, initrd = image.make(TOP / "build" / "vm")
        except image.ImageError as error:
            raise Skip(str(error)) from error
        lines, devices, addresses = [], [], []
        for number, name in enumerate(HOST_NETWORKS):
            lines += [f"tuntap add dev guest-{name} mode tap",
                      f"link set guest-{name} master {name} up"]
            devices += ["-netdev", f"tap,id=n{number},ifname=guest-{name},script=no,downscript=no",
                        "-device", f"virtio-net-pci,netdev=n{number},addr={0x10 + number:#x},"
                        f"mac=02:59:6b:15:00:0{number + 1}"]
            addresses.append(f"{address(name, IDENT)}/24")
        net.batch(self.lab.layout.netns("switch"), lines)
        words = ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "1", "-m",
                 MEMORY_MB, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
                 "-kernel", kernel, "-initrd", initrd, "-serial", f"file:{self.console}",
                 "-device", "virtio-serial-pci", "-chardev",
                 f"socket,id=agent,path={self.socket},server=on,wait=off", "-device",
                 "virtserialport,chardev=agent,name=org.qemu.guest_agent.0", *devices, "-append",
                 "console=ttyS0 quiet loglevel=4 panic=-1 net.ifnames=0 mitigations=off "
                 f"yoke.net={','.join(addresses)} yoke.initiator={INITIATOR}"]
        self.console.touch()
        with open(self.lab.layout.log("guest-qemu"), "wb") as log:
            self.process = subprocess.Popen(self._switch(["nice", "-n", "5", *map(str, words)]),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_boot(self):
        """Waits until the guest takes commands."""
        wait_for(self._booted, BOOT_LIMIT_S, f"the guest has booted; see {self.console}", 0.2)
        self.agent = Agent(self.socket)
        self.boot_s = time.monotonic() - self.started
        self.forget_log()

    def _switch(self, words):
        """A command line inside the namespace of the switch."""
        return self.lab.tree.enter("host", ["nsenter", f"--net={self.lab.layout.netns_path('switch')}",
                                            *words])

    def _booted(self):
        if self.process.poll() is not None:
            raise LabError("QEMU has ended: "
                           + self.lab.layout.log("guest-qemu").read_text(errors="replace"))
        return "guest is ready" in self.console.read_text(errors="replace")

    # ----- commands -----------------------------------------------------------------------------

    def start(self, text):
        """Starts a shell command; give the result to finish()."""
        return self.agent.ask("guest-exec", path="/usr/bin/bash", arg=["-c", f"exec 2>&1\n{text}"],
                              env=["PATH=/usr/bin", "HOME=/root", "LANG=C.UTF-8"],
                              **{"capture-output": True})["pid"]

    def finish(self, pid, timeout=60, what="a command"):
        """The Done of a started command."""
        end = time.monotonic() + timeout
        pause = 0.02
        while True:
            state = self.agent.ask("guest-exec-status", pid=pid)
            if state["exited"]:
                output = base64.b64decode(state.get("out-data", "")).decode(errors="replace")
                return Done(what, state.get("exitcode", -state.get("signal", 0)), output)
            if time.monotonic() > end:
                raise LabError(f"{what}: no end after {timeout} s in the guest; its kernel says:\n"
                               + "\n".join(self.kernel_log()[-15:]))
            time.sleep(pause)
            pause = min(0.2, pause * 1.5)

    def stop(self, pid, pidfile, what):
        """Ends a started command whose main process is named in a file of the guest; the Done."""
        self.attempt(f"kill $(cat {pidfile})")
        return self.finish(pid, 60, what)

    def clock(self):
        """The guest's clock, in seconds since 1970, as of the middle of the exchange."""
        started = time.monotonic()
        told = self.agent.ask("guest-get-time") / 1e9
        return told + (time.monotonic() - started) / 2

    def attempt(self, text, timeout=60):
        """Runs a shell command to its end, whatever that is."""
        return self.finish(self.start(text), timeout, text)

    def run(self, text, timeout=60):
        """Runs a shell command that must succeed; what it printed."""
        done = self.attempt(text, timeout)
        check(done.status == 0, f"in the guest: {text}\nexit status {done.status}\n{done.output}")
        return done.output

    def run_all(self, lines, timeout=60):
        """Runs shell commands one after the other, which must all succeed; what each has printed. One
        exchange with the agent, which takes longer than most commands."""
        script = "".join(f"{{ {line}\n}} || {{ echo 'of: '{shlex.quote(line)}; exit 9; }}; echo '{MARK}'\n"
                         for line in lines)
        done = self.attempt(script, timeout + len(lines))
        check(done.status == 0, f"in the guest, exit status {done.status}:\n{done.output}")
        return done.output.split(MARK + "\n")[:-1]

    # ----- the initiator ------------------------------------------------------------------------

    def disk(self, portal, lun):
        """The device that one portal presents for a LUN."""
        return f"/dev/disk/by-path/ip-{portal}-iscsi-{TARGET}-lun-{lun}"

    def log_in(self, portals, **settings):
        """Discovers at the first portal and logs in to all of these, with node settings."""
        update = " ".join(f"-n {shlex.quote(name)} -v {shlex.quote(str(value))}"
                          for name, value in settings.items())
        node = f"iscsiadm -m node -T {TARGET}"
        self.run(f"set -e; iscsiadm -m discovery -t sendtargets -p {portals[0]}\n"
                 + (f"{node} -o update {update}\n" if update else "")
                 + f"for p in {' '.join(portals)}; do {node} -p $p --login; done", 120)
        self.settle()

    def settle(self):
        """Waits until udev has done its work."""
        self.run("udevadm settle --timeout=120", 130)

    def log_out(self):
        """Ends every session and forgets every node."""
        self.user = None
        self.attempt("iscsiadm -m node --logoutall=all; iscsiadm -m node -o delete", 120)
        self.settle()

    # ----- the kernel's log ---------------------------------------------------------------------

    def kernel_log(self):
        return self.attempt("dmesg").output.splitlines()

    def forget_log(self):
        """What the kernel said until now is not looked at."""
        self.mark = len(self.kernel_log())

    def fresh_log(self):
        """What the kernel has said since the last look."""
        lines = self.kernel_log()
        fresh, self.mark = lines[self.mark:], len(lines)
        return fresh

    def check_log(self, allowed=()):
        """The kernel has said nothing against the target since the last look."""
        fresh = self.fresh_log()
        bad = [line for line in fresh if any(word in line for word in COMPLAINTS)
               and not any(word in line for word in allowed)]
        check(not bad, "the guest's kernel complains:\n" + "\n".join(bad))
        return fresh


class Agent:
    """QEMU's guest agent: one JSON object a line, over the socket of a virtio port."""

    def __init__(self, path):
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.link.settimeout(30)
        self.link.connect(str(path))
        self.file = self.link.makefile("rb")
        wait_for(self.synchronize, 30, "the guest agent answers", 0.2)

    def synchronize(self):
        """What an earlier client has left over is thrown away."""
        try:
            return self.ask("guest-sync", id=7) == 7
        except (OSError, ValueError):
            return False

    def ask(self, verb, **arguments):
        request = {"execute": verb, "arguments": arguments}
        self.link.sendall(json.dumps(request).encode() + b"\n")
        line = self.file.readline()
        answer = json.loads(line) if line else {"error": {"desc": "the agent is gone"}}
        if "error" in answer:
            raise LabError(f"guest agent, {verb}: {answer['error'].get('desc')}")
        return answer["return"]
