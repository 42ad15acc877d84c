# SPDX-License-Identifier: BSD-3-Clause
"""fio in the guest: writes to a multipath map and verifies, while something happens to the array.

    with Writer(guest) as writer:
        lab["a"].power_off()
        writer.goes_on()
    print(writer.longest_s, writer.told())

Beside it a loop notes when sessions fail and are back, so that a pause can be taken apart.
"""

import json
import re

from lab import wait_for
from runner import check

# Ends by a signal, which fio answers with a report and status 128.
SCRIPT = """\
declare -A old
exec 9<>/run/nap
while read -rt 0.05 -u 9; [ $? -gt 128 ]; do
	for f in /sys/class/iscsi_session/session*/state; do
		read -r new <$f
		[ "$new" = "${{old[$f]}}" ] || {{ old[$f]=$new; echo "$EPOCHREALTIME ${{f//[^0-9]}} $new"; }}
	done 2>/dev/null
done >/tmp/states &
trap "kill $!" EXIT
fio --name=verify --filename=/dev/mapper/{map} --rw=randwrite --bs=4k --size=24m --ioengine=libaio \\
	--direct=1 --iodepth=4 --rate_iops=100 --verify=crc32c --verify_backlog=64 --verify_fatal=1 \\
	--time_based --runtime=300 --output-format=json --output=/tmp/fio.json &
echo $! >/tmp/fio.pid
wait $!
status=$?
cat /tmp/states /tmp/fio.json
exit $status
"""
ENDED = (0, 128)
# Busybox has no dmsetup; the kernel counts I/O of the map itself.
COUNT = "read -r r _ _ _ w _ </sys/block/{dm}/stat; echo $((r + w))"
START_S, GOES_ON_S, SOME = 60, 60, 60


class Writer:
    """One run of fio; the results are there when the block has ended."""

    def __init__(self, guest):
        self.guest = guest
        self.dm = guest.run(f"readlink -f /dev/mapper/{guest.map}").strip().rpartition("/")[2]
        self.pid = self.began = self.longest_s = None
        self.states = []

    def count(self):
        return int(self.guest.run(COUNT.format(dm=self.dm)))

    def goes_on(self):
        """Waits until some more I/O has ended."""
        before = self.count()
        wait_for(lambda: self.count() >= before + SOME, GOES_ON_S, "I/O goes on", 0.1)

    def __enter__(self):
        self.pid = self.guest.start(SCRIPT.format(map=self.guest.map))
        before = self.count()
        wait_for(lambda: self.count() >= before + SOME, START_S, "fio writes", 0.1)
        self.began = self.guest.clock()
        return self

    def __exit__(self, kind, *_):
        done = self.guest.stop(self.pid, "/tmp/fio.pid", "fio")
        if kind:
            return
        check(done.status in ENDED, f"fio ended with {done.status}:\n{done.output[-3000:]}")
        report, _ = json.JSONDecoder().raw_decode(done.output, done.output.index("{"))
        job = report["jobs"][0]
        check(job["error"] == 0 and job.get("total_err", 0) == 0, f"fio counts errors: {job['error']}")
        written, read = (job[way]["total_ios"] for way in ("write", "read"))
        check(written > SOME and read > SOME, f"fio did not much: {written} writes, {read} reads")
        lost = [line for line in self.guest.fresh_log()
                if re.search(r"I/O error,? (on )?dev dm-", line)]
        check(not lost, "the map has lost I/O:\n" + "\n".join(lost))
        self.longest_s = max(job[way]["clat_ns"]["max"] for way in ("write", "read")) / 1e9
        self.states = [(float(at) - self.began, int(session), state) for at, session, state
                       in re.findall(r"^([\d.]+) (\d+) (\w+)$", done.output, re.M)]

    def told(self):
        """What became of the sessions: ["connection lost after 2.1 s", ...]."""
        found = []
        for what, state in (("connection lost", "FAILED"), ("logged in again", "LOGGED_IN")):
            times = [at for at, _, new in self.states if new == state and at > 0]
            found += [f"{what} after {times[0]:.1f} s"] if times else []
        return found
