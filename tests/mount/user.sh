#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An ordinary user: mounts through fusermount3, with a configuration of their own; who
# else sees it; root's loop device on it, with allow_other. In a mount namespace where
# everybody may use /dev/fuse, with a fuse.conf of its own.
. "$(dirname "$0")/lib.sh"

needs fuse loop fs:ext4 jq fusermount3 setpriv
private_mounts
start
chmod 755 "$W"

user=65534	# nobody
as_user() {
	setpriv --reuid "$user" --regid "$user" --clear-groups \
		env -u WBFS_CONFIG HOME="$W/home" XDG_CONFIG_HOME="$W/home/.config" "$@"
}

mkdir "$W/dev"
mount -t tmpfs -o dev none "$W/dev"
own_filesystems+=("$W/dev")
mknod -m 666 "$W/dev/fuse" c 10 229
mount --bind "$W/dev/fuse" /dev/fuse
own_filesystems+=(/dev/fuse)
[ -e /etc/fuse.conf ] || skip_all "no /etc/fuse.conf"
: >"$W/dev/fuse.conf"
mount --bind "$W/dev/fuse.conf" /etc/fuse.conf
own_filesystems+=(/etc/fuse.conf)
cp "$WBFS" "$W/wbfs"	# the build may lie where others cannot look
chmod 755 "$W/wbfs"
mkdir "$W/home"
chown "$user:$user" "$W/home"

CACHE=$W/home/cache BACKING=$W/home/backing MNT=$W/home/mnt DISK=$W/home/mnt/disk

# mounted: what a test of root can see of the user's mount
mounted() {
	is_mounted "$MNT" || fail "$MNT is not mounted"
	own_mounts+=("$MNT")
	WORKER=$(as_user cat "$MNT/.wbfs/stats.json" | jq .worker_pid)
	own_workers+=("$WORKER")
}

case_is "a user makes a volume, and mounts it with nothing but its mount point"
as_user mkdir "$MNT"
as_user "$W/wbfs" format --cache "$CACHE" --backing "$BACKING" --cache-size 16M --size 64M \
	--no-zero --save "$MNT"
[ -s "$W/home/.config/wbfs.conf" ]
as_user "$W/wbfs" mount "$MNT"
mounted
[ "$(stat -c %u "/proc/$WORKER")" -eq "$user" ]
grep -q " $MNT fuse.wbfs .*user_id=$user" /proc/self/mounts
head -c 300000 /dev/urandom >"$W/data"
as_user dd of="$DISK" bs=64k conv=notrunc,fsync status=none <"$W/data"
as_user head -c 300000 "$DISK" | cmp - "$W/data"
as_user "$W/wbfs" status "$MNT" | grep -q running

case_is "nobody else sees it, root neither; its loop device is refused"
says 1 'Permission denied' -- "$WBFS" status "$MNT"
says 1 'Permission denied' -- losetup --find --show "$DISK"

case_is "flush --all of root leaves it out and succeeds; umount of root leaves it clean"
says 0 "$MNT is left out: it belongs to another user" -- "$WBFS" flush --all
says_not "$MNT: flushed"
head -c 200000 /dev/urandom >"$W/data2"
as_user dd of="$DISK" bs=100k seek=10 conv=notrunc oflag=direct status=none <"$W/data2"
says 0 'its daemon, of another user, is still stopping' -- "$WBFS" umount "$MNT"
! is_mounted "$MNT"
gone_within 60 "$WORKER"
as_user "$W/wbfs" check "$CACHE" >"$W/said"
grep -q 'stopped cleanly: yes' "$W/said"
as_user "$W/wbfs" mount "$MNT"
mounted
as_user dd if="$DISK" bs=100k skip=10 count=2 status=none | head -c 200000 | cmp - "$W/data2"

case_is "the user drains and stops it; the backing alone is the image"
as_user "$W/wbfs" drain "$MNT"
as_user "$W/wbfs" umount "$MNT"
! is_mounted "$MNT" && ! is_alive "$WORKER"
cmp -n 300000 "$BACKING" "$W/data"

case_is "mount --all and umount --all are the user's own"
says 0 "$MNT: mounted" -- as_user "$W/wbfs" mount --all
mounted
says 0 "$MNT: unmounted" -- as_user "$W/wbfs" umount --all
! is_mounted "$MNT"

case_is "allow_other needs user_allow_other in /etc/fuse.conf, and says so"
says 1 'user_allow_other' -- as_user "$W/wbfs" mount -o allow_other "$MNT"
! is_mounted "$MNT"
flock -n "$CACHE" true

case_is "with it root has a loop device with a file system on the user's volume"
echo user_allow_other >"$W/dev/fuse.conf"
as_user "$W/wbfs" mount -o allow_other "$MNT"
mounted
loop_attach "$DISK"
fs_make ext4 "$LOOP"
fs_mount "$LOOP" "$W/fs"
cp "$W/data" "$W/fs/data"
sync "$W/fs/data"
says 1 'is busy' "$LOOP" -- as_user "$W/wbfs" umount "$MNT"
fs_umount "$W/fs"
loop_detach
as_user "$W/wbfs" umount "$MNT"
! is_mounted "$MNT"

case_is "what was written is there after the next mount"
as_user "$W/wbfs" mount -o allow_other "$MNT"
mounted
loop_attach "$DISK"
fs_check ext4 "$LOOP"
fs_mount "$LOOP" "$W/fs"
cmp "$W/data" "$W/fs/data"
fs_umount "$W/fs"
loop_detach
as_user "$W/wbfs" umount "$MNT"
finish
