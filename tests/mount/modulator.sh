#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Writeback and others on the disk under the backing: a loop device over memory, which
# nobody else uses, with a file system that holds the backing and what others read. No
# time decides whether this passes: it waits until status says so.
. "$(dirname "$0")/lib.sh"

needs fuse root loop fs:ext4 fio jq
shm=$(mktemp -d /dev/shm/wbfs-modulator.XXXXXX) || skip_all "no /dev/shm"
at_exit='rm -rf "$shm"'
start

disk=$shm/disk files=$W/files
truncate -s 400M "$disk"
loop_attach "$disk" --direct-io=off
fs_make ext4 "$LOOP"
fs_mount "$LOOP" "$files"
random_file "$files/others" 32M
CACHE=$W/cache BACKING=$files/image MNT=$W/mnt
volume_format --cache-size 128M --size 200M --segment-size 256K

wait_until() {	# what for, a jq condition of stats.json
	local i
	for ((i = 0; i < 1200; i++)); do
		! jq -e "$2" <"$MNT/.wbfs/stats.json" >"$W/found" || return 0
		sleep 0.1
	done
	jq '{writeback_state, writeback_reason, backing_load, dirty_blocks}' \
		<"$MNT/.wbfs/stats.json"
	fail "not within two minutes: $1"
}

others_begin() {
	run_in_background fio --name=others --filename="$files/others" --rw=randread --bs=4k \
		--direct=1 --ioengine=psync --numjobs=4 --thread --time_based --runtime=600 \
		--output="$W/fio"
}

others_end() {
	kill "$JOB"
	wait "$JOB" || :
}

write_some() {	# MiB to write, from MiB
	dd if=/dev/urandom of="$DISK" bs=1M count="$1" seek="$2" oflag=direct conv=notrunc,fsync \
		status=none
}

case_is 'the disk under the backing is found'
volume_mount -o writeback_threshold=40
wait_until 'a sample of the disk' '.backing_load.source == "disk"'
[ "$(stat_of backing_load.disk)" = "$(basename "$LOOP")" ] ||
	fail "it is $(stat_of backing_load.disk), not $LOOP"

case_is 'while others keep it busy, writeback waits and says why'
others_begin
wait_until 'a busy disk' '.backing_load.others_percent > 40'
write_some 20 0
wait_until 'writeback that waits' '.writeback_state == "waiting" and
	(.writeback_reason | test("^disk [0-9]+ % busy, threshold 40 %$"))'
jq -r '"\(.writeback_state): \(.writeback_reason)"' <"$MNT/.wbfs/stats.json"
status_says_so() {	# the disk may have had a quiet moment
	"$WBFS" status "$MNT" | grep -E '^writeback +waiting: disk [0-9]+ % busy, threshold 40 %$'
}
until_it_is_so 60 status_says_so

case_is 'when they leave it alone, writeback goes on by itself'
others_end
wait_until 'writeback' '.writeback_blocks > 0 and .dirty_blocks < 200'

case_is 'a drain does not ask how busy the disk is'
others_begin
wait_until 'a busy disk' '.backing_load.others_percent > 40'
write_some 20 40
"$WBFS" drain "$MNT"
[ "$(stat_of dirty_blocks)" = 0 ]
others_end

case_is 'a cache on the same disk makes its statistics useless: only our own I/O counts'
volume_umount
cp --sparse=never "$CACHE" "$files/cache"
CACHE=$files/cache
volume_mount
wait_until 'a sample' '.backing_load.source == "own"'
[ -z "$(stat_of backing_load.disk)" ]
volume_umount
finish
