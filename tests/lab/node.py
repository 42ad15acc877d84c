# SPDX-License-Identifier: BSD-3-Clause
"""A controller: the power switch, and the way in.

On: a network namespace with its links, and node_init.py as process 1 of its own mount, UTS, PID and
IPC namespaces, all in one control group. Off: links down first, then every process dies at once,
then the network namespace goes with every socket in it. What a real controller keeps on disk is in
the directory of the node and survives; what it keeps in memory does not.
"""

import json
import os
import subprocess
import sys
import time

import faultdisk
import net
import proc
from layout import HERE

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
}


class Node:
    """The power of one controller; used by the supervisor only, one caller at a time."""

    def __init__(self, layout, tree, name):
        self.layout = layout
        self.tree = tree
        self.name = name
        self.process = None

    def is_on(self):
        return self.tree.populated(self.name)

    def on(self):
        """Boots the controller; returns when commands can be run in it. Nothing if it is on."""
        if self.is_on():
            return
        net.detach(self.layout, self.name)
        net.attach_node(self.layout, self.name)
        self.tree.freeze(self.name, False)  # it may have died frozen
        home = self.layout.node(self.name)
        booted = home / "booted"
        booted.unlink(missing_ok=True)
        arguments = [sys.executable, "-B", HERE / "node_init.py", self.name, self.layout.dir]
        command = ["nsenter", f"--net={self.layout.netns_path(self.name)}", "unshare", "--mount",
                   "--uts", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc", *arguments]
        with open(home / "log" / "console", "ab") as console:
            self.process = subprocess.Popen(
                self.tree.enter(self.name, command), stdin=subprocess.DEVNULL, stdout=console,
                stderr=console, env=ENVIRONMENT, cwd="/", start_new_session=True)

        def up():
            if self.process.poll() is not None:
                raise proc.LabError(f"controller {self.name} died while booting:\n"
                                    + proc.tail(home / "log" / "console"))
            return booted.exists()
        proc.wait_for(up, 15, f"controller {self.name} has booted", 0.005)
        proc.record(self.layout.pid(self.name), self._init())

    def _init(self):
        """Process id of the controller's init: the child of `unshare`."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return int(file.read().split()[0])

    def off(self):
        """Cuts the power. When this returns nothing of the controller runs any more."""
        if net.exists(self.layout, self.name):
            net.unplug(self.layout, self.name)
        if self.layout.disk_socket.exists():
            # What it had sent to the disk is on its way all the same, but nobody waits for it.
            disk = faultdisk.FaultDisk(self.layout.disk_socket)
            disk.detach(self.name)
            disk.close()
        self.tree.kill(self.name)
        if self.process is not None:
            self.process.wait(10)
            self.process = None
        net.detach(self.layout, self.name)


def inside(layout, name, args, timeout):
    """The command line that runs `args` inside a controller, with an end after timeout seconds."""
    pid = proc.recorded(layout.pid(name))
    if pid is None:
        raise proc.LabError(f"controller {name} of lab {layout.prefix} is off")
    limit = ["timeout", "-k", "1", str(timeout)] if timeout else []
    return ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", *limit, *map(str, args)]


def prepare(layout, name):
    """Makes the directories that a controller keeps over a loss of power."""
    home = layout.node(name)
    for directory in ("log", "corosync", "corosync-state", "pacemaker", "state", "yoke"):
        (home / directory).mkdir(parents=True)
    for directory in ("cib", "blackbox", "cores", "pengine"):
        (home / "pacemaker" / directory).mkdir()
    (home / "log" / "pacemaker").mkdir()
    (home / "log" / "corosync").mkdir()
    proc.run(["chown", "-R", "hacluster:haclient", home / "pacemaker", home / "log" / "pacemaker"])
    for directory in (home / "pacemaker", home / "log" / "pacemaker"):
        directory.chmod(0o770)
    (home / "log" / "events").write_text("", encoding="utf-8")


def note(layout, name, text):
    """Adds a line with the time to the controller's own list of events, for whoever debugs."""
    line = json.dumps({"time": round(time.time(), 3), "event": text})
    path = layout.node(name) / "log" / "events"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, (line + "\n").encode())
    os.close(descriptor)
