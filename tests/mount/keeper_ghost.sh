#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The ghost: what a daemon had at a disk when it was killed lands after its death, with
# what its memory, which the next one has, holds then. A disk of the test's own holds
# such writes for as long as the test likes: meanwhile the next daemon has to wait, and
# must not have read the log or have the RAM buffers.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
disks_start 16M 64M
volume_format --segment-size 256K
random_file "$W/old" $((8 << 20))
random_file "$W/new" $((2 << 20))

# The one that came after WORKER says that it waits; sets NEXT.
next_waits() {	# disk
	local i
	for ((i = 0; i < 1500; i++)); do
		! grep -q "$1 $DISKS/$1: I/O of the daemon before is still under way" "$W/messages" ||
			break
		sleep 0.02
	done
	grep "I/O of the daemon before is still under way there, and is waited for" "$W/messages" ||
		fail "nobody says that I/O of the dead daemon is waited for"
	NEXT=$(keeper_child)
	own_workers+=("$NEXT")
	[ "$NEXT" != "$WORKER" ] && ! is_alive "$WORKER"
}

has_touched_nothing() {
	! grep wbfs-ram-buffers "/proc/$NEXT/maps" || fail "it has the RAM buffers already"
	! ls -l "/proc/$NEXT/fd" | grep io_uring || fail "it has begun to use the disks"
	[ "$(count_of cache reads)" -eq "$reads" ] || fail "it has read the cache"
}

# Not those of a daemon that is about to die.
reads_have_ended() {
	reads=$(count_of cache reads)
	sleep 0.2
	[ "$(count_of cache reads)" -eq "$reads" ]
}

served_by_another() {
	worker_is_another
	[ "$(stat_of keeper.worker_restarts)" -eq 1 ]
	jq -e '.keeper.last_pause_ms > 1000' <"$MNT/.wbfs/stats.json" ||
		fail "it was served again before the ghost was gone"
	grep -o 'took over after .*' "$W/messages"
	! grep -h ' error ' "$MNT/.wbfs/events" || fail "there are errors in the events"
}

case_is "writes to the log land after the death: the next daemon waits before it touches anything"
keeper_mount_foreground -o allow_writeback=off,sync_interval_s=0
needs_resend
dd if="$W/old" of="$DISK" bs=256k conv=notrunc,fsync status=none
disks fail cache write none delay held times 2
run_in_background dd if="$W/new" of="$DISK" bs=64k oflag=direct conv=notrunc,fsync status=none
until_it_is_so 60 is_held cache
daemon_kill
reads=$(count_of cache reads)
next_waits cache
has_touched_nothing
held=$(count_of cache held) writes=$(count_of cache writes)
[ "$held" -gt 0 ] || fail "there was no ghost"
disks heal cache
wait "$JOB" || fail "the writer has seen an error"
served_by_another
[ "$(count_of cache writes)" -ge $((writes + held)) ]
cp "$W/old" "$W/wanted"
dd if="$W/new" of="$W/wanted" conv=notrunc status=none
same_bytes "$DISK" "$W/wanted" $((8 << 20))
volume_umount

case_is "the same with what was being written back"
keeper_mount_foreground -o allow_writeback=off,sync_interval_s=0
same_bytes "$DISK" "$W/wanted" $((8 << 20))
disks fail backing write none delay held times 2
run_in_background "$WBFS" drain "$MNT"
until_it_is_so 60 is_held backing
until_it_is_so 60 reads_have_ended
daemon_kill
reads=$(count_of cache reads)
next_waits backing
has_touched_nothing
disks heal backing
wait "$JOB" || fail "the drain has not come to its end"
served_by_another
[ "$(stat_of dirty_blocks)" -eq 0 ] || fail "the drain ended with its daemon"
volume_umount
same_bytes "$BACKING" "$W/wanted" $((8 << 20))
"$WBFS" check "$CACHE"

case_is "a ghost that stays longer than anybody else waits: the same daemon waits on, and has touched nothing"
keeper_mount_foreground -o allow_writeback=off,sync_interval_s=0
disks fail cache write none delay held times 2
run_in_background dd if="$W/old" of="$DISK" bs=64k count=32 oflag=direct conv=notrunc,fsync status=none
until_it_is_so 60 is_held cache
daemon_kill
reads=$(count_of cache reads)
next_waits cache
# A command would have given up after ten seconds.
while is_alive "$NEXT" && [ "$(ps -o etimes= -p "$NEXT")" -le 11 ]; do
	sleep 0.1
done
[ "$(keeper_child)" = "$NEXT" ] || fail "it has given up"
has_touched_nothing
disks heal cache
wait "$JOB" || fail "the writer has seen an error"
served_by_another
[ "$WORKER" = "$NEXT" ]
same_bytes "$DISK" "$W/old" $((2 << 20))
volume_umount
disks_stop
finish
