#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# After drain and umount the backing alone is byte for byte what the image was.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
mirror=$(helper mirror_io)

case_is "formatting over data keeps it: the image is what the backing was"
CACHE=$W/cache BACKING=$W/backing MNT=$W/mnt
random_file "$BACKING" $((192 << 20))
cp "$BACKING" "$W/reference"
volume_format --cache-size 48M
same_bytes "$BACKING" "$W/reference"
volume_mount
same_bytes "$DISK" "$W/reference"

case_is "drain with nothing dirty returns"
"$WBFS" drain "$MNT"

case_is "writes and discards, drain: nothing is dirty"
"$mirror" "$DISK" "$W/reference" $((192 << 20)) 4 900 11
"$WBFS" drain "$MNT"
[ "$(stat_of dirty_blocks)" -eq 0 ] || fail "dirty blocks after a drain"
same_bytes "$DISK" "$W/reference"

case_is "the backing alone is the image"
volume_umount
same_bytes "$BACKING" "$W/reference"

case_is "undrained data comes back after a remount, and drains then"
volume_mount
"$mirror" "$DISK" "$W/reference" $((192 << 20)) 4 500 12
volume_remount
same_bytes "$DISK" "$W/reference"
"$WBFS" drain "$MNT"
volume_umount
same_bytes "$BACKING" "$W/reference"

case_is "drain while writers go on returns, and loses nothing"
volume_mount
run_in_background "$mirror" "$DISK" "$W/reference" $((192 << 20)) 4 800 13
"$WBFS" drain "$MNT"
wait "$JOB"
"$WBFS" flush "$MNT"
"$WBFS" drain "$MNT"
same_bytes "$DISK" "$W/reference"
volume_umount
same_bytes "$BACKING" "$W/reference"

case_is "an image that is no multiple of 4 KiB"
rm -f "$CACHE" "$BACKING" "$W/reference"
random_file "$BACKING" $((33 * 1048576 + 3 * 512))
cp "$BACKING" "$W/reference"
volume_format --cache-size 32M
volume_mount
[ "$(stat -c %s "$DISK")" -eq "$(stat -c %s "$W/reference")" ] || fail "the size differs"
for file in "$DISK" "$W/reference"; do
	printf 'the very end' | dd of="$file" bs=1 seek=$((33 * 1048576 + 3 * 512 - 12)) \
		conv=notrunc status=none
done
same_bytes "$DISK" "$W/reference"
"$WBFS" drain "$MNT"
volume_umount
same_bytes "$BACKING" "$W/reference"
finish
