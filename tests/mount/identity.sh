#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A cache is attached to its own backing only, and one that was changed behind it
# is noticed: with dirty data it is refused, else clean copies are dropped.
. "$(dirname "$0")/lib.sh"

needs fuse jq getfattr setfattr
start

# mount_says STATUS WORD... -- [mount option]...
mount_says() {
	local wanted=$1 status=0 words=() word
	shift
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	"$WBFS" mount --cache "$CACHE" --backing "$BACKING" "$@" "$MNT" >"$W/said" 2>&1 \
		</dev/null || status=$?
	cat "$W/said"
	if [ $status -eq 0 ]; then
		own_mounts+=("$MNT")
		DISK=$MNT/disk
		WORKER=$(stat_of worker_pid)
		own_workers+=("$WORKER")
	fi
	[ $status -eq "$wanted" ] || fail "exit status $status, not $wanted"
	for word in "${words[@]}"; do
		grep -qF -- "$word" "$W/said" || fail "it does not say: $word"
	done
}

mount_is_silent() {
	mount_says 0 -- "$@"
	[ ! -s "$W/said" ] || fail "it has something to say"
}

refused() {	# WORD...
	sha256sum "$CACHE" "$BACKING" >"$W/before"
	mount_says 1 "$BACKING" "$CACHE" --force "$@" --
	sha256sum "$CACHE" "$BACKING" | cmp - "$W/before"
}

mark_is() {	# the state in the mark, without its time
	local state
	state=$(getfattr -n user.wbfs.state --only-values "$BACKING" 2>/dev/null) ||
		state=$(sed -n 3p "$BACKING.wbfs-id")
	case $state in *" rescue="*) [ "${2:-}" = rescue ] || fail "the mark is '$state'" ;; esac
	[ "${state% complete=*}" = "$1" ] || fail "the mark is '$state', not '$1'"
}

put() {	# FILE BLOCK CHARACTER: 4 KiB of it
	head -c 4096 /dev/zero | tr '\0' "$3" |
		dd of="$1" bs=4096 seek="$2" conv=notrunc status=none
}

has() {	# FILE BLOCK CHARACTER
	[ "$(dd if="$1" bs=4096 skip="$2" count=1 status=none | tr -d "$3" | wc -c)" -eq 0 ] ||
		fail "$1: block $2 is not of '$3'"
}

save() {	# FILE: with its time and attributes
	cp -a "$1" "$1.saved"
}

bring_back() {
	cp -a "$1.saved" "$1"
}

kill_and_clear() {
	daemon_kill
	wreck_clear_mount
}

# 'o' is on the backing and clean in the cache, 'n' dirty in the cache.
make_dirty() {
	volume_make 32M 64M --no-zero
	volume_mount
	for block in 0 1 2 3 20 21 22 23; do put "$DISK" $block o; done
	"$WBFS" drain "$MNT"
	volume_remount -o allow_writeback=off
	put "$DISK" 100 n
	"$WBFS" flush "$MNT"
}

case_is "the mark says dirty before a write returns, complete after a drain"
volume_make 32M 64M --no-zero
mark_is "epoch=0 dirty=no"
volume_mount
mark_is "epoch=1 dirty=no"
put "$DISK" 5 a
mark_is "epoch=1 dirty=yes"
"$WBFS" drain "$MNT"
mark_is "epoch=1 dirty=no"
put "$DISK" 5 b
mark_is "epoch=1 dirty=yes"
kill_and_clear
mark_is "epoch=1 dirty=yes"
volume_mount
"$WBFS" drain "$MNT"
fallocate -p -o 4096 -l 8192 "$DISK"
mark_is "epoch=2 dirty=yes"
"$WBFS" drain "$MNT"
volume_umount
mark_is "epoch=2 dirty=no"

case_is "a stop with dirty data leaves the mark dirty, a stop without completes it"
volume_mount -o allow_writeback=off
put "$DISK" 5 c
volume_umount
mark_is "epoch=3 dirty=yes"
mount_is_silent
"$WBFS" drain "$MNT"
volume_umount
mark_is "epoch=4 dirty=no"

case_is "killed after a drain: the mark is complete, and the next mount has nothing to say"
mount_is_silent
put "$DISK" 6 d
"$WBFS" drain "$MNT"
kill_and_clear
mark_is "epoch=5 dirty=no"
mount_is_silent
has "$DISK" 6 d
volume_umount

case_is "a backing changed after a clean stop with dirty data is refused"
make_dirty
volume_umount
save "$BACKING"
put "$BACKING" 0 x
refused 'was changed without cache' 'it was written to after the last clean stop' rescue
touch -r "$BACKING.saved" "$BACKING"
refused 'its contents are not those of the last clean stop'
bring_back "$BACKING"

case_is "so is one that was only touched, or has another size"
touch "$BACKING"
refused 'it was written to after the last clean stop'
bring_back "$BACKING"
truncate -s +4096 "$BACKING"
refused 'its size was 67108864 bytes'
bring_back "$BACKING"
save "$CACHE"
mount_is_silent
has "$DISK" 100 n
volume_umount

case_is "--force lays the dirty data over it, and says so"
bring_back "$CACHE"
bring_back "$BACKING"
put "$BACKING" 1 x
mount_says 0 'attached all the same (--force)' -- --force
has "$DISK" 1 x
has "$DISK" 100 n
volume_umount
mount_is_silent
has "$DISK" 1 x
volume_umount

case_is "changed with nothing dirty: attached, and no old copy is ever read"
make_dirty
"$WBFS" drain "$MNT"
volume_umount
put "$BACKING" 2 x
mount_says 0 "$BACKING" "$CACHE" 'all clean copies in the cache were dropped' --
has "$DISK" 2 x
volume_umount
mount_is_silent
has "$DISK" 2 x
kill_and_clear
mount_is_silent
has "$DISK" 2 x
volume_umount

case_is "changed after SIGKILL: clean copies differ, with dirty data it is refused"
make_dirty
kill_and_clear
save "$BACKING"
for block in 0 1 2 3 20 21 22 23; do put "$BACKING" $block x; done
refused 'unchanged blocks that were looked at differ from their copies'
bring_back "$BACKING"
mount_is_silent
has "$DISK" 0 o
has "$DISK" 100 n
volume_umount

case_is "an older copy of the cache is refused; --force goes on with it"
make_dirty
volume_umount
save "$CACHE"
mount_is_silent
"$WBFS" drain "$MNT"
volume_umount
save "$BACKING"
cp -a "$CACHE" "$CACHE.newer"
bring_back "$CACHE"
refused 'is an older copy: it ends at epoch 2' 'at epoch 3'
mount_says 0 -- --force
has "$DISK" 100 n
volume_umount
mark_is "epoch=4 dirty=yes"
cp -a "$CACHE.newer" "$CACHE"
refused 'is an older copy: it ends at epoch 3' 'at epoch 4'

case_is "a backing from a backup is refused while the cache is dirty"
volume_make 32M 64M --no-zero
volume_mount
put "$DISK" 0 o
"$WBFS" drain "$MNT"
volume_umount
save "$BACKING"
volume_mount -o allow_writeback=off
volume_remount -o allow_writeback=off
put "$DISK" 100 n
"$WBFS" flush "$MNT"
kill_and_clear
bring_back "$BACKING"
refused 'it is an older copy: its mark is of epoch 1'

case_is "a backing without its mark is refused; --force takes it and marks it again"
make_dirty
volume_umount
for name in uuid cache state; do setfattr -x user.wbfs.$name "$BACKING"; done
refused 'carries no mark of a volume'
mount_says 0 -- --force
has "$DISK" 100 n
mark_is "epoch=3 dirty=yes"
volume_umount
mount_is_silent
volume_umount

case_is "the backing of another volume is refused, forced or not"
cp -a "$CACHE" "$W/cache.first"
cp -a "$BACKING" "$W/backing.first"
volume_make 32M 64M --no-zero
CACHE=$W/cache.first
mount_says 1 'is marked' --
mount_says 1 'is marked' -- --force
CACHE=$W/cache

case_is "rescue --in-place completes the mark; used alone after that, it is refused"
make_dirty
volume_umount
"$WBFS" rescue "$CACHE" --in-place
mark_is "epoch=2 dirty=no"
save "$BACKING"
save "$CACHE"
mount_is_silent
volume_umount
bring_back "$CACHE"
bring_back "$BACKING"
put "$BACKING" 100 x
touch -r "$BACKING.saved" "$BACKING"
refused 'written back blocks that were looked at differ'
touch -d '+1 hour' "$BACKING"
refused 'was complete without the cache, and it was written to after that'

case_is "rescue --in-place does not undo what was written since it was complete"
make_dirty
volume_umount
"$WBFS" rescue "$CACHE" --in-place
"$WBFS" rescue "$CACHE" --in-place
put "$BACKING" 100 x
if "$WBFS" rescue "$CACHE" --in-place >"$W/said" 2>&1; then fail "it was applied"; fi
grep -F 'after it was complete: what the cache holds is older. Nothing was changed' "$W/said"
has "$BACKING" 100 x
"$WBFS" rescue "$CACHE" --in-place --force
has "$BACKING" 100 n

case_is "rescue --in-place refuses a backing written to since the clean stop"
make_dirty
volume_umount
put "$BACKING" 100 x
if "$WBFS" rescue "$CACHE" --in-place >"$W/said" 2>&1; then fail "it was applied"; fi
grep -F 'after the last clean stop: what the cache holds is older' "$W/said"
has "$BACKING" 100 x

refuses_in_place() {	# WORD: and changes nothing
	if "$WBFS" rescue "$CACHE" --in-place >"$W/said" 2>&1; then fail "it was applied"; fi
	grep -F 'after the last clean stop: what the cache holds is older' "$W/said"
	grep -F "$1" "$W/said"
	has "$BACKING" 0 x
	has "$BACKING" 100 '\0'
}

case_is "rescue --in-place refuses one that was written to though its time says nothing"
make_dirty
volume_umount
save "$BACKING"
put "$BACKING" 0 x
touch -r "$BACKING.saved" "$BACKING"
refuses_in_place 'over this backing. What differs: its contents are not those'

if [ "$(id -u)" -eq 0 ] && losetup --find >/dev/null 2>&1; then
	case_is "a block device has no time"
	loop_attach "$BACKING"; BACKING=$LOOP
	volume_format --force --no-zero
	put "$BACKING" 0 o
	volume_mount -o allow_writeback=off
	put "$DISK" 100 n
	volume_umount
	put "$BACKING" 0 x
	refuses_in_place 'over this backing. What differs: its contents are not those'
	"$WBFS" rescue "$CACHE" --in-place --force
	has "$BACKING" 100 n
	find /var/lib/wbfs -name "*$(basename "$W")*" -delete
	loop_detach "$BACKING"
else
	case_skip "a block device has no time" "needs root and a loop device"
fi

case_is "rescue --in-place refuses an older copy of the backing"
make_dirty
volume_umount
save "$BACKING"
mount_is_silent
put "$DISK" 101 m
"$WBFS" drain "$MNT"
volume_remount -o allow_writeback=off
put "$DISK" 102 n
volume_umount
bring_back "$BACKING"
if "$WBFS" rescue "$CACHE" --in-place >"$W/said" 2>&1; then fail "it was applied"; fi
grep -F 'is an older copy: its mark is of epoch 2' "$W/said"
refused 'it is an older copy: its mark is of epoch 2'
"$WBFS" rescue "$CACHE" --in-place --force
has "$BACKING" 102 n
mark_is "epoch=2 dirty=yes" rescue
refused 'it is an older copy: its mark is of epoch 2'

case_is "after a rescue --in-place that could not apply all, the volume can be mounted"
make_dirty
put "$DISK" 101 Q
volume_umount
at=$(grep -abo QQQQQQQQQQQQQQQQ "$CACHE" | awk -F: 'NR == 1 { print $1 }')
printf X | dd of="$CACHE" bs=1 seek=$((at + 100)) conv=notrunc status=none
if "$WBFS" rescue "$CACHE" --in-place >"$W/said" 2>&1; then fail "nothing was lost"; fi
mark_is "epoch=2 dirty=yes" rescue
mount_is_silent
has "$DISK" 100 n
volume_umount
mark_is "epoch=3 dirty=yes"

case_is "rescue refuses an older copy of the cache, unless it is forced"
make_dirty
volume_umount
save "$CACHE"
mount_is_silent
volume_umount
bring_back "$CACHE"
if "$WBFS" rescue "$CACHE" --in-place >"$W/said" 2>&1; then fail "it was applied"; fi
grep -F 'is an older copy: it ends at epoch 2' "$W/said"
"$WBFS" rescue "$CACHE" --in-place --force

case_is "a state that cannot be understood is refused, words of a later version are not"
make_dirty
volume_umount
setfattr -n user.wbfs.state -v nonsense=1 "$BACKING"
mount_is_silent
volume_umount
setfattr -n user.wbfs.state -v 'epoch=many' "$BACKING"
mount_says 1 "$BACKING" 'user.wbfs.state cannot be understood' --

finish
