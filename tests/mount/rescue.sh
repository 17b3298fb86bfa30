#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Rescue without a mount: what a cache holds, applied to a copy of the backing or
# to the backing itself, is what a mount shows.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
mirror=$(helper mirror_io)
size=$(((40 << 20) + 3 * 512))

# rescued STATUS WORD... -- ARGUMENT...: it ends with STATUS and says every WORD.
rescued() {
	local words=()
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	says "${words[@]}" -- "$WBFS" rescue "$@"
}

state_of() {
	sha256sum "$@"
}

# A backing full of old data, a cache with dirty data of every kind: killed.
make_dirty_volume() {	# mount option...
	CACHE=$W/cache BACKING=$W/backing MNT=$W/mnt
	rm -f "$CACHE" "$BACKING"
	nbd_forget_all
	random_file "$BACKING" $size
	cp "$BACKING" "$W/reference"
	volume_format --cache-size 96M
	volume_mount "$@"
	"$mirror" "$DISK" "$W/reference" $size 2 250 21
}

make_dirty_volume -o allow_writeback=off

case_is "a mounted volume is refused, the holder named"
rescued 1 'in use by' -- "$CACHE" --output "$W/out"
[ ! -e "$W/out" ] || fail "an output was made"

case_is "after SIGKILL: the copy is the image, cache and backing stay as they were"
"$WBFS" flush "$MNT"
daemon_kill
wreck_clear_mount
state_of "$CACHE" "$BACKING" >"$W/state"
rescued 0 'a copy of' -- "$CACHE" --output "$W/out"
same_bytes "$W/out" "$W/reference"
[ "$(stat -c %s "$W/out")" -eq $size ] || fail "its size is not the image's"
state_of "$CACHE" "$BACKING" | cmp - "$W/state"

case_is "an output that exists is kept, until it is forced"
state_of "$W/out" >"$W/out.state"
rescued 1 'exists already' --force -- "$CACHE" --output "$W/out"
state_of "$W/out" | cmp - "$W/out.state"
random_file "$W/out" $((size + 100000))
rescued 0 -- "$CACHE" --output "$W/out" --force
cmp "$W/out" "$W/reference"

case_is "cache, backing and directories are no output, forced or not"
ln "$BACKING" "$W/link"
own=("$CACHE")
over_nbd || own+=("$BACKING" "$W/link")
for output in "${own[@]}"; do
	rescued 1 "the volume's own" -- "$CACHE" --output "$output" --force
done
rescued 1 'no regular file' -- "$CACHE" --output "$W" --force
rescued 1 'cannot create' -- "$CACHE" --output "$W/no/such"
over_nbd || rescued 1 'are the same' -- "$CACHE" --output "$W/o2" --backing "$CACHE"
state_of "$CACHE" "$BACKING" | cmp - "$W/state"

case_is "either --output or --in-place, and a cache"
rescued 2 --output --in-place -- "$CACHE"
rescued 2 --output --in-place -- "$CACHE" --output "$W/o2" --in-place
rescued 2 CACHE -- --in-place
rescued 1 'no-such-cache' -- no-such-cache --output "$W/o2"

if local_case "another backing is refused; one that was moved is found by --backing"; then
	mv "$BACKING" "$W/moved"
	rescued 1 "$BACKING" --backing -- "$CACHE" --output "$W/o2"
	cp "$W/moved" "$W/unmarked"
	rescued 1 'carries no mark' -- "$CACHE" --output "$W/o2" --backing "$W/unmarked"
	[ ! -e "$W/o2" ] || fail "an output was made"
	rescued 0 -- "$CACHE" --output "$W/o2" --backing "$W/moved"
	cmp "$W/o2" "$W/reference"
	mv "$W/moved" "$BACKING"
	rm -f "$W/o2" "$W/unmarked"
fi
rm "$W/link"

case_is "holes of the backing stay holes"
cp --preserve=xattr "$BACKING" "$W/full"
fallocate -p -o $((8 << 20)) -l $((16 << 20)) "$BACKING"
rescued 0 -- "$CACHE" --output "$W/o2"
[ "$(stat -c %b "$W/o2")" -lt $(($(stat -c %b "$W/full") - 8192)) ] || fail "they were filled"
cp --preserve=xattr "$W/full" "$BACKING"
rm -f "$W/o2" "$W/full"

# Before the cases that change it.
cp --sparse=always "$CACHE" "$W/cache.good"
backing_save "$W/backing.good"
cp "$W/reference" "$W/reference.good"
fresh_copy() {
	cp --sparse=always "$W/cache.good" "$CACHE"
	backing_bring_back "$W/backing.good"
}

case_is "in place: the backing is the image, the cache is not changed"
state_of "$CACHE" >"$W/state"
rescued 0 applied 'was not changed' 'format' -- "$CACHE" --in-place
cmp "$BACKING" "$W/reference"
state_of "$CACHE" | cmp - "$W/state"

case_is "in place can be repeated, and the volume can be mounted after all"
rescued 0 -- "$CACHE" --in-place --backing "$BACKING"
cmp "$BACKING" "$W/reference"
volume_mount
same_bytes "$DISK" "$W/reference"
"$WBFS" drain "$MNT"
volume_umount
cmp "$BACKING" "$W/reference"

case_is "with nothing dirty the copy is the backing"
rm -f "$W/out"
rescued 0 ' 0 dirty blocks' -- "$CACHE" --output "$W/out"
cmp "$BACKING" "$W/out"

case_is "killed while it writes back: the copy is what the next mount shows"
make_dirty_volume
run_in_background "$mirror" "$DISK" "$W/reference" $size 2 100000 22
for ((i = 0; i < 3000; i++)); do
	[ "$(stat_of backing_bytes_written)" -lt 20000000 ] || break
	sleep 0.02
done
daemon_kill
wait "$JOB" || :
wreck_clear_mount
rescued 0 -- "$CACHE" --output "$W/out" --force
volume_mount -o allow_writeback=off
same_bytes "$DISK" "$W/out"
volume_umount

case_is "a rotten dirty block is listed, all else is rescued, the status is 1"
fresh_copy
volume_mount -o allow_writeback=off
head -c 4096 /dev/zero | tr '\0' Q |
	dd of="$DISK" bs=4096 seek=77 oflag=direct conv=notrunc,fdatasync status=none
volume_umount
rm -f "$W/out"
rescued 0 -- "$CACHE" --output "$W/out"
at=$(grep -abo QQQQQQQQQQQQQQQQ "$CACHE" | awk -F: 'NR == 1 { print $1 }')
printf X | dd of="$CACHE" bs=1 seek=$((at + 100)) conv=notrunc status=none
rescued 1 "LOST: bytes $((77 * 4096)) to $((78 * 4096 - 1)) of the image: their checksum" \
	'Blocks lost: 1' -- "$CACHE" --output "$W/o2"
cmp -n $((77 * 4096)) "$W/out" "$W/o2"
cmp -i $((78 * 4096)) "$W/out" "$W/o2"
cmp -n 4096 -i $((77 * 4096)) "$W/o2" "$BACKING"
rescued 1 'LOST: bytes' -- "$CACHE" --in-place
cmp "$BACKING" "$W/o2"

case_is "a log that is damaged in its middle: a copy with the rest, in place refused"
fresh_copy
second=$(grep -abo wbfsRECD "$CACHE" | cut -d: -f1 | sort -n | sed -n 2p)
head -c 4096 /dev/urandom | dd of="$CACHE" bs=4096 seek="$second" oflag=seek_bytes \
	conv=notrunc status=none
state_of "$CACHE" "$BACKING" >"$W/state"
rm -f "$W/o2"
rescued 1 'damaged in its middle' '--output IMAGE makes a copy' -- "$CACHE" --in-place
rescued 1 'DAMAGED: the log is damaged in its middle' 'DOUBTFUL: bytes' 'DOUBTFUL: unknown' \
	'The log is damaged' -- "$CACHE" --output "$W/o2"
[ "$(stat -c %s "$W/o2")" -eq $size ] || fail "its size is not the image's"
rm -f "$W/o2"
state_of "$CACHE" "$BACKING" | cmp - "$W/state"

if ! over_nbd && [ "$(id -u)" -eq 0 ] && grep -qw xfs /proc/filesystems && command -v mkfs.xfs >/dev/null; then
	case_is "a filesystem that can shares the blocks of backing and copy"
	fresh_copy
	truncate -s 400M "$W/xfs"
	loop_attach "$W/xfs"
	mkfs.xfs -q -f -m reflink=1 "$LOOP"
	fs_mount "$LOOP" "$W/fs"
	cp --preserve=xattr "$BACKING" "$W/fs/backing"
	sync -f "$W/fs"
	used=$(df --output=used -k "$W/fs" | tail -n 1)
	"$WBFS" rescue "$CACHE" --output "$W/fs/out" --backing "$W/fs/backing"
	cmp "$W/fs/out" "$W/reference.good"
	sync -f "$W/fs"
	grown=$(($(df --output=used -k "$W/fs" | tail -n 1) - used))
	[ $grown -lt $((size / 1024)) ] || fail "all of it was copied: $grown KiB"

	case_is "from one filesystem to another the copy is the image too"
	"$WBFS" rescue "$CACHE" --output "$W/fs/out" --force
	cmp "$W/fs/out" "$W/reference.good"
	fs_umount "$W/fs"
	loop_detach

	case_is "a block device as the backing: by a copy, and in place"
	loop_attach "$BACKING"
	mark=$(getfattr -n user.wbfs.uuid --only-values "$BACKING")
	state=/var/lib/wbfs/loop-$(tr / - <<<"$BACKING")
	rescued 1 'carries no mark' -- "$CACHE" --output "$W/o2" --backing "$LOOP"
	at_exit="rm -f '$state'"
	mkdir -p /var/lib/wbfs
	printf '%s\n\n' "$mark" >"$state"
	rescued 0 -- "$CACHE" --output "$W/o2" --backing "$LOOP"
	cmp "$W/o2" "$W/reference.good"
	rescued 0 -- "$CACHE" --in-place --backing "$LOOP"
	loop_detach
	cmp "$BACKING" "$W/reference.good"
else
	case_skip "a filesystem that can shares the blocks of backing and copy" "no xfs here"
fi
finish
