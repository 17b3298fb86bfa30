#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A keeper, and a backing behind an NBD server that goes away: no upgrade takes down what
# works without it, and a daemon that is to take over waits for it.
. "$(dirname "$0")/lib.sh"
needs fuse root nbdkit jq setpriv
start
CACHE=$W/cache MNT=$W/mnt image=$W/image

mount_and_lose_the_server() {	# sets KEEPER, WORKER; what they say is in $W/messages
	keeper_mount_foreground -o backing_timeout_s=1
	nbd_kill server
	until_it_is_so 60 line_is unreachable
}

truncate -s 64M "$image"
nbd_start server "$image"
BACKING=$NBD_URI
"$WBFS" format --cache "$CACHE" --cache-size 32M --backing "$BACKING"
random_file "$W/data" 4M

case_is "while the server is away another program is refused at once, and the mount goes on"
volume_mount -o keeper,backing_timeout_s=1
KEEPER=$(stat_of keeper.pid)
own_workers+=("$KEEPER")
needs_resend
dd if="$W/data" of="$DISK" bs=64k conv=notrunc,fsync status=none
nbd_kill server
until_it_is_so 60 line_is unreachable
says 1 "is still served by wbfs" "the server of the backing cannot be reached" -- \
	"$WBFS" upgrade "$MNT"
[ "$(stat_of worker_pid)" = "$WORKER" ]
dd if="$W/data" of="$DISK" bs=64k seek=64 conv=notrunc,fsync status=none
dd if="$DISK" bs=64k skip=64 count=64 iflag=direct status=none | cmp - "$W/data"
nbd_start server "$image"
until_it_is_so 60 line_is up
says 0 "is served by wbfs" -- "$WBFS" upgrade "$MNT"
worker_is_another
volume_umount

case_is "a daemon that dies while the server is away: the next one waits for it, and nothing is lost"
DISK=$MNT/disk
mount_and_lose_the_server
random_file "$W/newer" 4M
dd if="$W/newer" of="$DISK" bs=64k conv=notrunc status=none	# not synced
daemon_kill
until_it_is_so 60 grep -qF "backing $BACKING: it cannot be reached (" "$W/messages"
until_it_is_so 60 grep -qF "what was not synced is in the log on $CACHE now" "$W/messages"
nbd_start server "$image"
until_it_is_so 60 line_is up
worker_is_another
[ "$(stat_of keeper.worker_restarts)" -eq 1 ]
dd if="$DISK" bs=64k count=64 status=none | cmp - "$W/newer"
dd if="$DISK" bs=64k skip=64 count=64 status=none | cmp - "$W/data"
"$WBFS" drain "$MNT"
volume_umount
wait "$KEEPER"
cmp -n 4194304 "$image" "$W/newer"

case_is "stopped while it waits for the server: the next mount has everything"
mount_and_lose_the_server
dd if="$W/data" of="$DISK" bs=64k conv=notrunc status=none	# not synced
daemon_kill
until_it_is_so 60 grep -qF "it cannot be reached (" "$W/messages"
kill -TERM "$KEEPER"
status=0
wait "$KEEPER" || status=$?
[ $status -eq 1 ]
grep -F 'nothing is lost, the next mount recovers the log' "$W/messages"
! is_mounted "$MNT"
nbd_start server "$image"
volume_mount
dd if="$DISK" bs=64k count=64 status=none | cmp - "$W/data"
volume_umount

# Of a volume whose daemon was killed the next one sends no change for two seconds, as the
# dead one's may still be landing; it knows that from the lock file.
case_is "a mount that fails right after a death leaves the next one to hold back too"
lock_file=/var/lib/wbfs/$(tr / - <<<"$BACKING").lock
volume_mount
[ -s "$lock_file" ]
daemon_kill
umount -l "$MNT"
[ -s "$lock_file" ]
says 1 "cannot mount here" -- setpriv --bounding-set=-sys_admin "$WBFS" mount --cache "$CACHE" \
	--backing "$BACKING" "$MNT"
[ -s "$lock_file" ] || fail "the one who failed has taken it for a clean end"
volume_mount
dd if="$W/data" of="$DISK" bs=64k conv=notrunc,fsync status=none
"$WBFS" drain "$MNT"		# its writes wait until the two seconds are over
volume_umount
[ ! -s "$lock_file" ] || fail "who comes after a clean end would wait for nothing"

case_is "what went around the cache to a server without FUA, and was not flushed, is in doubt after a death"
nbd_kill server
nbd_start server "$image" --filter=fua
volume_mount -o keeper,bypass_threshold=1024
own_workers+=("$(stat_of keeper.pid)")
random_file "$W/long" 16M
dd if="$W/long" of="$DISK" bs=1M oflag=direct conv=notrunc status=none
[ "$(stat_of bypassed_bytes)" -gt 0 ] || fail "nothing went around the cache"
daemon_kill
worker_is_another
! sync "$DISK" || fail "a server that may have died since was believed"
sync "$DISK"
cmp -n 16777216 "$W/long" "$DISK"
"$WBFS" drain "$MNT"
volume_umount
cmp -n 16777216 "$W/long" "$image"
nbd_kill server
nbd_start server "$image"

case_is "another image under the same name is not taken: it stays as it is, and the right one heals all"
random_file "$W/another" 64M
cp "$W/another" "$W/untouched"
volume_mount -o backing_timeout_s=1,writeback_modulator=off
dd if="$DISK" of=/dev/null bs=1M iflag=direct status=none
nbd_kill server
until_it_is_so 60 line_is unreachable
dd if="$W/data" of="$DISK" bs=64k seek=512 conv=notrunc,fsync status=none
mv "$image" "$W/aside"
mv "$W/another" "$image"
nbd_start server "$image"
problem_is() {
	stat_of backing_line.problem | grep -q 'the export is another one: [0-9]* of [0-9]* blocks'
}
until_it_is_so 60 problem_is
line_is unreachable
! dd if="$DISK" of=/dev/null bs=4k skip=16000 count=1 iflag=direct status=none
says 0 'the export is another one' -- "$WBFS" status "$MNT"
nbd_kill server
cmp "$image" "$W/untouched"
mv "$W/aside" "$image"
nbd_start server "$image"
until_it_is_so 60 line_is up
"$WBFS" drain "$MNT"
volume_umount
dd if="$image" bs=64k skip=512 count=64 status=none | cmp - "$W/data"
cmp -n 16777216 "$W/long" "$image"
finish
