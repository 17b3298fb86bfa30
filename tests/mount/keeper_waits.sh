#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A daemon that is to take over finds that a disk is not free yet: I/O of the dead one is
# still under way there, for longer than anybody else would wait. It waits as long as that
# takes, and the keeper does not count it as a failure; what only the memory has gets into
# the log meanwhile, and a stop ends it, with nothing lost.
# HOLD_S: how long a disk is held at least, in the first case. With more than 30 it is also
# longer than twelve daemons that wait for two seconds each.
. "$(dirname "$0")/lib.sh"

HOLD_S=${HOLD_S:-6}
needs fuse loop jq
start
disks_start 32M 64M
loop_attach "$BACKING"
"$WBFS" format --cache "$CACHE" --backing "$LOOP" --segment-size 256K
random_file "$W/data" 4M

mount_on() {	# option...; sets KEEPER, WORKER
	BACKING=$LOOP keeper_mount_foreground -o allow_writeback=off,sync_interval_s=0 "$@"
	needs_resend
}

# The backing takes what is written back, and does not answer until it is healed; then the
# daemon is killed.
die_with_a_write_under_way() {
	disks fail backing write none delay held times 1
	"$WBFS" set "$MNT" allow_writeback=on writeback_modulator=off
	until_it_is_so 60 is_held backing
	held_at=$SECONDS
	dd if="$W/data" of="$DISK" bs=64k seek=64 conv=notrunc status=none	# not synced
	daemon_kill
}

next_waits() {	# sets NEXT
	until_it_is_so 60 grep -qF "backing $LOOP: I/O of the daemon before is still under way there, and is waited for" \
		"$W/messages"
	NEXT=$(keeper_child)
	own_workers+=("$NEXT")
	[ "$NEXT" != "$WORKER" ] && ! is_alive "$WORKER"
}

data_is_saved() {
	until_it_is_so 60 grep -qF "$MNT: what was not synced is in the log on $CACHE now" "$W/messages"
}

holds_the_data() {	# file
	dd if="$1" bs=64k count=64 status=none | cmp - "$W/data"
	dd if="$1" bs=64k skip=64 count=64 status=none | cmp - "$W/data"
}

keeper_ends() {	# with status
	local status=0
	wait "$KEEPER" || status=$?
	cat "$W/messages"
	[ $status -eq "$1" ] || fail "the keeper ended with $status, not $1"
}

# A device that is held cannot be opened by the next mount either, which waits for two
# seconds only.
mount_when_it_is_free() {
	until_it_is_so 120 free
	mount_on "$@"
}

free() {
	python3 -c 'import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)' "$LOOP"
}

case_is "a device that is held for longer than anybody waits: one daemon waits, and all data is there"
mount_on
dd if="$W/data" of="$DISK" bs=64k conv=notrunc,fsync status=none
die_with_a_write_under_way
next_waits
data_is_saved
while ((SECONDS - held_at < HOLD_S)); do sleep 0.1; done
disks heal backing
until_it_is_so 60 grep -q "backing $LOOP was waited for, for [0-9.]* seconds" "$W/messages"
[ "$(stat_of worker_pid)" = "$NEXT" ] || fail "another daemon serves than the one that waited"
WORKER=$NEXT
[ "$(stat_of keeper.worker_restarts)" -eq 1 ]
holds_the_data "$DISK"
"$WBFS" drain "$MNT"
"$WBFS" umount "$MNT"
keeper_ends 0
holds_the_data "$BACKING"

case_is "both are killed while it waits: what was not synced is there all the same"
mount_on
dd if=/dev/urandom of="$DISK" bs=64k count=128 conv=notrunc,fsync status=none
dd if="$W/data" of="$DISK" bs=64k conv=notrunc,fsync status=none
die_with_a_write_under_way
next_waits
data_is_saved
kill -9 "$KEEPER"
kill -9 "$NEXT"
gone_within 60 "$NEXT"
wait "$KEEPER" || :
wreck_clear_mount
disks heal backing
mount_when_it_is_free
holds_the_data "$DISK"
"$WBFS" umount "$MNT"
keeper_ends 0

case_is "SIGTERM while it waits: in use it is not stopped, and free it is, with nothing lost"
mount_on
dd if=/dev/urandom of="$DISK" bs=64k count=128 conv=notrunc,fsync status=none
dd if="$W/data" of="$DISK" bs=64k conv=notrunc,fsync status=none
exec 5<"$DISK"
die_with_a_write_under_way
next_waits
kill -TERM "$KEEPER"
until_it_is_so 60 grep -qF "$MNT is not stopped, because it is in use; it still waits for backing $LOOP. 'umount -f $MNT' ends it, and what was not synced is in the log" \
	"$W/messages"
data_is_saved
is_alive "$NEXT"
exec 5<&-
kill -TERM "$KEEPER"
keeper_ends 1
grep -F "$MNT was unmounted while another worker waited to take over: nothing is lost, the next mount recovers the log" \
	"$W/messages"
! is_mounted "$MNT"
disks heal backing
mount_when_it_is_free
holds_the_data "$DISK"
"$WBFS" umount "$MNT"
keeper_ends 0

case_is "umount -f while it waits: whoever waited gets an error, and nothing is lost"
mount_on
dd if=/dev/urandom of="$DISK" bs=64k count=128 conv=notrunc,fsync status=none
dd if="$W/data" of="$DISK" bs=64k conv=notrunc,fsync status=none
die_with_a_write_under_way
next_waits
run_in_background head -c 4096 "$DISK" >/dev/null
umount -f "$MNT" || umount -f "$MNT" || umount -l "$MNT"
! wait "$JOB"
keeper_ends 1
grep -F 'nothing is lost, the next mount recovers the log' "$W/messages"
disks heal backing
mount_when_it_is_free
holds_the_data "$DISK"
"$WBFS" umount "$MNT"
keeper_ends 0
loop_detach
disks_stop

case_is "the backing does not come back: the keeper gives up, and what was not synced is there"
CACHE=$W/cache2 LOOP=$W/backing2
"$WBFS" format --cache "$CACHE" --cache-size 32M --backing "$LOOP" --size 64M
mount_on
dd if=/dev/urandom of="$DISK" bs=64k count=128 conv=notrunc,fsync status=none
mv "$LOOP" "$LOOP.away"
dd if="$W/data" of="$DISK" bs=64k conv=notrunc status=none
dd if="$W/data" of="$DISK" bs=64k seek=64 conv=notrunc status=none
daemon_kill
keeper_ends 1
grep -q 'ended with status 1, and so did those before it, one after the other' "$W/messages"
wreck_clear_mount
mv "$LOOP.away" "$LOOP"
mount_on
holds_the_data "$DISK"
"$WBFS" umount "$MNT"
keeper_ends 0
finish
