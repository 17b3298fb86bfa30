#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Power cuts of both disks under the real program: in the middle of a write or
# flush of either, what no flush covers is kept, lost, torn or older than it
# was. Before, some I/O may have failed. No synced write is lost, what is there is
# a prefix of what was written, every mount succeeds, and after a drain the backing
# alone is the image.
# The disks are test_disk's, the book is kept by synced_writer.
#
#	ROUNDS=10 SEED=number ARTEFACTS=directory powercut.sh
#
# SEED chooses the operations, the moments and what survives; the threads of the
# daemon still run as they like. ARTEFACTS gets the disks and the book of a
# failed round: *.before-recovery is what the power cut left.
. "$(dirname "$0")/lib.sh"

ROUNDS=${ROUNDS:-10}
SEED=${SEED:-$RANDOM}
RANDOM=$SEED
echo "SEED=$SEED"

needs fuse jq
start
writer=$(helper synced_writer)
area=$((16 << 20))
disks_start 5M 24M
at_exit='keep_artefacts'

keep_artefacts() {
	[ "$finished" = no ] || return 0
	echo "SEED=$SEED ROUNDS=$ROUNDS $0 does the same again, as far as threads do"
	[ -n "${ARTEFACTS:-}" ] || return 0
	mkdir -p "$ARTEFACTS"
	cp --sparse=always "$W"/store/* "$W/book" "$ARTEFACTS"
	echo "the disks and the book are in $ARTEFACTS"
}

seed() {
	echo $((RANDOM * 32768 + RANDOM))
}

one_of() {
	shift $((RANDOM % $#))
	echo "$1"
}

# Small segments and buffers make wraps, waits for space and many records common.
mount_any() {
	volume_mount -o "allow_writeback=$(one_of on on off),sync_interval_s=$(one_of 0 1 5)" \
		-o "ram_buffer=$(one_of 2M 8M 64M)"
	mounted=yes
}

# After a power cut: the daemon is dead or dies now, and the power is back.
power_is_back() {
	disks power-cut-at 0	# one that was asked for does not come in between
	[ "$(disks power)" = off ] || disks power-cut "$(seed)"
	kill -9 "$WORKER" 2>/dev/null || :
	gone_within 60 "$WORKER" || fail "the daemon does not die of SIGKILL"
	! is_mounted "$MNT" || wreck_clear_mount
	mounted=no
	disks_power_on
	if [ -n "${ARTEFACTS:-}" ]; then
		for item in cache backing; do
			cp --sparse=always "$W/store/$item.now" "$W/store/$item.before-recovery"
		done
		cp --sparse=always "$W/book" "$W/store/book.before-recovery"
	fi
}

# The power goes again while the log is recovered, or soon after.
cut_in_recovery() {
	local status=0
	disks power-cut-at $((1 + RANDOM % 12)) "$(seed)"
	"$WBFS" mount "${test_options[@]}" --cache "$CACHE" --backing "$BACKING" "$MNT" || status=$?
	disks power-cut-at 0
	if [ "$(disks power)" = off ]; then
		WORKER=$(disks killed)	# (or a server of the backing; the daemon died with it)
	else
		[ $status -eq 0 ] || fail "the mount failed with the power on"
		WORKER=$(stat_of worker_pid)
	fi
	power_is_back
}

# Some I/O fails now and then, and a failed flush loses what it covered. Never so
# often that a user should see it.
disks_are_poor() {
	local item
	for item in cache backing; do
		disks forget $item yes
		disks fail $item flush EIO nth $((1 + RANDOM % 30)) times 1
		disks fail $item write EIO nth $((1 + RANDOM % 200)) times $((1 + RANDOM % 2))
		disks fail $item write,flush none nth $((1 + RANDOM % 100)) times 3 delay 20
	done
}

disks_are_good() {
	local item
	for item in cache backing; do
		disks forget $item no
		disks heal $item
	done
}

write_until_the_cut() {	# threads [how]
	local status=0
	((RANDOM % 3)) || disks_are_poor
	disks power-cut-at $((1 + RANDOM % $(one_of 20 200 1000 4000))) "$(seed)" "${2:-any}"
	"$writer" write "$DISK" "$W/book" $area "$1" "$(seed)" || status=$?
	[ $status -eq 3 ] || fail "the writer ended with $status, not by the power cut"
	[ "$(disks power)" = off ] || fail "the daemon ended by itself"
	disks_are_good
	power_is_back
}

drain_is_complete() {
	"$WBFS" drain "$MNT"
	"$@"
	"$writer" check "$BACKING" "$W/book"
}

# What happens between two rounds, each in its turn.
in_between() {	# number
	case $(($1 % 6)) in
	0) volume_umount; mounted=no ;;
	1) drain_is_complete power_is_back ;;
	2) drain_is_complete volume_umount; mounted=no ;;
	3)
		disks power-cut-at $((1 + RANDOM % 60)) "$(seed)"
		"$WBFS" drain "$MNT" || [ "$(disks power)" = off ]
		power_is_back
		;;
	4)
		disks power-cut-at $((1 + RANDOM % 8)) "$(seed)"
		"$WBFS" umount "$MNT" || [ "$(disks power)" = off ]
		power_is_back
		;;
	5) ;;		# goes on as it is
	esac
	disks power-cut-at 0
}

rounds() {	# threads first last
	local round threads=$1
	for ((round = $2; round <= $3; round++)); do
		case_is "power cut, writing by $threads, round $round of $ROUNDS"
		[ $mounted = yes ] || mount_any
		write_until_the_cut "$threads"
		for ((again = round % 3; again > 1; again--)); do
			cut_in_recovery
		done
		mount_any
		"$writer" verify "$DISK" "$W/book"
		in_between "$round"
		if [ $mounted = no ]; then
			mount_any
			"$writer" check "$DISK" "$W/book"
		fi
	done
	volume_umount
	mounted=no
}

new_volume() {	# segment size
	mounted=no
	rm -f "$W/book"
	fallocate --punch-hole --offset 0 --length "$(stat -c %s "$BACKING")" "$BACKING"
	volume_format --force --segment-size "$1"
}

new_volume 256K
rounds 1 1 $((ROUNDS * 6 / 10))
new_volume 64K
rounds 4 $((ROUNDS * 6 / 10 + 1)) "$ROUNDS"

# --- a disk that lies must be noticed, or the rounds show nothing ---------------------

# Synced writes, then a power cut in which everything volatile is lost.
lose_all() {
	local status=0
	new_volume 256K
	disks lie cache "$1"
	volume_mount
	disks power-cut-at 600 1 loses-all
	"$writer" write "$DISK" "$W/book" $area 1 4 || status=$?
	[ $status -eq 3 ] || fail "the writer ended with $status, not by the power cut"
	power_is_back
	disks lie cache no
}

case_is "everything that is volatile lost: all synced writes are there"
lose_all no
volume_mount
"$writer" verify "$DISK" "$W/book"
volume_umount

case_is "the cache swallows flushes: the loss is noticed"
lose_all yes
if "$WBFS" mount "${test_options[@]}" --cache "$CACHE" --backing "$BACKING" "$MNT"; then
	! "$writer" verify "$DISK" "$W/book" || fail "nothing was noticed"
	"$WBFS" umount "$MNT"
fi

case_is "the backing swallows flushes: after a drain the loss is noticed"
lose_all no
volume_mount
"$writer" verify "$DISK" "$W/book"
disks lie backing yes
"$WBFS" drain "$MNT"
disks power-cut 1 loses-all
power_is_back
disks lie backing no
! "$writer" check "$BACKING" "$W/book" || fail "nothing was noticed"

disks_stop
finish
