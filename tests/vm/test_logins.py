# SPDX-License-Identifier: BSD-3-Clause
"""open-iscsi's negotiation: InitialR2T x ImmediateData x digests x burst sizes, with every CHAP
algorithm, each time with data written and read back."""

import itertools
import re

import solo
from guest import Guest
from runner import check

SETTINGS = {"cluster": False}
DIGESTS = ("None", "CRC32C")
# FirstBurstLength, MaxBurstLength, MaxRecvDataSegmentLength
BURSTS = ((262144, 16776192, 262144), (512, 1024, 512), (4608, 70656, 8704))
REFUSED, NOT_TRUSTED = 24, 19  # iscsiadm: the target refused the login; the initiator gave it up
ALGORITHMS = (None, "MD5", "SHA1", "SHA256", "SHA3-256")

# Everything in one go: an exchange with the guest takes a tenth of the time that a login takes.
SCRIPT = """\
set -e
T={target} P={portal} D=/dev/disk/by-path/ip-{portal}-iscsi-{target}-lun-0
iscsiadm -m node -T $T -p $P -o update {settings}
iscsiadm -m node -T $T -p $P --login >/dev/null
trap 'iscsiadm -m node -T $T -p $P --logout >/dev/null' EXIT
for i in $(seq 200); do [ -e $D ] && break; sleep 0.05; done
iscsiadm -m session -P 2 | grep -E "^[[:space:]]+(HeaderDigest|DataDigest|FirstBurst|MaxBurst|Imm|Init)"
dd if=/tmp/data of=$D bs=1M oflag=direct 2>/dev/null
dd if=/tmp/data of=$D bs=3584 count=40 seek=300 oflag=direct 2>/dev/null
dd if=$D bs=1M count=1 iflag=direct 2>/dev/null | cmp -n 1048576 - /tmp/data
dd if=$D bs=3584 count=40 skip=300 iflag=direct 2>/dev/null | cmp -n 143360 - /tmp/data
dd if=/tmp/zero of=$D bs=1M oflag=direct 2>/dev/null
"""


def arguments(settings):
    return " ".join(f"-n '{name}' -v '{value}'" for name, value in settings.items())


def negotiation(r2t, immediate, header, data, burst):
    first, most, segment = burst
    return {"node.session.iscsi.InitialR2T": r2t, "node.session.iscsi.ImmediateData": immediate,
            "node.conn[0].iscsi.HeaderDigest": header, "node.conn[0].iscsi.DataDigest": data,
            "node.session.iscsi.FirstBurstLength": first, "node.session.iscsi.MaxBurstLength": most,
            "node.conn[0].iscsi.MaxRecvDataSegmentLength": segment}


def authentication(kind, algorithm, secret=solo.SECRET):
    """The settings for CHAP; none for kind "none"."""
    if kind == "none":
        return {"node.session.auth.authmethod": "None"}
    mutual = kind == "mutual"
    return {"node.session.auth.authmethod": "CHAP", "node.session.auth.chap_algs": algorithm,
            "node.session.auth.username": solo.USER, "node.session.auth.password": secret,
            **({"node.session.auth.username_in": solo.PEER,
                "node.session.auth.password_in": solo.PEER_SECRET} if mutual else {})}


def prepare(guest):
    guest.log_out()
    guest.run("head -c 1048576 /dev/urandom >/tmp/data; head -c 1048576 /dev/zero >/tmp/zero")
    for kind in solo.KINDS:
        guest.run(f"iscsiadm -m node -T {solo.target(kind)} -p {solo.PORTAL} -o new")
    guest.forget_log()


def log_in(guest, kind, settings):
    """A login with data there and back; the Done."""
    text = SCRIPT.format(target=solo.target(kind), portal=solo.PORTAL, settings=arguments(settings))
    return guest.attempt(text, 60)


def check_one(guest, kind, wanted, more):
    done = log_in(guest, kind, {**wanted, **more})
    name = f"{kind} {list(wanted.values())} {list(more.values())[:2]}"
    check(done.status == 0, f"{name}: {done.output}")
    got = dict(re.findall(r"(\w+): (\S+)", done.output))
    for key, value in wanted.items():
        short = key.rpartition(".")[2]
        if short in ("HeaderDigest", "DataDigest", "InitialR2T", "ImmediateData"):
            check(got.get(short) == value, f"{name}: {short} became {got.get(short)}")
        elif short in ("FirstBurstLength", "MaxBurstLength") and short in got:
            check(int(got[short]) <= value, f"{name}: {short} became {got[short]}")


def test_matrix(lab):
    """Every combination; the ways to authenticate take turns."""
    guest = Guest.of(lab)
    count = 0
    with solo.Solo(lab):
        prepare(guest)
        turns = itertools.cycle([("none", None)] + [(kind, name) for name in ALGORITHMS[1:]
                                                    for kind in ("chap", "mutual")])
        # Nine turns and 48 combinations: no algorithm sees one half of them only.
        for r2t, immediate, header, data, burst in itertools.product(
                ("Yes", "No"), ("Yes", "No"), DIGESTS, DIGESTS, BURSTS):
            kind, algorithm = next(turns)
            check_one(guest, kind, negotiation(r2t, immediate, header, data, burst),
                      authentication(kind, algorithm))
            count += 1
        guest.check_log()
        guest.log_out()
    return f"{count} logins with data verified"


def test_wrong_secrets(lab):
    """A wrong secret, no authentication, a target that cannot prove itself: each refused."""
    guest = Guest.of(lab)
    plain = negotiation("No", "Yes", "None", "None", BURSTS[0])
    with solo.Solo(lab):
        prepare(guest)
        for kind, auth, status in (
                ("chap", authentication("chap", "SHA256", "wrong-secret-16b"), REFUSED),
                ("chap", authentication("none", None), REFUSED),
                ("mutual", {**authentication("mutual", "SHA3-256"),
                            "node.session.auth.password_in": "wrong-secret-16b"}, NOT_TRUSTED)):
            done = log_in(guest, kind, {**plain, **auth, "node.session.initial_login_retry_max": 1})
            check(done.status == status and f"({status} - " in done.output,
                  f"{kind} {auth}: status {done.status}, not {status}\n{done.output}")
            check("No active sessions" in guest.attempt("iscsiadm -m session").output,
                  "a session although the login was refused")
        guest.log_out()
