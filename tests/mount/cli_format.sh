#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `wbfs format`: what it creates, what it never overwrites, what it leaves
# behind when it fails.
. "$(dirname "$0")/lib.sh"

needs fuse jq getfattr
start
MNT=$W/mnt
mkdir "$MNT" "$W/d"
cd "$W/d"

format() { "$WBFS" format "$@"; }

# refused WORD... -- OPTION...: status 1, the words are said, no file is made,
# none is changed.
refused() {
	local words=() status=0 word
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	ls_all >"$W/before"
	format "$@" 2>"$W/message" || status=$?
	cat "$W/message"
	[ $status -eq 1 ] || fail "exit status $status, not 1"
	for word in "${words[@]}"; do
		grep -qF -- "$word" "$W/message" || fail "the message does not say: $word"
	done
	ls_all | diff "$W/before" - || fail "a refused format left something behind"
}

ls_all() {	# files, contents and marks
	local file
	for file in *; do
		[ -e "$file" ] || continue
		cksum "$file"
		getfattr -d -- "$file"
	done
}

case_is "creates nothing without sizes"
refused 'cache' 'does not exist' '--cache-size' -- --cache c --backing b
: >c
refused 'backing b does not exist' '--size' -- --cache c --backing b
rm c

case_is "creates both with sizes: the cache allocated, the backing sparse"
format --cache c --backing b --cache-size 32M --size 96M
[ "$(stat -c %s c)" -eq $((32 << 20)) ] && [ "$(stat -c %s b)" -eq $((96 << 20)) ]
[ $(($(stat -c '%b * %B' c))) -ge $((32 << 20)) ] || fail "the cache is not allocated"
[ $(($(stat -c '%b * %B' b))) -lt $((1 << 20)) ] || fail "the backing is not sparse"
"$WBFS" check c
"$WBFS" dump c | grep -q 'backing_bytes *100663296'

case_is "a volume that holds nothing can be formatted again, at its size"
format --cache c --backing b --segment-size 64K --no-zero
"$WBFS" dump c | grep -q 'segment_size *65536'
refused 'exists already' '--cache-size' -- --cache c --backing b --cache-size 33M
refused 'exists already' '--size' -- --cache c --backing b --size 2G

case_is "what cannot be made leaves no file behind"
refused 'too small' -- --cache c2 --backing b2 --cache-size 1M --size 1M
refused 'same' -- --cache x --backing x --cache-size 32M --size 32M
refused 'same' -- --cache c --backing c
ln c c-link
refused 'same' -- --cache c --backing c-link
rm c-link
refused 'No such file' -- --cache c2 --backing none/b2 --cache-size 32M --size 1M
refused 'cannot create' -- --cache none/c2 --backing b2 --cache-size 32M --size 1M
refused 'segment' -- --cache c2 --backing b2 --cache-size 32M --size 1M --segment-size 100K

case_is "a file that is something else is kept, until it is forced"
truncate -s 32M other
echo "a letter" | dd of=other conv=notrunc status=none
refused 'something else' '--force' -- --cache other --backing b
refused swapped --force -- --cache new --cache-size 32M --backing c
format --force --no-zero --cache other --backing b
"$WBFS" check other
rm other b c

case_is "a damaged cache is kept, until it is forced"
format --no-zero --cache c --backing b --cache-size 32M --size 64M
for at in 20 524308; do printf x | dd of=c bs=1 seek=$at conv=notrunc status=none; done
refused 'cannot be read' '--force' -- --cache c --backing b
format --force --no-zero --cache c --backing b

case_is "a cache with dirty data is kept, until it is drained"
CACHE=$W/d/c BACKING=$W/d/b
volume_mount -o allow_writeback=off
random_file "$W/data" 100000
dd if="$W/data" of="$DISK" bs=100000 conv=notrunc,fsync status=none
refused 'in use by' -- --cache c --backing b
volume_umount
refused 'dirty blocks' '--force' -- --cache c --backing b

case_is "a backing whose other cache is dirty is kept, until that is drained"
refused 'belongs to volume' "$W/d/c" '--force' -- --cache c2 --backing b --cache-size 32M
volume_mount
refused 'backing' 'in use by' -- --cache c2 --backing b --cache-size 32M
"$WBFS" drain "$MNT"
volume_umount
format --no-zero --cache c2 --backing b --cache-size 32M
same_bytes "$W/data" b 100000 || fail "formatting changed the backing"

case_is "a backing whose other cache, a dirty one, is gone is kept, until it is forced"
CACHE=$W/d/c2
volume_mount -o allow_writeback=off
dd if="$W/data" of="$DISK" bs=100000 conv=notrunc,fsync status=none
volume_umount
CACHE=$W/d/c
rm c2
refused 'belongs to volume' '--force' -- --cache c --backing b
# A new file in its place is not it: the real one may be on a disk that is away.
refused 'belongs to volume' '--force' -- --cache c2 --cache-size 32M --backing b
format --force --no-zero --cache c --backing b

case_is "another cache, or an older copy, where the dirty one was proves nothing"
CACHE=$W/d/m BACKING=$W/d/mb
format --no-zero --cache m --backing mb --cache-size 32M --size 64M
volume_mount
volume_umount
cp --sparse=always m m.old
volume_mount -o allow_writeback=off
dd if="$W/data" of="$DISK" bs=100000 conv=notrunc,fsync status=none
volume_umount
mv m m.moved
mv m.old m
refused 'belongs to volume' 'is an older copy of it' '--force' -- \
	--cache m2 --cache-size 32M --backing mb
rm m
format --no-zero --cache m --backing mb2 --cache-size 32M --size 64M
refused 'belongs to volume' 'is the cache of another volume now' '--force' -- \
	--cache m2 --cache-size 32M --backing mb
rm m m.moved mb mb2
CACHE=$W/d/c BACKING=$W/d/b

case_is "another volume's backing does not become a cache, however empty it looks"
truncate -s 64M sparse
format --no-zero --cache c3 --cache-size 32M --backing sparse
refused 'marked as the backing' '--force' -- --cache sparse --backing b
rm c3 sparse

case_is "dirty data is overwritten by force alone"
volume_mount -o allow_writeback=off
dd if="$W/data" of="$DISK" bs=100000 seek=5 conv=notrunc,fsync status=none
volume_umount
refused 'dirty blocks' -- --cache c --backing b
format --force --no-zero --cache c --backing b
volume_mount
[ "$(stat_of dirty_blocks)" -eq 0 ]
volume_umount

case_is "the cache is zeroed in full, unless not wanted"
head -c 32M /dev/zero | tr '\0' y >full
format --force --cache full --backing b
[ "$(tail -c 1M full | tr -d '\0' | wc -c)" -eq 0 ] || fail "the end of the cache is not zeros"
head -c 32M /dev/zero | tr '\0' y >full
format --force --no-zero --cache full --backing b
[ "$(tail -c 4K full | tr -d '\0' | wc -c)" -ne 0 ] || fail "--no-zero zeroed the cache"

finish
