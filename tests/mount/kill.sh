#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A file system on a loop device on MOUNT/disk: a source tree is copied in,
# sync, more is written, SIGKILL of the daemon; then a new mount, a clean
# fsck, and every file of every round is compared. One volume gathers them all.
#
#	ROUNDS=3 FS="ext4 xfs" kill.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=${ROUNDS:-3}
FS=${FS:-ext4 xfs}

needs fuse loop jq
for fs in $FS; do needs "fs:$fs"; done
start
tree_make "$W/tree"

# Writes that nobody synced, under way when the daemon dies.
write_on() {	# directory
	local n=0
	while cp -a "$W/tree/usr/include/linux" "$1/unsynced-$n" 2>/dev/null; do
		n=$((n + 1))
	done
}

kill_rounds() {	# file system
	local fs=$1 round i writer
	volume_make 96M 3G
	volume_mount
	loop_attach "$DISK"
	fs_make "$fs" "$LOOP"
	for ((round = 1; round <= ROUNDS; round++)); do
		case_is "$fs, round $round of $ROUNDS: SIGKILL after sync"
		fs_mount "$LOOP" "$W/fs"
		rm -rf "$W/fs"/unsynced-*
		cp -a "$W/tree" "$W/fs/round-$round"
		sync -f "$W/fs"
		run_in_background write_on "$W/fs"
		writer=$JOB
		sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
		daemon_kill
		wait "$writer" 2>/dev/null || :
		wreck_clear

		volume_mount
		loop_attach "$DISK"
		fs_mount "$LOOP" "$W/fs"	# replays the journal
		fs_umount "$W/fs"
		fs_check "$fs" "$LOOP"
		fs_mount "$LOOP" "$W/fs"
		for ((i = 1; i <= round; i++)); do
			same_tree "$W/tree" "$W/fs/round-$i"
		done
		fs_umount "$W/fs"
	done

	case_is "$fs: after a drain the backing alone holds it all"
	loop_detach
	"$WBFS" drain "$MNT"
	volume_umount
	loop_attach "$BACKING" --read-only
	fs_check "$fs" "$LOOP"
	mkdir -p "$W/fs"
	mount -o ro "$LOOP" "$W/fs"
	own_filesystems+=("$W/fs")
	for ((i = 1; i <= ROUNDS; i++)); do
		same_tree "$W/tree" "$W/fs/round-$i"
	done
	fs_umount "$W/fs"
	loop_detach
}

for fs in $FS; do
	kill_rounds "$fs"
done
finish
