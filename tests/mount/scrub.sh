#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `wbfs scrub` on a mounted volume: a flipped bit under the daemon is found; the
# backing's copy counts where there is one, and the exit status says when not.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
CACHE=$W/cache BACKING=$W/backing MNT=$W/mnt
size=$((16 << 20))
random_file "$BACKING" $size
volume_format --cache-size 24M

scrubbed() {	# STATUS WORD...
	says "$@" -- "$WBFS" scrub "$MNT"
}

# Turns a bit of the block that holds this text, in the cache file.
spoil() {	# text
	local at
	at=$(grep -abo -m1 -- "$1" "$CACHE" | head -n 1 | cut -d: -f1)
	[ -n "$at" ] || fail "'$1' is not in the cache"
	printf 'X' | dd of="$CACHE" bs=1 seek="$at" conv=notrunc status=none
}

# write_text TEXT BLOCK: one block that begins with the text
write_text() {
	{ printf '%s' "$1"; head -c $((4096 - ${#1})) /dev/zero; } >"$W/block"
	dd if="$W/block" of="$DISK" bs=4096 seek="$2" conv=notrunc,fsync status=none
}

case_is "sound data: everything is verified"
volume_mount -o allow_writeback=off
write_text clean-copy-of-one-block 7
write_text only-copy-of-one-block 9
scrubbed 0 '2 blocks verified, 0 wrong copies dropped, 0 blocks lost, 0 damaged headers'

case_is "a wrong only copy: exit status 1, the block named, its neighbours readable"
# after a restart nothing of it is in RAM
volume_umount
volume_mount -o allow_writeback=off,scrub_rate_mib_s=0
spoil only-copy-of-one-block
scrubbed 1 'image block 9 ' '1 blocks lost'
if dd if="$DISK" of=/dev/null bs=4096 skip=9 count=1 iflag=direct status=none 2>"$W/err"; then
	fail "bad data was handed out"
fi
dd if="$DISK" bs=4096 skip=7 count=1 iflag=direct status=none | grep -aq '^clean-copy-of-one-block' ||
	fail "the neighbour cannot be read"

case_is "written again it is whole; a wrong clean copy is dropped"
write_text only-copy-of-one-block 9
"$WBFS" drain "$MNT"
volume_umount
volume_mount
spoil clean-copy-of-one-block
scrubbed 0 '1 wrong copies dropped, 0 blocks lost'
dd if="$DISK" bs=4096 skip=7 count=1 iflag=direct status=none | grep -aq '^clean-copy-of-one-block' ||
	fail "the backing's copy does not count"
[ "$(stat_of checksum_repaired)" -eq 1 ] || fail "it was not counted"

case_is "on a directory that is no mount: an error"
status=0
"$WBFS" scrub "$W" 2>"$W/err" || status=$?
[ $status -eq 1 ] || fail "exit status $status"
volume_umount
finish
