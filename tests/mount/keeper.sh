#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mount with a keeper: the daemon is replaced by another program under load, and
# nobody who uses the image notices but by a pause; what cannot take over is refused;
# what dies, and what is said then.
. "$(dirname "$0")/lib.sh"

needs fuse jq fio perl
start
keeper_mount() {
	volume_mount -o keeper "$@"
	KEEPER=$(stat_of keeper.pid)
	own_workers+=("$KEEPER")
}

# The same program with other bytes in it, of the same length.
patched() {	# file, what, by what
	cp "$PROGRAM" "$1"
	FROM=$2 TO=$3 perl -0777 -pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/g' "$1"
	! cmp -s "$PROGRAM" "$1" || fail "$2 is not in the program"
}

version=$("$WBFS" --version)
version=${version#wbfs }
other=${version%?}x
volume_make 64M 128M --segment-size 256K

case_is "the keeper is the daemon's parent, and status says which process it is"
keeper_mount
[ "$(awk '/^PPid/ { print $2 }' "/proc/$WORKER/status")" = "$KEEPER" ]
"$WBFS" status "$MNT" | grep -q "keeper *pid $KEEPER"
[ "$(stat_of keeper.worker_restarts)" -eq 0 ]
grep -q '^wbfs_worker_restarts_total{.*} 0$' "$MNT/.wbfs/metrics"
[ "$(awk '{ print NF }' "/proc/$KEEPER/task/$KEEPER/children")" -eq 1 ]
[ "$(ls "/proc/$KEEPER/task" | wc -l)" -eq 1 ] || fail "it has threads"
# 0 would not stop a dump into a pipe.
[ "$(awk '/^Max core file size/ { print $5 }' "/proc/$WORKER/limits")" = 1 ] ||
	fail "users would wait for a core dump"
! grep -qE ' /.*/(cache|backing)$' <(ls -l "/proc/$KEEPER/fd" | grep -v 'cache$\|backing$')

case_is "under a verified load one program follows the other, and no user sees an error"
patched "$W/other" "$version" "$other"
fio --name=load --filename="$DISK" --size=96m --rw=randrw --bssplit=4k/70:64k/30 \
	--direct=1 --ioengine=libaio --iodepth=16 --time_based --runtime=600 \
	--verify=crc32c --verify_backlog=64 --verify_fatal=1 --verify_state_save=0 \
	--max_latency=30s >"$W/fio.log" 2>&1 &
load=$!
own_jobs+=($load)
for ((i = 0; i < 4; i++)); do
	says 0 "is served by wbfs $other now, after a pause of" "it was $version" -- \
		"$W/other" upgrade "$MNT"
	[ "$(stat_of version)" = "$other" ]
	worker_is_another
	says 0 "is served by wbfs $version now" "it was $other" -- "$WBFS" upgrade "$MNT"
	[ "$(stat_of from_checkpoint)" = true ] || fail "it was not handed over cleanly"
	worker_is_another
	is_alive $load || { cat "$W/fio.log"; fail "the load has ended"; }
done
[ "$(stat_of keeper.upgrades_done)" -eq 8 ]
[ "$(stat_of keeper.worker_restarts)" -eq 0 ]
grep -q "wbfs $version took over from the program before after" "$MNT/.wbfs/events"
kill -INT $load
wait $load || :	# its status is that of an interrupt
cat "$W/fio.log"
grep -q 'err= 0: ' "$W/fio.log"

case_is "SIGHUP to the keeper has the installed program take over"
kill -HUP "$KEEPER"
for ((i = 0; i < 1000; i++)); do
	[ "$(stat_of keeper.upgrades_done)" -eq 8 ] || break
	sleep 0.02
done
[ "$(stat_of keeper.upgrades_done)" -eq 9 ]
worker_is_another

case_is "what was set stays set, and the files are those of before"
"$WBFS" set "$MNT" writeback_threshold=41 allow_writeback=off
time=$(stat -c %Y "$DISK")
"$WBFS" upgrade "$MNT"
worker_is_another
[ "$(cat "$MNT/.wbfs/tunables/writeback_threshold")" = 41 ]
[ "$(cat "$MNT/.wbfs/tunables/allow_writeback")" = off ]
[ "$(stat -c %Y "$DISK")" = "$time" ]

case_is "a control file that is open is read anew from its begin, and never torn"
exec 5<"$MNT/.wbfs/stats.json" 6<"$MNT/.wbfs/stats.json"
head -c 1 <&5 >/dev/null
"$WBFS" upgrade "$MNT"
worker_is_another
if cat <&5 2>"$W/message"; then fail "the rest of a text that is gone was read"; fi
grep -q 'Stale file handle' "$W/message"
jq -e --argjson pid "$WORKER" '.worker_pid == $pid' <&6
exec 5<&- 6<&-

case_is "who has all of a control file from the daemon before finds its end"
exec 5<"$MNT/.wbfs/stats.json"
dd bs=16M count=1 status=none <&5 | jq -e --argjson pid "$WORKER" '.worker_pid == $pid'
"$WBFS" upgrade "$MNT"
worker_is_another
[ -z "$(cat <&5)" ]
exec 5<&-

# refused WORD... -- PROGRAM: the events and the counter say so, the daemon stays
refused() {
	local words=() failed
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	failed=$(stat_of keeper.upgrades_failed)
	echo "upgrade $2" >"$MNT/.wbfs/control"
	for ((i = 0; i < 1000; i++)); do
		[ "$(stat_of keeper.upgrades_failed)" -eq "$failed" ] || break
		sleep 0.02
	done
	[ "$(stat_of keeper.upgrades_failed)" -eq $((failed + 1)) ]
	for word in "${words[@]}"; do
		stat_of keeper.upgrade_problem | grep -F -- "$word"
	done
}

case_is "what is no program that can take over is refused without a pause"
refused 'is no wbfs that can take over' -- /bin/true
refused 'cannot open' 'No such file' -- "$W/none"
patched "$W/foreign" 'wbfs keeper %u version %s' 'wbfs keeper 9%u version%s'
refused 'takes over from a keeper of version 91' 'unmount and mount again' -- "$W/foreign"
if echo 'upgrade wbfs' >"$MNT/.wbfs/control"; then fail "a relative path was taken"; fi
grep -q "the program 'wbfs' should be an absolute path" "$MNT/.wbfs/events"
[ "$(stat_of worker_pid)" = "$WORKER" ]

case_is "a program that does not come up is followed by the one before it"
patched "$W/broken" writeback_threshold writeback_thresholX
says 1 "is still served by wbfs $version" 'the new worker ended with status 1' -- \
	"$W/broken" upgrade "$MNT"
worker_is_another

# A new program, and five of its daemons killed before they get anywhere; the first when it
# has just served. On a machine that is held up it has got somewhere by then.
dies_again_and_again() {
	local child former=none
	run_in_background "$W/other" upgrade "$MNT"
	until grep -q "\"version\" : \"$other\"" "$MNT/.wbfs/stats.json"; do :; done
	for ((i = 0; i < 5; i++)); do
		until child=$(keeper_child) && [ "${child:-$former}" != "$former" ]; do :; done
		kill -9 "$child"
		former=$child
	done
	wait "$JOB" || :
	[ "$(stat_of version)" = "$version" ]
}

case_is "a new program that dies again and again is followed by the one before it"
for ((try = 0; try < 10; try++)); do
	! dies_again_and_again || break
	"$WBFS" upgrade "$MNT"
done
worker_is_another
[ "$(stat_of version)" = "$version" ]
stat_of keeper.upgrade_problem | grep -F 'the new program died again and again'

case_is "while there is no daemon, the keeper keeps others away from the disks"
kill -STOP "$KEEPER"
kill -9 "$WORKER"
gone_within 60 "$WORKER"
says 1 'in use by wbfs' "pid $KEEPER" -- "$WBFS" check "$CACHE"
mkdir "$W/elsewhere"
says 1 'in use by wbfs' "pid $KEEPER" -- "$WBFS" mount --cache "$CACHE" --backing "$BACKING" \
	"$W/elsewhere"
kill -CONT "$KEEPER"
worker_is_another
volume_umount

keeper_ends() {	# with status
	local status=0
	wait $KEEPER || status=$?
	cat "$W/messages"
	[ $status -eq "$1" ] || fail "the keeper ended with $status, not $1"
	! is_alive "$WORKER"
}

for way in umount sigterm_keeper sigterm_worker sigint_keeper; do
	case_is "stopped by $way: the exit status is that of a clean stop"
	keeper_mount_foreground
	dd if=/dev/urandom of="$DISK" bs=64k count=16 conv=notrunc status=none
	sum=$(head -c 1M "$DISK" | cksum)
	case $way in
	umount) "$WBFS" umount "$MNT" ;;
	sigterm_keeper) kill -TERM $KEEPER ;;
	sigterm_worker) kill -TERM "$WORKER" ;;
	sigint_keeper) kill -INT $KEEPER ;;
	esac
	keeper_ends 0
	volume_is_stopped
	"$WBFS" check "$CACHE"
done
keeper_mount
[ "$(head -c 1M "$DISK" | cksum)" = "$sum" ]
volume_umount
! is_alive "$KEEPER"

case_is "a mount that fails says why, and leaves nothing, as without a keeper"
says 1 'No such file' -- "$WBFS" mount --cache "$W/none" --backing "$BACKING" -o keeper "$MNT"
says 1 'No such file' -- "$WBFS" mount -f --cache "$W/none" --backing "$BACKING" -o keeper "$MNT"
says 1 'are too long for a keeper: mount with -o keeper=off' -- "$WBFS" mount \
	--cache "$CACHE" --backing "$BACKING" -o "keeper,fsname=$(printf '%013000d' 1)" "$MNT"
flock -n "$BACKING" true
! is_mounted "$MNT"

case_is "the keeper is killed: the daemon serves on, says so, and stops cleanly"
keeper_mount
kill -9 "$KEEPER"
gone_within 60 "$KEEPER"
for ((i = 0; i < 1000; i++)); do
	! grep -q 'the keeper is gone; nobody would start this worker again' \
		"$MNT/.wbfs/events" || break
	sleep 0.02
done
grep 'the keeper is gone' "$MNT/.wbfs/events"
[ "$(stat_of worker_pid)" = "$WORKER" ] && [ "$(stat_of keeper.pid)" -eq 0 ]
says 1 'has no keeper' -- "$WBFS" upgrade "$MNT"
if echo upgrade >"$MNT/.wbfs/control"; then fail "a daemon without a keeper was upgraded"; fi
dd if=/dev/urandom of="$W/data" bs=64k count=16 status=none
dd if="$W/data" of="$DISK" bs=64k conv=notrunc status=none
volume_umount
"$WBFS" check "$CACHE"

case_is "without a keeper there is none to upgrade with"
volume_mount -o keeper=off
same_bytes "$W/data" "$DISK" 1M
says 1 'has no keeper' -- "$WBFS" upgrade "$MNT"
if echo upgrade >"$MNT/.wbfs/control"; then fail "it was taken"; fi
grep -q 'this mount has no keeper that could start another program' "$MNT/.wbfs/events"
volume_umount

case_is "over io_uring no other can follow: status says so, or that there is none"
volume_mount -o keeper,io_uring
if [ "$(stat_of transport)" = io_uring ]; then
	says 0 'should the daemon die, users get errors: over io_uring' -- "$WBFS" status "$MNT"
	says 1 'over io_uring no other worker can take over' -- "$WBFS" upgrade "$MNT"
else
	[ "$(stat_of keeper.refusal)" = '' ]
fi
volume_umount

case_is "read only: killed, crashed and aborted under load, and no reader sees an error"
reader() {
	while [ ! -e "$W/enough" ]; do
		dd if="$DISK" bs=64k count=16 iflag=direct status=none | cmp - "$W/data"
		echo >>"$W/passes"
	done
}
has_read_enough() { [ "$(wc -l <"$W/passes")" -gt 5 ]; }
keeper_mount -o ro
run_in_background reader
load=$JOB
for signal in KILL SEGV ABRT KILL BUS; do
	kill -s $signal "$WORKER"
	gone_within 60 "$WORKER"
	worker_is_another
	is_alive $load || fail "the reader has ended"
done
[ "$(stat_of keeper.worker_restarts)" -eq 5 ]
stat_of keeper.last_cause | grep 'was killed by signal 7'
"$WBFS" status "$MNT" | grep 'restarts *5, the last after the daemon was killed by signal 7'
grep '^wbfs_worker_restarts_total{.*} 5$' "$MNT/.wbfs/metrics"
grep -q 'the worker was killed by signal 7 (Bus error); the next one took over after' \
	"$MNT/.wbfs/events"
until_it_is_so 60 has_read_enough
touch "$W/enough"
wait $load || fail "the reader got an error or wrong data"

case_is "a daemon that cannot start is tried again, and takes over when it can"
mv "$CACHE" "$CACHE.away"
kill -9 "$WORKER"
gone_within 60 "$WORKER"
run_in_background head -c 1M "$DISK" >"$W/read"
mv "$CACHE.away" "$CACHE"
wait "$JOB" || fail "the reader got an error"
worker_is_another

case_is "unmounted while there is no daemon: the next one finds that, and stops cleanly"
kill -STOP "$KEEPER"
kill -9 "$WORKER"
gone_within 60 "$WORKER"
umount -l "$MNT"
kill -CONT "$KEEPER"
gone_within 60 "$KEEPER" || fail "the keeper does not end"
flock -n "$CACHE" true

# More often than daemons may die.
is_tried_on() { [ "$(grep -c 'no worker can be started for' "$W/messages")" -gt 12 ]; }

case_is "while no process can be started the keeper tries on, and nobody sees an error"
keeper_mount_foreground -o ro
files=$(prlimit --pid "$KEEPER" --nofile --noheadings --raw --output SOFT)
prlimit --pid "$KEEPER" --nofile=3:
kill -9 "$WORKER"
gone_within 60 "$WORKER"
run_in_background head -c 1M "$DISK" >"$W/read"
until_it_is_so 60 is_tried_on
prlimit --pid "$KEEPER" --nofile="$files":
wait "$JOB" || fail "the reader got an error"
worker_is_another
volume_umount

case_is "when one after the other dies without getting anywhere, the keeper gives up"
keeper_mount_foreground -o ro
mv "$CACHE" "$CACHE.away"
kill -9 "$WORKER"
keeper_ends 1
grep -q 'ended with status 1, and so did those before it, one after the other' "$W/messages"
grep -q "no other worker can take over $MNT: cannot open cache" "$W/messages"
if head -c 1 "$DISK"; then fail "the image can still be read"; fi
wreck_clear_mount
mv "$CACHE.away" "$CACHE"
volume_mount
volume_umount
finish
