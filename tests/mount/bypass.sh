#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# bypass_threshold: long sequential writes go around the cache in the pieces in which
# they come from the kernel; small and random ones do not; data is right under
# SIGKILL and while the threshold is changed.
. "$(dirname "$0")/lib.sh"

needs fuse fio jq
start
size=$((256 << 20))

copy() {	# MiB to which place, dd operand...
	dd if="$W/data" of="$DISK" bs=1M seek="$1" oflag=direct conv=notrunc status=none "${@:2}"
}

same_at() {	# MiB: of the image
	dd if="$DISK" bs=1M skip="$1" count=64 status=none | cmp - "$W/data"
}

random_file "$W/data" $((64 << 20))
volume_make 40M $size --segment-size 256K
volume_mount -o bypass_threshold=1024

case_is "random writes, small ones and synchronous ones stay in the cache"
fio --name=random --filename="$DISK" --rw=randwrite --bs=64k --size=$size --io_size=24m \
	--ioengine=psync --direct=1 >"$W/fio"
dd if=/dev/zero of="$DISK" bs=4k count=2000 oflag=direct conv=notrunc status=none
dd if=/dev/zero of="$DISK" bs=1M count=8 oflag=direct,dsync conv=notrunc status=none
[ "$(stat_of bypassed_bytes)" -eq 0 ]
volume_umount
volume_mount -o bypass_threshold=1024

case_is "a copy goes around the cache from the threshold on, and takes no room in it"
dirty=$(stat_of dirty_blocks)
copy 0
echo "$(stat_of bypassed_bytes) bytes in $(stat_of bypassed_writes) writes"
[ "$(stat_of bypassed_bytes)" -ge $((60 << 20)) ]
[ "$(stat_of dirty_blocks)" -le $((dirty + 1024)) ]
[ "$(stat_of bypassed_streams)" -eq 1 ]

case_is "in large pieces"
[ $(($(stat_of bypassed_bytes) / $(stat_of bypassed_writes))) -ge $((1 << 19)) ]

case_is "after a sync the image file has it"
sync "$DISK"
dd if="$BACKING" bs=1M skip=4 count=60 status=none | cmp - <(tail -c $((60 << 20)) "$W/data")
same_at 0

case_is "copies at the same time are told apart"
before=$(stat_of bypassed_bytes)
for place in 64 128 192; do
	copy $place &
	jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job"; done
[ $(($(stat_of bypassed_bytes) - before)) -ge $((150 << 20)) ]
for place in 64 128 192; do same_at $place; done

case_is "what is dirty is not written around: the newest data is there in the end"
"$WBFS" set "$MNT" allow_writeback=off
random_file "$W/patch" $((1 << 20))
dd if="$W/patch" of="$DISK" bs=4k seek=$((20 * 256 + 3)) oflag=direct conv=notrunc status=none
copy 0
same_at 0
"$WBFS" set "$MNT" allow_writeback=on
"$WBFS" drain "$MNT"
same_at 0
head -c $((64 << 20)) "$BACKING" | cmp - "$W/data"

case_is "SIGKILL in the middle of a copy: what was synced is there, and the rest is old or new"
sync "$DISK"
tr '\0-\377' '\1-\377\0' <"$W/data" >"$W/newer"
begun=$(stat_of bypassed_writes)
run_in_background dd if="$W/newer" of="$DISK" bs=1M oflag=direct conv=notrunc status=none
while [ "$(stat_of bypassed_writes)" -lt $((begun + 10)) ]; do
	is_alive "$JOB" || break
done
daemon_kill
wait "$JOB" || true
wreck_clear
volume_mount -o bypass_threshold=1024
dd if="$DISK" of="$W/left" bs=1M count=64 status=none
mixed=0 newer=0
is_like() {	# FILE MiB
	cmp -s -n $((1 << 20)) -i $(($2 << 20)) "$W/left" "$1"
}
for mib in $(seq 0 63); do
	if is_like "$W/newer" "$mib"; then
		newer=$((newer + 1))
	elif ! is_like "$W/data" "$mib"; then
		mixed=$((mixed + 1))
	fi
done
echo "$newer MiB are the newer ones, $mixed a mixture"
[ $newer -ge 10 ] && [ $mixed -le 1 ]
same_at 192

case_is "switched on and off while files are copied: every byte is right"
cp "$DISK" "$W/reference"
run_in_background "$(helper mirror_io)" "$DISK" "$W/reference" $size 2 600 7
while is_alive "$JOB"; do
	for kib in 64 0 1024; do "$WBFS" set "$MNT" bypass_threshold=$kib; done
done
wait "$JOB"
same_bytes "$DISK" "$W/reference"

case_is "status says how much went around"
says 0 'of it around the cache' -- "$WBFS" status "$MNT"
says 2 "'bypass_threshold' takes a whole number of KiB from 0 to 1073741824, not '4M'" -- \
	"$WBFS" set "$MNT" bypass_threshold=4M
volume_umount
finish
