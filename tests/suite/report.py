# SPDX-License-Identifier: BSD-3-Clause
"""One line for each test, from several threads at once; the count at the end."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import traceback

HEAD_LINES = 30
TAIL_LINES = 70
REASON_CHARACTERS = 600  # of a failure, repeated at the end


def reason(log):
    """The line of a log that says why: the last exception, or else the last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[A-Za-z_.]*(Error|Expired|Failed): ", line)]
    return (raised or lines or [""])[-1][:REASON_CHARACTERS]


class Report:
    """Collects and prints results: PASS, FAIL or SKIP, a name, seconds; failures with their log."""

    def __init__(self, place):
        self.place = place  # folder for the whole logs of what failed
        shutil.rmtree(place, ignore_errors=True)
        self.lock = threading.Lock()
        self.counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
        self.failed = []
        self.reasons = {}  # name: the last line of its log

    def result(self, word, name, seconds, log="", note=""):
        with self.lock:
            self.counts[word] += 1
            print(f"{word} {name} ({seconds:.1f} s){': ' + note if note else ''}", flush=True)
            if word == "FAIL":
                self.failed.append(name)
                self.reasons[name] = reason(log)
                self.show(name, log)

    def show(self, name, log):
        """Prints the beginning and the end of a log; all of it goes to a file."""
        if not log:
            return
        self.place.mkdir(parents=True, exist_ok=True)
        path = self.place / (name.replace("/", "-") + ".log")
        path.write_text(log, encoding="utf-8")
        lines = log.rstrip().splitlines()
        if len(lines) > HEAD_LINES + TAIL_LINES:
            cut = f"... {len(lines) - HEAD_LINES - TAIL_LINES} lines more in {path}"
            lines = lines[:HEAD_LINES] + [cut] + lines[-TAIL_LINES:]
        print("\n".join("    " + line for line in lines), flush=True)

    @contextlib.contextmanager
    def test(self, name):
        """A test as a block: Failed fails it with its text, Skipped skips it."""
        started = time.monotonic()
        try:
            yield
        except Skipped as reason:
            self.result("SKIP", name, time.monotonic() - started, note=str(reason))
        except Failed as failure:
            self.result("FAIL", name, time.monotonic() - started, str(failure))
        except Exception:  # pylint: disable=broad-except
            self.result("FAIL", name, time.monotonic() - started, traceback.format_exc())
        else:
            self.result("PASS", name, time.monotonic() - started)

    def passed(self, name):
        return name not in self.failed

    def last_line(self):
        return (f"{self.counts['PASS']} passed, {self.counts['FAIL']} failed, "
                f"{self.counts['SKIP']} skipped")


class Failed(Exception):
    """A test has failed; the text is its log."""


class Skipped(Exception):
    """A test cannot run here; the text says why."""


def yielding(words, nice):
    """A command line that leaves the processor to others. Where the kernel shares time between
    sessions first (sched(7), autogroup), a nice value counts within its session alone: so the
    program gets a session of its own (`start_new_session`), and that the value."""
    return ["sh", "-c", '{ echo "$0" >/proc/self/autogroup; } 2>/dev/null; exec nice -n "$0" "$@"',
            str(nice), *words]


def command(args, cwd=None, env=None, timeout=900, nice=0):
    """Runs a program; returns what it printed, Failed with that when its exit code is not 0."""
    words = [str(a) for a in args]
    told = " ".join(words)
    try:
        process = subprocess.Popen(yielding(words, nice) if nice else words, cwd=cwd, env=env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace",
                                   start_new_session=bool(nice))
    except OSError as error:
        raise Failed(f"{words[0]}: {error}") from error
    with RUNNING.entered(process.pid if nice else None), process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            RUNNING.kill(process, nice)
            raise Failed(f"{process.communicate()[0]}\n{told}: no end after {timeout} s") from error
    if process.returncode:
        raise Failed(f"{output}\n{told}: exit code {process.returncode}")
    return output


class Running:
    """The sessions that command() has made: a Ctrl-C at the terminal does not reach them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sessions = set()
        self.interrupted = False

    @contextlib.contextmanager
    def entered(self, session):
        """While a command runs in `session`, or in the terminal's when that is None."""
        with self.lock:
            if self.interrupted and session:
                os.killpg(session, signal.SIGTERM)
            self.sessions.add(session)
        try:
            yield
        finally:
            with self.lock:
                self.sessions.discard(session)

    @staticmethod
    def kill(process, nice):
        if nice:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()

    def interrupt(self):
        """Ends what runs; nothing new is to begin."""
        with self.lock:
            self.interrupted = True
            for session in self.sessions - {None}:
                os.killpg(session, signal.SIGTERM)


RUNNING = Running()
