#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Walks both OCF agents through every action in every state of the daemon, with a yoked and a
# yokectl that only pretend. Exit code 0, 1, or 77 (skipped: no flock).

agents=${top_builddir:-.}/agents
failed=0
checks=0

if ! command -v flock >/dev/null 2>&1; then
	echo "skipped: flock (util-linux) is missing"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/yoke-agents-XXXXXX") || exit 1

# The pretended daemon, by the pid that it holds in its locked file.
kill_daemon() {
	if [ -s "$dir/pid" ] && ! (flock -s -n 9) 9<"$dir/pid"; then
		kill -KILL "$(cat "$dir/pid")" 2>/dev/null
		while ! (flock -s -n 9) 9<"$dir/pid"; do sleep 0.02; done
	fi
}
trap 'kill_daemon; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

# ----- the pretenders -------------------------------------------------------------------------

# $dir/start: fail = yoked does not start. $dir/stubborn: stop = does not end when asked,
# term = nor on SIGTERM.
mkdir "$dir/bin"
cat >"$dir/bin/yoked" <<END
#!/bin/sh
echo "yoked \$*" >>"$dir/calls"
if [ "\$(cat "$dir/start" 2>/dev/null)" = fail ]; then
	echo "yoked: /dev/disk/by-id/x: no such device" >&2
	exit 1
fi
"$dir/bin/daemon" </dev/null >/dev/null 2>&1 &
while [ ! -s "$dir/pid" ]; do sleep 0.02; done
exit 0
END

cat >"$dir/bin/daemon" <<END
#!/bin/sh
exec 9<>"$dir/pid"
flock -x 9
[ "\$(cat "$dir/stubborn" 2>/dev/null)" != term ] || trap '' TERM
: >"$dir/pid"
echo \$\$ >&9
while [ ! -e "$dir/end" ]; do sleep 0.02 9>&-; done
: >"$dir/pid"
END

# Answers as the daemon's state says: $dir/socket = ok, hung, closed; $dir/sync = no.
cat >"$dir/bin/yokectl" <<END
#!/bin/sh
echo "yokectl \$*" >>"$dir/calls"
verb=
for word in "\$@"; do
	case \$word in
	status | stop | config | group-* | --wait | --json) verb="\$verb \$word" ;;
	esac
done
case \$verb in
" config") exit "\$(cat "$dir/config-code" 2>/dev/null || echo 0)" ;;
esac
socket=\$(cat "$dir/socket" 2>/dev/null || echo ok)
[ -s "$dir/pid" ] || socket=closed
[ ! -e "$dir/open" ] || socket=ok
case \$socket in
closed) echo "yokectl: no daemon listens there" >&2; exit 3 ;;
hung) echo "yokectl: no answer in time" >&2; exit 6 ;;
esac
case \$verb in
" status --wait") [ "\$(cat "$dir/sync" 2>/dev/null)" != no ] || { echo "not in time" >&2; exit 6; } ;;
" status --json") printf '{\n  "version": "0",\n  "pid": %s,\n  "x": 1\n}\n' "\$(cat "$dir/pid")" ;;
" stop") [ -e "$dir/stubborn" ] || : >"$dir/end" ;;
" group-"*) echo "because"; exit "\$(cat "$dir/group-code")" ;;
esac
exit 0
END
chmod +x "$dir/bin/"*
PATH=$dir/bin:$PATH
export PATH

# ----- helpers --------------------------------------------------------------------------------

# expect CODE WHAT COMMAND...: runs it, compares the exit code.
expect() {
	want=$1
	what=$2
	shift 2
	checks=$((checks + 1))
	"$@" >"$dir/out" 2>&1
	got=$?
	if [ "$got" -ne "$want" ]; then
		echo "FAILED: $what: exit code $got instead of $want"
		sed 's/^/    /' "$dir/out"
		failed=$((failed + 1))
	fi
}

# expect_said PATTERN WHAT: the last output has it.
expect_said() {
	checks=$((checks + 1))
	if ! grep -q -e "$1" "$dir/out"; then
		echo "FAILED: $2: nothing said like: $1"
		sed 's/^/    /' "$dir/out"
		failed=$((failed + 1))
	fi
}

expect_called() {
	checks=$((checks + 1))
	if ! grep -q -e "$1" "$dir/calls"; then
		echo "FAILED: $2: no call like: $1"
		sed 's/^/    /' "$dir/calls"
		failed=$((failed + 1))
	fi
}

expect_gone() {
	checks=$((checks + 1))
	if ! (flock -s -n 9) 9<"$dir/pid"; then
		echo "FAILED: $1: the daemon still runs"
		failed=$((failed + 1))
	fi
}

controller() {
	OCF_RESKEY_config="$dir/yoke.yaml" OCF_RESKEY_socket="$dir/sock" OCF_RESKEY_pidfile="$dir/pid" \
		OCF_RESKEY_CRM_meta_timeout="${limit:-20000}" OCF_RESKEY_controller="${name:-}" \
		"$agents/controller" "$@"
}

group() {
	OCF_RESKEY_group="${group_name-g1}" OCF_RESKEY_socket="$dir/sock" \
		OCF_RESOURCE_INSTANCE="${instance:-yoke-g1}" OCF_RESKEY_CRM_meta_timeout=20000 "$agents/group" "$@"
}

# A clean slate: no daemon, no settings.
reset() {
	kill_daemon
	rm -f "$dir/end" "$dir/socket" "$dir/sync" "$dir/start" "$dir/stubborn" "$dir/config-code" \
		"$dir/group-code" "$dir/open" "$dir/pid" "$dir/calls"
	echo 'yoke: 1' >"$dir/yoke.yaml"
	: >"$dir/calls"
}

# ----- controller -----------------------------------------------------------------------------

reset
expect 7 "controller: monitor without a daemon" controller monitor
expect 0 "controller: stop without a daemon" controller stop
expect 0 "controller: validate-all" controller validate-all
name=node1
expect 0 "controller: start" controller start
expect_called "^yoked -c $dir/yoke.yaml --pidfile $dir/pid --controller node1\$" "controller: start"
expect_called "status --wait --timeout 16000ms" "controller: start waits for the cluster's state"
name=
expect 0 "controller: monitor of a running daemon" controller monitor
: >"$dir/calls"
expect 0 "controller: start of a running daemon" controller start
checks=$((checks + 1))
if grep -q '^yoked' "$dir/calls"; then
	echo "FAILED: controller: a second start started a second daemon"
	failed=$((failed + 1))
fi
expect 0 "controller: stop" controller stop
expect_gone "controller: stop"
expect 7 "controller: monitor after stop" controller monitor
expect 0 "controller: second stop" controller stop

# Pid files of the dead are nobody's: the lock decides.
reset
echo $$ >"$dir/pid"
echo closed >"$dir/socket"
expect 7 "controller: monitor with a stale pid file" controller monitor
expect 0 "controller: stop with a stale pid file" controller stop
kill -0 $$ || failed=$((failed + 1))

# The pid file was removed, the daemon lives: its socket tells.
reset
expect 0 "controller: start" controller start
: >"$dir/open"
expect 0 "controller: monitor by the socket" env OCF_RESKEY_pidfile="$dir/none" \
	OCF_RESKEY_socket="$dir/sock" "$agents/controller" monitor
expect 0 "controller: stop by the socket" env OCF_RESKEY_pidfile="$dir/none" \
	OCF_RESKEY_socket="$dir/sock" "$agents/controller" stop
expect_gone "controller: stop by the socket"

reset
echo fail >"$dir/start"
expect 1 "controller: start fails" controller start
expect_said "ocf-exit-reason:yoked did not start: .*no such device" "controller: start fails"
expect 7 "controller: monitor after a failed start" controller monitor

reset
echo no >"$dir/sync"
expect 1 "controller: start, never in sync" controller start
expect_said "ocf-exit-reason:.*not in time" "controller: start, never in sync"
expect 0 "controller: stop, never in sync" controller stop
expect_gone "controller: stop, never in sync"

reset
rm "$dir/yoke.yaml"
expect 5 "controller: start without a configuration" controller start
expect 5 "controller: validate-all without a configuration" controller validate-all
expect 7 "controller: monitor without a configuration" controller monitor
expect 0 "controller: stop without a configuration" controller stop
reset
echo 1 >"$dir/config-code"
expect 2 "controller: validate-all with a wrong configuration" controller validate-all
expect 2 "controller: start with a wrong configuration" controller start

# A hung daemon is an error, not a stopped one; stop ends it by force.
reset
expect 0 "controller: start" controller start
echo hung >"$dir/socket"
expect 1 "controller: monitor of a hung daemon" controller monitor
expect_said "ocf-exit-reason:.*hangs" "controller: monitor of a hung daemon"
expect 1 "controller: start of a hung daemon" controller start
kill -STOP "$(cat "$dir/pid")"
expect 0 "controller: stop of a frozen daemon" controller stop
expect_said "sending SIGKILL" "controller: stop of a frozen daemon"
expect_gone "controller: stop of a frozen daemon"

reset
expect 0 "controller: start" controller start
echo closed >"$dir/socket"
expect 1 "controller: monitor of a daemon without its socket" controller monitor
expect_said "ocf-exit-reason:yoked runs, but nothing listens" "controller: monitor without a socket"
expect 0 "controller: stop of a daemon without its socket" controller stop
expect_said "sending SIGTERM" "controller: stop of a daemon without its socket"
expect_gone "controller: stop of a daemon without its socket"

reset
echo term >"$dir/stubborn"
expect 0 "controller: start" controller start
limit=6000
expect 0 "controller: stop of a daemon that ignores SIGTERM" controller stop
limit=
expect_said "sending SIGKILL" "controller: stop of a daemon that ignores SIGTERM"
expect_gone "controller: stop of a daemon that ignores SIGTERM"

expect 3 "controller: unknown action" controller dance
expect 3 "controller: no action" controller
expect 0 "controller: usage" controller usage

# ----- group ----------------------------------------------------------------------------------

# action x exit code of yokectl -> exit code of the agent
while read -r action code want; do
	reset
	: >"$dir/open"
	echo "$code" >"$dir/group-code"
	expect "$want" "group: $action when yokectl says $code" group "$action"
	expect_called "yokectl --socket $dir/sock --timeout 18500ms agent group-$action g1" "group: $action"
done <<'END'
start 0 0
start 1 1
start 2 1
start 3 1
start 4 2
start 5 1
start 6 1
stop 0 0
stop 1 1
stop 3 0
stop 4 0
stop 5 1
stop 6 1
promote 0 0
promote 1 1
promote 3 7
promote 4 1
promote 5 1
promote 6 1
demote 0 0
demote 1 1
demote 3 7
demote 4 1
demote 5 1
demote 6 1
monitor 0 0
monitor 1 1
monitor 2 1
monitor 3 7
monitor 4 7
monitor 5 1
monitor 6 1
monitor 7 7
monitor 8 8
monitor 9 9
END

reset
: >"$dir/open"
echo 5 >"$dir/group-code"
expect 1 "group: refused promote" group promote
expect_said "ocf-exit-reason:because" "group: refused promote tells why"
echo 0 >"$dir/group-code"
instance=yoke-g1:1
expect 0 "group: start of a numbered instance" group start
expect_called "group-start g1 yoke-g1\$" "group: start of a numbered instance"
instance=
expect 0 "group: validate-all" group validate-all
group_name=
expect 2 "group: validate-all without a group" group validate-all
expect 2 "group: monitor without a group" group monitor
expect 0 "group: meta-data without a group" group meta-data
unset group_name
expect 3 "group: unknown action" group dance
expect 3 "group: notify is not offered" group notify
reset
expect 7 "group: monitor without a daemon" group monitor
expect 0 "group: stop without a daemon" group stop

# ----- meta-data ------------------------------------------------------------------------------

# has AGENT XPATH: the expression is true.
has() {
	command -v xmllint >/dev/null 2>&1 || return 0 # said below
	checks=$((checks + 1))
	if [ "$(xmllint --xpath "boolean($2)" "$dir/meta" 2>&1)" != true ]; then
		echo "FAILED: $1: meta-data: not true: $2"
		failed=$((failed + 1))
	fi
}

for agent in controller group; do
	expect 0 "$agent: meta-data" "$agents/$agent" meta-data
	cp "$dir/out" "$dir/meta"
	if ! command -v xmllint >/dev/null 2>&1; then
		echo "note: xmllint (libxml2-utils) is missing, meta-data is not checked further"
		continue
	fi
	expect 0 "$agent: meta-data is well-formed" xmllint --noout "$dir/meta"
	has "$agent" "/resource-agent[@name='$agent']/version = '1.1'"
	has "$agent" "string-length(/resource-agent/@version) > 2"
	has "$agent" "not(contains(., '@'))"
	has "$agent" "string-length(/resource-agent/longdesc[@lang='en']) > 100"
	has "$agent" "string-length(/resource-agent/shortdesc[@lang='en']) > 10"
	has "$agent" "not(//parameter[not(@name) or not(@required) or not(longdesc) or not(shortdesc) or not(content/@type)])"
	has "$agent" "not(//parameter[@required='0' and not(content/@default)])"
	has "$agent" "not(//action[not(@name) or not(@timeout)])"
	has "$agent" "not(//action[@name='monitor' and not(@interval)])"
	for action in start stop monitor meta-data validate-all; do
		has "$agent" "//action[@name='$action']"
	done
	# Everything that is declared is done.
	for action in $(xmllint --xpath '//action/@name' "$dir/meta" | sed 's/.*"\(.*\)".*/\1/' | sort -u); do
		reset
		echo 0 >"$dir/group-code"
		OCF_RESKEY_group=g1 OCF_RESKEY_config="$dir/yoke.yaml" OCF_RESKEY_socket="$dir/sock" \
			OCF_RESKEY_pidfile="$dir/pid" "$agents/$agent" "$action" >/dev/null 2>&1
		got=$?
		checks=$((checks + 1))
		if [ "$got" -eq 3 ] || [ "$got" -gt 9 ]; then
			echo "FAILED: $agent: $action is declared but not implemented"
			failed=$((failed + 1))
		fi
	done
done
for action in promote demote; do
	has group "//action[@name='$action']"
done
has group "count(//action[@name='monitor']) = 2"
has group "//action[@name='monitor'][1]/@interval != //action[@name='monitor'][2]/@interval"
has group "//action[@name='monitor' and @role='Promoted'] and //action[@name='monitor' and @role='Unpromoted']"

if command -v shellcheck >/dev/null 2>&1; then
	expect 0 "shellcheck" shellcheck -s sh "$agents/controller" "$agents/group"
else
	echo "note: shellcheck is missing, not run"
fi

echo "$checks checks, $failed failed"
[ "$failed" -eq 0 ]
