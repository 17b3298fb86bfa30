#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What comes in the middle of an upgrade: the keeper dies before or while the daemon makes
# itself idle, or the mount is to be stopped; and a keeper that dies at the very start. A
# disk of the test's own holds a write for as long as the test likes, and with it the daemon
# at that place.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
disks_start 16M 64M
volume_format --segment-size 256K
random_file "$W/data" $((1 << 20))

keeper_mount() {
	volume_mount -o keeper,allow_writeback=off,sync_interval_s=0
	KEEPER=$(stat_of keeper.pid)
	own_workers+=("$KEEPER")
	needs_resend
}

# Begins an upgrade; returns when it has been asked for, not when it is done. Sets JOB.
begin_upgrade() {
	run_in_background "$PROGRAM" upgrade "$MNT" >"$W/said" 2>&1
	until_it_is_so 60 has_written "$JOB"
}

has_written() {	# PID: it writes nothing before what it asks for
	[ "$(awk '/^wchar/ { print $2 }' "/proc/$1/io")" -gt 0 ]
}

upgrade_says() {	# WORD: it fails, and says that
	local status=0
	gone_within 60 "$JOB" || fail "the upgrade does not end"
	wait "$JOB" || status=$?
	cat "$W/said"
	[ $status -eq 1 ] || fail "the upgrade ended with $status"
	grep -qF -- "$1" "$W/said" || fail "it does not say: $1"
}

is_served_as_before() {
	[ "$(stat_of worker_pid)" = "$WORKER" ] || fail "another daemon serves"
	same_bytes "$W/data" "$DISK" 1M
	grep 'the keeper is gone; nobody would start this worker again' "$MNT/.wbfs/events"
}

case_is "the keeper dies with an upgrade that was asked for: that ends, and says who serves"
keeper_mount
dd if="$W/data" of="$DISK" bs=64k conv=notrunc status=none
kill -STOP "$KEEPER"
begin_upgrade
is_alive "$JOB" || fail "it does not wait"
kill -9 "$KEEPER"
version=$("$PROGRAM" --version)
upgrade_says "the keeper of $MNT has died meanwhile: wbfs ${version#wbfs } serves it on"
is_served_as_before
volume_umount

# The daemon serves nobody while it makes durable what was written. The write that is held is
# let go when the keeper is dead.
case_is "the keeper dies while the daemon makes itself idle for another: it serves on"
keeper_mount
same_bytes "$W/data" "$DISK" 1M
random_file "$W/data" $((1 << 20))
dd if="$W/data" of="$DISK" bs=64k conv=notrunc,fsync status=none
dd if="$W/data" of="$DISK" bs=64k count=1 conv=notrunc status=none
disks fail cache write none delay held times 1
begin_upgrade
until_it_is_so 60 is_held cache
kill -9 "$KEEPER"
gone_within 60 "$KEEPER"
disks heal cache
upgrade_says "the keeper of $MNT has died meanwhile"
is_served_as_before
volume_umount

keeper_ends() {	# a clean stop, by a daemon that hands nothing on
	gone_within 60 "$KEEPER" || fail "it is not stopped"
	! is_mounted "$MNT" || fail "it is still mounted"
	"$WBFS" check "$CACHE"
}

# All is synced: the first write to the cache is that with which the daemon closes it. It
# does not listen to signals any more then.
case_is "a stop that comes when the daemon is handing over already is obeyed by the next one"
keeper_mount
dd if="$W/data" of="$DISK" bs=64k conv=notrunc,fsync status=none
disks fail cache write none delay held times 1
kill -HUP "$KEEPER"
until_it_is_so 60 is_held cache
kill -TERM "$KEEPER"
disks heal cache
keeper_ends

case_is "a stop that comes together with the death of the daemon is obeyed by the next one"
keeper_mount
same_bytes "$W/data" "$DISK" 1M
kill -STOP "$KEEPER"
daemon_kill
kill -TERM "$KEEPER"
kill -CONT "$KEEPER"
keeper_ends

# At its start it writes to the cache before it mounts. What is held there is let go when the
# keeper is dead.
case_is "the keeper dies while the first daemon starts: nothing is mounted, and the volume is sound"
disks fail cache write none delay held times 1
"$WBFS" mount -f --cache "$CACHE" --backing "$BACKING" -o keeper "$MNT" 2>"$W/messages" &
KEEPER=$!
own_jobs+=("$KEEPER")
until_it_is_so 60 is_held cache
WORKER=$(keeper_child)
own_workers+=("$WORKER")
kill -9 "$KEEPER"
gone_within 60 "$KEEPER"
disks heal cache
gone_within 60 "$WORKER" || fail "the daemon does not end"
grep 'the keeper cannot be given the session' "$W/messages"
volume_is_stopped
"$WBFS" check "$CACHE" | grep 'stopped cleanly: yes'
keeper_mount
same_bytes "$W/data" "$DISK" 1M
volume_umount
disks_stop
finish
