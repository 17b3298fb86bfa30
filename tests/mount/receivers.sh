#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Where the threads that receive requests may run: apart while long writes come, and as
# before when anything but data is asked for.
. "$(dirname "$0")/lib.sh"
needs fuse fio
[ "$(nproc)" -ge 2 ] || skip_all "one processor"
[[ ${WBFS_TEST_MOUNT_OPTIONS:-} != *io_uring* ]] || skip_all "rings have threads of their own"
start

volume_make 64M 64M
volume_mount

processors_of() {	# thread
	awk '$1 == "Cpus_allowed_list:" { print $2 }' "/proc/$WORKER/task/$1/status"
}

everywhere=$(processors_of "$WORKER")

how_many_are_kept() {
	local thread kept=0
	for thread in $(ls "/proc/$WORKER/task"); do
		[ "$(cat "/proc/$WORKER/task/$thread/comm")" = wb-fuse ] || continue
		[ "$(processors_of "$thread")" = "$everywhere" ] || kept=$((kept + 1))
	done
	echo $kept
}

some_are_kept() { [ "$(how_many_are_kept)" -gt 0 ]; }

case_is "they keep apart while long writes come"
some_are_kept && fail "they do before"
run_in_background fio --name=long --filename="$DISK" --rw=write --bs=1m --direct=1 \
	--ioengine=libaio --iodepth=4 --time_based --runtime=600 --size=64M --output="$W/fio"
until_it_is_so 60 some_are_kept

case_is "whoever is asked for anything else may run everywhere, as what it starts then may"
kill -INT "$JOB"
wait "$JOB" || :
own_jobs=()
# Fewer requests than short ones that end it.
for ((i = 0; i < 20; i++)); do
	cat "$MNT/.wbfs/stats.json" >"$W/stats"
	some_are_kept || break
done
[ "$(how_many_are_kept)" = 0 ] || fail "$(how_many_are_kept) threads are still kept"

volume_umount
finish
