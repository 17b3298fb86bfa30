#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FUSE over io_uring: what is said where it cannot be had; where it can, all kinds of
# requests, and what happens while writes wait, after SIGKILL, and when the connection
# is aborted. The other tests run over it with WBFS_TEST_MOUNT_OPTIONS=io_uring.
#
# It switches the kernel's parameter on and back again, one such test at a time: it
# concerns no mount that does not ask for it. WBFS_URING_IS_ON says that somebody else
# has switched it on, and keeps it so.
. "$(dirname "$0")/lib.sh"

needs fuse fio jq
start
test_options=()

switch=/sys/module/fuse/parameters/enable_uring
switch_state() { cat "$switch" 2>/dev/null || echo none; }

state_at_start=$(switch_state)
if [ -z "${WBFS_URING_IS_ON:-}" ] && [ -w "$switch" ]; then
	exec 8<"$switch"
	flock 8
	state_at_start=$(switch_state)
	# shellcheck disable=SC2034
	at_exit='echo "$state_at_start" >"$switch"'
	echo N >"$switch"
fi

status_says() {	# WORD...
	says 0 "$@" -- "$WBFS" status "$MNT"
}

# --- where it cannot be had -----------------------------------------------------------

refused() {	# words of the reason
	volume_make 16M 64M --no-zero
	mkdir -p "$MNT"
	says 0 'is mounted without FUSE over io_uring' "$@" -- \
		"$WBFS" mount --cache "$CACHE" --backing "$BACKING" -o io_uring "$MNT"
	own_mounts+=("$MNT")
	DISK=$MNT/disk WORKER=$(stat_of worker_pid)
	own_workers+=("$WORKER")
	[ "$(stat_of transport)" = classic ] || fail "transport $(stat_of transport)"
	status_says 'classic; not over io_uring: ' "$@"
	grep -q 'note *mounted without FUSE over io_uring: ' "$MNT/.wbfs/events"
	random_file "$W/data" 3000000
	dd if="$W/data" of="$DISK" bs=1M conv=notrunc,fsync status=none
	same_bytes "$DISK" "$W/data" 3000000
	volume_umount
}

case $(switch_state) in
none)
	case_is "a kernel without it: the mount works, and says why it is without"
	refused 'this kernel does not offer it (Linux 6.14 does, built with CONFIG_FUSE_IO_URING)'
	;;
N)
	case_is "it is switched off: the mount works, and says how to switch it on"
	refused "it is switched off; as root: echo Y > $switch"
	;;
*) case_skip "it is switched off: the mount works, and says how to switch it on" "it is on here" ;;
esac

case_is "nobody who did not ask for it is told"
volume_make 16M 64M --no-zero
volume_mount -o io_uring=off
[ "$(stat_of transport)" = classic ] && [ -z "$(stat_of transport_reason)" ]
says 0 -- "$WBFS" status "$MNT"
says_not 'transport'
volume_umount

[ "$(switch_state)" != N ] || echo Y >"$switch" 2>/dev/null || :
if [ "$(switch_state)" != Y ]; then
	case_skip "requests come over it" "FUSE over io_uring cannot be switched on here"
	finish
	exit 0
fi

# --- where it can ---------------------------------------------------------------------

case_is "requests come over it, and status says so"
volume_make 64M 256M --no-zero
volume_mount -o io_uring
[ "$(stat_of transport)" = io_uring ] && [ -z "$(stat_of transport_reason)" ]
status_says 'FUSE over io_uring'
! grep -q 'without FUSE over io_uring' "$MNT/.wbfs/events"

case_is "data of any offset and length, directly and through the page cache"
random_file "$W/data" $((9 << 20))
for odd in 1 511 4095 262143 262145 1048577; do
	dd if="$W/data" of="$DISK" bs=2M iflag=skip_bytes oflag=seek_bytes skip=$odd \
		seek=$((odd * 3)) conv=notrunc status=none
	dd if="$DISK" bs=3M iflag=skip_bytes,count_bytes skip=$((odd * 3)) \
		count=$(((9 << 20) - odd)) status=none | cmp - <(tail -c +$((odd + 1)) "$W/data")
done
dd if="$W/data" of="$DISK" bs=8M oflag=direct,seek_bytes seek=$((64 << 20)) conv=notrunc \
	status=none
dd if="$DISK" bs=3M iflag=direct,skip_bytes skip=$((64 << 20)) count=3 status=none |
	cmp - "$W/data"

case_is "32 deep from two processes, with syncs, checked by checksums"
fio_run() {	# option...
	(cd "$W" && fio --name=fio --filename="$DISK" --size=48m --direct=1 --randrepeat=1 \
		--ioengine=libaio --iodepth=32 --verify=crc32c --verify_fatal=1 \
		--numjobs=2 --offset_increment=96m --bsrange=512-300k "$@" >"$W/fio.log" 2>&1) ||
		{ cat "$W/fio.log"; fail "fio $*"; }
}
fio_run --rw=randwrite --fsync=37
fio_run --rw=randwrite --verify_only=1

case_is "discards, a sync without data, and what is not there to be done"
fallocate --punch-hole --offset 1048576 --length 2097152 "$DISK"
cmp -n 2097152 -i 1048576:0 "$DISK" /dev/zero
sync "$DISK"
! touch "$MNT/new" 2>/dev/null
! truncate -s 1M "$DISK" 2>/dev/null
! mkdir "$MNT/.wbfs/new" 2>/dev/null
[ "$(stat -c %s "$DISK")" = $((256 << 20)) ]
stat -f "$MNT"

case_is "control files and tunables"
"$WBFS" set "$MNT" allow_writeback=off
[ "$(cat "$MNT/.wbfs/tunables/allow_writeback")" = off ]
says 2 'allow_writeback' -- "$WBFS" set "$MNT" allow_writeback=perhaps
"$WBFS" set "$MNT" allow_writeback=on
"$WBFS" drain "$MNT"
[ "$(ls "$MNT/.wbfs/tunables" | wc -l)" -gt 5 ]

case_is "what was synced survives SIGKILL"
dd if="$W/data" of="$DISK" bs=1M conv=notrunc,fsync status=none
daemon_kill
wreck_clear_mount
volume_mount -o io_uring
same_bytes "$DISK" "$W/data" $((9 << 20))

case_is "an aborted connection ends the daemon, which leaves a clean cache"
mkdir "$W/connections"
connection=$W/connections/$(mountpoint -d "$MNT" | cut -d: -f2)
if mount -t fusectl none "$W/connections"; then
	own_filesystems+=("$W/connections")
	run_in_background fio --name=fio --filename="$DISK" --offset=64m --size=64m --rw=randwrite \
		--bs=4k --direct=1 --ioengine=libaio --iodepth=64 --time_based --runtime=600 \
		--output="$W/fio.log"
	before=$(stat_of written_bytes)
	until [ "$(stat_of written_bytes)" -gt $((before + 1000000)) ]; do
		is_alive "$JOB" || { cat "$W/fio.log"; fail "the load ended early"; }
	done
	echo 1 >"$connection/abort"
	gone_within 60 "$WORKER" || fail "the daemon does not end"
	wait "$JOB" 2>/dev/null || :
	wreck_clear_mount
	"$WBFS" check "$CACHE" >"$W/check"
	grep -q '^stopped cleanly: yes' "$W/check" || { cat "$W/check"; fail "not clean"; }
	volume_mount -o io_uring
	same_bytes "$DISK" "$W/data" $((9 << 20))
else
	echo "FUSE's control files cannot be mounted here"
fi
volume_umount

# --- writes that wait -----------------------------------------------------------------

case_is "reads, status and tunables get through on every processor while writes wait"
disks_start 16M 64M
volume_format --segment-size 256K --no-zero
volume_mount -o io_uring
random_file "$W/early" 1000000
dd if="$W/early" of="$DISK" bs=1M conv=notrunc,fsync status=none
disks fail backing write EIO from 0 length $((64 << 20))
# From one process, so from one processor at a time: it fills that one's queue.
run_in_background fio --name=fio --filename="$DISK" --offset=2m --size=60m --bs=64k --rw=write \
	--direct=1 --ioengine=libaio --iodepth=200 --output="$W/fio.log"
waiting=0
for ((i = 0; i < 3000 && waiting < 20; i++)); do
	waiting=$(timeout 60 jq .waiting_requests "$MNT/.wbfs/stats.json")
	sleep 0.02
done
echo "$waiting writes wait"
[ "$waiting" -ge 20 ] || fail "only $waiting writes wait"
for cpu in $(seq 0 $(($(nproc) - 1))); do
	timeout 60 taskset -c "$cpu" dd if="$DISK" bs=1000000 count=1 status=none |
		cmp - "$W/early"
	timeout 60 taskset -c "$cpu" "$WBFS" set "$MNT" allow_writeback=on
done

case_is "they end when there is space again"
disks heal backing
wait "$JOB"
timeout 120 "$WBFS" drain "$MNT"
volume_umount
disks_stop
finish
