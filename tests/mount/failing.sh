#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Both disks fail under the real program, in parts and for a while: only what
# cannot be had gives EIO, nothing else changes, and when the disk heals, all
# data is right. The state is to be seen in `wbfs status --json` meanwhile.
# The disks are test_disk's; fio makes the load and verifies it by crc32c, and
# block_survey says of single blocks whether they are there.
#
#	failing.sh
. "$(dirname "$0")/lib.sh"

needs fuse fio jq getfattr
start
survey=$(helper block_survey)
disks_start 16M 64M

# --- volumes and data -----------------------------------------------------------------

dirty=allow_writeback=off	# nothing is written back unless space is wanted
survey_blocks=1024		# blocks 0..1023: 4 MiB
old_first=4096			# were on the backing before there was a cache: 1 MiB
old_blocks=256

new_volume() {	# [mount option]...
	disks heal cache
	disks heal backing
	disks budget backing none
	! is_mounted "$MNT" || volume_umount
	fallocate --punch-hole --offset 0 --length "$(stat -c %s "$BACKING")" "$BACKING"
	"$survey" write "$BACKING" old $old_first $old_blocks
	volume_format --force --segment-size 256K
	volume_mount "$@"
}

mark_says() {	# what its state says
	mark_state >"$W/mark"
	grep -q -- "$1" "$W/mark" || { cat "$W/mark"; fail "the mark does not say $1"; }
}

fio_run() {	# fio option...
	(cd "$W" && fio --name=fio --filename="$DISK" --offset=32m --size=4m --bs=4k \
		--direct=1 --ioengine=libaio --iodepth=16 --randrepeat=1 --verify=crc32c \
		"$@" >"$W/fio.log" 2>&1) || { cat "$W/fio.log"; fail "fio $*"; }
}

fio_writes() {
	fio_run --rw=randwrite --do_verify=0 --fdatasync=64 --end_fsync=1 "$@"
}

fio_verifies() {
	fio_run --rw=randwrite --verify_only=1 --verify_fatal=1
}

write_all() {
	"$survey" write "$DISK" new 0 $survey_blocks
	fio_writes
}

# survey_is WANTED: the lines of block_survey; '' when all is right
survey_is() {
	"$survey" check "$DISK" new 0 $survey_blocks >"$W/survey"
	"$survey" check "$DISK" old $old_first $old_blocks >>"$W/survey"
	diff - "$W/survey" <<<"$1" >"$W/difference" || [ "$1$(cat "$W/survey")" = "" ] || {
		cat "$W/difference"
		fail "the blocks are not as they should be"
	}
}

all_is_right() {
	survey_is ''
	fio_verifies
}

# Where on the cache a block of the survey lies now.
place_of() {
	"$survey" find "$W/store/cache.now" new "$1"
}

drain_works() {
	timeout 120 "$WBFS" drain "$MNT"
	same_bytes "$DISK" "$BACKING"
}

drain_fails() {	# a word of the message
	local status=0
	timeout 120 "$WBFS" drain "$MNT" 2>"$W/message" || status=$?
	cat "$W/message"
	[ $status -eq 1 ] || fail "the drain ended with $status (124: not at all)"
	grep -qi -- "$1" "$W/message" || fail "the message does not say: $1"
}

# The limit only turns a hang into a failure.
comes_to() {	# condition of jq on the statistics
	local i
	for ((i = 0; i < 600; i++)); do
		! jq -e "$1" <"$MNT/.wbfs/stats.json" >/dev/null || return 0
		sleep 0.1
	done
	fail "it does not come to $1"
}

# By itself the segment that is being filled is not written back.
is_written_back='.segments.dirty <= 1'

# --- what status says, each field in one place ---------------------------------------

field() {	# jq expression
	"$WBFS" status --json "$MNT" | jq -c "$1"
}

has_field() {
	[ "$(field "has(\"$1\")")" = true ]
}

at_least() {	# field number
	[ "$(stat_of "$1")" -ge "$2" ] || fail "$1 is $(stat_of "$1"), not $2 or more"
}

says_why() {
	[ -n "$(stat_of last_error)" ] || fail "last_error is empty"
}

# Pairs of first block and count, as JSON ranges in bytes.
ranges() {
	local text=''
	while [ $# -gt 0 ]; do
		text+="${text:+,}{\"start\":$(($1 * 4096)),\"length\":$(($2 * 4096))}"
		shift 2
	done
	echo "[$text]"
}

# Neighbours may be told one by one.
joined='sort_by(.start) | reduce .[] as $r ([]; if length > 0 and
	.[-1].start + .[-1].length == $r.start then .[-1].length += $r.length
	else . + [{start: $r.start, length: $r.length}] end)'

bad_ranges_are() {	# first count...
	if has_field bad_ranges; then
		[ "$(field ".bad_ranges | $joined")" = "$(ranges "$@")" ] ||
			fail "bad_ranges is $(field .bad_ranges), not $(ranges "$@")"
	elif [ $# -gt 0 ]; then
		at_least checksum_errors 1
		says_why
	fi
}

# What cannot be written back lies in them; they may be wider.
writeback_errors_hold() {	# first count...
	if has_field writeback_error_ranges; then
		[ "$(field "[$(ranges "$@")[] as \$w | any(.writeback_error_ranges[];
			.start <= \$w.start and
			.start + .length >= \$w.start + \$w.length)] | all")" = true ] ||
			fail "writeback_error_ranges is $(field .writeback_error_ranges)"
	fi
	at_least backing_errors 1
	says_why
}

writeback_errors_are_gone() {
	! has_field writeback_error_ranges || comes_to '.writeback_error_ranges == []'
}

backing_space_is() {	# ok | other: whether there is enough; looked at now and then
	over_nbd || backing_space_comes_to "$1"		# (no server tells)
}
backing_space_comes_to() {
	if [ "$1" = ok ]; then
		comes_to '.backing_space.state == "ok"'
	else
		comes_to '.backing_space.state != "ok"'
	fi
}

state_is() {
	[ "$(stat_of state)" = "$1" ] || fail "the state is $(stat_of state), not $1"
}

# --- reads of the cache ---------------------------------------------------------------

case_is "dirty data that cannot be read: EIO for those blocks alone, all else right"
new_volume -o $dirty
write_all
volume_remount -o $dirty	# what was in memory is read from the cache now
for block in 100 101 500; do
	disks fail cache read EIO from "$(place_of $block)" length 4096
done
survey_is $'eio 100 2\neio 500 1'
fio_verifies
bad_ranges_are 100 2 500 1

case_is "a drain says that they cannot be read, and does not hang"
drain_fails 'cache'
survey_is $'eio 100 2\neio 500 1'
fio_verifies
bad_ranges_are 100 2 500 1

case_is "the cache heals: they are right, and a drain leaves all of it on the backing"
disks heal cache
all_is_right
drain_works
bad_ranges_are
at_least cache_errors 1

case_is "a read that fails once is not seen"
new_volume -o $dirty
write_all
volume_remount -o $dirty
disks fail cache read EIO nth 20 times 1
all_is_right

case_is "clean data that cannot be read is taken from the backing"
drain_works
volume_remount -o $dirty
disks fail cache read EIO
all_is_right
bad_ranges_are

# --- rot -------------------------------------------------------------------------------

case_is "rot in clean data is noticed and repaired from the backing"
new_volume
write_all
drain_works
volume_remount
for block in 7 300; do
	disks rot cache "$(place_of $block)" 4096
done
all_is_right
at_least checksum_repaired 2
before=$(stat_of checksum_errors)
all_is_right
[ "$(stat_of checksum_errors)" -eq "$before" ] || fail "it was not repaired"
bad_ranges_are

case_is "rot in dirty data: EIO for those blocks alone"
new_volume -o $dirty
write_all
volume_remount -o $dirty
for block in 9 700; do
	disks rot cache "$(place_of $block)" 512
done
survey_is $'eio 9 1\neio 700 1'
fio_verifies
bad_ranges_are 9 1 700 1

case_is "a drain says so; all else is on the backing"
drain_fails 'cache'
survey_is $'eio 9 1\neio 700 1'
fio_verifies

case_is "one heals by being written, one by a discard"
"$survey" write "$DISK" new 9 1
fallocate --punch-hole --offset $((700 * 4096)) --length 4096 "$DISK"
survey_is 'wrong 700 1'
cmp -n 4096 -i $((700 * 4096)):0 "$DISK" /dev/zero
bad_ranges_are
"$survey" write "$DISK" new 700 1
all_is_right
drain_works

# --- the backing ------------------------------------------------------------------------

case_is "the backing's file system is full: all data is right, a drain says why it fails"
new_volume
disks budget backing $((3 << 20))
write_all
drain_fails 'no space left'
all_is_right
writeback_errors_hold
backing_space_is short
state_is running

case_is "there is room again: it heals by itself"
disks budget backing none
comes_to "$is_written_back"
writeback_errors_are_gone
backing_space_is ok
drain_works
all_is_right

case_is "parts of the backing cannot be written: nothing is lost, a drain says why it fails"
new_volume
disks fail backing write EIO from $((200 * 4096)) length 8192
disks fail backing write EIO from $((600 * 4096)) length 4096
write_all
drain_fails 'input/output error'
all_is_right
writeback_errors_hold 200 2 600 1

case_is "a clean stop and a mount later they are still right"
volume_remount
all_is_right

case_is "the backing heals: so does the volume, by itself"
disks heal backing
comes_to "$is_written_back"
writeback_errors_are_gone
drain_works
all_is_right

case_is "flushes of the backing fail, and lose what they covered: it is written again"
new_volume -o $dirty
write_all
disks forget backing yes
disks fail backing flush EIO times 2
drain_works
at_least backing_errors 2
disks power-cut 1 loses-all
daemon_kill
wreck_clear_mount
disks_power_on
disks forget backing no
same_survey=$("$survey" check "$BACKING" new 0 $survey_blocks)
[ -z "$same_survey" ] || fail "after the drain the backing lost: $same_survey"
volume_mount
all_is_right

if local_case "what a failed flush may have lost around the cache is not kept, and status says so until the next mount"; then
	new_volume -o read_cache=on,cache_mode=writearound
	[ "$(stat_of read_cache.state)" = on ] || fail "it is $(stat_of read_cache.state)"
	"$survey" write "$DISK" new 0 16
	disks fail backing flush EIO times 1
	! "$survey" write "$DISK" new 16 16 || fail "its sync does not say so"
	[ "$(stat_of read_cache.state)" = stopped ] || fail "it is $(stat_of read_cache.state)"
	says 0 "stopped until the next mount: a flush of the backing" -- "$WBFS" status "$MNT"
	same_survey=$("$survey" check "$DISK" new 0 32)
	[ -z "$same_survey" ] || fail "$same_survey"
	[ "$(stat_of filled_blocks)" -eq 0 ] || fail "they are kept"
	at_least fill_unflushed_blocks 32
	volume_umount
	volume_mount -o read_cache=on
	[ "$(stat_of read_cache.state)" = on ] || fail "it is $(stat_of read_cache.state)"
fi

if local_case "a mark that cannot be written at once stays where it is; the write waits for it"; then
	new_volume -o $dirty
	drain_works
	mark_says dirty=no
	disks fail backing flush EIO times 1
	"$survey" write "$DISK" new 0 1
	mark_says dirty=yes
	[ ! -e "/var/lib/wbfs/$(tr / - <<<"${BACKING#/}")" ] || fail "it moved"
	volume_umount
	disks fail backing flush EIO times 1
	! volume_format --force --segment-size 256K 2>"$W/said" || fail "formatted without a mark"
	grep -qF "cannot mark the backing $BACKING: Input/output error" "$W/said" ||
		{ cat "$W/said"; fail "it does not say why"; }
	volume_format --force --segment-size 256K
	volume_mount
	write_all
	all_is_right
fi

case_is "parts of the backing cannot be read: EIO for those blocks alone, until it heals"
new_volume
write_all
disks fail backing read EIO from $(((old_first + 10) * 4096)) length 8192
survey_is "eio $((old_first + 10)) 2"
fio_verifies
at_least backing_errors 1
disks heal backing
all_is_right

case_is "a slow backing: all data is right"
new_volume
disks fail backing write,flush none delay 300
write_all
all_is_right
disks heal backing
drain_works

# --- writes of the cache ------------------------------------------------------------------

case_is "some writes and flushes of the cache fail: no user sees it, and a power cut loses nothing"
new_volume -o $dirty
disks forget cache yes
disks fail cache write EIO nth 10 times 2
disks fail cache flush EIO nth 5 times 1
disks fail cache flush EIO nth 9 times 1
write_all
at_least cache_errors 3
disks power-cut 2 loses-all
daemon_kill
wreck_clear_mount
disks_power_on
disks heal cache
disks forget cache no
volume_mount -o $dirty
all_is_right
volume_umount

if volume_mount && has_field bad_segments; then
	case_is "places of the cache that cannot be written are left out"
	new_volume -o $dirty
	disks fail cache write EIO from $((4 << 20)) length 4096
	disks fail cache write EIO from $((6 << 20)) length 65536
	write_all
	[ "$(field '.bad_segments | if type == "array" then length else . end')" -ge 1 ] ||
		fail "bad_segments is $(field .bad_segments)"
	all_is_right
	volume_remount -o $dirty
	all_is_right
	drain_works
	state_is running
fi

case_is "no write reaches the cache: new data is refused, what is there is read"
new_volume
disks fail backing write EIO	# so that there is something to be written back
write_all
disks fail cache write EIO
! "$survey" write "$DISK" late 8000 1 || fail "a sync was answered without a write"
comes_to '.state == "cache-failed"'
! "$survey" write "$DISK" refused 8001 1 || fail "new data was taken"
says_why
all_is_right

case_is "what was on the cache is still written back; a drain says what is not"
disks heal backing
comes_to "$is_written_back"
drain_fails 'cache'
all_is_right

case_is "the cache heals: so does the volume, with what was acknowledged before"
disks heal cache
comes_to '.state == "running"'
[ -z "$("$survey" check "$DISK" late 8000 1)" ] || fail "the write before the failed sync is gone"
all_is_right
volume_remount -o $dirty
[ -z "$("$survey" check "$DISK" late 8000 1)" ] || fail "the write before the failed sync is gone"
all_is_right
fio_writes
all_is_right
drain_works
volume_umount

case_is "superblocks that fail to be read once do not let another backing in"
truncate -s 64M "$W/other"
"$WBFS" format --cache "$W/other.cache" --cache-size 16M --backing "$W/other" --no-zero
disks fail cache read EIO from 0 length 512 times 1
disks fail cache read EIO from 524288 length 4096 times 1
if "$WBFS" mount --cache "$CACHE" --backing "$W/other" "$MNT" 2>"$W/said"; then
	own_mounts+=("$MNT")
	fail "the backing of another volume was taken"
fi
cat "$W/said"
grep -q 'belongs to the backing marked' "$W/said"

disks_stop
finish
