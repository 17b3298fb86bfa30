#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cache_mode: data is right in writearound and writethrough and while they are
# switched, and the image file alone has what they promise for it: all after a clean
# stop, what was synced after a power cut with which the cache is thrown away.
#
#	SEED=number cache_mode.sh
. "$(dirname "$0")/lib.sh"

SEED=${SEED:-$RANDOM}
RANDOM=$SEED
echo "SEED=$SEED"

needs fuse fio jq
start
mirror=$(helper mirror_io)
writer=$(helper synced_writer)
size=$((192 << 20))

mixed=512/15:1k/10:2k/5:4k/35:8k/10:16k/5:64k/10:256k/5:1m/5

verified() {	# name, fio option...
	(cd "$W" && fio --name="$1" --filename="$DISK" --verify=crc32c --verify_fatal=1 \
		--do_verify=1 --randrepeat=0 --size=64m --numjobs=2 --offset_increment=64m \
		--group_reporting "${@:2}")
}

deep=(--ioengine=libaio --iodepth=32 --direct=1 --rw=randwrite --bssplit="$mixed"
	--blockalign=512)

# Stops without a drain, and looks at the image file before anybody mounts it again.
alone_it_is() {	# FILE
	volume_umount
	same_bytes "$BACKING" "$1"
}

volume_make 40M $size --segment-size 256K
volume_mount -o cache_mode=writearound

case_is "writearound: mixed sizes, 32 deep, verified; the cache does not fill"
verified around "${deep[@]}"
sync "$DISK"
[ "$(stat_of dirty_blocks)" -eq 0 ] || fail "dirty blocks after a sync"
[ "$(stat_of bypassed_bytes)" -gt $((100 << 20)) ] ||
	fail "only $(stat_of bypassed_bytes) bytes went around the cache"

case_is "writearound: what was written again and again, verified in between"
verified again "${deep[@]}" --norandommap --serialize_overlap=1 --io_size=64m \
	--verify_backlog=200

case_is "writearound: after a clean stop the image file alone has everything"
cp --sparse=always "$DISK" "$W/reference"
alone_it_is "$W/reference"

case_is "writethrough: mixed sizes, 32 deep, verified"
volume_mount -o cache_mode=writethrough
verified through "${deep[@]}"
[ "$(stat_of bypassed_bytes)" -eq 0 ]

case_is "writethrough: with O_DSYNC the image file has each write when it returns"
dd if=/dev/urandom of="$DISK" bs=1M count=8 oflag=dsync,direct conv=notrunc status=none
dd if="$DISK" of="$W/head" bs=1M count=8 status=none
same_bytes "$BACKING" "$W/head" $((8 << 20))

case_is "writethrough: after each sync the image file alone has what was written"
for i in 1 2 3 4 5; do
	random_file "$W/data" $((3000000 + RANDOM))
	dd if="$W/data" of="$DISK" bs=1M seek=$((i * 20)) conv=notrunc,fsync status=none
	dd if="$BACKING" bs=1M skip=$((i * 20)) iflag=count_bytes \
		count="$(stat -c %s "$W/data")" status=none | cmp - "$W/data"
done

case_is "writethrough: after a clean stop the image file alone has everything"
cp --sparse=always "$DISK" "$W/reference"
alone_it_is "$W/reference"

case_is "switched all the time under load: reads equal those of a plain file"
volume_mount
run_in_background "$mirror" "$DISK" "$W/reference" $size 4 900 $((SEED % 1000))
switches=0
while is_alive "$JOB"; do
	for mode in writearound writethrough writeback; do
		"$WBFS" set "$MNT" cache_mode=$mode
		switches=$((switches + 1))
	done
done
wait "$JOB"
echo "$switches switches, $(stat_of bypassed_bytes) bytes around the cache"
[ "$(stat_of bypassed_bytes)" -gt 0 ]
same_bytes "$DISK" "$W/reference"

case_is "and after a drain the image file alone is that file"
"$WBFS" drain "$MNT"
alone_it_is "$W/reference"

case_is "status, stats.json and the tunables say the mode"
volume_mount -o cache_mode=writearound
says 0 'writearound: writes go around the cache, to the backing' -- "$WBFS" status "$MNT"
"$WBFS" set "$MNT" cache_mode=writethrough
says 0 'writethrough: what was synced is on the backing too' -- "$WBFS" status "$MNT"
[ "$(stat_of cache_mode)" = writethrough ]
says 0 'cache_mode=writethrough' -- "$WBFS" set "$MNT"

case_is "a mode that there is not is refused with those that there are"
says 2 "'cache_mode' takes writeback or writethrough or writearound, not 'writesideways'" -- \
	"$WBFS" set "$MNT" cache_mode=writesideways
[ "$(stat_of cache_mode)" = writethrough ]
volume_umount
says 2 "'cache_mode' takes writeback or writethrough or writearound, not 'fast'" -- \
	"$WBFS" mount --cache "$CACHE" --backing "$BACKING" -o cache_mode=fast "$MNT"

# --- the cache is lost ----------------------------------------------------------------

area=$((16 << 20))
disks_start 5M 24M

# Both disks lose their power while writers and syncs go on. The cache is thrown away:
# what is judged is the file that the backing's disk is left with.
lose_cache() {	# MODE[,option] threads [how]
	local status=0
	rm -f "$W/book"
	fallocate --punch-hole --offset 0 --length "$(stat -c %s "$BACKING")" "$BACKING"
	volume_format --force --segment-size 64K
	volume_mount -o "cache_mode=$1"
	disks power-cut-at $((400 + RANDOM % 1500)) $RANDOM "${3:-any}"
	"$writer" write "$DISK" "$W/book" $area "$2" $((RANDOM / 4 * 4)) || status=$?
	[ $status -eq 3 ] || fail "the writer ended with $status, not by the power cut"
	gone_within 60 "$WORKER" || fail "the daemon does not die of SIGKILL"
	wreck_clear_mount
	disks power-on
	"$writer" synced "$BACKING" "$W/book"
}

for mode in writethrough writearound; do
	case_is "$mode: what was synced is on the image file when both disks lose power and the cache is lost"
	lose_cache $mode 1 loses-all
	lose_cache $mode 4
	lose_cache $mode 4
done

case_is "in writeback it is not, or all this shows nothing"
# (where writeback is held: else all may have come there just in time)
! lose_cache writeback,allow_writeback=off 1 loses-all || fail "nothing was noticed"

disks_stop
finish
