#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the program refuses: each message by its own words, for those that no
# other test provokes. tests/tidy/refusals.sh finds messages that no test looks
# for.
. "$(dirname "$0")/lib.sh"

needs fuse jq setfattr strace
start

case_is "format: sizes that do not fit"
says 1 'bytes) and backing ' 'the cache is too small: room for at least 8 segments' -- \
	"$WBFS" format --cache "$W/c" --cache-size 2M --backing "$W/b" --size 8M
says 0 -- "$WBFS" format --cache "$W/c" --cache-size 16M --backing "$W/b" --size 8M
says 1 'exists already and has 16777216 bytes, not the 33554432 of --cache-size' \
	'leave --cache-size out' -- \
	"$WBFS" format --cache "$W/c" --cache-size 32M --backing "$W/b"
says 1 ': cannot make it 64 MiB large: File too large' -- bash -c "
	trap '' XFSZ; ulimit -f 20000
	exec '$WBFS' format --cache '$W/c2' --cache-size 64M --backing '$W/b2' --size 8M"
[ ! -e "$W/c2" ] || fail "a file was left"

case_is "format: a cache as the backing"
says 0 -- "$WBFS" format --cache "$W/c3" --cache-size 16M --backing "$W/b3" --size 8M
says 1 'is a cache: were --cache and --backing swapped? --force makes it a backing' -- \
	"$WBFS" format --cache "$W/c" --backing "$W/c3"

case_is "format: a backing whose cache is no cache any more"
cp "$W/c3" "$W/c3.good"
CACHE=$W/c3 BACKING=$W/b3 MNT=$W/mnt
volume_mount
head -c 4096 /dev/zero | dd of="$DISK" bs=4096 conv=notrunc,fdatasync status=none
daemon_kill
wreck_clear_mount
truncate -s 0 "$W/c3"; truncate -s 16M "$W/c3"
says 1 'may hold data that the backing lacks' 'holds no readable cache any more' \
	'--force takes the backing as it is' -- \
	"$WBFS" format --cache "$W/c" --backing "$W/b3"
cp "$W/c3.good" "$W/c3"

case_is "mount: a cache and a backing of two volumes"
says 1 'belongs to the backing marked' 'is marked' \
	'Give the pair that belongs together; nothing was changed' -- \
	"$WBFS" mount --cache "$W/c" --backing "$W/b3" "$MNT"

case_is "a mark that is damaged is no missing mark"
cp --preserve=xattr "$W/b" "$W/b4"
setfattr -n user.wbfs.state -v epoch=twelve "$W/b4"
says 1 'the attribute user.wbfs.state cannot be understood: "epoch=twelve"' -- \
	"$WBFS" mount --cache "$W/c" --backing "$W/b4" "$MNT"
setfattr -n user.wbfs.uuid -v nonsense "$W/b4"
says 1 'the attribute user.wbfs.uuid holds no UUID' -- \
	"$WBFS" mount --cache "$W/c" --backing "$W/b4" "$MNT"
cp "$W/b" "$W/b5"
mkdir "$W/b5.wbfs-id"
says 1 'cannot read the mark of the backing: ' -- \
	"$WBFS" mount --cache "$W/c" --backing "$W/b5" "$MNT"
says 1 'cannot read the attribute user.wbfs.uuid: Input/output error' -- \
	strace -f -qq -o "$W/trace" -e inject=fgetxattr:error=EIO \
	"$WBFS" mount --cache "$W/c" --backing "$W/b" "$MNT"

case_is "what is not there, and what is none"
says 1 "cannot open cache $W/none: No such file" -- "$WBFS" check "$W/none"
says 1 "cannot open backing $W/none: No such file" -- \
	"$WBFS" mount --cache "$W/c" --backing "$W/none" "$MNT"
truncate -s 16M "$W/zeros"
says 1 'has no valid superblock, so where its records lie is not known' -- \
	"$WBFS" dump "$W/zeros"

case_is "a process that may not open what it needs"
for ((n = 3; n < 30; n++)); do
	bash -c "ulimit -n $n; exec '$WBFS' check '$W/c'" >"$W/said" 2>&1 3>&- && break
	! grep -q ': cannot set up io_uring: Too many open files' "$W/said" || break
done
cat "$W/said"
grep -q ': cannot set up io_uring: Too many open files' "$W/said"

case_is "a volume that is mounted, and one whose daemon has died"
CACHE=$W/c BACKING=$W/b
volume_mount
says 1 "is mounted already: 'wbfs status $MNT' shows it" -- \
	"$WBFS" mount --cache "$W/c3" --backing "$W/b3" "$MNT"
daemon_kill
for verb in status flush drain; do
	says 1 "the daemon of $MNT is gone. To go on: 'wbfs umount $MNT'" \
		'then mount it again: the log is recovered' -- "$WBFS" $verb "$MNT"
done
says 0 'was unmounted, but its daemon had died before: the next mount recovers the log' -- \
	"$WBFS" umount "$MNT"

case_is "a signal while the image is in use: it goes on, and says so"
mkdir -p "$MNT"
"$WBFS" mount -f --cache "$W/c" --backing "$W/b" "$MNT" 2>"$W/foreground" &
own_jobs+=($!)
for ((i = 0; i < 1500; i++)); do is_mounted "$MNT" && break; sleep 0.02; done
own_mounts+=("$MNT")
exec 9<"$MNT/disk"
WORKER=$(stat_of worker_pid)
kill -TERM "$WORKER"
for ((i = 0; i < 1500; i++)); do
	! grep -q 'is not stopped, because it is in use by' "$W/foreground" || break
	sleep 0.02
done
cat "$W/foreground"
grep -q 'is not stopped, because it is in use by .*; all data is being made durable' "$W/foreground"
exec 9<&-
says 0 -- "$WBFS" umount "$MNT"

case_is "rescue: outputs that are not taken"
: >"$W/out"
says 1 'exists already; --force overwrites it' -- "$WBFS" rescue "$W/c" --output "$W/out"
says 1 'is no regular file' -- "$WBFS" rescue "$W/c" --output "$W"
says 2 "'wbfs rescue' needs either --output IMAGE or --in-place" -- "$WBFS" rescue "$W/c"
mv "$W/b" "$W/b.away"
says 1 "the backing, last at '$W/b', is to be given by --backing: cannot open backing" -- \
	"$WBFS" rescue "$W/c" --output "$W/out2"
mv "$W/b.away" "$W/b"

if [ "$(id -u)" -eq 0 ]; then
	case_is "disks that become full"
	mkdir "$W/small"
	mount -t tmpfs -o size=4M none "$W/small"
	own_filesystems+=("$W/small")
	says 1 ': cannot allocate 32 MiB: No space left' -- \
		"$WBFS" format --cache "$W/small/c" --cache-size 32M --backing "$W/b6" --size 8M
	[ ! -e "$W/small/c" ] || fail "a file was left"
	random_file "$W/b" $((8 << 20))
	cp --preserve=xattr "$W/b" "$W/b.kept"
	says 1 "cannot write $W/small/out: No space left" -- \
		"$WBFS" rescue "$W/c" --output "$W/small/out"
	truncate -s 0 "$W/b3"; truncate -s 8M "$W/b3"
	CACHE=$W/c3 BACKING=$W/b3
	says 0 -- "$WBFS" format --cache "$W/c3" --backing "$W/b3" --force
	volume_mount -o allow_writeback=off
	dd if="$W/b" of="$DISK" bs=1M conv=notrunc,fdatasync status=none
	volume_umount
	says 1 "$W/small/out: writing at byte " ' failed: No space left' -- \
		"$WBFS" rescue "$W/c3" --output "$W/small/out"
	[ ! -e "$W/small/out" ] || fail "half an image was left"
	umount "$W/small"

	case_is "a device that the system uses"
	truncate -s 32M "$W/used"
	loop_attach "$W/used"
	mkfs.ext4 -q -F "$LOOP"
	fs_mount "$LOOP" "$W/fs"
	says 1 'is in use by the system: mounted, or part of another device' -- \
		"$WBFS" format --cache "$LOOP" --backing "$W/b7" --size 8M --force
	fs_umount "$W/fs"
	loop_detach
else
	case_skip "disks that become full" "needs root"
fi

if [ "$(id -u)" -eq 0 ] && unshare --pid --fork --mount-proc true; then
	case_is "a lock whose holder cannot be found"
	exec 8<>"$W/c"
	flock -x 8
	says 1 'is still locked after 10 s, by no process that could be found' \
		'the lock is that of another machine or container' -- \
		unshare --pid --fork --mount-proc "$BASH" -c "$let_go_of_mounts" private \
		"$WBFS" check "$W/c" 8>&-
	# nor is it a cache that is lost, and to be given up
	mkdir -p "$W/m"
	unshare --pid --fork --mount-proc "$BASH" -c "$let_go_of_mounts" private \
		"$WBFS" mount --cache "$W/c" --backing "$W/b" "$W/m" 8>&- 2>"$W/err" &&
		fail "a locked cache was mounted"
	grep -q 'still locked' "$W/err"
	! grep -q 'without-cache' "$W/err" || fail "a locked cache is called lost"
	exec 8>&-
fi
finish
