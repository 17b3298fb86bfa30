#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Writes that wait, because the cache is full and the backing takes nothing, and reads that
# wait for the backing keep nobody else waiting: neither reads nor control files, neither
# another program that is to take over nor the end of the daemon when the connection is
# aborted.
. "$(dirname "$0")/lib.sh"

needs fuse root fio jq
start
test_options=()
disks_start 16M 64M
random_file "$W/early" 1000000

# The backing refuses all writes; something is on the cache already.
volume_without_backing() {	# [mount option]...
	disks heal backing
	fallocate --punch-hole --offset 0 --length "$(stat -c %s "$BACKING")" "$BACKING"
	volume_format --force --segment-size 256K --no-zero
	volume_mount "$@"
	dd if="$W/early" of="$DISK" bs=1M conv=notrunc,fsync status=none
	disks fail backing write EIO from 0 length $((64 << 20))
}

# They end with the mount at the latest, and would not end before.
writers_start() {	# fio option...
	fio --name=fio --filename="$DISK" --offset=2m --size=60m --rw=write --direct=1 \
		--ioengine=libaio "$@" >"$W/fio.log" 2>&1 &
	WRITERS=$!
}

control_file() {	# name; the limit turns a hang into a failure
	timeout 60 cat "$MNT/.wbfs/$1" || fail "$1 cannot be read"
}

stat_in_time() {	# jq path
	control_file stats.json >"$W/stats"
	jq -r "$1" "$W/stats"
}

# Until it stays the same: nobody else gets in.
writers_wait() {	# at least so many
	local waiting=0 before=-1 i
	for ((i = 0; i < 1000; i++)); do
		waiting=$(stat_in_time .waiting_requests)
		[ "$waiting" -lt "$1" ] || [ "$waiting" -ne "$before" ] || break
		before=$waiting
		sleep 0.1
	done
	echo "$waiting requests wait"
	[ "$waiting" -ge "$1" ] || fail "only $waiting requests wait"
}

others_get_through() {
	timeout 60 dd if="$DISK" bs=1000000 count=1 status=none | cmp - "$W/early"
	timeout 60 dd if="$DISK" bs=1000000 count=1 iflag=direct status=none | cmp - "$W/early"
	timeout 60 "$WBFS" set "$MNT" allow_writeback=on
	timeout 60 "$WBFS" status "$MNT" >"$W/status"
	grep -q 'wait' "$W/status" || { cat "$W/status"; fail "status does not say that writers wait"; }
	control_file metrics >/dev/null
}

writers_end() {
	disks heal backing
	wait "$WRITERS" || { cat "$W/fio.log"; fail "the writers"; }
	timeout 120 "$WBFS" drain "$MNT"
}

# --- reads and control files ----------------------------------------------------------

hold_up_others_not() {	# what, how many, fio option...
	case_is "reads, status and tunables get through while $1 wait"
	volume_without_backing
	writers_start "${@:3}"
	writers_wait "$2"
	others_get_through
	writers_end
	volume_umount
}

hold_up_others_not "200 writes of 64 KiB" 150 --bs=64k --iodepth=200
hold_up_others_not "240 writes of 4 KiB" 200 --bs=4k --iodepth=240
hold_up_others_not "45 writes of 1 MiB" 40 --bs=1m --iodepth=60
hold_up_others_not "25 processes with a write of 1 MiB each" 22 --ioengine=psync --bs=1m \
	--numjobs=40 --size=1m --offset_increment=1m

# --- another program ------------------------------------------------------------------

an_upgrade_is_given_up() {
	kill -HUP "$KEEPER"
	for ((i = 0; i < 600; i++)); do
		[ "$(stat_in_time .keeper.upgrades_failed)" -eq 0 ] || break
		sleep 0.1
	done
	stat_in_time .keeper.upgrade_problem | grep -F 'did not end in 10 seconds'
}

case_is "an upgrade while writes wait is given up in time, and users get through as before"
volume_without_backing -o keeper
KEEPER=$(stat_of keeper.pid)
own_workers+=("$KEEPER")
writers_start --bs=1m --iodepth=60
writers_wait 40
an_upgrade_is_given_up
[ "$(stat_in_time .worker_pid)" -eq "$WORKER" ]
others_get_through

case_is "and when the disk heals during the next one, all goes on"
kill -HUP "$KEEPER"
disks heal backing
others_read() { timeout 60 dd if="$DISK" bs=1000000 count=1 status=none | cmp - "$W/early"; }
others_read
writers_end
for ((i = 0; i < 600; i++)); do
	[ "$(stat_in_time '.keeper | .upgrades_failed + .upgrades_done')" -lt 2 ] || break
	sleep 0.1
done
[ "$(stat_in_time '.keeper | .upgrades_failed + .upgrades_done')" -eq 2 ]
WORKER=$(stat_of worker_pid)
own_workers+=("$WORKER")
volume_umount

case_is "an upgrade while reads wait for the backing is given up in time too"
volume_without_backing -o keeper
KEEPER=$(stat_of keeper.pid)
own_workers+=("$KEEPER")
disks fail backing read none delay held
writers_start --rw=randread --bs=4k --iodepth=3
until_it_is_so 60 eval '[ "$(count_of backing held)" -eq 3 ]'
an_upgrade_is_given_up
[ "$(count_of backing held)" -eq 3 ]
others_read
writers_end
volume_umount

# --- the end of the connection --------------------------------------------------------

mkdir "$W/connections"
if mount -t fusectl none "$W/connections" 2>/dev/null; then
	own_filesystems+=("$W/connections")
fi

connection() {
	echo "$W/connections/$(mountpoint -d "$MNT" | cut -d: -f2)"
}

abort() {
	echo 1 >"$(connection)/abort"
}

ends_cleanly() {
	local begun=$SECONDS
	gone_within 60 "$WORKER" || fail "the daemon does not end"
	echo "the daemon has ended after $((SECONDS - begun)) s"
	wait "$WRITERS" 2>/dev/null || :
	wreck_clear_mount
	"$WBFS" check "$CACHE" >"$W/check"
	grep -q '^stopped cleanly: yes' "$W/check" || { cat "$W/check"; fail "not clean"; }
}

nothing_is_lost() {
	volume_mount
	same_bytes "$DISK" "$W/early" 1000000
	timeout 120 "$WBFS" drain "$MNT"
	volume_umount
	same_bytes "$BACKING" "$W/early" 1000000
}

# As the kernel counts them: the daemon itself may not have room for all.
kernel_waits() {	# at least so many
	local i
	for ((i = 0; i < 3000; i++)); do
		[ "$(cat "$(connection)/waiting")" -lt "$1" ] || return 0
		sleep 0.02
	done
	fail "only $(cat "$(connection)/waiting") requests wait"
}

is_aborted() {	# how many, fio option...
	volume_without_backing
	writers_start "${@:2}"
	kernel_waits "$1"
	[ "$1" -gt 300 ] || writers_wait "$1"
	abort
	ends_cleanly
	disks heal backing
	nothing_is_lost
}

if is_mounted "$W/connections"; then
	case_is "aborted while one write waits, the daemon ends though the disk never heals"
	is_aborted 1 --bs=64k --iodepth=1
	case_is "and while 45 writes of 1 MiB wait"
	is_aborted 40 --bs=1m --iodepth=60
	case_is "and while more writers wait than it has room for"
	is_aborted 350 --ioengine=psync --bs=64k --numjobs=400 --thread --size=512k \
		--offset_increment=128k
else
	case_skip "aborted while writes wait, the daemon ends" "FUSE's control files cannot be mounted"
fi
disks_stop

# --- a server that is away ------------------------------------------------------------

away() {	# mount option...
	nbd_start server "$W/image"
	BACKING=$NBD_URI CACHE=$W/nbd_cache
	"$WBFS" format --cache "$CACHE" --cache-size 16M --segment-size 256K --no-zero --force \
		--backing "$BACKING"
	volume_mount -o backing_timeout_s=2 "$@"
	dd if="$W/early" of="$DISK" bs=1M conv=notrunc,fsync status=none
	nbd_kill server
}

sync_waits() {
	local i
	for ((i = 0; i < 600; i++)); do
		[ "$(stat_in_time .writeback_reason)" != \
			"a sync waits until the backing has everything" ] || return 0
		sleep 0.05
	done
	fail "no sync waits"
}

is_there_again() {
	ends_cleanly
	nbd_start server "$W/image"
	volume_mount
	same_bytes "$DISK" "$W/early" 1000000
	timeout 120 "$WBFS" drain "$MNT"
	volume_umount
	same_bytes "$W/image" "$W/early" 1000000
}

if is_mounted "$W/connections" && command -v nbdkit; then
	truncate -s 64M "$W/image"
	for readers in "16 of 1m" "200 of 4k"; do
		case_is "$readers that wait for a server that is away keep nobody else waiting"
		away -o backing_timeout_s=60
		writers_start --rw=randread --offset=8m --size=48m --bs="${readers#* of }" \
			--iodepth="${readers% of *}"
		kernel_waits "${readers% of *}"
		begun=$SECONDS
		control_file stats >/dev/null
		timeout 60 dd if="$DISK" bs=64k count=8 iflag=direct status=none |
			cmp - <(head -c 512k "$W/early")
		timeout 60 dd if="$W/early" of="$DISK" bs=4k count=1 oflag=direct conv=notrunc \
			status=none
		kernel_waits "${readers% of *}"
		echo "all that after $((SECONDS - begun)) s, while the readers wait"
		nbd_start server "$W/image"
		wait "$WRITERS" || { cat "$W/fio.log"; fail "the readers"; }
		volume_umount
	done

	case_is "umount -f while a write waits and the server is away: the daemon ends"
	away
	writers_start --bs=64k --iodepth=1
	writers_wait 1
	umount -f "$MNT" || :
	is_there_again

	case_is "aborted while a sync waits for the server, the daemon ends"
	away -o cache_mode=writethrough
	dd if="$W/early" of="$DISK" bs=64k count=8 seek=64 conv=notrunc,fsync status=none &
	WRITERS=$!
	sync_waits
	abort
	is_there_again
else
	case_skip "the connection is aborted while the server is away" "it takes nbdkit and fusectl"
fi
finish
