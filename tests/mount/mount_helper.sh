#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mount(8), umount(8) and fstab: the program under the names mount.wbfs and
# umount.fuse.wbfs, where mount(8) looks for them, in a mount namespace whose
# /usr/sbin has them.
. "$(dirname "$0")/lib.sh"

needs fuse jq mount
private_mounts
start

# The sbin of the system, with four names more.
sbin=$(realpath /sbin)
mkdir "$W/sbin" "$W/real"
mount --bind "$sbin" "$W/real"
own_filesystems+=("$W/real")
ln -s "$W/real"/* "$W/sbin/"
for name in mount.wbfs mount.fuse.wbfs umount.wbfs umount.fuse.wbfs; do
	ln -sf "$WBFS" "$W/sbin/$name"
done
mount --bind "$W/sbin" "$sbin"
own_filesystems+=("$sbin")

fstab=$W/fstab
export WBFS_CONFIG=$W/wbfs.conf

# is_there DIRECTORY SOURCE: mounted; sets MNT and WORKER
is_there() {
	MNT=$1
	awk -v d="$1" -v s="$2" '$1 == s && $2 == d && $3 == "fuse.wbfs" { found = 1 }
		END { exit !found }' /proc/self/mounts || fail "$1 is not mounted as $2"
	own_mounts+=("$1")
	WORKER=$(stat_of worker_pid)
	own_workers+=("$WORKER")
}

volume_make 16M 32M --no-zero
mkdir "$W/mnt" "$W/other"

case_is "mount -a mounts the volume of an fstab line, and once only"
cat >"$fstab" <<END
# a volume
$BACKING $W/mnt wbfs cache=$CACHE,nofail,noatime,x-systemd.requires-mounts-for=/ssd 0 0
END
mount -T "$fstab" -a
is_there "$W/mnt" "$BACKING"
grep " $MNT fuse.wbfs " /proc/self/mounts | grep -q noatime
mount -T "$fstab" -a
[ "$(grep -c " $MNT fuse.wbfs " /proc/self/mounts)" -eq 1 ]
[ "$(stat_of worker_pid)" = "$WORKER" ]

# Of a directory that it can look at, umount(8) knows only that it is of FUSE; with -c,
# as systemd calls it, it finds the helper.
case_is "umount -c returns when the volume is stopped, and marked clean"
random_file "$W/data" 100000
dd if="$W/data" of="$MNT/disk" conv=notrunc status=none
umount -c "$MNT"
volume_is_stopped
"$WBFS" check "$CACHE" | grep -q 'stopped cleanly: yes'

case_is "mount by the mount point alone; umount of one that is in use names the user"
mount -T "$fstab" "$W/mnt"
is_there "$W/mnt" "$BACKING"
same_bytes "$W/data" "$MNT/disk" 100000
exec 7<"$MNT/disk"
says 32 'is busy: in use by bash' -- umount -c "$MNT"
exec 7<&-
umount "$MNT"
gone_within 60 "$WORKER"

case_is "the type fuse.wbfs, as the mount table has it; ro; a fake mount"
mount -t fuse.wbfs -o "ro,cache=$CACHE" "$BACKING" "$W/mnt"
is_there "$W/mnt" "$BACKING"
[ "$(stat_of read_only)" = true ]
umount -c "$W/mnt"
mount -f -t wbfs -o "cache=$CACHE" "$BACKING" "$W/mnt"
! is_mounted "$W/mnt"

case_is "a line without a source takes the volume from the configuration"
printf '[%s]\ncache=%s\nbacking=%s\n' "$W/other" "$CACHE" "$BACKING" >"$WBFS_CONFIG"
echo "none $W/other wbfs defaults,nofail 0 0" >>"$fstab"
mount -T "$fstab" "$W/other"
is_there "$W/other" none
# cannot be mounted: its cache is in use; the other line is there already
says 32 'in use by wbfs' -- mount -T "$fstab" -a
umount -c "$W/other"
volume_is_stopped

case_is "mistakes are said, with the exit status of mount"
says 1 "unknown mount option 'cahce'" "did you mean 'cache'" -- \
	mount -t wbfs -o "cahce=$CACHE" "$BACKING" "$W/mnt"
says 1 'needs --cache PATH' -- mount -t wbfs "$BACKING" "$W/mnt"
says 32 'cannot open backing' -- mount -t wbfs -o "cache=$CACHE" "$W/none" "$W/mnt"
mount -s -t wbfs -o "cache=$CACHE,nonsense=x" "$BACKING" "$W/mnt"
is_there "$W/mnt" "$BACKING"
says 1 'umount.wbfs is called by umount(8)' -- "$sbin/umount.wbfs"
umount -c "$W/mnt"

case_is "a lazy umount does not wait for the users"
mount -t wbfs -o "cache=$CACHE" "$BACKING" "$W/mnt"
is_there "$W/mnt" "$BACKING"
exec 7<"$MNT/disk"
umount -l "$MNT"
! is_mounted "$MNT" && is_alive "$WORKER"
exec 7<&-
gone_within 60 "$WORKER"
"$WBFS" check "$CACHE" | grep -q 'stopped cleanly: yes'
says 32 'cannot unmount' 'Invalid argument' -- "$sbin/umount.wbfs" -l "$MNT"

case_is "a mount whose daemon died can be unmounted"
mount -t wbfs -o "cache=$CACHE" "$BACKING" "$W/mnt"
is_there "$W/mnt" "$BACKING"
daemon_kill
says 0 'its daemon had died before' -- umount "$MNT"
! is_mounted "$MNT"
finish
