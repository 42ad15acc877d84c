#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# yoked's command line: what it refuses before it does anything, and with which exit status.

yoked=${top_builddir:-.}/yoked
failed=0
dir=$(mktemp -d "${TMPDIR:-/tmp}/yoke-options-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

# expect STATUS PATTERN ARGUMENT...: the exit status, and what is said.
expect() {
	want=$1
	pattern=$2
	shift 2
	"$yoked" "$@" >"$dir/out" 2>&1
	got=$?
	if [ "$got" -ne "$want" ] || ! grep -q -e "$pattern" "$dir/out"; then
		echo "FAILED: yoked $*: exit status $got instead of $want, or not said: $pattern"
		sed 's/^/    /' "$dir/out"
		failed=1
	fi
}

cat >"$dir/good.yaml" <<END
yoke: 1
cluster: none
controllers:
  - name: solo
    id: 1
    portals: ["127.0.0.1:3260"]
extents:
  - name: disk
    type: ram
    size: 1MiB
targets:
  - name: iqn.2026-01.org.example:solo
    luns:
      - lun: 0
        extent: disk
settings:
  socket: $dir/yoked.sock
  state_dir: $dir
END
sed -e 's/type: ram/type: tape/' -e 's/cluster: none/clustr: none/' "$dir/good.yaml" >"$dir/bad.yaml"

expect 0 '^yoked [0-9]' --version
expect 0 '^usage: yoked' --help
expect 2 'unrecognized option' --no-such-option
expect 2 'not an option' start
expect 2 'requires an argument' --config
expect 2 'must be an absolute path' -c "$dir/good.yaml" --pidfile yoked.pid
expect 0 'no errors' --check -c "$dir/good.yaml"
# Every error, not the first.
expect 3 'bad.yaml:2: .*clustr' --check -c "$dir/bad.yaml"
expect 3 'bad.yaml:9: .*tape' --check -c "$dir/bad.yaml"
# Secrets: nobody else may read them, all errors are told, none is shown.
printf 'yoke: 1\nusers:\n  - {name: host1, secret: topsecret-12}\n' >"$dir/secrets.yaml"
{
	cat "$dir/good.yaml"
	printf '  secrets: %s/secrets.yaml\n' "$dir"
	printf 'initiator_groups:\n  - {name: hosts, auth: chap, users: [host1]}\n'
} >"$dir/chap.yaml"
chmod 640 "$dir/secrets.yaml"
expect 3 'secrets.yaml: others than its owner have access (mode 0640)' -c "$dir/chap.yaml"
expect 3 'secrets.yaml: others than its owner have access (mode 0640)' --check -c "$dir/chap.yaml"
chmod 600 "$dir/secrets.yaml"
expect 0 'no errors' --check -c "$dir/chap.yaml"
sed -i 's/host1,/host2,/' "$dir/secrets.yaml"
expect 3 'has no user "host1", whom initiator group hosts names' --check -c "$dir/chap.yaml"
sed -i 's/topsecret-12/topsecret-1/' "$dir/secrets.yaml"
expect 3 'users\[host2\].secret: the secret is too short; allowed: 12 to 255' --check -c "$dir/chap.yaml"
if grep -q topsecret "$dir/out"; then
	echo "FAILED: a message shows a secret"
	failed=1
fi
rm "$dir/secrets.yaml"
expect 3 'secrets.yaml: cannot be read' --check -c "$dir/chap.yaml"

expect 3 'none.yaml.*cannot be read' -c "$dir/none.yaml"
expect 3 'there is no controller other' -c "$dir/good.yaml" --controller other

# Another daemon holds the pid file: refused before anything is opened. A file that nobody has
# locked is none, whatever is in it.
if command -v flock >/dev/null 2>&1; then
	echo 1 >"$dir/pid"
	exec 9<>"$dir/pid"
	flock -x 9
	expect 1 'another yoked runs' -c "$dir/good.yaml" --pidfile "$dir/pid"
	exec 9>&-
fi
expect 1 'Is a directory' -c "$dir/good.yaml" --pidfile "$dir"
if [ -e "$dir/yoked.sock" ]; then
	echo "FAILED: a daemon that was refused has opened its control socket"
	failed=1
fi
exit $failed
