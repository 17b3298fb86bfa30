#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL of the daemon under load at random moments: no synced write is lost,
# what is there is a prefix of what was written, and no mount fails afterwards.
# synced_writer keeps the book; fio makes the queues deep beside it.
#
#	ROUNDS=5 SEED=number kill_fio.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=${ROUNDS:-5}
SEED=${SEED:-$RANDOM}
RANDOM=$SEED
echo "SEED=$SEED"

needs fuse fio jq
start
writer=$(helper synced_writer)
area=$((160 << 20))

fio_load() {
	cd "$W" && exec fio --name=load --filename="$DISK" --offset=$area --size=96m \
		--rw=randrw --rwmixread=20 --bssplit=4k/80:64k/15:1m/5 --direct=1 \
		--ioengine=libaio --iodepth=32 --time_based --runtime=600 --norandommap \
		--randrepeat=0 --fdatasync=$((round % 4 / 2 * 50)) >"$W/fio.log" 2>&1
}

# Small segments and small RAM buffers make wraps, waits for space and many
# records common; the sizes change from round to round, the volume stays.
volume_make 40M 256M --segment-size 256K
for ((round = 1; round <= ROUNDS; round++)); do
	case_is "SIGKILL under load, round $round of $ROUNDS"
	volume_mount
	# Killed by the writer as one of its syncs returns, or at any moment.
	killer=()
	if ((round % 2 == 0)); then killer=("$WORKER"); fi
	run_in_background "$writer" write "$DISK" "$W/book" $area 4 \
		$((SEED * 1000 + round / 2)) "${killer[@]}"
	writing=$JOB
	loading=''
	if ((round % 3 != 0)); then
		run_in_background fio_load
		loading=$JOB
	fi
	if [ ${#killer[@]} -eq 0 ]; then
		until_it_is_so 60 has_disk_open "$writing"
		sleep "$((RANDOM % 2)).$((RANDOM % 10))$((RANDOM % 10))"
		kill -9 "$WORKER"
	fi
	status=0
	wait "$writing" || status=$?
	[ $status -eq 3 ] || fail "the writer ended with $status, not by the death of the daemon"
	gone_within 60 "$WORKER" || fail "the daemon does not die of SIGKILL"
	[ -z "$loading" ] || wait "$loading" || :
	wreck_clear

	# Sometimes the mount that recovers is killed as well.
	if ((RANDOM % 4 == 0)); then
		volume_mount
		daemon_kill
		wreck_clear
	fi
	volume_mount
	"$writer" verify "$DISK" "$W/book"
	volume_umount
done

case_is "after all rounds a drain leaves the backing with the same content"
volume_mount
"$WBFS" drain "$MNT"
volume_umount
"$writer" verify "$BACKING" "$W/book"
finish
