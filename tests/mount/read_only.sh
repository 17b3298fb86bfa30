#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# -o ro: the image is read, with what only the cache holds, and neither disk is
# changed: not a byte, not a time; on files, filesystems and devices that cannot be
# written to as well.
. "$(dirname "$0")/lib.sh"

needs fuse jq getfattr
start

state_of() {
	local file
	for file; do
		stat -c '%n %s %b %a %U' "$file"
		sha256sum "$file"
		getfattr -d --absolute-names "$file"
	done
	! mark_is_in_file || cat "$(mark_file)"
}

# (reading is a server's own)
times_of() {
	stat -c '%X %Y %Z' "$CACHE"
	stat -c "$(over_nbd || echo %X) %Y %Z" "$BACKING"
}

# Read last two days ago: a filesystem that notes such times at all (relatime) would
# note the next one.
remember() {
	state_of "$CACHE" "$BACKING" >"$W/state"
	touch -a -d '2 days ago' "$CACHE" "$BACKING" || :
	times=$(times_of)
}

is_unchanged() {
	[ "$(times_of)" = "$times" ] || fail "a time has changed"
	state_of "$CACHE" "$BACKING" | cmp - "$W/state"
	touch -a -d '2 days ago' "$CACHE" "$BACKING" || :
	times=$(times_of)
}

umount_read_only() {
	"$WBFS" umount "$MNT"
	volume_is_stopped
}

# Written back, clean in the log; newer data in the cache alone; killed.
size=$(((48 << 20) + 3 * 512))
random_file "$W/backing" $size
CACHE=$W/cache BACKING=$W/backing MNT=$W/mnt
volume_format --cache-size 32M --no-zero
volume_mount
head -c 8M /dev/urandom | dd of="$DISK" bs=1M conv=notrunc,fsync status=none
"$WBFS" drain "$MNT"
volume_remount -o allow_writeback=off
head -c 4M /dev/urandom | dd of="$DISK" bs=1M seek=4 conv=notrunc,fsync status=none
fallocate -p -o $((20 << 20)) -l $((1 << 20)) "$DISK"
sync "$DISK"
cp "$DISK" "$W/image"
daemon_kill
wreck_clear_mount

case_is "a killed volume reads as the next mount would show it, and stays as it is"
remember
volume_mount -o ro
same_bytes "$DISK" "$W/image"
[ "$(stat -c '%s %a' "$DISK")" = "$size 400" ]
grep -q " $MNT fuse.wbfs ro," /proc/self/mounts || fail "the kernel thinks that it can be written to"
says 1 'Read-only file system' -- dd if=/dev/zero of="$DISK" bs=512 count=1 conv=notrunc
says 1 'Read-only file system' -- fallocate -p -o 0 -l 4096 "$DISK"
says 1 'Read-only file system' -- truncate -s 1M "$DISK"
sync "$DISK"
says 0 'running, read only' "$CACHE" "$BACKING" -- "$WBFS" status "$MNT"
jq -e '.read_only and .dirty_blocks > 0 and .pending_discards > 0 and .ram_buffer_bytes == 0 and
	.ssd_writes == 0 and .flushes == 0 and .backing_writes == 0' "$MNT/.wbfs/stats.json"
umount_read_only
is_unchanged

case_is "what would change something cannot be asked of it; check verifies the cache meanwhile"
volume_mount -o ro
for verb in flush drain scrub; do
	says 1 "$MNT is mounted with -o ro" -- "$WBFS" $verb "$MNT"
done
says 0 -- "$WBFS" check "$CACHE"
says 1 'in use by wbfs' -- "$WBFS" check --repair "$CACHE"
umount_read_only

case_is "it is mounted twice so, but not for writing meanwhile, nor the other way round"
volume_mount -o ro
mkdir -p "$W/second" "$W/third"
"$WBFS" mount --cache "$CACHE" --backing "$BACKING" -o ro,noatime "$W/second"
own_mounts+=("$W/second")
says 1 'in use by wbfs' -- "$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$W/third"
same_bytes "$W/second/disk" "$W/image"
"$WBFS" umount "$W/second"
umount_read_only
is_unchanged
volume_mount
says 1 'in use by wbfs' -- "$WBFS" mount --cache "$CACHE" --backing "$BACKING" -o ro "$W/third"
daemon_kill
wreck_clear_mount

case_is "a killed read-only mount leaves nothing behind"
remember
volume_mount -o ro
daemon_kill
wreck_clear_mount
is_unchanged
volume_mount -o ro
same_bytes "$DISK" "$W/image"
umount_read_only
is_unchanged

case_is "files that may not be written to"
chmod 0444 "$CACHE" "$BACKING"
remember
volume_mount -o ro
same_bytes "$DISK" "$W/image"
umount_read_only
is_unchanged

as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
if ! over_nbd && [ "$(id -u)" -eq 0 ] && command -v fusermount3 >/dev/null &&
	"${as_nobody[@]}" test -w /dev/fuse; then
	case_is "by a user who may not write to them, nor owns them"
	chmod 755 "$W"
	mkdir -p "$W/theirs"
	chown 65534:65534 "$W/theirs"
	cp "$WBFS" "$W/wbfs"
	says 0 -- "${as_nobody[@]}" "$W/wbfs" mount --cache "$CACHE" --backing "$BACKING" \
		-o ro "$W/theirs"
	own_mounts+=("$W/theirs")
	"${as_nobody[@]}" dd if="$W/theirs/disk" bs=1M status=none | cmp - "$W/image"
	"${as_nobody[@]}" "$W/wbfs" umount "$W/theirs"
	state_of "$CACHE" "$BACKING" | cmp - "$W/state"
else
	case_skip "by a user who may not write to them, nor owns them" "not here"
fi

if ! over_nbd && [ "$(id -u)" -eq 0 ]; then
	case_is "on a filesystem that is mounted read-only"
	mkdir -p "$W/fs"
	mount --bind "$W" "$W/fs"
	own_filesystems+=("$W/fs")
	mount -o remount,ro,bind "$W/fs"
	MNT=$W/mnt CACHE=$W/fs/cache BACKING=$W/fs/backing
	says 1 'Read-only file system' "wbfs mount --cache $CACHE --backing $BACKING -o ro $MNT" -- \
		"$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$MNT"
	remember
	volume_mount -o ro
	same_bytes "$DISK" "$W/image"
	umount_read_only
	is_unchanged
	fs_umount "$W/fs"
	CACHE=$W/cache BACKING=$W/backing
else
	case_skip "on a filesystem that is mounted read-only" "not here"
fi
chmod 0644 "$CACHE" "$BACKING"

case_is "after all that the next mount finds it as it was"
volume_mount
same_bytes "$DISK" "$W/image"
"$WBFS" drain "$MNT"
volume_umount
same_bytes "$BACKING" "$W/image"

case_is "a volume that was stopped cleanly, and its backing without a cache"
remember
volume_mount -o ro
same_bytes "$DISK" "$W/image"
[ "$(stat_of dirty_blocks)" = 0 ]
umount_read_only
is_unchanged
"$WBFS" mount --without-cache --backing "$BACKING" -o ro "$MNT"
own_mounts+=("$MNT")
same_bytes "$DISK" "$W/image"
grep -q " $MNT fuse.wbfs ro," /proc/self/mounts
says 1 'Read-only file system' -- dd if=/dev/zero of="$DISK" bs=512 count=1 conv=notrunc
"$WBFS" umount "$MNT"
is_unchanged

case_is "what would need a repair, or does not fit, is refused, and unchanged"
random_file "$W/other" $size
volume_mount -o allow_writeback=off
head -c 1M /dev/urandom | dd of="$DISK" bs=1M conv=notrunc,fsync status=none
cp "$DISK" "$W/image"
daemon_kill
wreck_clear_mount
dd if=/dev/zero of="$BACKING" bs=1M seek=2 count=4 conv=notrunc status=none
remember
says 1 'was changed without cache' -- \
	"$WBFS" mount --cache "$CACHE" --backing "$BACKING" -o ro "$MNT"
says 1 'carries no mark' -- \
	"$WBFS" mount --cache "$CACHE" --backing "$W/other" -o ro "$MNT"
is_unchanged
volume_mount --force -o ro
cmp -n $((1 << 20)) "$DISK" "$W/image"
umount_read_only
is_unchanged

if [ "$(id -u)" -eq 0 ] && losetup --find >/dev/null 2>&1; then
	case_is "devices that are read-only"
	truncate -s 32M "$W/ssd.img"
	random_file "$W/hdd.img" $((24 << 20))
	loop_attach "$W/ssd.img"; CACHE=$LOOP
	loop_attach "$W/hdd.img"; BACKING=$LOOP
	volume_format --no-zero
	volume_mount -o allow_writeback=off
	head -c 4M /dev/urandom | dd of="$DISK" bs=1M seek=4 conv=notrunc,fsync status=none
	dd if="$DISK" of="$W/image" bs=1M status=none
	daemon_kill
	wreck_clear_mount
	# It outlives the detaching.
	at_exit="blockdev --setrw $CACHE $BACKING; rm -f /var/lib/wbfs/*${W##*/}*"
	blockdev --setro "$CACHE" "$BACKING"
	sums=$(sha256sum "$W/ssd.img" "$W/hdd.img"; stat -c '%Y %Z' "$W/ssd.img" "$W/hdd.img")
	says 1 'Operation not permitted' -- "$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$MNT"
	remember
	volume_mount -o ro
	same_bytes "$DISK" "$W/image"
	umount_read_only
	is_unchanged
	[ "$(sha256sum "$W/ssd.img" "$W/hdd.img"; stat -c '%Y %Z' "$W/ssd.img" "$W/hdd.img")" = \
		"$sums" ] || fail "what lies under the devices has changed"
	blockdev --setrw "$CACHE" "$BACKING"
	loop_detach "$CACHE"
	loop_detach "$BACKING"
else
	case_skip "devices that are read-only" "no loop devices"
fi
finish
