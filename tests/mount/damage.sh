#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Caches that are torn, cut off, foreign, rotten or of another backing: the
# right recovery or a clear refusal that changes nothing, never a crash.
. "$(dirname "$0")/lib.sh"

needs fuse jq setfattr
start

# Nothing is written back, so that what the cache holds is needed.
keep=allow_writeback=off

state_of() {	# of both files, without their times
	sha256sum "$CACHE" "$BACKING"
}

# refused WORD...: the mount fails with status 1, its message has every WORD,
# and nothing is changed.
refused() {
	local status=0 word
	state_of >"$W/state"
	"$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$MNT" 2>"$W/message" || status=$?
	name_files "$W/message"
	cat "$W/message"
	[ $status -eq 1 ] || fail "exit status $status, not 1"
	! is_mounted "$MNT" || fail "it is mounted"
	for word in "$@"; do
		grep -qiE -- "$word" "$W/message" || fail "the message does not say: $word"
	done
	state_of | cmp - "$W/state" || fail "a refused volume was changed"
	check_does_not_crash
}

# `wbfs check` and `wbfs dump` on anything: 0 or 1, no signal, no change.
check_does_not_crash() {
	local status verb
	for verb in check dump; do
		status=0
		"$WBFS" $verb "$CACHE" >"$W/out" 2>&1 || status=$?
		tail -n 3 "$W/out"
		[ $status -le 1 ] || fail "wbfs $verb ends with $status"
	done
	state_of | cmp - "$W/state" || fail "wbfs check or dump changed something"
}

scribble() {	# file offset bytes
	head -c "$3" /dev/urandom |
		dd of="$1" bs=65536 seek="$2" oflag=seek_bytes conv=notrunc status=none
}

# le FILE OFFSET BYTES: a little-endian number
le() {
	od -A n -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

# put_block BLOCK LETTER: 4 KiB of one letter
put_block() {
	head -c 4096 /dev/zero | tr '\0' "$2" |
		dd of="$DISK" bs=4096 seek="$1" oflag=direct conv=notrunc,fdatasync status=none
}

holds() {	# BLOCK LETTER
	local found
	found=$(dd if="$DISK" bs=4096 skip="$1" count=1 iflag=direct status=none | tr -d "$2" | wc -c)
	[ "$found" -eq 0 ] || fail "block $1 is not all $2"
}

# A volume with a long log after a SIGKILL: 12 MiB of synced data, then the
# blocks 0..4 with a..e, one record each. Kept, to be damaged in many ways.
make_dirty_volume() {
	volume_make 24M 48M
	volume_mount -o $keep
	random_file "$W/data" $((12 << 20))
	dd if="$W/data" of="$DISK" bs=1M seek=16 oflag=direct conv=notrunc,fdatasync status=none
	put_block 0 a; put_block 1 b; put_block 2 c; put_block 3 d; put_block 4 e
	daemon_kill
	wreck_clear_mount
	cp --sparse=always "$CACHE" "$W/cache.good"
	backing_save "$W/backing.good"
	ring=$(le "$CACHE" 72 8)
	segment=$(le "$CACHE" 60 4)
	echo "ring at $ring, segments of $segment"
}

fresh_copy() {
	cp --sparse=always "$W/cache.good" "$CACHE"
	backing_bring_back "$W/backing.good"
}

all_is_there() {
	local n=0 letter
	for letter in a b c d e; do
		holds $n $letter
		n=$((n + 1))
	done
	cmp -n $((12 << 20)) -i $((16 << 20)):0 "$DISK" "$W/data"
}

mounts_with_everything() {
	volume_mount -o $keep
	all_is_there
	volume_umount
	volume_mount -o $keep	# what was repaired stays so
	all_is_there
	volume_umount
	"$WBFS" check "$CACHE"
}

# Offsets in the cache of the record headers, with their sequence: "seq offset".
records() {
	grep -abo wbfsRECD "$CACHE" | cut -d: -f1 | while read -r at; do
		[ $((at % 4096)) -eq 0 ] && echo "$(le "$CACHE" $((at + 32)) 8) $at"
	done | sort -n
}

make_dirty_volume

case_is "undamaged, after SIGKILL: everything is there"
mounts_with_everything

for copy in 0 524288; do
	case_is "the superblock copy at $copy is torn"
	fresh_copy
	scribble "$CACHE" $((copy + 2048)) 2048
	mounts_with_everything
	case_is "the superblock copy at $copy is gone"
	fresh_copy
	dd if=/dev/zero of="$CACHE" bs=4096 count=1 seek=$copy oflag=seek_bytes \
		conv=notrunc status=none
	mounts_with_everything
done

case_is "both superblocks are torn"
fresh_copy
scribble "$CACHE" 512 3584
scribble "$CACHE" $((524288 + 512)) 3584
refused "$CACHE"

case_is "the cache is cut off"
fresh_copy
truncate -s -1M "$CACHE"
refused "$CACHE"

case_is "the cache is cut off in the first MiB"
fresh_copy
truncate -s 100000 "$CACHE"
refused "$CACHE"

case_is "the cache is empty"
fresh_copy
truncate -s 0 "$CACHE"
refused "$CACHE"

case_is "the cache is a foreign file"
fresh_copy
random_file "$CACHE" $((24 << 20))
refused "$CACHE"

case_is "the cache is a file of zeros"
fresh_copy
truncate -s 0 "$CACHE"
truncate -s 24M "$CACHE"
refused "$CACHE"

case_is "the cache does not exist"
rm -f "$CACHE"
touch "$W/state"
if "$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$MNT" 2>"$W/message"; then
	fail "mounted"
fi
grep -q "$CACHE" "$W/message"
[ ! -e "$CACHE" ] || fail "it was created"

case_is "the backing is cut off"
fresh_copy
truncate -s -4096 "$BACKING"
refused "$BACKING"

case_is "the cache belongs to another backing"
fresh_copy
good_backing=$BACKING
BACKING=$W/backing.other
"$WBFS" format --cache "$W/cache.other" --backing "$BACKING" --cache-size 24M --size 48M
refused "$BACKING"
case_is "the backing belongs to another cache"
BACKING=$good_backing
good_cache=$CACHE
CACHE=$W/cache.other
refused "$BACKING"
CACHE=$good_cache

case_is "a copy of the backing without its mark"
fresh_copy
mark_remove
refused "$BACKING"

case_is "rot in a header in the middle of the log"
fresh_copy
middle=$(records | sed -n '3p' | cut -d' ' -f2)
scribble "$CACHE" $((middle + 200)) 8
refused "$CACHE"

case_is "two segments in the middle of the log are gone"
fresh_copy
middle=$(records | sed -n '3p' | cut -d' ' -f2)
middle=$((middle - (middle - ring) % segment))
dd if=/dev/zero of="$CACHE" bs=$segment count=2 seek=$middle oflag=seek_bytes \
	conv=notrunc status=none
refused "$CACHE"

case_is "rot in the data of a block that is dirty: EIO for it, not for others"
fresh_copy
at=$(records | tail -n 4 | head -n 1 | cut -d' ' -f2)	# block 1, b
[ "$(dd if="$CACHE" bs=1 skip=$((at + 4096)) count=1 status=none)" = b ] ||
	fail "the record of block 1 is not where it was looked for"
scribble "$CACHE" $((at + 4096 + 1000)) 8
volume_mount -o $keep
if dd if="$DISK" bs=4096 skip=1 count=1 iflag=direct status=none of=/dev/null; then
	fail "rotten data was returned"
fi
holds 0 a; holds 2 c; holds 3 d; holds 4 e
[ "$(stat_of checksum_errors)" -gt 0 ] || fail "it was not counted"
case_is "a whole new write mends it"
put_block 1 b
all_is_there
volume_umount
volume_mount
all_is_there
volume_umount

# Only the newest record can be torn by a power cut. Every 512 bytes of it.
case_is "the newest record is torn: all before it is there"
fresh_copy
last=$(records | tail -n 1 | cut -d' ' -f2)
for part in 0 512 1024 2048 3584 4096 4608 6144 7680; do
	fresh_copy
	# what was at that place before: zeros of the format
	dd if=/dev/zero of="$CACHE" bs=512 count=$(((8192 - part) / 512)) \
		seek=$((last + part)) oflag=seek_bytes conv=notrunc status=none
	volume_mount -o $keep
	holds 0 a; holds 1 b; holds 2 c; holds 3 d
	holds 4 '\0'
	put_block 4 f
	daemon_kill
	wreck_clear_mount
	volume_mount -o $keep
	holds 3 d; holds 4 f
	cmp -n $((12 << 20)) -i $((16 << 20)):0 "$DISK" "$W/data"
	volume_umount
done

case_is "noise all over the cache never crashes the program"
for n in 1 2 3 4 5 6 7 8; do
	fresh_copy
	for ((i = 0; i < 20 * n; i++)); do
		scribble "$CACHE" $(((RANDOM * 32768 + RANDOM) % (22 << 20) + 4096)) $((RANDOM % 600 + 1))
	done
	state_of >"$W/state"
	check_does_not_crash
	status=0
	"$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$MNT" || status=$?
	[ $status -le 1 ] || fail "mount ends with $status"
	if [ $status -eq 0 ]; then
		own_mounts+=("$MNT")
		WORKER=$(stat_of worker_pid)
		own_workers+=("$WORKER")
		cat "$DISK" >/dev/null || :
		is_alive "$WORKER" || fail "the daemon died of it"
		"$WBFS" umount "$MNT"
	fi
done

case_is "a mount while it is mounted names the holder"
fresh_copy
volume_mount
mkdir -p "$W/mnt2"
if "$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$W/mnt2" 2>"$W/message"; then
	fail "it was mounted twice"
fi
cat "$W/message"
grep -qw "$WORKER" "$W/message" || fail "the holder $WORKER is not named"
all_is_there
case_is "format refuses a cache that is mounted"
if "$WBFS" format --cache "$CACHE" --backing "$BACKING" --force; then fail "it did"; fi
all_is_there
daemon_kill
wreck_clear_mount

case_is "format refuses a cache with dirty data"
fresh_copy
state_of >"$W/state"
if "$WBFS" format --cache "$CACHE" --backing "$BACKING"; then fail "it did"; fi
state_of | cmp - "$W/state"

case_is "format refuses another cache for a backing whose cache is dirty"
if "$WBFS" format --cache "$W/cache.third" --cache-size 32M --backing "$BACKING"; then
	fail "it did"
fi
state_of | cmp - "$W/state"
finish
