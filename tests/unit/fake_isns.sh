#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Stands for yoke-isns in test_isns: what it does is in the address of its server. It writes what it
# was told into the file $FAKE_ISNS_LOG.
server=$1
while read -r line; do
	echo "$server $line" >>"$FAKE_ISNS_LOG"
	case $line in
	start)
		case $server in
		*:1001) echo "registered 600 60"; echo inquiry; echo inquiry ;;
		*:1002) echo "failed not registered: nobody there" ;;
		*:1003) exit 3 ;;
		*:1004) kill -9 $$ ;;
		*:1005)
			printf 'registered rubbish\n\nfoo\ninquiry more words\n'
			head -c 5000 /dev/zero | tr '\0' x
			printf '\nregistered 30 0\n'
			;;
		esac
		;;
	stop)
		case $server in
		*:1002) exec sleep 1000 ;; # until it is killed
		*) echo gone; exit 0 ;;
		esac
		;;
	esac
done
echo "$server end" >>"$FAKE_ISNS_LOG"
