#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `wbfs resize CACHE`: an unmounted cache of another size, beside the old one or
# elsewhere. What is dirty stays dirty, what is warm stays warm; killed at any moment
# there is the one or the other, whole.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
SEED=${SEED:-$RANDOM}
ROUNDS=${ROUNDS:-10}
echo "SEED=$SEED"
RANDOM=$SEED
MNT=$W/mnt
mirror=$(helper mirror_io)
size=$((48 << 20))

# volume_new [OPERATIONS]: $W/reference is what the image holds; the first half of the
# work is on the backing and warm, the second half is dirty
volume_new() {
	volume_make 40M 48M --no-zero
	rm -f "$W/reference"; truncate -s $size "$W/reference"
	volume_mount -o allow_writeback=off
	"$mirror" "$DISK" "$W/reference" $size 4 "${1:-150}" "$((SEED + RANDOM))"
	"$WBFS" drain "$MNT"
	more_work "${1:-150}"
	volume_umount
	note_dirty
}

more_work() {	# OPERATIONS
	"$mirror" "$DISK" "$W/reference" $size 4 "$1" "$((SEED + RANDOM))"
	"$WBFS" flush "$MNT"
	[ "$(stat_of dirty_blocks)" -gt 0 ] || fail "nothing is dirty"
}

# As the log tells it, which is all that is moved.
what_is_dirty() {
	"$WBFS" check "$CACHE" | grep '^dirty: ' || fail "check does not say what is dirty"
}

note_dirty() {
	dirty=$(what_is_dirty)
	echo "$dirty"
}

# volume_is_whole: it holds what it held
volume_is_whole() {
	[ "$(what_is_dirty)" = "$dirty" ] || fail "$(what_is_dirty), before it was $dirty"
	says 0 sound -- "$WBFS" check "$CACHE"
	no_leftovers
	volume_mount -o allow_writeback=off
	same_bytes "$DISK" "$W/reference"
	volume_umount
	note_dirty
}

no_leftovers() {
	[ ! -e "$CACHE.wbfs-resize" ] || fail "half a cache lies beside it"
}

backing_is_whole() {
	volume_mount
	"$WBFS" drain "$MNT"
	volume_umount
	same_bytes "$BACKING" "$W/reference"
}

case_is "a cache becomes larger, with what is dirty and what is warm"
volume_new
mode=$(stat -c '%a %u' "$CACHE")
says 0 "cache $CACHE has 72 MiB now, before it had 40 MiB" -- \
	"$WBFS" resize "$CACHE" --cache-size 72M
[ "$(stat -c %s "$CACHE")" -eq $((72 << 20)) ]
[ "$(stat -c %b "$CACHE")" -ge $(((72 << 20) / 512)) ] || fail "it is not allocated"
[ "$(stat -c '%a %u' "$CACHE")" = "$mode" ]
volume_is_whole
says 0 'bytes already' -- "$WBFS" resize "$CACHE" --cache-size 72M
says 0 'has 80 MiB now' -- "$WBFS" resize --cache-size +8M "$CACHE"
volume_is_whole
backing_is_whole

case_is "clean blocks are still read from it, and none of them from the backing"
volume_make 40M 48M --no-zero
volume_mount
random_file "$W/data" $((8 << 20))
dd if="$W/data" of="$DISK" bs=1M conv=notrunc,fsync status=none
"$WBFS" drain "$MNT"
volume_umount
"$WBFS" resize "$CACHE" --cache-size 50M
volume_mount
same_bytes "$DISK" "$W/data" $((8 << 20))
[ "$(stat_of read_backing_bytes)" -eq 0 ] || fail "$(stat_of read_backing_bytes) bytes from the backing"
[ "$(stat_of read_cache_bytes)" -ge $((8 << 20)) ]
volume_umount

case_is "smaller, as far as what is dirty fits; the rest of what is warm stays behind"
says 0 'has 14 MiB now' 'on the backing too, did not fit' -- \
	"$WBFS" resize "$CACHE" --cache-size 14M
volume_mount
same_bytes "$DISK" "$W/data" $((8 << 20))
volume_umount
volume_new 60
says 0 'has 30 MiB now' -- "$WBFS" resize "$CACHE" --cache-size 30M
volume_is_whole
says 1 'segments of the log are not written back yet' 'drain the volume first, or choose a larger size' -- \
	"$WBFS" resize "$CACHE" --cache-size 14M
says 1 'the cache is too small: room for at least 8 segments is needed' -- "$WBFS" resize "$CACHE" --cache-size 4M
volume_is_whole
backing_is_whole
says 0 'has 14 MiB now' -- "$WBFS" resize "$CACHE" --cache-size 14M
volume_mount
same_bytes "$DISK" "$W/reference"
more_work 20
volume_umount
note_dirty
volume_is_whole

case_is "a volume that was killed is not recovered for it, and loses nothing"
volume_mount -o allow_writeback=off
more_work 40
daemon_kill
wreck_clear_mount
note_dirty
says 0 'has 60 MiB now' -- "$WBFS" resize "$CACHE" --cache-size 60M
volume_is_whole
backing_is_whole

case_is "what is refused, and why"
volume_mount
says 1 'in use by wbfs' "pid $WORKER" -- "$WBFS" resize "$CACHE" --cache-size 90M
volume_umount
says 2 "'wbfs resize' needs --size SIZE, or --cache-size SIZE" -- "$WBFS" resize "$CACHE"
says 2 'takes either --size, with a mount point, or what belongs to --cache-size' -- \
	"$WBFS" resize "$CACHE" --size 1G --cache-size 1G
says 2 "'wbfs resize --to' takes the whole size, not +SIZE" -- \
	"$WBFS" resize "$CACHE" --to "$W/other" --cache-size +1G
says 1 'cannot open cache' -- "$WBFS" resize "$W/none" --cache-size 1G
says 1 'not a wbfs cache' -- "$WBFS" resize "$W/reference" --cache-size 1G
says 1 "$CACHE is the cache itself; without --to it changes its size under its own name" -- \
	"$WBFS" resize "$CACHE" --to "$CACHE" --cache-size 1G
over_nbd || says 1 "$BACKING is the backing of cache $CACHE" -- "$WBFS" resize "$CACHE" --to "$BACKING" --force
says 1 "there is no $W/other yet: --cache-size SIZE makes it" -- "$WBFS" resize "$CACHE" --to "$W/other"
says 1 'is not empty and is no cache' -- "$WBFS" resize "$CACHE" --to "$W/reference"
says 1 "exists already and has $size bytes, not the" 'of --cache-size: leave that out' -- \
	"$WBFS" resize "$CACHE" --to "$W/reference" --cache-size 1G
says 1 "the new cache $W/none/other cannot be made" -- "$WBFS" resize "$CACHE" --to "$W/none/other" --cache-size 50M
mkdir "$CACHE.wbfs-resize"
says 1 'cannot remove' 'which an earlier resize has left' -- "$WBFS" resize "$CACHE" --cache-size 50M
rmdir "$CACHE.wbfs-resize"
(
	ulimit -f $((30 << 10))
	trap '' XFSZ
	says 1 'cannot make it 50 MiB large: File too large' -- "$WBFS" resize "$CACHE" --cache-size 50M
)
no_leftovers
note_dirty
volume_is_whole

if command -v strace >/dev/null && strace -qq -o /dev/null true; then
	case_is "a name that cannot be given, and one that is given to another meanwhile"
	says 1 "cannot rename $CACHE.wbfs-resize to $CACHE" -- strace -f -qq -o /dev/null \
		-e trace=rename,renameat,renameat2 -e inject=rename,renameat,renameat2:error=EIO \
		"$WBFS" resize "$CACHE" --cache-size 50M
	volume_is_whole
	cp "$CACHE" "$W/copy"
	strace -qq -o "$W/trace" -e trace=openat,flock -e inject=flock:delay_enter=5000000 \
		"$WBFS" check "$CACHE" >"$W/said" 2>&1 &
	JOB=$!
	own_jobs+=("$JOB")
	for ((i = 0; i < 450; i++)); do	# it waits before it takes the lock
		! grep -qF "\"$CACHE\"" "$W/trace" 2>/dev/null || break
		sleep 0.01
	done
	mv "$W/copy" "$CACHE"
	status=0
	wait "$JOB" || status=$?
	cat "$W/said"
	[ $status -eq 1 ] || fail "exit status $status"
	grep -q "cache $CACHE was replaced by another file just now; try again" "$W/said"
	volume_is_whole
else
	case_skip "a name that cannot be given" "strace is not installed, or may not trace"
fi

case_is "a block that is wrong stays wrong, and is said"
volume_make 40M 48M --no-zero
volume_mount -o allow_writeback=off
{ printf 'a block that rots'; head -c 4079 /dev/urandom; } >"$W/block"
dd if="$W/block" of="$DISK" bs=4k seek=10 conv=notrunc,fsync status=none
volume_umount
at=$(grep -abo -m 1 'a block that rots' "$CACHE" | head -n 1 | cut -d : -f 1)
printf A | dd of="$CACHE" bs=1 seek="$at" conv=notrunc status=none
says 0 '1 blocks of the old cache could not be read or were not what was written' \
	"'wbfs check $CACHE' says which" -- "$WBFS" resize "$CACHE" --cache-size 50M
says 1 'BAD' -- "$WBFS" check "$CACHE"
volume_mount
! dd if="$DISK" of=/dev/null bs=4k skip=10 count=1 status=none || fail "it is read"
volume_umount

case_is "to another place; the old one is refused once the new one was mounted"
volume_new 60
old=$CACHE
says 0 "cache $old (40 MiB) is now $W/elsewhere (32 MiB): mount it with that from now on" -- \
	"$WBFS" resize "$CACHE" --to "$W/elsewhere" --cache-size 32M
CACHE=$W/elsewhere
volume_is_whole
says 1 "cache $old is an older copy" -- "$WBFS" mount --cache "$old" --backing "$BACKING" "$MNT"
says 1 'dirty blocks' -- "$WBFS" resize "$CACHE" --to "$old"
says 0 "is now $old (40 MiB)" -- "$WBFS" resize "$CACHE" --to "$old" --force
CACHE=$old
volume_is_whole
backing_is_whole
says 0 'is complete without its cache' -- "$WBFS" detach "$CACHE"
says 1 'was detached from its backing' -- "$WBFS" resize "$CACHE" --cache-size 50M

case_is "back to where it was, where the same records lay elsewhere: none of those is found again"
volume_make 40M 48M --no-zero
rm -f "$W/reference"; truncate -s $size "$W/reference"
for blocks in 10 11 12 434; do	# 128 of which fill a segment, and each stop leaves a gap
	volume_mount -o allow_writeback=off
	"$WBFS" drain "$MNT"
	random_file "$W/data" $((blocks << 12))
	dd if="$W/data" of="$DISK" bs=4k seek=$((blocks * 10)) oflag=dsync conv=notrunc status=none
	dd if="$W/data" of="$W/reference" bs=4k seek=$((blocks * 10)) conv=notrunc status=none
	volume_umount
done
note_dirty
"$WBFS" resize "$CACHE" --to "$W/away" --cache-size 40M
says 0 "all of $old is written with zeros, in spite of --no-zero" -- \
	"$WBFS" resize "$W/away" --to "$old" --force --no-zero
volume_is_whole
backing_is_whole
rm "$W/away"
says 0 -- "$WBFS" resize "$CACHE" --to "$W/away" --cache-size 40M --no-zero
says_not 'in spite of --no-zero'
rm "$W/away"

if [ "$(id -u)" -eq 0 ] && losetup --find >/dev/null 2>&1; then
	case_is "a device that was made larger: away, and back at its new size"
	volume_new 60
	truncate -s 30M "$W/device"
	loop_attach "$W/device"
	"$WBFS" resize "$CACHE" --to "$LOOP" --no-zero
	CACHE=$LOOP
	volume_is_whole
	truncate -s 60M "$W/device"
	losetup -c "$LOOP"
	says 1 "cache $LOOP is a device, and its log does not fit a ring of another size where it lies" \
		"'wbfs resize $LOOP --to FILE --cache-size SIZE', then 'wbfs resize FILE --to $LOOP --force'" -- \
		"$WBFS" resize "$CACHE" --cache-size 60M
	rm -f "$W/away"
	says 0 -- "$WBFS" resize "$CACHE" --to "$W/away" --cache-size 40M
	says 0 "is now $LOOP (60 MiB)" -- "$WBFS" resize "$W/away" --to "$LOOP" --force
	volume_is_whole
	backing_is_whole
	loop_detach
	CACHE=$W/cache

	case_is "SIGTERM while a device is written to: it holds nothing, the old one is as it was"
	volume_new 40
	rm "$W/device"	# no block of the new one is allocated
	truncate -s 4G "$W/device"
	loop_attach "$W/device"
	"$WBFS" resize "$CACHE" --to "$LOOP" 2>"$W/said" &
	JOB=$!
	own_jobs+=("$JOB")
	for ((i = 0; i < 3000 && $(stat -c %b "$W/device") < 1000; i++)); do sleep 0.005; done
	kill -TERM "$JOB"
	status=0
	wait "$JOB" || status=$?
	cat "$W/said"
	[ $status -eq 143 ] || fail "exit status $status"
	grep -q "interrupted: cache $CACHE is as it was, and $LOOP holds nothing now" "$W/said"
	says 1 'not a wbfs cache' -- "$WBFS" check "$LOOP"
	volume_is_whole
	loop_detach
	rm -f "$W/device"

	case_is "who may not give the new one its group keeps it for themselves"
	mkdir "$W/user"
	cp "$CACHE" "$W/user/cache"
	chmod 755 "$W"
	cp "$WBFS" "$W/wbfs"
	chmod 755 "$W/wbfs"
	chown 65534 "$W/user" "$W/user/cache"
	chmod 660 "$W/user/cache"
	says 0 'the new cache cannot be given the owner, group and mode of the old one' -- \
		setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$W/wbfs" resize "$W/user/cache" --cache-size 50M
	[ "$(stat -c '%a %u %g' "$W/user/cache")" = '600 65534 65534' ]
	rm -r "$W/user"

	case_is "without room for the new one beside it the old one stays"
	truncate -s 60M "$W/small"
	mkfs.ext4 -q -F "$W/small"
	loop_attach "$W/small"
	fs_mount "$LOOP" "$W/room"
	volume_new 40
	cp "$CACHE" "$W/room/cache"
	CACHE=$W/room/cache
	says 1 'cannot allocate 40.5 MiB: No space left on device' -- \
		"$WBFS" resize "$CACHE" --cache-size +512K
	volume_is_whole
	fs_umount "$W/room"
	loop_detach
	CACHE=$W/cache
else
	case_skip "devices" "loop devices need root"
fi

case_is "SIGTERM in the middle: the old one as it was, and nothing beside it"
volume_new 60
"$WBFS" resize "$CACHE" --cache-size 3G 2>"$W/said" &
JOB=$!
own_jobs+=("$JOB")
for ((i = 0; i < 3000; i++)); do
	[ ! -e "$CACHE.wbfs-resize" ] || break
	sleep 0.005
done
kill -TERM "$JOB"
status=0
wait "$JOB" || status=$?
cat "$W/said"
if [ $status -eq 143 ]; then
	grep -q "interrupted: cache $CACHE is as it was" "$W/said"
	[ "$(stat -c %s "$CACHE")" -eq $((40 << 20)) ]
else
	echo "it was over before"
fi
volume_is_whole

case_is "SIGKILL at $ROUNDS random moments: the old one or the new one, whole"
kept=0 replaced=0
volume_new 60
for ((round = 1; round <= ROUNDS; round++)); do
	was=$(stat -c %s "$CACHE")
	wanted=$(((30 + RANDOM % 60) << 20))
	"$WBFS" resize "$CACHE" --cache-size $wanted &
	JOB=$!
	own_jobs+=("$JOB")
	sleep "$(awk -v r=$RANDOM 'BEGIN { printf "%.4f", r / 32768 * 0.12 }')"
	kill -9 "$JOB" 2>/dev/null || :
	wait "$JOB" 2>/dev/null || :
	case $(stat -c %s "$CACHE") in
	"$wanted") replaced=$((replaced + 1)) ;;
	"$was") kept=$((kept + 1)) ;;
	*) fail "a cache of $(stat -c %s "$CACHE") bytes" ;;
	esac
	[ ! -e "$CACHE.wbfs-resize" ] || "$WBFS" resize "$CACHE" --cache-size $wanted
	volume_is_whole
done
echo "$kept were the old ones, $replaced the new ones"
backing_is_whole
finish
