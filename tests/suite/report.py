# SPDX-License-Identifier: BSD-3-Clause
"""One line for each test, from several threads at once; the count at the end."""

import contextlib
import subprocess
import threading
import time
import traceback

TAIL_LINES = 80


class Report:
    """Collects and prints results: PASS, FAIL or SKIP, a name, seconds; failures with their log."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
        self.failed = []

    def result(self, word, name, seconds, log="", note=""):
        with self.lock:
            self.counts[word] += 1
            print(f"{word} {name} ({seconds:.1f} s){': ' + note if note else ''}", flush=True)
            if word == "FAIL":
                self.failed.append(name)
                if log:
                    lines = log.rstrip().splitlines()
                    if len(lines) > TAIL_LINES:
                        print(f"    ... {len(lines) - TAIL_LINES} lines before")
                    print("\n".join("    " + line for line in lines[-TAIL_LINES:]), flush=True)

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
