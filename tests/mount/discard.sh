#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Discards and zero-ranges from loop devices and file systems.
. "$(dirname "$0")/lib.sh"

needs fuse loop jq blkdiscard fstrim fs:ext4
start
volume_make 64M 256M
volume_mount

same_part() {	# offset bytes: the image against the reference
	cmp -n "$2" -i "$1" "$DISK" "$W/reference"
}

zero_reference() {	# offset bytes
	fallocate --punch-hole -o "$1" -l "$2" "$W/reference"
}

random_file "$W/reference" $((64 << 20))
truncate -s 256M "$W/reference"
dd if="$W/reference" of="$DISK" bs=1M count=64 conv=notrunc,fsync status=none

case_is "blkdiscard and blkdiscard -z on a loop device"
loop_attach "$DISK"
blkdiscard -o $((4 << 20)) -l $((8 << 20)) "$LOOP"
zero_reference $((4 << 20)) $((8 << 20))
blkdiscard -z -o $(((20 << 20) + 4096)) -l $((4 << 20)) "$LOOP"
zero_reference $(((20 << 20) + 4096)) $((4 << 20))
same_bytes "$LOOP" "$W/reference"
loop_detach
same_bytes "$DISK" "$W/reference"

case_is "ranges that are not whole blocks"
fallocate --punch-hole -o 1000 -l 100000 "$DISK"
zero_reference 1000 100000
fallocate --zero-range --keep-size -o 250001 -l 3 "$DISK"
zero_reference 250001 3
fallocate --punch-hole -o 300000 -l 511 "$DISK"
zero_reference 300000 511
same_part 0 $((1 << 20))

case_is "a discard is not undone by SIGKILL, once it was synced"
fallocate --punch-hole -o $((40 << 20)) -l $((8 << 20)) "$DISK"
zero_reference $((40 << 20)) $((8 << 20))
dd if="$W/reference" of="$DISK" bs=4k count=16 skip=100 seek=$(((42 << 20) / 4096)) \
	conv=notrunc,fsync status=none
dd if="$W/reference" of="$W/reference" bs=4k count=16 skip=100 \
	seek=$(((42 << 20) / 4096)) conv=notrunc status=none
daemon_kill
wreck_clear
volume_mount
same_bytes "$DISK" "$W/reference"

case_is "after a drain the backing is the image, and the holes are holes"
"$WBFS" drain "$MNT"
volume_umount
same_bytes "$BACKING" "$W/reference"
used=$(($(stat -c '%b * %B' "$BACKING")))
echo "the backing uses $used bytes"
[ $used -le $((50 << 20)) ] || fail "discarded ranges still use space on the backing"

case_is "fstrim of ext4 on a loop device, then SIGKILL"
volume_mount
loop_attach "$DISK"
fs_make ext4 "$LOOP"
fs_mount "$LOOP" "$W/fs"
tree_make "$W/tree"
for n in 1 2; do cp -a "$W/tree" "$W/fs/$n"; done
sync -f "$W/fs"
rm -rf "$W/fs/1"
fstrim -v "$W/fs"
cp -a "$W/tree" "$W/fs/3"
sync -f "$W/fs"
daemon_kill
wreck_clear
volume_mount
loop_attach "$DISK"
fs_mount "$LOOP" "$W/fs"
fs_umount "$W/fs"
fs_check ext4 "$LOOP"
fs_mount "$LOOP" "$W/fs"
same_tree "$W/tree" "$W/fs/2"
same_tree "$W/tree" "$W/fs/3"
fs_umount "$W/fs"
loop_detach
volume_umount

case_is "mkfs.ext4 on a sparse image of 1 TiB, SIGKILL, fsck"
volume_make 128M 1T
volume_mount
loop_attach "$DISK"
fs_make ext4 "$LOOP"
fs_mount "$LOOP" "$W/fs"
cp -a "$W/tree" "$W/fs/1"
sync -f "$W/fs"
daemon_kill
wreck_clear
volume_mount
loop_attach "$DISK"
fs_mount "$LOOP" "$W/fs"
fs_umount "$W/fs"
fs_check ext4 "$LOOP"
fs_mount "$LOOP" "$W/fs"
same_tree "$W/tree" "$W/fs/1"
fs_umount "$W/fs"
loop_detach

case_is "its backing stays sparse when it is drained"
"$WBFS" drain "$MNT"
volume_umount
used=$(($(stat -c '%b * %B' "$BACKING")))
echo "the backing uses $used bytes"
[ $used -le $((3 << 30)) ] || fail "holes were filled"
finish
