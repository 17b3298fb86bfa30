#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `wbfs detach`: everything goes to the backing without a mount, and the volume is
# taken apart. Interrupted or killed it is a volume still, or none any more, never
# something between.
. "$(dirname "$0")/lib.sh"

needs fuse jq getfattr
start
SEED=${SEED:-$RANDOM}
ROUNDS=${ROUNDS:-12}
echo "SEED=$SEED"
RANDOM=$SEED
MNT=$W/mnt
mirror=$(helper mirror_io)
size=$((48 << 20))

# volume_new: $W/reference is what the image holds, most of it dirty.
volume_new() {
	volume_make 40M 48M --no-zero
	truncate -s 0 "$W/reference"; truncate -s $size "$W/reference"
	volume_mount -o allow_writeback=off
	"$mirror" "$DISK" "$W/reference" $size 4 "${1:-400}" "$((SEED + RANDOM))"
	volume_umount
}

case_is "a dirty volume is written back and taken apart"
volume_new
says 0 "$BACKING is complete without its cache" 'written back)' \
	"$CACHE is detached and may be formatted or removed" -- "$WBFS" detach "$CACHE"
same_bytes "$BACKING" "$W/reference"
backing_is_unmarked
says 0 'detached: the backing is complete alone' 'dirty: 0 blocks, 0 discards' sound -- \
	"$WBFS" check "$CACHE"
says 0 '(detached)' -- "$WBFS" dump "$CACHE"

case_is "the cache is refused, and the backing is as free as any file"
says 1 "cache $CACHE was detached from its backing (it was $BACKING)" '`wbfs format` makes' -- \
	"$WBFS" mount "${test_options[@]}" --cache "$CACHE" --backing "$BACKING" "$MNT"
says 1 'was detached from its backing' -- \
	"$WBFS" mount "${test_options[@]}" --cache "$CACHE" --backing "$BACKING" --force "$MNT"
says 1 'was detached from its backing' -- "$WBFS" rescue "$CACHE" --in-place
printf 'used alone' | dd of="$BACKING" conv=notrunc status=none
says 0 'was detached before' "backing $BACKING needs it no more" -- "$WBFS" detach "$CACHE"
says 0 'volume ' -- "$WBFS" format --cache "$CACHE" --backing "$BACKING"
volume_mount
[ "$(head -c 10 "$DISK")" = 'used alone' ] || fail "the new volume does not show the backing"
volume_umount
says 0 '(0 B written back)' -- "$WBFS" detach "$CACHE"

if local_case "where the backing was is a hint, --backing says where it is"; then
	volume_new 50
	mv "$BACKING" "$BACKING.moved"
	says 1 "the backing, last at '$BACKING', is to be given by --backing" -- \
		"$WBFS" detach "$CACHE"
	BACKING=$BACKING.moved
	cp "$W/reference" "$W/other"
	says 1 'carries no mark' -- "$WBFS" detach --backing "$W/other" "$CACHE"
	says 1 'same' -- "$WBFS" detach --backing "$CACHE" "$CACHE"
	says 0 "$BACKING is complete" -- "$WBFS" detach --backing "$BACKING" "$CACHE"
	same_bytes "$BACKING" "$W/reference"
	backing_is_unmarked
fi

case_is "a mounted volume is not detached"
volume_new 50
volume_mount
says 1 'in use by wbfs' "pid $WORKER" -- "$WBFS" detach "$CACHE"
daemon_kill
wreck_clear_mount

case_is "one that was killed is recovered first"
says 0 'is complete without its cache' -- "$WBFS" detach "$CACHE"
same_bytes "$BACKING" "$W/reference"
backing_is_unmarked

# inject WHAT: the attributes of the backing are removed last of all
inject() {
	strace -f -qq -o "$W/trace" -e trace=fremovexattr -e inject=fremovexattr:"$1" \
		"$WBFS" detach "$CACHE"
}

if over_nbd; then
	:	# that mark is no attribute
elif command -v strace >/dev/null && strace -qq -o /dev/null true; then
	case_is "a mark that cannot be removed, and a death just before: given again, it finishes"
	volume_new 50
	says 1 "cache $CACHE is detached and backing $BACKING is complete, but its mark cannot be removed" -- \
		inject error=EIO
	same_bytes "$BACKING" "$W/reference"
	[ -n "$(getfattr -d -- "$BACKING" 2>/dev/null)" ] || fail "the mark is gone"
	says 1 'was detached from its backing' -- \
		"$WBFS" mount "${test_options[@]}" --cache "$CACHE" --backing "$BACKING" "$MNT"
	says 0 'was detached before' -- "$WBFS" detach "$CACHE"
	backing_is_unmarked
	for nth in 1 2 3; do
		volume_new 50
		says 137 -- inject signal=KILL:when=$nth
		same_bytes "$BACKING" "$W/reference"
		says 0 'was detached before' -- "$WBFS" detach "$CACHE"
		backing_is_unmarked
	done
else
	case_skip "a mark that cannot be removed" "strace is not installed, or may not trace"
fi

# --- slow and failing disks ---------------------------------------------------------

disks_start 40M 48M
volume_on_disks() {	# BLOCKS
	disks heal cache; disks heal backing
	"$WBFS" format --no-zero --force --cache "$CACHE" --backing "$BACKING"
	volume_mount -o allow_writeback=off
	head -c $(($1 * 4096)) /dev/urandom >"$W/reference"
	dd if="$W/reference" of="$DISK" bs=1M conv=notrunc,fsync status=none
	"$WBFS" umount "$MNT"
}

case_is "SIGTERM in the middle: still a volume, less of it dirty, and it says so"
volume_on_disks 4000
disks fail backing write none delay held times 4
"$WBFS" detach "$CACHE" 2>"$W/said" &
JOB=$!
own_jobs+=("$JOB")
until_it_is_so 60 is_held backing
until_it_is_so 60 grep -qF 'draining: ' "$W/said"
kill -TERM "$JOB"
until_it_is_so 60 grep -qF 'draining: ended at ' "$W/said"
disks heal backing
status=0
wait "$JOB" || status=$?
name_files "$W/said"
cat "$W/said"
[ $status -eq 143 ] || fail "exit status $status"
grep -q "interrupted: $CACHE and $BACKING are still a volume, with .* of dirty data left; 'wbfs detach' goes on" "$W/said"
says 0 'stopped cleanly: yes' sound -- "$WBFS" check "$CACHE"
left=$(awk '$1 == "dirty:" { print $2 }' "$W/said")
[ "$left" -gt 0 ] && [ "$left" -le 4000 ] || fail "$left of 4000 blocks are dirty"
# (a server has all of them in hand at once, and is not asked to flush any)
over_nbd || [ "$left" -lt 4000 ] || fail "none was written back"
says 0 'is complete without its cache' -- "$WBFS" detach "$CACHE"
same_bytes "$W/reference" "$BACKING" $((4000 * 4096))

case_is "what the backing does not take is listed; when it heals it goes on"
volume_on_disks 1000
disks fail backing write EIO from $((500 * 4096)) length 8192
says 1 "LEFT: bytes $((500 * 4096)) to $((502 * 4096 - 1)) of the image: the backing does not take them" \
	'2 dirty blocks and 0 discards' 'could not be written back' 'It still is a volume' -- \
	"$WBFS" detach "$CACHE"
disks heal backing
says 0 'is complete without its cache' -- "$WBFS" detach "$CACHE"
same_bytes "$W/reference" "$BACKING" $((1000 * 4096))

case_is "a superblock that cannot be written: said, and it can be given again"
volume_on_disks 100
disks fail cache write EIO from $((512 << 10)) length 4096 nth 2
status=0
"$WBFS" detach "$CACHE" 2>"$W/said" || status=$?
cat "$W/said"
disks heal cache
[ $status -eq 0 ] || grep -q "'wbfs detach' can be given again" "$W/said"
says 0 -- "$WBFS" detach "$CACHE"
same_bytes "$W/reference" "$BACKING" $((100 * 4096))
says 1 'was detached from its backing' -- \
	"$WBFS" mount "${test_options[@]}" --cache "$CACHE" --backing "$BACKING" "$MNT"
disks_stop

# --- SIGKILL at any moment -----------------------------------------------------------

case_is "SIGKILL at $ROUNDS random moments: a volume with all its data, or none and all on the backing"
volumes=0 detached=0
for ((round = 1; round <= ROUNDS; round++)); do
	volume_new 800
	"$WBFS" detach "$CACHE" &
	JOB=$!
	sleep "$(awk -v r=$RANDOM 'BEGIN { printf "%.4f", r / 32768 * 0.5 }')"
	kill -9 "$JOB" 2>/dev/null || :
	wait "$JOB" 2>/dev/null || :
	if "$WBFS" check "$CACHE" | grep -q '^detached'; then
		detached=$((detached + 1))
		same_bytes "$BACKING" "$W/reference"
	else
		volumes=$((volumes + 1))
		volume_mount
		same_bytes "$DISK" "$W/reference"
		volume_umount
	fi
	"$WBFS" detach "$CACHE"
	same_bytes "$BACKING" "$W/reference"
	backing_is_unmarked
done
echo "$volumes were volumes still, $detached were detached"
finish
