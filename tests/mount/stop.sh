#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every way to stop keeps what was acknowledged, synced or not, and leaves a
# clean volume and free files; a stop while the image is in use is refused.
. "$(dirname "$0")/lib.sh"

needs fuse loop jq fusermount3
start
volume_make 64M 256M
random_file "$W/reference" $((8 << 20))
same_start() {
	cmp -n $((8 << 20)) "$DISK" "$W/reference"
}

# Fresh data each time, never synced.
change() {
	local file at=$((RANDOM % 20))
	random_file "$W/part" 300000
	for file in "$DISK" "$W/reference"; do
		dd if="$W/part" of="$file" bs=300000 seek=$at conv=notrunc status=none
	done
}

# SIGTERM, umount and fusermount3 do not wait for the daemon; this does.
is_stopped() {
	gone_within 60 "$WORKER" || fail "the daemon does not end"
	volume_is_stopped
}

is_clean() {
	"$WBFS" check "$CACHE" || fail "wbfs check objects"
}

stop_umount_command() { "$WBFS" umount "$MNT"; volume_is_stopped; }
stop_umount() { umount "$MNT"; is_stopped; }
stop_fusermount3() { fusermount3 -u "$MNT"; is_stopped; }
stop_sigterm() { kill -TERM "$WORKER"; is_stopped; }
stop_sigint() { kill -INT "$WORKER"; is_stopped; }

volume_mount
dd if="$W/reference" of="$DISK" bs=1M conv=notrunc status=none
for way in umount_command umount fusermount3 sigterm sigint; do
	case_is "stopped by $way: all that was acknowledged is there"
	change
	"stop_$way"
	is_clean
	volume_mount
	[ "$(stat_of from_checkpoint)" = true ] || fail "the log was read: the stop left no checkpoint"
	same_start
done

case_is "in the foreground: the exit status of a clean stop is 0"
volume_umount
"$WBFS" mount "${test_options[@]}" -f --cache "$CACHE" --backing "$BACKING" "$MNT" &
foreground=$!
own_jobs+=($foreground)
own_workers+=($foreground)
for ((i = 0; i < 1000; i++)); do
	[ -e "$MNT/disk" ] && break
	sleep 0.02
done
same_start
WORKER=$(stat_of worker_pid)
change
kill -TERM "$WORKER"
wait $foreground
is_stopped
is_clean
volume_mount
same_start

# The mount, and a second one of the same session.
mount_twice() {
	"$WBFS" mount "${test_options[@]}" -f -o sync_interval_s=0 --cache "$CACHE" --backing "$BACKING" \
		"$MNT" 2>"$W/daemon_says" &
	foreground=$!
	own_jobs+=($foreground)
	own_workers+=($foreground)
	until_it_is_so 60 test -e "$MNT/disk"
	mkdir -p "$W/elsewhere"
	mount --bind "$MNT" "$W/elsewhere"
	own_mounts+=("$W/elsewhere")
	WORKER=$(stat_of worker_pid)
	change
}
umount_elsewhere() {
	is_alive "$WORKER" || fail "the daemon has ended"
	umount "$W/elsewhere"
	wait $foreground $unmounting
	is_stopped
	is_clean
}

case_is "mounted elsewhere too: a second signal says so, and makes all durable"
volume_umount
mount_twice
unmounting=''
kill -TERM "$WORKER"
until_it_is_so 60 eval '! mountpoint -q "$MNT"'
jq -e ".durable_sequence < .head_sequence" "$W/elsewhere/.wbfs/stats.json" || fail "it was synced before"
signalled() {
	kill -TERM "$WORKER"
	grep -q "is mounted elsewhere too .* is being made durable" "$W/daemon_says"
}
until_it_is_so 60 signalled
until_it_is_so 60 jq -e ".durable_sequence == .head_sequence" "$W/elsewhere/.wbfs/stats.json"
umount_elsewhere

case_is "mounted elsewhere too: umount says what it waits for"
mount_twice
"$WBFS" umount "$MNT" 2>"$W/umount_says" &
unmounting=$!
own_jobs+=($unmounting)
until_it_is_so 60 grep -q "has not ended.*is mounted elsewhere too" "$W/umount_says"
umount_elsewhere
volume_mount
same_start

case_is "a stop while a loop device holds the image names the device"
loop_attach "$DISK"
if "$WBFS" umount "$MNT" 2>"$W/message"; then fail "it was not refused"; fi
cat "$W/message"
grep -q "$LOOP" "$W/message" || fail "the message does not name $LOOP"
if umount "$MNT"; then fail "umount(8) was not refused"; fi
same_start
loop_detach
volume_umount

case_is "--recursive takes down filesystems and loop devices, and then stops"
volume_mount
loop_attach "$DISK"
fs_make ext4 "$LOOP"
fs_mount "$LOOP" "$W/fs"
random_file "$W/fs/file" 2000000
sum=$(cksum <"$W/fs/file")
mkdir "$W/fs/inner" && fs_mount "$LOOP" "$W/fs/inner"	# on top of the same device
says 1 "$LOOP (attached to $DISK)" -- "$WBFS" umount "$MNT"
says 0 -- "$WBFS" umount --recursive "$MNT"
volume_is_stopped
! is_mounted "$W/fs" && ! is_mounted "$W/fs/inner" && loop_is_gone "$LOOP"
own_filesystems=() own_loops=()
is_clean

case_is "--recursive leaves what is busy, and names it; --wait waits for its end"
volume_mount
loop_attach "$DISK"
fs_mount "$LOOP" "$W/fs"
[ "$(cksum <"$W/fs/file")" = "$sum" ] || fail "the file is not there"
exec 5<"$W/fs/file"
says 1 'is busy' "$LOOP" -- "$WBFS" umount -R "$MNT"
is_mounted "$W/fs" && is_mounted "$MNT"
run_in_background "$WBFS" umount --recursive --wait "$MNT" 2>"$W/waiting" 5<&-
for ((i = 0; i < 3000; i++)); do
	! grep -q 'waiting until' "$W/waiting" || break
	sleep 0.02
done
grep -q "waiting until $MNT is free of $LOOP " "$W/waiting"
is_mounted "$MNT"
exec 5<&-
wait "$JOB" || fail "it did not stop"
volume_is_stopped
loop_is_gone "$LOOP"
own_filesystems=() own_loops=() own_jobs=()
is_clean
volume_mount
dd if="$W/reference" of="$DISK" bs=1M conv=notrunc status=none
volume_umount

case_is "who may not stop it is told so in the words of fusermount3"
volume_mount -o allow_other
chmod 755 "$W"
install "$PROGRAM" "$W/wbfs"	# which may lie where nobody else gets
# root's mounts are not in the list of those that others may unmount
says 1 "cannot unmount $MNT: fusermount3: " 'not found in /etc/mtab' -- \
	setpriv --reuid nobody --clear-groups "$W/wbfs" umount "$MNT"
says 1 "cannot unmount $MNT" 'fusermount3' 'No such file' -- \
	setpriv --reuid nobody --clear-groups env PATH=/nowhere "$W/wbfs" umount "$MNT"
same_start
volume_umount

# The marks of devices are kept outside of the work directory.
# shellcheck disable=SC2034
at_exit='rm -f /var/lib/wbfs/*"${W##*/}"*; rmdir /var/lib/wbfs 2>/dev/null'
for sector in 512 4096; do
	case_is "cache and backing are block devices with $sector-byte sectors"
	truncate -s 64M "$W/cache-disk-$sector"
	truncate -s 256M "$W/backing-disk-$sector"
	loop_attach "$W/cache-disk-$sector" -b $sector
	CACHE=$LOOP
	loop_attach "$W/backing-disk-$sector" -b $sector
	BACKING=$LOOP
	volume_format
	volume_mount
	truncate -s 128M "$W/mirror"
	"$(helper mirror_io)" "$DISK" "$W/mirror" $((128 << 20)) 4 400 5
	"$WBFS" flush "$MNT"
	daemon_kill
	wreck_clear_mount
	volume_mount
	same_bytes "$DISK" "$W/mirror" $((128 << 20))
	volume_remount
	"$WBFS" drain "$MNT"
	volume_umount
	same_bytes "$W/backing-disk-$sector" "$W/mirror" $((128 << 20))
	loop_detach "$CACHE"
	loop_detach "$BACKING"
	rm -f "$W/cache-disk-$sector" "$W/backing-disk-$sector" "$W/mirror"
done
finish
