#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A log that is damaged in its middle: check says what a repair costs, rescue
# saves what can be read, --repair keeps all up to the damage, and a mount works.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
keep=allow_writeback=off

state_of() {
	sha256sum "$CACHE" "$BACKING"
}

is_unchanged() {
	state_of | cmp - "$W/state" || fail "something was changed"
}

# put_block BLOCK LETTER: 4 KiB of one letter, a record of its own
put_block() {
	head -c 4096 /dev/zero | tr '\0' "$2" |
		dd of="$DISK" bs=4096 seek="$1" oflag=direct conv=notrunc,fdatasync status=none
}

holds() {	# FILE BLOCK LETTER
	local found
	found=$(dd if="$1" bs=4096 skip="$2" count=1 status=none | tr -d "$3" | wc -c)
	[ "$found" -eq 0 ] || fail "block $2 of $1 is not all $3"
}

le() {	# FILE OFFSET BYTES
	od -A n -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

# Offsets of the record headers, with their sequence.
records() {
	grep -abo wbfsRECD "$CACHE" | cut -d: -f1 | while read -r at; do
		[ $((at % 4096)) -eq 0 ] && echo "$(le "$CACHE" $((at + 32)) 8) $at"
	done | sort -n
}

scribble() {	# FILE OFFSET BYTES
	head -c "$3" /dev/zero | tr '\0' Z |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

volume_make 24M 48M
volume_mount -o $keep
put_block 0 a; put_block 1 b; put_block 2 c; put_block 3 d; put_block 4 e; put_block 0 f

case_is "a mounted volume is not repaired"
says 1 'in use by wbfs' -- "$WBFS" check --repair --yes "$CACHE"
daemon_kill
wreck_clear_mount
cp --sparse=always "$CACHE" "$W/cache.good"
backing_save "$W/backing.good"

fresh_copy() {
	cp --sparse=always "$W/cache.good" "$CACHE"
	backing_bring_back "$W/backing.good"
}

case_is "what is sound needs no repair"
state_of >"$W/state"
says 0 'nothing to repair' sound -- "$WBFS" check --repair "$CACHE"
is_unchanged

damage_it() {	# the header of the record of block 2
	fresh_copy
	third=$(records | sed -n 3p)
	scribble "$CACHE" $((${third#* } + 200)) 8
	third=${third% *}
	state_of >"$W/state"
}

case_is "the mount is refused and says where to look"
damage_it
says 1 "record $third is missing" 'where it should be, is torn or damaged' 'were durable' \
	'nothing was changed. `wbfs check` says what can be kept' -- \
	"$WBFS" mount "${test_options[@]}" --cache "$CACHE" --backing "$BACKING" "$MNT"
is_unchanged

case_is "check lists what is kept, lost and unknown, and what to do"
says 1 "DAMAGED: the log is damaged in its middle: record $third" \
	"keeps the log up to record $((third - 1))" \
	'LOST: bytes 0 to 4095 of the image: written by a record behind the damage' \
	'LOST: bytes 12288 to 20479 of the image: written by a record behind' \
	"LOST: unknown ranges of the image: record $third cannot be read" \
	'older data, or newer' "wbfs rescue --output IMAGE $CACHE" \
	"wbfs check --repair $CACHE" 'problems found: 1' -- "$WBFS" check "$CACHE"
is_unchanged

case_is "a repair that costs data wants to be confirmed"
says 1 'LOST: bytes' 'was not confirmed: --yes does that; nothing was changed' -- \
	"$WBFS" check --repair "$CACHE"
is_unchanged
if command -v script >/dev/null; then
	status=0
	printf 'no\n' | script -qec "'$WBFS' check --repair '$CACHE'" /dev/null >"$W/said" 2>&1 ||
		status=$?
	cat "$W/said"
	[ $status -eq 1 ] || fail "exit status $status"
	grep -q "Type 'yes' to repair" "$W/said"
	grep -q 'not repaired; nothing was changed' "$W/said"
	is_unchanged
fi

case_is "rescue saves the later data too, and lists it as doubtful"
rm -f "$W/out"
says 1 'DAMAGED: ' 'DOUBTFUL: bytes 0 to 4095 ' 'DOUBTFUL: bytes 12288 to 20479 ' \
	"DOUBTFUL: unknown ranges of the image: record $third" 'a copy of' \
	'The log is damaged' -- "$WBFS" rescue "$CACHE" --output "$W/out"
holds "$W/out" 0 f; holds "$W/out" 1 b; holds "$W/out" 2 '\0'
holds "$W/out" 3 d; holds "$W/out" 4 e
is_unchanged

case_is "rescue in place is refused, and nothing is written"
says 1 'damaged in its middle' '--output IMAGE makes a copy' '`wbfs check --repair` keeps' -- \
	"$WBFS" rescue "$CACHE" --in-place
is_unchanged

has_the_prefix() {
	holds "$DISK" 0 a; holds "$DISK" 1 b
	holds "$DISK" 2 '\0'; holds "$DISK" 3 '\0'; holds "$DISK" 4 '\0'
}

case_is "the repair keeps what lies before the damage, and a mount works"
sha256sum "$BACKING" >"$W/backing.state"
says 1 "repaired: the log ends with record $((third - 1))" -- \
	"$WBFS" check --repair --yes "$CACHE"
sha256sum "$BACKING" | cmp - "$W/backing.state"
says 0 sound 'nothing to repair' -- "$WBFS" check --repair "$CACHE"
volume_mount -o $keep
has_the_prefix
put_block 2 g
daemon_kill
wreck_clear_mount
volume_mount
holds "$DISK" 0 a; holds "$DISK" 1 b; holds "$DISK" 2 g; holds "$DISK" 3 '\0'
volume_umount
says 0 sound -- "$WBFS" check "$CACHE"

if command -v script >/dev/null; then
	case_is "confirmed on a terminal, it repairs"
	damage_it
	printf 'yes\n' | script -qec "'$WBFS' check --repair '$CACHE'" /dev/null >"$W/said" 2>&1 || :
	cat "$W/said"
	grep -q 'repaired: the log ends' "$W/said"
	volume_mount -o $keep
	has_the_prefix
	volume_umount
fi

for copy in 0 524288; do
	case_is "the superblock copy at $copy is torn: repaired from the other, at no cost"
	fresh_copy
	scribble "$CACHE" $((copy + 2048)) 100
	says 1 "BAD: superblock $((copy / 524288)): torn or damaged" \
		'writes the superblock again from the other' -- "$WBFS" check "$CACHE"
	says 0 'both superblocks are whole again; nothing was lost' sound -- \
		"$WBFS" check --repair "$CACHE"
	says 0 sound -- "$WBFS" check "$CACHE"
	says_not BAD
	volume_mount -o $keep
	holds "$DISK" 0 f; holds "$DISK" 2 c
	volume_umount
done

lose_both() {
	scribble "$CACHE" 0 4096
	scribble "$CACHE" 524288 4096
}

lose_superblocks() {
	fresh_copy
	lose_both
	state_of >"$W/state"
}

case_is "both superblocks are gone: check says how to find the cache again"
lose_superblocks
says 1 'this is not a wbfs cache' 'If it held a cache, --backing PATH finds its layout again' -- \
	"$WBFS" check "$CACHE"
says 1 'carries no mark of a volume: it does not say what the lost superblocks' -- \
	"$WBFS" check --backing "$W/cache.good" "$CACHE"
is_unchanged
says 1 'The superblocks are guessed from the records' 'log: records 1 to 6' -- \
	"$WBFS" check --backing "$BACKING" "$CACHE"
is_unchanged
says 1 'no layout of a cache of' -- \
	"$WBFS" check --backing "$BACKING" --segment-size 64K "$CACHE"

case_is "both superblocks are gone: rescue finds all data by the backing"
rm -f "$W/out"
says 0 'a copy of' -- "$WBFS" rescue "$CACHE" --backing "$BACKING" --output "$W/out"
holds "$W/out" 0 f; holds "$W/out" 1 b; holds "$W/out" 2 c; holds "$W/out" 4 e
is_unchanged
says 0 'applied' -- "$WBFS" rescue "$CACHE" --backing "$BACKING" --in-place
cmp "$W/out" "$BACKING"

case_is "both superblocks are gone: repaired, the volume can be mounted"
lose_superblocks
says 1 'was not confirmed' -- "$WBFS" check --repair --backing "$BACKING" "$CACHE"
is_unchanged
says 0 'repaired: new superblocks' sound -- \
	"$WBFS" check --repair --yes --backing "$BACKING" "$CACHE"
volume_mount -o $keep
holds "$DISK" 0 f; holds "$DISK" 1 b; holds "$DISK" 2 c; holds "$DISK" 4 e
volume_umount
says 0 sound -- "$WBFS" check "$CACHE"

# The headers still have the tail from before the drain.
case_is "both superblocks are gone: what was drained is not laid over newer data again"
fresh_copy
volume_mount
"$WBFS" drain "$MNT"
volume_umount
printf N | dd of="$BACKING" bs=1 seek=$((4096 * 2)) conv=notrunc status=none
volume_mount
volume_umount
lose_both
rm -f "$W/out"
says 0 'a copy of' -- "$WBFS" rescue "$CACHE" --backing "$BACKING" --force --output "$W/out"
holds "$W/out" 2 c
says 0 'is marked as complete: the 5 blocks and 0 discards that the log' 'log: empty' 'dirty: 0 blocks' 'repaired: new superblocks' -- \
	"$WBFS" check --repair --yes --backing "$BACKING" "$CACHE"
volume_mount
[ "$(dd if="$DISK" bs=4096 skip=2 count=1 status=none | head -c 1)" = N ] || fail "it was undone"
volume_umount

case_is "both superblocks are gone, and the backing was given up: the epochs go on"
fresh_copy
"$WBFS" mount "${test_options[@]}" --without-cache --force --backing "$BACKING" "$MNT"
volume_umount
lose_both
says 0 'repaired: new superblocks' -- \
	"$WBFS" check --repair --yes --backing "$BACKING" "$CACHE"
[ "$(le "$CACHE" 136 8)" -lt 10 ] || fail "the epoch is $(le "$CACHE" 136 8)"

case_is "a rotten dirty block is no reason to give up anything: it is listed"
fresh_copy
at=$(records | sed -n 2p)
scribble "$CACHE" $((${at#* } + 4096 + 7)) 3
says 1 'BAD: bytes 4096 to 8191 of the image: dirty, and its checksum' 'I/O error' \
	'problems found: 1' -- "$WBFS" check "$CACHE"
says 1 'nothing to repair' 'problems left: 1' -- "$WBFS" check --repair --yes "$CACHE"

case_is "rot in a block that was written again since is only noted"
fresh_copy
at=$(records | sed -n 1p)
scribble "$CACHE" $((${at#* } + 4096 + 7)) 3
says 0 'note: 1 blocks with wrong checksums that nothing depends on' sound -- \
	"$WBFS" check "$CACHE"
finish
