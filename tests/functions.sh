# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# What tests/demo and tests/check have in common. They set `top`, the top of the source tree.

: "${top:?}"

say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
	say "$*"
	exit 2
}

need_root() {
	[ "$(id -u)" -eq 0 ] || die "network namespaces, control groups and apt need root; run it with sudo"
}

# packages_missing KIND: names in tests/packages that are not installed; KIND check (bench) adds
# those that only tests/check (tests/bench/run) needs.
packages_missing() {
	sed -e 's/#.*//' "$top/tests/packages" | while read -r first second; do
		case $first in
		'') continue ;;
		check | bench) [ "$1" = "$first" ] || continue ;;
		*) second=$first ;;
		esac
		status=$(dpkg-query -W -f '${db:Status-Status}' "$second" 2>/dev/null) || status=
		[ "$status" = installed ] || echo "$second"
	done
}

# packages_install KIND: installs what is missing. The services that come with it (Corosync,
# Pacemaker) are not started: the tests run their own, in namespaces.
packages_install() {
	missing=$(packages_missing "$1" | tr '\n' ' ')
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || die "not installed: $missing; see tests/packages"
	say "installing $missing"
	guard=
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		guard=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' >"$guard"
		chmod +x "$guard"
		trap 'rm -f "$guard"; exit 2' HUP INT TERM
	fi
	log=$(mktemp)
	status=0
	# shellcheck disable=SC2086 # a list of words
	packages_apt $missing >"$log" 2>&1 || status=1
	[ -z "$guard" ] || rm -f "$guard"
	trap - HUP INT TERM
	if [ "$status" -ne 0 ]; then
		tail -n 30 "$log" >&2
		rm -f "$log"
		die "apt-get could not install: $missing"
	fi
	rm -f "$log"
}

packages_apt() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -y --no-install-recommends "$@" </dev/null && return 0
	apt-get update </dev/null && apt-get install -y --no-install-recommends "$@" </dev/null
}

# source_prepare: sets `source` to a tree with a configure script that can be built out of tree.
# A tree that somebody has configured in place cannot, so that a cleaned copy stands in for it.
source_prepare() {
	source=$top
	mkdir -p "$top/build"
	if [ -e "$top/config.status" ]; then
		source=$top/build/source
		rm -rf "$source"
		mkdir -p "$source"
		(cd "$top" && tar -cf - --exclude=./build --exclude=./.git .) | tar -xf - -C "$source"
		(cd "$source" && make -s distclean) >/dev/null 2>&1 || rm -f "$source/config.status"
	fi
	if [ ! -e "$source/configure" ] || [ -n "$(find "$source" -path "$source/build" -prune -o \
		\( -name local.mk -o -name '*.mk' -o -name Makefile.am -o -name configure.ac \) \
		-newer "$source/configure" -print | head -n 1)" ]; then
		(cd "$source" && autoreconf -fi) >"$top/build/autoreconf.log" 2>&1 || {
			cat "$top/build/autoreconf.log" >&2
			die "autoreconf failed"
		}
	fi
}

# product_build: builds with optimisation and installs into $stage for the lab.
product_build() {
	stage=$top/build/stage
	directory=$top/build/product
	mkdir -p "$directory"
	log=$top/build/product.log
	# No `set -e`: it has no effect inside a condition.
	if (
		cd "$directory" && {
			[ -e config.status ] || "$source/configure" --prefix=/usr \
				--sysconfdir=/etc --localstatedir=/var --enable-werror
		} && make -j"$(nproc)" && rm -rf "$stage" && make install DESTDIR="$stage"
	) >"$log" 2>&1 </dev/null; then
		return 0
	fi
	tail -n 40 "$log" >&2
	die "the build failed; all of its output: $log"
}
