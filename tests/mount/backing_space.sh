#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A sparse backing on a file system that becomes too small for it: said before and
# when it happens, nothing is lost, what was accepted can be synced, and it goes on
# by itself when there is room again.
#
#	backing_space.sh
. "$(dirname "$0")/lib.sh"

needs fuse root jq
start

small=$W/small
mkdir "$small"
mount -t tmpfs -o size=24M "wbfs-$test_name" "$small"
own_filesystems+=("$small")
CACHE=$W/cache BACKING=$small/image MNT=$W/mnt DISK=$W/mnt/disk LOG=$W/log
mkdir "$MNT"

wait_for() {	# what for, command...
	local what=$1 i
	shift
	for ((i = 0; i < 600; i++)); do
		! "$@" || return 0
		sleep 0.1
	done
	cat "$LOG"
	fail "no $what within a minute"
}
space_is() {
	[ "$(stat_of backing_space.state)" = "$1" ]
}
is_over() {
	[ "$(stat_of "$1")" = "$2" ]
}

case_is 'a warning comes while there is room for what is dirty, but not for a full cache'
"$WBFS" format --cache "$CACHE" --cache-size 64M --backing "$BACKING" --size 200M \
	--segment-size 256K
run_in_background "$WBFS" mount "${test_options[@]}" -f --cache "$CACHE" --backing "$BACKING" "$MNT" 2>"$LOG"
own_mounts+=("$MNT")
wait_for 'mount' test -e "$DISK"
WORKER=$(stat_of worker_pid)
wait_for 'state low' space_is low
grep -q 'less than the cache can hold and the sparse backing may need: free some space' "$LOG"
"$WBFS" status "$MNT" | grep -q '^backing space .*low: .* free on its filesystem'

case_is 'without room a drain fails, and status shows what is refused and why'
random_file "$W/data" 40M
dd if="$W/data" of="$DISK" bs=1M oflag=direct conv=notrunc status=none
! "$WBFS" drain "$MNT" || fail 'the drain went well'
"$WBFS" status "$MNT" | tee "$W/status"
grep -q '^refused .*the backing does not take .* blocks; they stay in the cache' "$W/status"
grep -q 'No space left on device, .* s ago for the first time' "$W/status"
"$WBFS" status --json "$MNT" | jq -e '.writeback_error_blocks > 0 and .dirty_blocks > 0 and
	.writeback_error_ranges[0].length > 0 and .state == "running"'
wait_for 'state full' space_is full
grep -q 'may need room there: free some space. The data stays in the cache until then' "$LOG"

case_is 'meanwhile all data is right and a sync works'
"$WBFS" flush "$MNT"
cmp -n 41943040 "$W/data" "$DISK"

case_is 'with room again it goes on by itself, and status forgets it'
mount -o remount,size=300M "$small"
wait_for 'end of the refusals' is_over writeback_error_blocks 0
wait_for 'state ok' space_is ok
grep -q 'the filesystem of backing .* has enough room again' "$LOG"
"$WBFS" drain "$MNT"
[ "$(stat_of dirty_blocks)" = 0 ]
cmp -n 41943040 "$W/data" "$BACKING"
"$WBFS" umount "$MNT"
finish
