#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel kills the daemon of a mount with a keeper for want of memory: that is a pause
# like any other death, and loses nothing. In a memory cgroup of the test's own, whose
# counter says who killed it.
. "$(dirname "$0")/lib.sh"

needs fuse jq root perl
start

# group_make: sets GROUP, where processes go that shall have little memory, and how its
# files are called
group_make() {
	local own
	if own=$(grep -E '^[0-9]+:([^:]*,)?memory(,[^:]*)?:' /proc/self/cgroup); then
		GROUP=$(awk '$3 == "cgroup" && ("," $4 ",") ~ /,memory,/ { print $2; exit }' /proc/mounts)
		limit=memory.limit_in_bytes usage=memory.usage_in_bytes kills=memory.oom_control
		unlimited=-1
	else
		own=$(grep '^0::' /proc/self/cgroup) || skip_all "there are no memory cgroups here"
		GROUP=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
		limit=memory.max usage=memory.current kills=memory.events
		unlimited=max
	fi
	[ -n "$GROUP" ] || skip_all "no memory cgroups are mounted"
	GROUP+=${own#*:*:}/wbfs-test-$$
	mkdir "$GROUP" 2>/dev/null || skip_all "no cgroup can be made here"
	at_exit=group_remove
	[ -w "$GROUP/$limit" ] && grep -q '^oom_kill ' "$GROUP/$kills" ||
		skip_all "this cgroup cannot be given a limit of memory"
}

group_remove() {	# when all that was in it is gone
	local i
	for ((i = 0; i < 500; i++)); do
		[ -n "$(cat "$GROUP/cgroup.procs")" ] || break
		sleep 0.02
	done
	rmdir "$GROUP"
}

kill_count() {
	awk '$1 == "oom_kill" { print $2 }' "$GROUP/$kills"
}

in_group() {
	echo "$BASHPID" >"$GROUP/cgroup.procs"
	exec "$@"
}

# Something else there takes memory until the kernel has killed somebody: the daemon
# first, because that is said to be the one that matters least. Perhaps others too, until
# there is enough again: the next daemon, or what takes it.
others_killed=0
run_out_of_memory() {
	local before taker status=0
	before=$(kill_count)
	echo 1000 >"/proc/$WORKER/oom_score_adj"
	echo $(($(<"$GROUP/$usage") + (4 << 20))) >"$GROUP/$limit"
	# After the daemon it is the next to go, and not the keeper, from its first page on.
	{
		echo 999 >"/proc/$BASHPID/oom_score_adj"
		in_group perl -e '$taken = "x" x (512 << 20); sleep 60'
	} &
	taker=$!
	for ((i = 0; i < 3000; i++)); do
		[ "$(kill_count)" -eq "$before" ] || break
		sleep 0.02
	done
	kill -TERM $taker 2>/dev/null || :	# it may be gone
	echo $unlimited >"$GROUP/$limit"
	wait $taker || status=$?
	[ $status -ne 137 ] || others_killed=$((others_killed + 1))
	[ "$(kill_count)" -gt "$before" ] || fail "the kernel has killed nobody"
}

mirrored_load() {
	local pass=0
	truncate -s $((32 << 20)) "$W/mirror"
	while [ ! -e "$W/enough" ]; do
		"$mirror_io" "$W/part" "$W/mirror" $((32 << 20)) 4 200 $((pass++)) || return 1
		echo >>"$W/passes"
	done
}

group_make
mirror_io=$(helper mirror_io)
volume_make 64M 128M --segment-size 256K
mkdir -p "$MNT"
case_is "three daemons killed for want of memory, under writes, discards and zeroed ranges"
(in_group "$WBFS" mount --cache "$CACHE" --backing "$BACKING" -o keeper "$MNT")
own_mounts+=("$MNT")
DISK=$MNT/disk
KEEPER=$(stat_of keeper.pid) WORKER=$(stat_of worker_pid)
own_workers+=("$KEEPER" "$WORKER")
needs_resend
ln -s "$DISK" "$W/part"
run_in_background mirrored_load
for ((round = 1; round <= 3; round++)); do
	run_out_of_memory
	worker_is_another
	is_alive "$JOB" || fail "the load has ended"
	[ "$(stat_of keeper.worker_restarts)" -ge $round ]
	# Of nothing else.
	[ "$(stat_of keeper.worker_restarts)" -eq $(($(kill_count) - others_killed)) ]
	stat_of keeper.last_cause | grep 'was killed by signal 9'
	grep -q "$WORKER" "$GROUP/cgroup.procs"
done
is_alive "$KEEPER"
touch "$W/enough"
wait "$JOB" || fail "the load has seen an error or wrong data"
[ -s "$W/passes" ]
! grep -h ' error ' "$MNT/.wbfs/events" || fail "there are errors in the events"
volume_umount
gone_within 60 "$KEEPER"
"$WBFS" check "$CACHE"
finish
