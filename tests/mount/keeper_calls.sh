#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a keeper costs while nothing happens to the daemon: no system call of its own, and
# none more of the daemon for a request than without it.
. "$(dirname "$0")/lib.sh"

needs fuse jq fio strace
start
volume_make 64M 128M
requests=1024
slack=25	# hundredths: timers, and who wakes whom, are not the same each time. A call that
		# each request, or only every second one, makes for the keeper is far above it
tries=8		# on a busy machine the threads of a sync sleep and wake each other more often

# traced CALLS PID COMMAND...: sets calls, those of the process and its threads meanwhile
traced() {
	local pid=$2 tracer
	: >"$W/tracer"
	strace -f -c -e trace="$1" -o "$W/calls" -p "$pid" 2>"$W/tracer" &
	tracer=$!
	own_jobs+=($tracer)
	for ((i = 0; i < 3000; i++)); do
		! grep -q attached "$W/tracer" || break
		is_alive $tracer || { cat "$W/tracer"; skip_all "strace cannot be attached to a process"; }
		sleep 0.02
	done
	"${@:3}"
	kill -TERM $tracer	# it detaches, and writes the table
	wait $tracer || :
	calls=$(awk '$NF == "total" { total = $4 } END { print total + 0 }' "$W/calls")
}

# load WAY: as many requests each time, of the same places
load() {
	local way=()
	case $1 in
	write) way=(--rw=randwrite --ioengine=psync) ;;
	write_deep) way=(--rw=randwrite --ioengine=libaio --iodepth=32) ;;
	read) way=(--rw=randread --ioengine=psync) ;;
	sync) way=(--rw=randwrite --ioengine=psync --fdatasync=1) ;;
	esac
	fio --name=load --filename="$DISK" --direct=1 --bs=4k --size=4m --randseed=1 \
		"${way[@]}" --output="$W/fio.log"
}

# per_request WAY [ENOUGH]: hundredths of a call; the least of two, because others that use
# the machine only add wake-ups. With ENOUGH, of as many tries as one needs to be no more
per_request() {
	local enough=${2:-0} runs=2 least=0
	[ "$enough" -eq 0 ] || runs=$tries
	for ((run = 0; run < runs; run++)); do
		traced '!futex' "$WORKER" load "$1"
		[ "$calls" -ge $requests ] || { cat "$W/calls"; fail "$calls calls for $requests requests"; }
		((least > 0 && least <= calls)) || least=$calls
		((least * 100 / requests > enough)) || break
	done
	echo $((least * 100 / requests))
}

ways=(write write_deep read sync)
declare -A without with
volume_mount -o keeper=off,allow_writeback=off,sync_interval_s=0
for way in "${ways[@]}"; do
	load $way
	per_request $way >"$W/result"
	without[$way]=$(<"$W/result")
done
volume_umount
volume_mount -o keeper,allow_writeback=off,sync_interval_s=0
KEEPER=$(stat_of keeper.pid)
own_workers+=("$KEEPER")
for way in "${ways[@]}"; do
	case_is "$way: no more system calls for a request than without a keeper"
	load $way
	per_request $way $((${without[$way]} + slack)) >"$W/result"
	with[$way]=$(<"$W/result")
	echo "# $way: $requests requests, hundredths of a system call for each:" \
		"${with[$way]} with a keeper, ${without[$way]} without" >&3
	[ "${with[$way]}" -le "$((${without[$way]} + slack))" ]
done

case_is "the keeper itself makes none"
traced all "$KEEPER" load write
[ "$calls" -eq 0 ] || { cat "$W/calls"; fail "$calls system calls"; }
volume_umount
finish
