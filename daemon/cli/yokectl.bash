# SPDX-License-Identifier: BSD-3-Clause
# bash completion for yokectl(8)
# shellcheck shell=bash

_yokectl_names() {
	yokectl "$@" 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_yokectl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words
	COMPREPLY=()
	case $prev in
	--format) words="pcs crm" ;;
	--config | --socket | check | blackbox)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	log) words="err warning notice info debug" ;;
	group) words="list show move" ;;
	drill) words="handover failback kill freeze power" ;;
	handover | failback | kill | freeze | power) words=$(_yokectl_names group list) ;;
	session) words="list logout" ;;
	lu) words="list resize show" ;;
	config) words="check show" ;;
	agent) words="group-start group-stop group-promote group-demote group-monitor" ;;
	show | move | resize | group-*)
		case ${COMP_WORDS[COMP_CWORD - 2]} in
		group | agent) words=$(_yokectl_names group list) ;;
		lu) words=$(_yokectl_names lu list) ;;
		esac
		;;
	yokectl) words="status group drill session lu config log blackbox stop pacemaker agent version help" ;;
	esac
	case $cur in
	-*) words="--json --timeout --socket --wait --config --format --yes --help" ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _yokectl yokectl
