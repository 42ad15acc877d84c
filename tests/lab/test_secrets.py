# SPDX-License-Identifier: BSD-3-Clause
"""CHAP secrets that change while both controllers serve: new logins need the new ones at both, sessions
go on, a file that is wrong at either changes nothing, and no core of a daemon would hold a secret."""

import contextlib
import re
import signal
import subprocess

import config
from lab import wait_for
from layout import NODES
from questions import agree
from runner import check

SETTINGS = {"lus": 2, "lu_mib": 16, "chap": True}
FILE = "/etc/yoke/secrets.yaml"
TARGET = config.kind_target("chap")
CHUNK = 1 << 20


def secrets(lab, text, nodes=NODES, mode=0o600):
    for node in nodes:
        path = lab.layout.node(node) / "yoke" / "secrets.yaml"
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)


def renamed(secret):
    """The lab's file with another secret for the user."""
    return config.SECRETS.replace(config.SECRET, secret)


def reload(lab, node="a", good=True):
    done = lab[node].run(["yokectl", "config", "reload"], check=False)
    check((done.returncode == 0) == good,
          f"config reload at {node}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def url(portal, secret, target=TARGET):
    return f"iscsi://{config.USER}%{secret}@{portal}/{target}/0"


def admitted(lab, secret, target=TARGET):
    """{portal: whether a login with that secret succeeds}"""
    return {portal: lab.host_run(["iscsi-inq", url(portal, secret, target)], check=False).returncode == 0
            for portal in lab.portals()}


def only(lab, secret, others):
    """That secret is the one that counts, at every portal of both controllers."""
    check(all(admitted(lab, secret).values()), f"the secret is refused: {admitted(lab, secret)}")
    for other in others:
        check(not any(admitted(lab, other).values()), f"another secret is admitted: {admitted(lab, other)}")


def begin(lab):
    secrets(lab, config.SECRETS)
    for node in NODES:
        wait_for(lambda node=node: lab[node].yokectl("status")["in_sync"], 30, f"{node} is in sync")
    reload(lab)
    only(lab, config.SECRET, ["second-secret-01"])


@contextlib.contextmanager
def readers(lab, secret):
    """A program at each portal that reads all the time in one session; in the end it must still do so."""
    started = [lab.host_start(["iscsi-perf", "-m", "1", "-x", "0", "-t", "300", url(portal, secret)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) for portal in lab.portals()]
    try:
        wait_for(lambda: len(sessions(lab)) == len(started), 20, "every reader has its session")
        before = sessions(lab)
        yield
        check(all(process.poll() is None for process in started), "a reader has ended")
        check(sessions(lab) == before, f"sessions were {before}, are {sessions(lab)}")
    finally:
        for process in started:
            process.send_signal(signal.SIGKILL)
            process.wait()


def sessions(lab):
    """What there is of sessions with a user, as (controller, TSIH, since)."""
    return sorted((node, s["tsih"], s["since_unix_s"]) for node in NODES
                  for s in lab[node].yokectl("session", "list")["sessions"]
                  if s["target"] == TARGET and s["user"] == config.USER)


def test_new_secret(lab):
    """yoke.yaml is as before, the secrets are not: both controllers take them, by either's reload, by
    SIGHUP; sessions with the old one read on."""
    begin(lab)
    with readers(lab, config.SECRET):
        secrets(lab, renamed("second-secret-01"))
        only(lab, config.SECRET, ["second-secret-01"])
        reload(lab)
        only(lab, "second-secret-01", [config.SECRET])
        secrets(lab, renamed("third-secret-xyz"))
        reload(lab, "b")
        only(lab, "third-secret-xyz", ["second-secret-01", config.SECRET])
        secrets(lab, config.SECRETS)
        lab["a"].send_signal("yoked", signal.SIGHUP)
        wait_for(lambda: all(admitted(lab, config.SECRET).values()), 10, "SIGHUP has put it in place")
        only(lab, config.SECRET, ["third-secret-xyz"])
    check(agree(lab), "the controllers do not agree")


def test_a_user_comes(lab):
    """A user whom yoke.yaml names from now on, and who has stood in no file before."""
    begin(lab)
    yaml = config.yoke_yaml(lab.settings)
    text = yaml.replace(f"users: [{config.USER}]", f"users: [{config.USER}, late]")
    for node in NODES:
        (lab.layout.node(node) / "yoke" / "yoke.yaml").write_text(text, encoding="utf-8")
    said = reload(lab, good=False)
    check(FILE in said and "late" in said and "add it under users" in said, f"a missing user: {said}")
    secrets(lab, config.SECRETS + "  - name: late\n    secret: late-secret-01\n    peer_name: array\n"
            "    peer_secret: late-peer-secret\n")
    reload(lab)
    only(lab, config.SECRET, [])
    done = lab.host_run(["iscsi-inq", url(lab.portals()[0], "late-secret-01").replace(config.USER, "late")],
                        check=False)
    check(done.returncode == 0, f"the new user is refused: {done.stdout}{done.stderr}")
    for node in NODES:
        (lab.layout.node(node) / "yoke" / "yoke.yaml").write_text(yaml, encoding="utf-8")
    secrets(lab, config.SECRETS)
    reload(lab)


def test_refused(lab):
    """Whatever is wrong with the file of either controller: it is said, and both keep what they have."""
    begin(lab)
    with readers(lab, config.SECRET):
        for node in NODES:
            for text, mode, said in (
                    (renamed("second-secret-01"), 0o640, "chmod 600"),
                    (renamed("too-short"), 0o600, f"{FILE}:4:"),
                    (renamed("second-secret-01").replace("secret:", "secrte:"), 0o600, f"{FILE}:4:"),
                    (renamed("second-secret-01").replace("name: guest", "name: gust"), 0o600,
                     "add it under users"),
                    (None, 0o600, "install -m 600")):
                secrets(lab, renamed("second-secret-01"))
                if text is None:
                    (lab.layout.node(node) / "yoke" / "secrets.yaml").unlink()
                else:
                    secrets(lab, text, [node], mode)
                answer = reload(lab, "a", good=False)
                check(FILE in answer and said in answer, f"{node}: it lacks {said}: {answer}")
                check("secret-01" not in answer and "too-short" not in answer, f"it shows a secret: {answer}")
                only(lab, config.SECRET, ["second-secret-01"])
    secrets(lab, renamed("second-secret-01"))
    reload(lab)
    only(lab, "second-secret-01", [config.SECRET])


def dumped(pid, words):
    """Which of the words stand in memory of a process that its core would hold: all that can be read and
    is not marked "dd"."""
    found, scanned, regions = [], 0, []
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
        for line in file:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S)", line)
            if head:
                at = (int(head[1], 16), int(head[2], 16), head[3] == "r")
            elif line.startswith("VmFlags:") and at[2] and "dd" not in line.split():
                regions.append(at[:2])
    longest = max(len(word) for word in words)
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for start, end in regions:
            for place in range(start, end, CHUNK):
                with contextlib.suppress(OSError):  # what the kernel keeps for itself
                    memory.seek(place)
                    block = memory.read(min(CHUNK + longest, end - place))
                    scanned += len(block)
                    found += [word for word in words if word.encode() in block]
    return found, scanned


def test_no_core(lab):
    """All memory of both daemons, before and after a reload: secrets stand nowhere that a core would
    hold; names do, which shows that they would be found."""
    begin(lab)
    words = [config.SECRET, config.PEER_SECRET, "second-secret-01"]
    mib = 0
    for text, secret in ((config.SECRETS, config.SECRET), (renamed("second-secret-01"), "second-secret-01")):
        secrets(lab, text)
        reload(lab)
        only(lab, secret, [])
        for node in NODES:
            for pid in lab[node].pids("yoked"):
                found, scanned = dumped(pid, words)
                mib += scanned >> 20
                check(not found, f"{node}: a core would hold {found}")
                check(dumped(pid, [TARGET])[0], "not even the target's name was found")
                for name in ("cmdline", "environ"):
                    with open(f"/proc/{pid}/{name}", "rb") as file:
                        text = file.read().decode(errors="replace")
                    check(not any(word in text for word in words), f"{node}: {name} shows a secret")
            log = lab[node].file("log/syslog")
            check(not any(word in log for word in words), f"{node}: the log shows a secret")
    return f"{mib} MiB looked through"
