# SPDX-License-Identifier: BSD-3-Clause
"""open-iscsi's negotiation: InitialR2T x ImmediateData x digests x burst sizes, with every CHAP
algorithm, through both controllers, each time with data written and read back."""

import itertools
import re

from config import KINDS, PEER, PEER_SECRET, SECRET, USER, kind_target
from guest import SETTINGS, Guest  # SETTINGS is for the runner
from layout import NODES, portals
from runner import check

while_settling = Guest.begin
QUICK_HEAL = True  # nothing to heal
DIGESTS = ("None", "CRC32C")
# FirstBurstLength, MaxBurstLength, MaxRecvDataSegmentLength
BURSTS = ((262144, 16776192, 262144), (512, 1024, 512), (4608, 70656, 8704))
REFUSED, NOT_TRUSTED = 24, 19  # iscsiadm: the target refused the login; the initiator gave it up
ALGORITHMS = ("MD5", "SHA1", "SHA256", "SHA3-256")
BATCH = 8  # logins in one command: programs and round trips are what takes time in the guest
# How sysfs names what is negotiated.
SYSFS = {"node.session.iscsi.InitialR2T": "initial_r2t", "node.session.iscsi.ImmediateData": "immediate_data",
         "node.session.iscsi.FirstBurstLength": "first_burst_len",
         "node.session.iscsi.MaxBurstLength": "max_burst_len",
         "node.conn[0].iscsi.HeaderDigest": "header_digest", "node.conn[0].iscsi.DataDigest": "data_digest",
         "node.conn[0].iscsi.MaxRecvDataSegmentLength": "max_recv_dlength"}
NUMBERS = {"Yes": "1", "No": "0", "CRC32C": "1", "None": "0"}

# login NUMBER TARGET PORTAL SETTING...: logs in, tells what was negotiated, moves data that no other
# login has moved: in megabytes, and in pieces that no burst is a multiple of.
LOGIN = """\
exec 9<>/run/nap
login() {
	local skip=$(($1 * 4096)) target=$2 portal=$3 kept=0
	echo "== $1"; shift 3
	iscsiadm -m node -T $target -p $portal -o update -n node.session.scan -v manual "$@" || return
	iscsiadm -m node -T $target -p $portal --login >/dev/null; kept=$?
	[ $kept = 0 ] || { echo "status=$kept"; return; }
	for f in /sys/class/iscsi_session/*/{initial_r2t,immediate_data,first_burst_len,max_burst_len} \\
		/sys/class/iscsi_connection/*/{header_digest,data_digest,max_recv_dlength}; do
		read -r value <$f; echo "${f##*/}=$value"
	done
	echo "- - 0" >$(echo /sys/class/iscsi_session/session*/device/../scsi_host/*/scan)
	for i in {1..600}; do
		set -- /sys/class/iscsi_session/session*/device/target*/*/block/*
		[ -b /dev/${1##*/} ] && break
		read -rt 0.02 -u 9
	done
	move /dev/${1##*/} && echo "moved=yes"
	iscsiadm -m node -T $target -p $portal --logout >/dev/null && echo "status=0"
}
move() {
	local from="if=/tmp/data skip=$skip iflag=skip_bytes,fullblock"
	dd $from of=$1 bs=1M count=1 oflag=direct && dd $from of=$1 bs=3584 count=16 seek=300 oflag=direct &&
	dd if=$1 bs=1M count=1 iflag=direct | cmp -n 1048576 - /tmp/data 0 $skip &&
	dd if=$1 bs=3584 count=16 skip=300 iflag=direct | cmp -n 57344 - /tmp/data 0 $skip
} 2>/dev/null
"""


def negotiation(r2t, immediate, header, data, burst):
    first, most, segment = burst
    return {"node.session.iscsi.InitialR2T": r2t, "node.session.iscsi.ImmediateData": immediate,
            "node.conn[0].iscsi.HeaderDigest": header, "node.conn[0].iscsi.DataDigest": data,
            "node.session.iscsi.FirstBurstLength": first, "node.session.iscsi.MaxBurstLength": most,
            "node.conn[0].iscsi.MaxRecvDataSegmentLength": segment}


def authentication(kind, algorithm, secret=SECRET):
    """The settings for CHAP; none for kind "none"."""
    if kind == "none":
        return {"node.session.auth.authmethod": "None"}
    mutual = kind == "mutual"
    return {"node.session.auth.authmethod": "CHAP", "node.session.auth.chap_algs": algorithm,
            "node.session.auth.username": USER, "node.session.auth.password": secret,
            **({"node.session.auth.username_in": PEER,
                "node.session.auth.password_in": PEER_SECRET} if mutual else {})}


def prepare(lab):
    """The guest without sessions and without udev, which would read every disk several times."""
    guest = Guest.of(lab)
    guest.log_out()
    guest.user = __name__
    nodes = "".join(f"iscsiadm -m node -T {kind_target(kind)} -p {portal} -o new\n"
                    for kind in KINDS for portal in portals("a") + portals("b"))
    guest.run(f"set -e\nhead -c 2097152 /dev/urandom >/tmp/data\n{nodes}udevadm control --exit", 120)
    guest.forget_log()
    return guest


def finish(guest):
    guest.run("/usr/lib/systemd/systemd-udevd --daemon")
    guest.log_out()


def log_in(guest, logins):
    """Logs in with each (kind, portal, settings); for each what it told, as a dictionary."""
    lines = [f"login {number} {kind_target(kind)} {portal} "
             + " ".join(f"-n '{name}' -v '{value}'" for name, value in settings.items())
             for number, kind, portal, settings in logins]
    done = guest.attempt(LOGIN + "\n".join(lines), 60 * len(lines))
    parts = re.split(r"^== (\d+)$", done.output, flags=re.M)
    told = {int(number): text for number, text in zip(parts[1::2], parts[2::2])}
    check(list(told) == [login[0] for login in logins], f"logins are missing:\n{done.output}")
    return told


def check_one(login, text):
    number, kind, portal, settings = login
    name = f"login {number}, {kind} at {portal}, {list(settings.values())}:\n{text}"
    got = dict(re.findall(r"^(\w+)=(\S+)$", text, re.M))
    check(got.get("status") == "0", f"no login or no logout: {name}")
    check(got.get("moved") == "yes", f"the data was not what was written: {name}")
    for key, short in SYSFS.items():
        value = str(settings[key])
        if short in ("first_burst_len", "max_burst_len"):
            check(int(got[short]) <= int(value), f"{short} became {got[short]}: {name}")
        else:
            check(got[short] == NUMBERS.get(value, value), f"{short} became {got[short]}: {name}")


def test_matrix(lab):
    """Every combination; the ways to authenticate and the four portals take turns."""
    guest = prepare(lab)
    ways = itertools.cycle([("none", None)] + [(kind, name) for name in ALGORITHMS for kind in ("chap", "mutual")])
    doors = itertools.cycle([portals(node)[path] for path in range(2) for node in NODES])
    # Nine ways, four portals, 48 combinations of 3 times 16: no way and no portal sees one half only.
    combinations = itertools.product(("Yes", "No"), ("Yes", "No"), DIGESTS, DIGESTS, BURSTS)
    logins = []
    for number, combination in enumerate(combinations):
        kind, algorithm = next(ways)
        logins.append((number, kind, next(doors), {**negotiation(*combination), **authentication(kind, algorithm)}))
    for first in range(0, len(logins), BATCH):
        batch = logins[first:first + BATCH]
        told = log_in(guest, batch)
        for login in batch:
            check_one(login, told[login[0]])
    guest.check_log()
    finish(guest)
    return f"{len(logins)} logins with data verified"


def test_wrong_secrets(lab):
    """A wrong secret, no authentication, a target that cannot prove itself: each refused by both."""
    guest = prepare(lab)
    plain = {**negotiation("No", "Yes", "None", "None", BURSTS[0]), "node.session.initial_login_retry_max": 1}
    wrong = [("chap", authentication("chap", "SHA256", "wrong-secret-16b"), REFUSED),
             ("chap", authentication("none", None), REFUSED),
             ("mutual", {**authentication("mutual", "SHA3-256"),
                         "node.session.auth.password_in": "wrong-secret-16b"}, NOT_TRUSTED)]
    cases = [(portals(node)[0], *case) for node in NODES for case in wrong]
    told = log_in(guest, [(number, kind, portal, {**plain, **auth})
                          for number, (portal, kind, auth, _) in enumerate(cases)])
    for number, (portal, kind, auth, status) in enumerate(cases):
        check(f"status={status}\n" in told[number] and f"({status} - " in told[number],
              f"{kind} at {portal}, {auth}: not status {status}\n{told[number]}")
    check("No active sessions" in guest.attempt("iscsiadm -m session").output,
          "a session although the login was refused")
    finish(guest)
