# SPDX-License-Identifier: BSD-3-Clause
"""Running programs, waiting for conditions, and processes by their id."""

import os
import signal
import subprocess
import time


class LabError(Exception):
    """Something in the lab did not work; the text says what, why and what to look at."""


def run(args, check=True, timeout=30, stdin=None, env=None):
    """Runs a program to its end. Raises LabError with its output when it fails and check is set."""
    try:
        done = subprocess.run([str(a) for a in args], capture_output=True, text=True,
                              errors="replace", input=stdin,
                              stdin=None if stdin is not None else subprocess.DEVNULL,
                              timeout=timeout, env=env, check=False)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(map(str, args))}: no end after {timeout} s") from error
    except FileNotFoundError as error:
        raise LabError(f"{args[0]} is not installed; tests/packages lists what is needed") from error
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(map(str, args))}: exit code {done.returncode}\n"
                       f"{done.stdout}{done.stderr}".rstrip())
    return done


def wait_for(condition, timeout, what, interval=0.02):
    """Calls condition() until it gives something true, and returns that; LabError after timeout."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"timed out after {timeout} s waiting until {what}")
        time.sleep(interval)


def start_time(pid):
    """When a process started, in ticks since boot; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def record(path, pid):
    """Writes a process id together with its start time, so that a reused id is not mistaken."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(f"{pid} {start_time(pid)}\n", encoding="ascii")
    temporary.rename(path)


def recorded(path):
    """The process id written by record(), or None when that process is gone."""
    try:
        pid, started = path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return int(pid) if start_time(int(pid)) == started else None


def kill(pid, number=signal.SIGKILL):
    """Sends a signal; a process that is gone already is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def children_names(pids):
    """[(pid, command name)] of those processes that are still there."""
    found = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                found.append((pid, file.read().strip()))
        except OSError:
            pass
    return found


def tail(path, lines=20):
    """The last lines of a log file, for an error message."""
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)
