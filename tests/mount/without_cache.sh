#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A cache that is dead or missing: what the mount then says, the backing alone to
# be read, and to be written to; the cache that comes back is refused.
. "$(dirname "$0")/lib.sh"

needs fuse jq getfattr setfattr
start

# Everything about a file but when it was read.
state_of() {
	local file
	for file; do
		sha256sum "$file"
		stat -c '%n %s %b %Y %Z %a %U' "$file"
		getfattr -d --absolute-names "$file"
	done
	! mark_is_in_file || cat "$(mark_file)"
}

mount_alone() {	# [option]...
	DISK=$MNT/disk
	mkdir -p "$MNT"
	"$WBFS" mount --without-cache --backing "$BACKING" "$@" "$MNT" 2>&1 | tee "$W/said"
	own_mounts+=("$MNT")
	WORKER=$(stat_of worker_pid)
	own_workers+=("$WORKER")
}

umount_alone() {
	"$WBFS" umount "$MNT"
	! is_alive "$WORKER" || fail "the daemon $WORKER is still there"
	backing_is_free
}

# Some data on the backing, newer data only in the cache; killed.
size=$(((48 << 20) + 3 * 512))
random_file "$W/backing" $size
CACHE=$W/cache BACKING=$W/backing MNT=$W/mnt
volume_format --cache-size 32M --no-zero
volume_mount
head -c 8M /dev/urandom | dd of="$DISK" bs=1M conv=notrunc,fsync status=none
"$WBFS" drain "$MNT"
volume_remount -o allow_writeback=off
head -c 4M /dev/urandom | dd of="$DISK" bs=1M seek=4 conv=notrunc,fsync status=none
daemon_kill
wreck_clear_mount
mount_it=("$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$MNT")
cp --sparse=always "$CACHE" "$W/cache.good"
epoch=$(mark_state | sed 's/epoch=//; s/ .*//')
dirty="epoch=$epoch dirty=yes complete=1790000000"
way="wbfs mount --without-cache --backing $BACKING $MNT"
export TZ=UTC

case_is "the mark of a killed volume says that the cache is needed, and since when"
mv "$CACHE" "$W/gone"
since=$(mark_state | sed 's/.*complete=//')
says 1 "Writes since $(date -d "@$since" '+%Y-%m-%d %H:%M:%S %Z') may be missing" \
	'NOT a consistent older state' -- "${mount_it[@]}"
mv "$W/gone" "$CACHE"

case_is "a cache that is missing: what the backing holds, since when, and the way out"
mark_set "$dirty"
mv "$CACHE" "$W/gone"
state_of "$BACKING" >"$W/state"
says 1 "cannot open cache $CACHE: No such file" "$BACKING holds everything that was written back" \
	'Writes since 2026-09-21 14:13:20 UTC may be missing' 'address order' \
	'NOT a consistent older state' 'fsck' "$way" '--force' 'refused' -- "${mount_it[@]}"
says_not 'wbfs rescue' 'Its cache was'
state_of "$BACKING" | cmp - "$W/state"

case_is "a backing that was drained is said to be complete, an old mark to say nothing"
mark_set "epoch=$epoch dirty=no complete=1790000000"
says 1 'it is complete, nothing is missing' "$way" -- "${mount_it[@]}"
says_not 'NOT a consistent'
mark_set ''
says 1 'Since when writes may be missing is not known' 'NOT a consistent' -- "${mount_it[@]}"
mark_set "$dirty"

case_is "another path than the mark's is pointed out"
says 1 "Its cache was $CACHE: is that the one to give?" "$way" -- \
	"$WBFS" mount --cache "$W/misspelt" --backing "$BACKING" "$MNT"

case_is "a cache of zeros, a short one, a bit of one, one without superblocks"
truncate -s 32M "$CACHE"
says 1 'not a wbfs cache' 'Writes since 2026' "$way" -- "${mount_it[@]}"
cp --sparse=always "$W/cache.good" "$CACHE"
truncate -s 20M "$CACHE"
says 1 'truncated' 'Writes since 2026' "$way" -- "${mount_it[@]}"
truncate -s 1000 "$CACHE"
says 1 'no multiple of 512' 'Writes since 2026' "$way" -- "${mount_it[@]}"
cp --sparse=always "$W/cache.good" "$CACHE"
for at in 0 524288; do
	head -c 4000 /dev/urandom |
		dd of="$CACHE" bs=4096 oflag=seek_bytes seek=$((at + 90)) conv=notrunc status=none
done
says 1 'no superblock is whole' 'Writes since 2026' "$way" \
	"wbfs check $CACHE --backing $BACKING" -- "${mount_it[@]}"

case_is "other refusals say nothing of it: no backing, damage in the log, a lock"
cp --sparse=always "$W/cache.good" "$CACHE"
says 1 'No such file' -- "$WBFS" mount --cache "$CACHE" --backing "$W/none" "$MNT"
says_not '--without-cache'
says 1 'No such file' -- "$WBFS" mount --cache "$W/none" --backing "$W/none" "$MNT"
says_not '--without-cache'
run_in_background flock --no-fork -x "$CACHE" sleep 600
until ! flock -n "$CACHE" true; do sleep 0.05; done
says 1 'in use by' -- "${mount_it[@]}"
says_not '--without-cache'
kill "$JOB" && wait "$JOB" || :
rm "$CACHE"

case_is "either a cache or none, and always a backing"
says 2 --cache --without-cache -- "$WBFS" mount --backing "$BACKING" "$MNT"
says 2 either -- "$WBFS" mount --cache "$CACHE" --without-cache --backing "$BACKING" "$MNT"
says 2 --backing -- "$WBFS" mount --without-cache "$MNT"

# --- to be read -------------------------------------------------------------------

case_is "the backing alone is the image, and nothing of it is changed"
state_of "$BACKING" >"$W/state"
mount_alone
grep -q 'read only' "$W/said"
grep -q 'Writes since 2026-09-21' "$W/said"
same_bytes "$DISK" "$BACKING"
[ "$(stat -c '%s %a' "$DISK")" = "$size 400" ]
says 1 'Read-only file system' -- dd if=/dev/zero of="$DISK" bs=512 count=1 conv=notrunc
says 1 'Read-only file system' -- fallocate -p -o 0 -l 4096 "$DISK"
says 1 '' -- truncate -s 1M "$DISK"
dd if="$DISK" iflag=direct bs=1M skip=5 count=1 status=none |
	cmp - <(dd if="$BACKING" bs=1M skip=5 count=1 status=none)

case_is "status, statistics and verbs go on"
says 0 'without-cache, read only' 'none' "$BACKING" -- "$WBFS" status "$MNT"
says 0 "$MNT  without-cache, backing $BACKING" -- "$WBFS" status
jq -e '.state == "without-cache" and .read_only and .cache.path == "" and
	.cache.kind == "none" and .read_backing_bytes > 0 and .backing_bytes_written == 0' \
	"$MNT/.wbfs/stats.json"
says 0 -- "$WBFS" flush "$MNT"
says 0 -- "$WBFS" drain "$MNT"

case_is "it can be read twice at once, but nobody may write meanwhile"
mkdir -p "$W/second"
"$WBFS" mount --without-cache --backing "$BACKING" "$W/second"
own_mounts+=("$W/second")
cp --sparse=always "$W/cache.good" "$CACHE"
mkdir "$W/third"
says 1 'in use by wbfs' -- "$WBFS" mount --without-cache --force --backing "$BACKING" "$W/third"
says 1 'in use by wbfs' -- "$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$W/third"
says_not '--without-cache'
"$WBFS" umount "$W/second"
umount_alone
state_of "$BACKING" | cmp - "$W/state"

case_is "the cache that comes back after that is taken"
volume_mount -o allow_writeback=off
says 1 'in use by wbfs' -- "$WBFS" mount --without-cache --backing "$BACKING" "$W/third"
says 1 'in use by wbfs' -- "$WBFS" mount --without-cache --force --backing "$BACKING" "$W/third"
volume_umount

case_is "a backing without a mark is shown, but not opened for writing"
cp "$BACKING" "$W/plain"
says 1 'carries no mark' -- \
	"$WBFS" mount --without-cache --force --backing "$W/plain" "$W/third"
says 0 'carries no mark' -- "$WBFS" mount --without-cache --backing "$W/plain" "$W/third"
own_mounts+=("$W/third")
"$WBFS" umount "$W/third"
[ -z "$(getfattr -d "$W/plain")" ] || fail "it carries a mark now"
rm "$W/plain"

# --- to be written to ------------------------------------------------------------------

cp --sparse=always "$CACHE" "$W/cache.good"

case_is "with --force: any byte offset, discards and zero-ranges, as in a plain file"
mount_alone --force
grep -q 'refused from now on' "$W/said"
jq -e '.state == "without-cache" and (.read_only | not)' "$MNT/.wbfs/stats.json"
mirror=$(helper mirror_io)
cp "$BACKING" "$W/reference"
"$mirror" "$DISK" "$W/reference" $size 4 400 31
"$mirror" "$DISK" "$W/reference" $size 8 200 32 512
same_bytes "$DISK" "$W/reference"

case_is "what was synced survives SIGKILL, and the backing is the image"
head -c 3M /dev/urandom | tee "$W/piece" | dd of="$DISK" bs=64k seek=5 conv=notrunc,fsync status=none
daemon_kill
wreck_clear_mount
dd if="$W/piece" of="$W/reference" bs=64k seek=5 conv=notrunc status=none
cmp "$BACKING" "$W/reference"

if command -v fio >/dev/null; then
	case_is "fio verifies what it wrote, 32 deep and at any byte"
	mount_alone --force
	(cd "$W" && fio --name=mixed --filename="$DISK" --verify=crc32c --verify_fatal=1 \
		--do_verify=1 --size=20m --numjobs=2 --offset_increment=20m --ioengine=libaio \
		--iodepth=32 --direct=1 --rw=randwrite --blockalign=512 \
		--bssplit=512/20:1k/10:4k/40:16k/10:64k/10:1m/10)
	(cd "$W" && fio --name=bytes --filename="$DISK" --verify=crc32c --verify_fatal=1 \
		--do_verify=1 --size=8m --numjobs=3 --offset_increment=12m --ioengine=psync \
		--direct=0 --rw=randwrite --bsrange=600-100000 --bs_unaligned=1 --blockalign=1)
	umount_alone
else
	case_skip "fio verifies what it wrote, 32 deep and at any byte" "no fio"
fi

if [ "$(id -u)" -eq 0 ] && losetup --find >/dev/null 2>&1 && command -v mkfs.ext4 >/dev/null; then
	case_is "a file system on a loop device, and on the backing alone afterwards"
	mount_alone --force
	loop_attach "$DISK"
	fs_make ext4 "$LOOP"
	fs_mount "$LOOP" "$W/fs"
	TREE_MB=8 tree_make "$W/tree"
	cp -a "$W/tree" "$W/fs/"
	sync -f "$W/fs"
	fstrim "$W/fs"
	same_tree "$W/tree" "$W/fs/tree"
	fs_umount "$W/fs"
	loop_detach
	umount_alone
	loop_attach "$BACKING" -r
	fs_check ext4 "$LOOP"
	mount -o ro "$LOOP" "$W/fs"
	own_filesystems+=("$W/fs")
	same_tree "$W/tree" "$W/fs/tree"
	fs_umount "$W/fs"
	loop_detach
else
	case_skip "a file system on a loop device, and on the backing alone afterwards" "not here"
fi

case_is "the cache that comes back after that is refused: by mount, forced or not, and by rescue"
state_of "$BACKING" "$CACHE" >"$W/state"
for command in mount force rescue; do
	case $command in
	mount) run=("${mount_it[@]}") ;;
	force) run=("${mount_it[@]}" --force) ;;
	rescue) run=("$WBFS" rescue "$CACHE" --backing "$BACKING" --in-place) ;;
	esac
	says 1 "cache $CACHE was given up: backing $BACKING has been written to without it" \
		'older data over newer' "'wbfs format' makes a new cache" 'nothing was changed' \
		-- "${run[@]}"
	says_not 'wbfs mount --without-cache --backing'
done
state_of "$BACKING" "$CACHE" | cmp - "$W/state"

case_is "to read it without a cache again tells the same date, and what happened since"
mount_alone
grep -q 'Writes since 2026-09-21' "$W/said"
grep -q 'mounted without its cache, to be written to' "$W/said"
umount_alone

case_is "a new cache is formatted without being forced, the old one not; the data is there"
cp "$BACKING" "$W/reference"
says 1 'dirty blocks' -- "$WBFS" format --cache "$CACHE" --backing "$BACKING"
CACHE=$W/cache2
volume_format --cache-size 32M --no-zero
volume_mount
same_bytes "$DISK" "$W/reference"
head -c 1M /dev/urandom | tee "$W/piece" | dd of="$DISK" bs=1M conv=notrunc,fsync status=none
volume_remount
cmp -n $((1 << 20)) "$DISK" "$W/piece"
volume_umount
says 1 'belongs to the backing marked' -- \
	"$WBFS" mount --cache "$W/cache" --backing "$BACKING" "$MNT"

# --- disks that give errors ------------------------------------------------------------------

case_is "a cache whose superblocks cannot be read"
disks_start 12M 24M
volume_format --no-zero
volume_mount -o allow_writeback=off
head -c 1M /dev/urandom | tee "$W/piece" | dd of="$DISK" bs=1M conv=notrunc,fsync status=none
volume_umount
disks fail cache read EIO length $((1 << 20))
mount_it=("$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$MNT")
says 1 'the superblocks cannot be read' 'Input/output error' "$BACKING holds" \
	"wbfs mount --without-cache --backing $BACKING $MNT" -- "${mount_it[@]}"
says_not 'wbfs rescue'
disks heal cache

case_is "a cache that takes no writes any more: rescue is pointed to, and works"
disks fail cache write,flush,zero EIO
says 1 "$BACKING holds" 'can still be read' \
	"wbfs rescue $CACHE --backing $BACKING --output IMAGE" \
	"wbfs mount --without-cache --backing $BACKING $MNT" -- "${mount_it[@]}"
says 0 -- "$WBFS" rescue "$CACHE" --backing "$BACKING" --output "$W/image"
cmp -n $((1 << 20)) "$W/image" "$W/piece"

case_is "without it: errors of the backing are told"
mount_alone --force
# (a server need not read what was never written)
dd if="$W/piece" of="$DISK" bs=64k conv=notrunc,fsync status=none
disks fail backing read EIO from 40960 length 4096
says 1 'Input/output error' -- dd if="$DISK" of=/dev/null bs=4096 skip=10 count=1 iflag=direct
says 0 -- dd if="$DISK" of=/dev/null bs=4096 skip=11 count=1 iflag=direct
disks heal backing
says 0 -- dd if="$DISK" of=/dev/null bs=4096 skip=10 count=1 iflag=direct
says 0 'a read at byte 40960 failed' -- "$WBFS" status "$MNT"
umount_alone

# (to a server each such write is sent with FUA)
if local_case "without it: errors of a flush are told, and then no write is taken any more"; then
	mount_alone --force
	disks fail backing flush EIO times 1
	says 1 'Input/output error' -- \
		dd if=/dev/zero of="$DISK" bs=4096 count=1 conv=notrunc,fsync
	says 1 'a flush failed' -- "$WBFS" flush "$MNT"
	says 1 'Input/output error' -- dd if=/dev/zero of="$DISK" bs=4096 count=1 conv=notrunc
	says 0 -- dd if="$DISK" of=/dev/null bs=4096 count=4
	says 1 'a flush failed' "may be missing on $BACKING" -- "$WBFS" umount "$MNT"
	! is_mounted "$MNT"
	mount_alone --force
	says 0 -- dd if=/dev/zero of="$DISK" bs=4096 count=1 conv=notrunc,fsync
	umount_alone
fi
disks_stop
finish
