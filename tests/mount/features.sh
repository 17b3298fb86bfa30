#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Feature bits in the superblock that this version does not know: what only a
# later one may write to is read and not changed, by no command; what only a
# later one may use is not called a loss.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start

compat=16 ro_compat=24 incompat=32	# where in the superblock

crc32c() {	# FILE: little-endian, for printf
	local crc=$((0xffffffff)) byte i
	for byte in $(od -A n -v -t u1 "$1"); do
		crc=$((crc ^ byte))
		for i in 1 2 3 4 5 6 7 8; do
			crc=$((crc >> 1 ^ (0x82f63b78 & -(crc & 1))))
		done
	done
	crc=$((crc ^ 0xffffffff))
	printf '\\x%02x' $((crc & 255)) $((crc >> 8 & 255)) $((crc >> 16 & 255)) $((crc >> 24))
}

put() {	# FILE OFFSET BYTES, as printf writes them
	# shellcheck disable=SC2059
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# add_feature FIELD BITS COPY...: one that may be ignored, or read past, with bytes
# where this version has zeros
add_feature() {
	local copy
	for copy in "${@:3}"; do
		dd if="$CACHE" of="$W/block" bs=4096 skip=$((copy * 128)) count=1 status=none
		put "$W/block" "$1" "\\x0$2"
		[ "$1" = $incompat ] || put "$W/block" 104 FEATURE
		put "$W/block" 8 '\0\0\0\0'
		put "$W/block" 8 "$(crc32c "$W/block")"
		dd if="$W/block" of="$CACHE" bs=4096 seek=$((copy * 128)) conv=notrunc status=none
	done
}

marks() {
	if mark_is_in_file; then
		cat "$(mark_file)"
	else
		getfattr -d --absolute-names -- "$BACKING" 2>/dev/null || cat "$BACKING.wbfs-id"
	fi
}

state_of() {
	sha256sum "$CACHE" "$BACKING"
	marks
}

fresh() {	# the backing is never changed
	cp --sparse=always "$W/cache.good" "$CACHE"
}

# refused WORDS COMMAND...: it ends with 1 and the words, and nothing is changed.
refused() {
	state_of >"$W/state"
	says 1 "$1" 'nothing was changed' -- "$WBFS" "${@:2}"
	state_of | cmp - "$W/state" || fail "wbfs $2: it was changed"
	[ "$(echo "$W"/cache*)" = "$W/cache $W/cache.good" ] || fail "wbfs $2: a file was left"
}

volume_make 16M 8M
volume_mount -o allow_writeback=off
random_file "$W/data" $((1 << 20))
dd if="$W/data" of="$DISK" bs=1M conv=notrunc,fdatasync status=none
volume_umount
cp --sparse=always "$CACHE" "$W/cache.good"
mount_it=(mount --cache "$CACHE" --backing "$BACKING" "$MNT")

case_is "ro_compat: no command writes to either disk"
only='uses features of a later version of wbfs (ro_compat 0x1), which is needed to write'
add_feature $ro_compat 1 0 1
refused "$only" "${mount_it[@]}"
refused "$only" mount --cache "$CACHE" --backing "$BACKING" -o allow_writeback=off --force "$MNT"
refused "$only" resize --cache-size 24M "$CACHE"
refused "$only" resize --cache-size 24M --to "$W/cache.new" "$CACHE"
refused "$only" rescue --in-place "$CACHE"
refused "$only" rescue --in-place --force "$CACHE"
refused "$only" detach "$CACHE"
put "$CACHE" 2048 torn
refused "$only" check --repair --yes "$CACHE"
! is_mounted "$MNT" || fail "it is mounted"

case_is "ro_compat: what reads goes on"
fresh
add_feature $ro_compat 1 0 1
state_of >"$W/state"
says 0 sound -- "$WBFS" check "$CACHE"
says 0 'ro_compat 0x1' -- "$WBFS" dump "$CACHE"
says 0 -- "$WBFS" rescue --output "$W/image" "$CACHE"
same_bytes "$W/data" "$W/image" $((1 << 20))
volume_mount -o ro
same_bytes "$W/data" "$DISK" $((1 << 20))
volume_umount
state_of | cmp - "$W/state"

case_is "a detached cache of a later version: the mark of the backing stays"
fresh
add_feature $incompat 1 0 1
add_feature $ro_compat 1 0 1
refused "$only" detach "$CACHE"
fresh
add_feature $incompat 1 0
add_feature $incompat 4 1
refused 'was written by a later version of wbfs' detach "$CACHE"

case_is "incompat: nobody is told that the cache is lost"
add_feature $incompat 4 0
refused 'was written by a later version of wbfs, which is needed to use it' "${mount_it[@]}"
says_not 'without-cache' 'its records may still tell'

case_is "compat: a bit that is not known is cleared, as its bytes are"
fresh
add_feature $compat 1 0 1
says 0 'compat 0x1, ro_compat 0' -- "$WBFS" dump "$CACHE"
volume_mount -o allow_writeback=off
same_bytes "$W/data" "$DISK" $((1 << 20))
volume_umount
says 0 'compat 0, ro_compat 0' -- "$WBFS" dump "$CACHE"
says_not 'compat 0x1'
! grep -qa FEATURE "$CACHE" || fail "bytes of the feature are left"
finish
