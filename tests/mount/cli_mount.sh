#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `wbfs mount`, `umount` and `status`: what is refused and how it is said; files,
# devices, disks without direct I/O or extended attributes.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start

# says STATUS WORD... -- COMMAND...
says() {
	local wanted=$1 status=0 words=() word
	shift
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	"$@" >"$W/out" 2>"$W/err" </dev/null || status=$?
	cat "$W/out" "$W/err"
	[ $status -eq "$wanted" ] || fail "$*: exit status $status, not $wanted"
	for word in "${words[@]}"; do
		grep -qF -- "$word" "$W/out" "$W/err" || fail "$*: does not say: $word"
	done
}

volume_make 32M 64M --no-zero
mount_it=("$WBFS" mount --cache "$CACHE" --backing "$BACKING")

case_is "a mount point must be a directory that is there"
says 1 'does not exist' -- "${mount_it[@]}" "$W/none"
says 1 'is not a directory' -- "${mount_it[@]}" "$CACHE"
ln -s loop "$W/loop"
says 1 'cannot be looked at' -- "${mount_it[@]}" "$W/loop"

case_is "cache and backing must be there, and two"
mkdir "$MNT"
says 1 "$W/none" 'No such file' -- "$WBFS" mount --cache "$W/none" --backing "$BACKING" "$MNT"
says 1 "$W/none" 'No such file' -- "$WBFS" mount --cache "$CACHE" --backing "$W/none" "$MNT"
says 1 'same' -- "$WBFS" mount --cache "$CACHE" --backing "$CACHE" "$MNT"
says 1 'regular file' -- "$WBFS" mount --cache "$CACHE" --backing /dev/null "$MNT"
says 1 'below the mount point' -- "${mount_it[@]}" "$W"

case_is "too small a RAM buffer is refused with the least that will do"
says 1 'ram_buffer' 'at least' -- "${mount_it[@]}" -o ram_buffer=512 "$MNT"
says 0 -- "$WBFS" check "$CACHE"

case_is "it is mounted as fuse.wbfs with the backing as its source"
volume_mount -o noatime
grep "^$(realpath "$BACKING") $MNT fuse.wbfs " /proc/self/mounts | grep -q noatime
[ "$(stat -c '%a %u' "$DISK")" = "600 $(id -u)" ]
[ "$(stat -c '%a' "$MNT/.wbfs" "$MNT/.wbfs/stats.json" "$MNT/.wbfs/control" | xargs)" = "755 644 600" ]

case_is "a second mount is refused with the holder's name and number"
mkdir "$W/other"
says 1 'in use by wbfs' "pid $WORKER" -- "${mount_it[@]}" "$W/other"
says 1 'mounted already' -- "${mount_it[@]}" "$MNT"
says 1 'in use by wbfs' -- "$WBFS" check "$CACHE"

case_is "status shows one volume, all volumes, and JSON"
says 0 running "$CACHE" "$BACKING" "pid $WORKER" -- "$WBFS" status "$MNT"
says 0 "$MNT  running" -- "$WBFS" status
"$WBFS" status "$MNT" --json | jq -e --argjson pid "$WORKER" \
	'.state == "running" and .worker_pid == $pid and .segments.total > 0 and
	 .last_error == "" and (.read_ram_bytes + .read_cache_bytes + .read_backing_bytes == 0)'
"$WBFS" status --json | jq -e --arg mnt "$MNT" 'map(select(.mount_point == $mnt)) | length == 1'

case_is "flush and drain end when it is done, also several at once"
random_file "$W/data" 3000000
dd if="$W/data" of="$DISK" bs=1M conv=notrunc status=none
jobs=()
for verb in flush drain flush drain; do
	"$WBFS" $verb "$MNT" &
	jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job"; done
[ "$(stat_of dirty_blocks)" -eq 0 ]
[ "$(stat_of flushes_done)" -eq 2 ] && [ "$(stat_of drains_done)" -eq 2 ]
says 1 'Invalid argument' -- bash -c "echo nonsense >'$MNT/.wbfs/control'"
says 0 -- bash -c "echo flush >'$MNT/.wbfs/control'"

case_is "a snapshot stays the same while it is read"
exec 7<"$MNT/.wbfs/stats.json"
dd bs=100 count=1 <&7 >"$W/stats" status=none
dd if="$W/data" of="$DISK" bs=1M conv=notrunc status=none
cat <&7 >>"$W/stats"
exec 7<&-
jq -e . <"$W/stats" >/dev/null

case_is "SIGTERM while a process has the image open does not stop it"
exec 7<"$DISK"
kill -TERM "$WORKER"
before=$(stat_of flushes_done)
says 1 busy "pid $$" -- "$WBFS" umount "$MNT"
[ "$(stat_of state)" = running ] && [ "$before" -ge 3 ]
exec 7<&-

case_is "started without standard descriptors, no disk gets their numbers"
volume_umount
"$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$MNT" <&- >&- 2>&-
WORKER=$(stat_of worker_pid)
for fd in 0 1 2; do
	[ "$(readlink "/proc/$WORKER/fd/$fd")" = /dev/null ] || fail "descriptor $fd is a file"
done

case_is "a volume whose daemon died says how to go on"
daemon_kill
says 1 'daemon' 'gone' "umount $MNT" -- "$WBFS" status "$MNT"
says 1 'daemon' 'gone' -- "$WBFS" drain "$MNT"
says 1 'daemon' 'gone' -- "${mount_it[@]}" "$MNT"
says 0 "$MNT" dead -- "$WBFS" status
says 0 died -- "$WBFS" umount "$MNT"
! is_mounted "$MNT"
volume_mount
same_bytes "$W/data" "$DISK" 1000000 || fail "drained data is gone"
volume_umount

case_is "a cut-off backing, an unmarked and a foreign one are refused"
cp --preserve=xattr "$BACKING" "$W/short"
truncate -s -512 "$W/short"
says 1 "$W/short" 'bytes' -- "$WBFS" mount --cache "$CACHE" --backing "$W/short" "$MNT"
cat "$BACKING" >"$W/unmarked"
says 1 "$W/unmarked" 'no mark' -- "$WBFS" mount --cache "$CACHE" --backing "$W/unmarked" "$MNT"
"$WBFS" format --no-zero --cache "$W/cache2" --backing "$W/foreign" --cache-size 32M --size 64M
says 1 "$W/foreign" 'belongs to' -- "$WBFS" mount --cache "$CACHE" --backing "$W/foreign" "$MNT"

case_is "a larger backing is mounted at the size it had"
cp --preserve=xattr "$BACKING" "$W/large"
truncate -s +1M "$W/large"
says 1 "$W/large" "$CACHE" 'its size was' --force -- \
	"$WBFS" mount --cache "$CACHE" --backing "$W/large" "$MNT"
volume_mount
"$WBFS" drain "$MNT"
volume_umount
cp --preserve=xattr "$BACKING" "$W/large"
truncate -s +1M "$W/large"
"$WBFS" mount --cache "$CACHE" --backing "$W/large" "$MNT"
own_mounts+=("$MNT")
[ "$(stat -c %s "$DISK")" -eq $((64 << 20)) ]
"$WBFS" umount "$MNT"

if [ "$(id -u)" -eq 0 ] && mkdir "$W/ram" && mount -t ramfs none "$W/ram"; then
	own_filesystems+=("$W/ram")
	case_is "no direct I/O, no attributes: said in status; the mark is beside the file"
	CACHE=$W/ram/cache BACKING=$W/ram/backing
	volume_format --cache-size 32M --size 64M
	head -n 1 "$BACKING.wbfs-id" | grep -qE '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
	volume_mount
	[ "$(stat_of cache.io)" = buffered ] && [ "$(stat_of backing.io)" = buffered ]
	says 0 buffered -- "$WBFS" status "$MNT"
	dd if="$W/data" of="$DISK" bs=1M conv=notrunc,fsync status=none
	volume_remount
	same_bytes "$W/data" "$DISK" 3000000
	volume_umount
	rm "$BACKING.wbfs-id"
	says 1 'no mark' -- "$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$MNT"
	fs_umount "$W/ram"
else
	case_skip "no direct I/O, no attributes" "needs root and ramfs"
fi

if [ "$(id -u)" -eq 0 ] && losetup --find >/dev/null 2>&1; then
	case_is "block devices: claimed, marked in the state directory under a stable name"
	truncate -s 32M "$W/ssd.img"
	truncate -s 64M "$W/hdd.img"
	loop_attach "$W/ssd.img"; CACHE=$LOOP
	loop_attach "$W/hdd.img"; BACKING=$LOOP
	volume_format
	find /var/lib/wbfs -name "*$(basename "$W")*" | grep -q . || fail "no mark in /var/lib/wbfs"
	volume_mount
	[ "$(stat_of cache.kind)" = device ] && [ "$(stat_of backing.kind)" = device ]
	says 1 'in use by wbfs' "pid $WORKER" -- \
		"$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$W/other"
	dd if="$W/data" of="$DISK" bs=1M conv=notrunc,fsync status=none
	"$WBFS" umount "$MNT"
	# Attached again under other numbers, it is still the same disk.
	ssd=$CACHE hdd=$BACKING
	loop_detach "$ssd"; loop_detach "$hdd"
	loop_attach "$W/hdd.img"; BACKING=$LOOP
	loop_attach "$W/ssd.img"; CACHE=$LOOP
	volume_mount
	same_bytes "$W/data" "$DISK" 3000000
	"$WBFS" drain "$MNT"
	"$WBFS" umount "$MNT"
	same_bytes "$W/data" "$BACKING" 3000000
	find /var/lib/wbfs -name "*$(basename "$W")*" -delete
	loop_detach "$CACHE"; loop_detach "$BACKING"
else
	case_skip "block devices" "needs root and loop devices"
fi

finish
