# SPDX-License-Identifier: BSD-3-Clause
"""Builds of the tree in folders of their own below build/, and what `make` itself can test."""

import os
import re
import shutil
import time
from pathlib import Path

from report import Failed, command

PREFIX = ["--prefix=/usr", "--sysconfdir=/etc", "--localstatedir=/var"]
KINDS = {
    "product": ({}, []),
    "clang": ({"CC": "clang"}, []),
    "sanitized": ({"CFLAGS": "-g -O1"}, ["--with-sanitizers=address,undefined"]),
}
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


class Builder:
    """Configures, builds and installs; `nice` is for the builds that run beside timed tests."""

    def __init__(self, source, top, nice=0):
        self.source = Path(source)
        self.build = Path(top) / "build"
        self.nice = nice
        self.jobs = f"-j{os.cpu_count()}"

    def directory(self, kind):
        return self.build / kind

    def make(self, kind, *targets, timeout=900, **variables):
        words = [f"{name}={value}" for name, value in variables.items()]
        environment = {**os.environ, **SANITIZER_ENVIRONMENT}
        return command(["make", self.jobs, *targets, *words], cwd=self.directory(kind),
                       env=environment, timeout=timeout, nice=self.nice)

    def compile(self, kind):
        """Configures where needed and builds everything, warnings being errors."""
        variables, options = KINDS[kind]
        directory = self.directory(kind)
        directory.mkdir(parents=True, exist_ok=True)
        if not (directory / "config.status").exists():
            words = [f"{name}={value}" for name, value in variables.items()]
            command([self.source / "configure", *PREFIX, "--enable-werror", *options, *words],
                    cwd=directory, nice=self.nice)
        self.make(kind, "all")

    def stage(self, kind):
        """Installs into a folder of its own and returns that folder."""
        place = self.build / ("stage" if kind == "product" else f"stage-{kind}")
        shutil.rmtree(place, ignore_errors=True)
        self.make(kind, "install", DESTDIR=place)
        return place

    def unit(self, kind, report):
        """`make check`: one result for each test program, with its log when it failed."""
        started = time.monotonic()
        try:
            output = self.make(kind, "check", timeout=600)
        except Failed as failure:
            output = str(failure)
        directory = self.directory(kind)
        found = 0
        for line in output.splitlines():
            match = re.fullmatch(r"(PASS|FAIL|SKIP|XFAIL|XPASS|ERROR): (\S+)", line.strip())
            if not match:
                continue
            found += 1
            word = match[1] if match[1] in ("PASS", "SKIP") else "FAIL"
            log = directory / f"{match[2].removesuffix('.sh')}.log"
            text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else output
            report.result(word, f"unit/{Path(match[2]).stem.removeprefix('test_')}",
                          seconds(log), text, text.strip()[-200:] if word == "SKIP" else "")
        if not found:
            report.result("FAIL", "unit/make-check", time.monotonic() - started, output)

    def dist(self, kind):
        """`make distcheck`: the tarball builds out of tree, passes, installs and uninstalls."""
        self.make(kind, "distcheck", timeout=1200, DISTCHECK_CONFIGURE_FLAGS="--enable-werror")


def seconds(log):
    """How long a test program ran: its .log is made when it starts, its .trs when it has ended."""
    trs = log.with_suffix(".trs")
    try:
        born = float(command(["stat", "-c", "%.3W", log]))
        return max(0.0, os.stat(trs).st_mtime - born)
    except (OSError, Failed, ValueError):
        return 0.0
