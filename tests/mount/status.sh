#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `wbfs status`: again and again, as a table, on a terminal.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
volume_make 32M 64M --no-zero
volume_mount -o sync_interval_s=7

# Until the file has so many lines with these words; the limit only ends a hang.
wait_for() {	# count words file
	local i
	for ((i = 0; i < 3000; i++)); do
		[ "$(grep -acF -- "$2" "$3")" -lt "$1" ] || return 0
		sleep 0.02
	done
	cat "$3"
	fail "there are not $1 lines with '$2'"
}

case_is "a pipe gets no colours"
"$WBFS" status "$MNT" >"$W/plain"
! grep -q $'\033' "$W/plain"
grep -q '^state  *running$' "$W/plain"

case_is "the table has a value for each name, and the tunables"
"$WBFS" status --table "$MNT" >"$W/table"
[ "$(wc -l <"$W/table")" -eq 2 ]
awk 'NR == 1 { n = NF } NR == 2 { exit !(NF >= n && $1 == mnt) }' mnt="$MNT" "$W/table"
grep -q 'sync_interval_s=7' "$W/table"
"$WBFS" status --table >"$W/table"
grep -qF "$MNT " "$W/table"

case_is "watch shows it again and again, also when something changed"
"$WBFS" status --watch=1 "$MNT" >"$W/watched" &
JOB=$!
own_jobs+=("$JOB")
wait_for 1 "dirty              0 of" "$W/watched"
"$WBFS" set "$MNT" allow_writeback=off
dd if=/dev/urandom of="$DISK" bs=4096 count=5 conv=notrunc,fdatasync status=none
wait_for 1 "dirty              5 of" "$W/watched"
! grep -q $'\033' "$W/watched"
kill -TERM $JOB
status=0
wait $JOB || status=$?
[ $status -eq 0 ] || fail "exit status $status"

if command -v script >/dev/null; then
	case_is "on a terminal it is drawn at the same place, in colours that can be switched off"
	TERM=xterm timeout -s INT 60 script -qec "'$WBFS' status '$MNT'" "$W/typed" </dev/null
	grep -aq $'\033\\[32mrunning' "$W/typed"
	NO_COLOR=1 TERM=xterm script -qec "'$WBFS' status '$MNT'" "$W/typed" </dev/null
	! grep -aq $'\033\\[32m' "$W/typed"
	TERM=dumb script -qec "'$WBFS' status '$MNT'" "$W/typed" </dev/null
	! grep -aq $'\033' "$W/typed"
	: >"$W/typed"
	TERM=xterm script -qfec "'$WBFS' status --watch=1 '$MNT'" "$W/typed" </dev/null >/dev/null &
	JOB=$!
	own_jobs+=("$JOB")
	wait_for 2 $'\033[H' "$W/typed"
	kill -TERM $JOB
	wait $JOB || :
else
	case_skip "on a terminal" "script (bsdutils) is not installed"
fi

case_is "a volume that is unmounted meanwhile ends the watch with a message"
"$WBFS" status --watch=1 "$MNT" >"$W/watched" 2>&1 &
JOB=$!
own_jobs+=("$JOB")
wait_for 1 'state              running' "$W/watched"
volume_umount
status=0
wait $JOB || status=$?
[ $status -eq 1 ] && grep -q 'is not a mounted wbfs volume' "$W/watched"
finish
