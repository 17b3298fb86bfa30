#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# writeback_schedule, writeback_idle_s, writeback_high_water: between two times the
# backing is left alone, by the count of a simulated hard disk; status says until when.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start

# in_hours N: the clock on the wall then, HH:MM
in_hours() { date -d "now + $1 hours" +%H:%M; }

# What came to the disk.
touched() {
	jq -c '[.reads, .writes, .fua_writes, .flushes]' <"$HDD/stats.json"
}

# By itself a client of a server reads some blocks once, to know the image again.
nothing_comes_by_itself() {
	local before=
	while [ "$(touched)" != "$before" ]; do
		before=$(touched)
		sleep 0.5
	done
}

state_is() {	# state, words
	says 0 "$1: $2" -- "$WBFS" status "$MNT"
}

until_it() {	# jq condition on stats.json
	for _ in $(seq 300); do
		jq -e "$1" <"$MNT/.wbfs/stats.json" >/dev/null && return
		sleep 0.1
	done
	fail "never: $1"
}

volume_make 64M 1M
hdd_start 256M --write-cache 4
volume_format --force --segment-size 256K
from=$(in_hours 3) to=$(in_hours 4)
volume_mount -o "writeback_schedule=$from-$to+every+20h"

case_is "outside of its window nothing comes to the backing: writes, syncs, cached reads"
nothing_comes_by_itself
touched >"$W/before"
dd if=/dev/urandom of="$W/data" bs=1M count=16 status=none
for _ in 1 2 3 4 5 6; do
	dd if="$W/data" of="$DISK" bs=64k oflag=direct conv=notrunc,fsync status=none
	dd if="$DISK" bs=64k count=256 iflag=direct status=none | cmp - "$W/data"
	dd if=/dev/zero of="$DISK" bs=4k seek=5000 count=20 oflag=direct,dsync conv=notrunc status=none
	"$WBFS" flush "$MNT"
	sleep 1		# housekeeping: syncs by the clock, superblocks, samples of the disk
done
touched | diff "$W/before" -
[ "$(stat_of writeback_blocks)" -eq 0 ]
[ "$(stat_of dirty_blocks)" -ge 4096 ]

case_is "status says why, and until when; so does stats.json"
state_is resting "until $from, or until 80 % of the cache is not written back; now it is"
[ "$(stat_of writeback_state)" = resting ]
[ "$(stat_of writeback_resumes_in_s)" -gt 10000 ]
[ "$(stat_of writeback_resumes_in_s)" -le 10800 ]
[ "$(stat_of tunables.writeback_schedule)" = "$from-$to+every+20h" ]

case_is "a drain does not wait, and it rests again afterwards"
"$WBFS" drain "$MNT"
[ "$(stat_of dirty_blocks)" -eq 0 ]
dd if="$BACKING" bs=1M count=16 status=none | cmp - "$W/data"
dd if="$W/data" of="$DISK" bs=64k oflag=direct conv=notrunc,fsync status=none
touched >"$W/before"
sleep 2
touched | diff "$W/before" -

case_is "in its window it writes back"
"$WBFS" set "$MNT" "writeback_schedule=$(in_hours -1)-$(in_hours 1)"
until_it '.segments.dirty <= 1 and .writeback_state != "running"'
until_it '.writeback_resumes_in_s == null'

case_is "above the high water all of it is written back, and then it rests"
"$WBFS" set "$MNT" writeback_schedule=never writeback_high_water=30
for i in 0 16 32; do
	dd if="$W/data" of="$DISK" bs=1M seek=$i oflag=direct conv=notrunc,fsync status=none
done
# Far below the mark; what came when the turn was over already rests.
until_it '.dirty_blocks < 500 and .writeback_state != "running"'
dd if="$W/data" of="$DISK" bs=1M count=8 oflag=direct conv=notrunc,fsync status=none
# What came while the turn was not over yet may have come to the disk, its flush too.
until_it '.writeback_state == "resting" or (.writeback_state == "idle" and .dirty_blocks == 0)'
touched >"$W/before"
sleep 2
touched | diff "$W/before" -
# Idle, when what came last was written in the same turn.
says 0 'until 30 % of the cache is not written back' -- "$WBFS" status "$MNT"

case_is "with an idle time it waits until nobody uses the volume"
"$WBFS" set "$MNT" writeback_schedule=always writeback_idle_s=20 writeback_high_water=80
dd if="$W/data" of="$DISK" bs=1M count=8 oflag=direct conv=notrunc,fsync status=none
until_it '.writeback_state == "resting"'
state_is resting 'until nobody has used it for 20 s'
"$WBFS" set "$MNT" writeback_idle_s=1
until_it '.segments.dirty <= 1 and .writeback_state == "idle"'

case_is "nonsense is refused with what there is"
says 2 "'writeback_schedule' takes 'always', 'never', or windows like '02:00-05:00'" -- \
	"$WBFS" set "$MNT" writeback_schedule=tonight

volume_umount
finish
