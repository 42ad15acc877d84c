# SPDX-License-Identifier: BSD-3-Clause
"""One line for each test, from several threads at once; the count at the end."""

import contextlib
import shutil
import subprocess
import threading
import time
import traceback

HEAD_LINES = 30
TAIL_LINES = 70


class Report:
    """Collects and prints results: PASS, FAIL or SKIP, a name, seconds; failures with their log."""

    def __init__(self, place):
        self.place = place  # folder for the whole logs of what failed
        shutil.rmtree(place, ignore_errors=True)
        self.lock = threading.Lock()
        self.counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
        self.failed = []

    def result(self, word, name, seconds, log="", note=""):
        with self.lock:
            self.counts[word] += 1
            print(f"{word} {name} ({seconds:.1f} s){': ' + note if note else ''}", flush=True)
            if word == "FAIL":
                self.failed.append(name)
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


def command(args, cwd=None, env=None, timeout=900, nice=0):
    """Runs a program; returns what it printed, Failed with that when its exit code is not 0."""
    words = (["nice", "-n", str(nice)] if nice else []) + [str(a) for a in args]
    try:
        done = subprocess.run(words, cwd=cwd, env=env, timeout=timeout, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False)
    except subprocess.TimeoutExpired as error:
        output = (error.output or b"").decode(errors="replace")
        raise Failed(f"{output}\n{' '.join(words)}: no end after {timeout} s") from error
    except OSError as error:
        raise Failed(f"{words[0]}: {error}") from error
    if done.returncode:
        raise Failed(f"{done.stdout}\n{' '.join(words)}: exit code {done.returncode}")
    return done.stdout
