#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# discard_cache: what was written back and written over is given back to the
# filesystem of the cache file, or to the device; all data stays right, also after
# SIGKILL in the middle of it.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start

wait_until() {	# what for, a jq condition of stats.json
	local i
	for ((i = 0; i < 600; i++)); do
		! jq -e "$2" <"$MNT/.wbfs/stats.json" >"$W/found" || return 0
		sleep 0.1
	done
	jq . <"$MNT/.wbfs/stats.json"
	fail "not within a minute: $1"
}

allocated_mib() {	# of the cache file, or what lies under the device
	echo $(($(stat -c %b "${1:-$CACHE}") / 2048))
}

# Random data over the same 24 MiB; $W/reference is what the image then is.
write_over() {
	random_file "$W/new" $((24 << 20))
	dd if="$W/new" of="$DISK" bs=1M conv=notrunc status=none
	dd if="$W/new" of="$W/reference" bs=1M conv=notrunc status=none
}

# Without an older version anywhere: up to the newest, which is kept.
expect_released() {	# MiB [file]
	local i file=${2:-$CACHE}
	for ((i = 0; i < 600; i++)); do
		[ "$(allocated_mib "$file")" -gt "$1" ] || return 0
		sleep 0.1
	done
	fail "$(allocated_mib "$file") MiB are still allocated, more than $1"
}

case_is "without it a cache file keeps its blocks"
volume_make 128M 64M
truncate -s 64M "$W/reference"
before=$(allocated_mib)
[ "$before" -ge 127 ]
volume_mount
for i in 1 2 3; do write_over; done
"$WBFS" drain "$MNT"
[ "$(allocated_mib)" -eq "$before" ] || fail "$(allocated_mib) MiB of $before are left"
[ "$(stat_of cache_discards)" -eq 0 ]
[ "$(stat_of discard_cache_state)" = off ]
says 0 -- "$WBFS" status "$MNT"
says_not discards

case_is "with it the blocks of what nobody needs go, what is cached stays"
"$WBFS" set "$MNT" discard_cache=on discard_rate_mib_s=0
# 72 MiB and their headers were written, 24 MiB of them count.
expect_released 48
wait_until 'a count' '.cache_discards > 70 and .cache_discarded_bytes > 70000000'
[ "$(stat_of discard_cache_state)" = on ]
same_bytes "$DISK" "$W/reference"
[ "$(stat_of read_backing_bytes)" -le $((44 << 20)) ] || fail "cached data was read from the backing"
"$WBFS" status "$MNT" | grep -E '^  discards +[0-9.]+ MiB on the cache.s disk$'

case_is "after SIGKILL in the middle of it all data is right, and nothing looks damaged"
for round in 1 2 3 4; do
	write_over
	sync "$DISK"
	run_in_background "$WBFS" drain "$MNT"
	wait_until 'discards' ".cache_discards > $((round * 3))"
	daemon_kill
	wait "$JOB" || :
	wreck_clear_mount
	"$WBFS" check "$CACHE" >"$W/said" 2>&1 || { cat "$W/said"; fail "check objects"; }
	volume_mount -o discard_cache=on,discard_rate_mib_s=0
	same_bytes "$DISK" "$W/reference"
	[ "$(stat_of checksum_errors)" -eq 0 ]
done

case_is "scrub finds nothing wrong, and a clean stop, check and the next mount neither"
"$WBFS" drain "$MNT"
"$WBFS" scrub "$MNT"
volume_umount
"$WBFS" check "$CACHE"
volume_mount -o discard_cache=on
same_bytes "$DISK" "$W/reference"
[ "$(stat_of checksum_errors)" -eq 0 ]
"$WBFS" drain "$MNT"
volume_umount
same_bytes "$BACKING" "$W/reference"

case_is "it keeps to its rate"
started=$(date +%s%N)
volume_mount -o discard_cache=on,discard_rate_mib_s=1
wait_until 'the first' '.cache_discards > 2'
bytes=$(stat_of cache_discarded_bytes)
passed_ms=$((($(date +%s%N) - started) / 1000000 + 1000))
[ $((bytes / 1049)) -le "$passed_ms" ] || fail "$bytes bytes in $passed_ms ms"
volume_umount

if [ "$(id -u)" -ne 0 ] || ! losetup --find >/dev/null 2>&1; then
	case_skip "on a device they are discards, which reach what lies under it" "no loop device"
else
	case_is "on a device they are discards, which reach what lies under it"
	truncate -s 128M "$W/under"
	loop_attach "$W/under"
	CACHE=$LOOP BACKING=$W/backing2 MNT=$W/mnt
	truncate -s 0 "$W/reference"
	truncate -s 64M "$W/reference"
	volume_format --size 64M
	[ "$(allocated_mib "$W/under")" -ge 127 ]
	volume_mount -o discard_cache=on,discard_rate_mib_s=0
	for i in 1 2 3; do write_over; done
	"$WBFS" drain "$MNT"
	expect_released 48 "$W/under"
	same_bytes "$DISK" "$W/reference"
	volume_umount
	loop_detach
fi

finish
