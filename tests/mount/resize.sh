#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `wbfs resize MOUNTPOINT --size`: the image grows while it is used, and who uses it sees
# that at once; what is refused, and why. Killed at any moment it has one size or the
# other.
. "$(dirname "$0")/lib.sh"

needs fuse jq fio loop fs:ext4 resize2fs
start
SEED=${SEED:-$RANDOM}
ROUNDS=${ROUNDS:-8}
echo "SEED=$SEED"
RANDOM=$SEED
mirror=$(helper mirror_io)
MiB=$((1 << 20))

image_has() {	# BYTES, everywhere
	[ "$(stat -c %s "$DISK")" -eq "$1" ] || fail "stat says $(stat -c %s "$DISK")"
	[ "$(stat_of image_bytes)" -eq "$1" ] || fail "stats.json says $(stat_of image_bytes)"
}

case_is "the image grows, by a size or by so much more; stat and the backing show it"
volume_make 16M 64M --no-zero
volume_mount
stat "$DISK"	# the kernel has its size from here on
image_has $((64 * MiB))
says 0 "the image of $MNT has grown from 64 MiB to 96 MiB ($((96 * MiB)) bytes)" -- \
	"$WBFS" resize "$MNT" --size 96M
image_has $((96 * MiB))
[ "$(stat -c %s "$BACKING")" -eq $((96 * MiB)) ] || fail "the backing has another size"
[ "$(stat_of backing.size_bytes)" -eq $((96 * MiB)) ]
[ "$(stat -c %b "$BACKING")" -lt 1000 ] || fail "a sparse backing was allocated"
says 0 'from 96 MiB to 96.4 MiB' -- "$WBFS" resize --size +512000 "$MNT"
image_has $((96 * MiB + 512000))
says 0 'already' -- "$WBFS" resize --size $((96 * MiB + 512000)) "$MNT"
grep -q ' note    the image has grown from 67108864 to 100663296 bytes' "$MNT/.wbfs/events"
echo "resize $((100 * MiB))" >"$MNT/.wbfs/control"
for ((i = 0; i < 3000 && $(stat_of resizes_done) < 4; i++)); do sleep 0.02; done
image_has $((100 * MiB))
[ "$(stat_of resizes_failed)" -eq 0 ]

case_is "what was written there stays, over a kill and a stop"
head -c 12M /dev/urandom >"$W/data"
dd if="$W/data" of="$DISK" bs=1M seek=88 conv=notrunc,fsync status=none
daemon_kill
wreck_clear_mount
volume_mount
image_has $((100 * MiB))
same_bytes <(tail -c +$((88 * MiB + 1)) "$DISK") "$W/data"
volume_remount
image_has $((100 * MiB))
"$WBFS" drain "$MNT"
volume_umount
same_bytes <(tail -c +$((88 * MiB + 1)) "$BACKING") "$W/data"

case_is "what is refused, with the reason; nothing changes"
volume_mount
says 1 'the image stays as it is: it has 104857600 bytes and is not made smaller' -- \
	"$WBFS" resize "$MNT" --size 99M
says 1 'its size must be a multiple of 512 bytes and at most 1 EiB, not 2305843009213693952' -- \
	"$WBFS" resize "$MNT" --size 2097152T
says 2 'takes a multiple of 512 bytes above zero' -- "$WBFS" resize "$MNT" --size 104857601
says 2 "option '--size' takes a size" -- "$WBFS" resize "$MNT" --size ++1M
says 2 "'wbfs resize' needs --size SIZE" -- "$WBFS" resize "$MNT"
says 2 "'wbfs resize' needs a MOUNTPOINT" -- "$WBFS" resize --size 1G
says 2 "option '--size' takes a size" -- "$WBFS" format --size +1G --cache x --backing y
says 1 -- "$WBFS" resize "$W" --size 1G
! echo 'resize 5x' >"$MNT/.wbfs/control" || fail "nonsense is taken"
grep -q "there is no verb 'resize 5x'" "$MNT/.wbfs/events"
image_has $((100 * MiB))
[ "$(stat -c %s "$BACKING")" -eq $((100 * MiB)) ]
volume_remount -o ro
says 1 'is mounted with -o ro' -- "$WBFS" resize "$MNT" --size 200M
volume_umount

case_is "a file beyond the limit of the process, and a file system without room"
volume_mount
prlimit --pid "$WORKER" --fsize=$((128 * MiB))
says 1 "backing $BACKING: cannot be made $((200 * MiB)) bytes large: the file cannot be extended: File too large" -- \
	"$WBFS" resize "$MNT" --size 200M
image_has $((100 * MiB))
says 0 'has grown' -- "$WBFS" resize "$MNT" --size 120M
volume_umount
truncate -s 40M "$W/small"
mkfs.ext4 -q -F "$W/small"
mkdir "$W/room"
loop_attach "$W/small"
fs_mount "$LOOP" "$W/room"
CACHE=$W/cache2 BACKING=$W/room/backing
fallocate -l 16M "$BACKING"
volume_format --cache-size 12M --no-zero
volume_mount
says 1 'there is no space for it: No space left on device' -- "$WBFS" resize "$MNT" --size 200M
image_has $((16 * MiB))
[ "$(stat -c %s "$BACKING")" -eq $((16 * MiB)) ] || fail "the backing is larger"
says 0 'has grown' -- "$WBFS" resize "$MNT" --size 20M
[ "$(stat -c %b "$BACKING")" -ge $((20 * MiB / 512)) ] || fail "it was not allocated"
volume_umount
fs_umount "$W/room"
loop_detach

case_is "a device has to be made larger before"
CACHE=$W/cache3
truncate -s 32M "$W/device"
loop_attach "$W/device"
BACKING=$LOOP
volume_format --cache-size 12M --no-zero
volume_mount
says 1 'the device has 32 MiB; it has to be made larger first' -- \
	"$WBFS" resize "$MNT" --size 48M
truncate -s 64M "$W/device"
losetup -c "$LOOP"
says 0 'has grown from 32 MiB to 48 MiB' -- "$WBFS" resize "$MNT" --size 48M
image_has $((48 * MiB))
head -c 16M /dev/urandom >"$W/data"
dd if="$W/data" of="$DISK" bs=1M seek=32 conv=notrunc,fsync status=none
volume_remount
image_has $((48 * MiB))
[ "$(stat_of state)" = running ]
! grep -q 'backing' "$MNT/.wbfs/events" || fail "the backing looks changed"
"$WBFS" drain "$MNT"
volume_umount
dd if="$LOOP" bs=1M skip=32 count=16 status=none | cmp - "$W/data"
loop_detach

# grow_fs FS: while it is mounted, where we may; ext4 wants CAP_SYS_RESOURCE for that
grow_fs() {
	case $1 in
	ext4)
		resize2fs "$LOOP" && return
		fs_umount "$W/fs"
		e2fsck -fp "$LOOP"
		resize2fs "$LOOP"
		fs_mount "$LOOP" "$W/fs"
		;;
	xfs) xfs_growfs "$W/fs" ;;
	esac
}

# grows_under_load FS MiB...
grows_under_load() {
	local fs=$1 size
	volume_make 24M "${2}M" --no-zero
	volume_mount
	loop_attach "$DISK"
	fs_make "$fs" "$LOOP"
	fs_mount "$LOOP" "$W/fs"
	cp -a "$W/tree" "$W/fs/tree.$2"
	run_in_background fio --name=load --directory="$W/fs" --size=32M --rw=randwrite \
		--bs=4k-64k --ioengine=io_uring --iodepth=16 --direct=1 --verify=crc32c \
		--do_verify=1 --verify_fatal=1 --verify_state_save=0 --loops=3 --randseed="$SEED" --output="$W/fio.log"
	for size in "${@:3}"; do
		says 0 'has grown' -- "$WBFS" resize "$MNT" --size "${size}M"
		losetup -c "$LOOP"
		[ "$(blockdev --getsize64 "$LOOP")" -eq $((size * MiB)) ] ||
			fail "the loop device is smaller"
	done
	wait "$JOB" || { cat "$W/fio.log"; fail "fio found something wrong"; }
	grow_fs "$fs"
	[ "$(df --output=size -B1M "$W/fs" | tail -1)" -gt $((size * 4 / 5)) ] ||
		fail "the file system is smaller"
	for size in "${@:3}"; do cp -a "$W/tree" "$W/fs/tree.$size"; done
	sync -f "$W/fs"
	for size in "${@:2}"; do same_tree "$W/tree" "$W/fs/tree.$size"; done
	fs_umount "$W/fs"
	fs_check "$fs" "$LOOP"
	loop_detach
	volume_remount
	image_has $((size * MiB))
	cp --sparse=always "$DISK" "$W/image"
	"$WBFS" drain "$MNT"
	volume_umount
	same_bytes "$W/image" "$BACKING"
	loop_attach "$BACKING"
	fs_check "$fs" "$LOOP"
	fs_mount "$LOOP" "$W/fs"
	for size in "${@:2}"; do same_tree "$W/tree" "$W/fs/tree.$size"; done
	fs_umount "$W/fs"
	loop_detach
}

tree_make "$W/tree"
case_is "ext4 on a loop device grows under load, and all data is right in the end"
grows_under_load ext4 100 160 170 300

if grep -qw xfs /proc/filesystems && command -v mkfs.xfs xfs_growfs; then
	case_is "so does xfs, while it is mounted"
	grows_under_load xfs 320 500
else
	case_skip "so does xfs, while it is mounted" "no xfs here"
fi

case_is "SIGKILL at $ROUNDS random moments: one size or the other, and all that was synced"
volume_make 16M 32M --no-zero
size=$((32 * MiB))
truncate -s $size "$W/reference"
old=0 new=0
for ((round = 1; round <= ROUNDS; round++)); do
	volume_mount
	larger=$((size + (1 + RANDOM % 64) * 4096 * (RANDOM % 40 + 1) + 512 * (RANDOM % 8)))
	"$mirror" "$DISK" "$W/reference" $size 4 60 "$((SEED + round))"
	"$WBFS" flush "$MNT"
	"$WBFS" resize "$MNT" --size $larger &
	own_jobs+=($!)
	JOB=$!
	sleep "$(awk -v r=$RANDOM 'BEGIN { printf "%.4f", r / 32768 * 0.03 }')"
	daemon_kill
	wait "$JOB" || :
	wreck_clear_mount
	volume_mount
	case $(stat_of image_bytes) in
	"$size") old=$((old + 1)) ;;
	"$larger") new=$((new + 1)) size=$larger; truncate -s $size "$W/reference" ;;
	*) fail "$(stat_of image_bytes): neither $size nor $larger" ;;
	esac
	image_has $size
	same_bytes "$DISK" "$W/reference"
	volume_umount
done
echo "$old times the old size, $new times the new one"
volume_mount
"$WBFS" drain "$MNT"
volume_umount
same_bytes "$BACKING" "$W/reference" $size
finish
