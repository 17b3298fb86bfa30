#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel wants each answer on the descriptor that gave the request. A thread that has
# received one request may end others that came elsewhere before it answers its own.
. "$(dirname "$0")/lib.sh"

needs fuse fio
start
flushes=400	# one in some 50 met it
volume_make 64M 256M
volume_mount -o allow_writeback=off,sync_interval_s=0
fio --name=fill --filename="$DISK" --rw=write --bs=1m --size=32m --direct=1 --end_fsync=1 --output=/dev/null

loads() {
	exec fio --output=/dev/null --filename="$DISK" --direct=1 --time_based --runtime=600 \
		--name=reads --rw=randread --bs=4k --size=32m --ioengine=io_uring --iodepth=16 \
		--name=syncs --rw=randwrite --bs=4k --offset=64m --size=32m --ioengine=psync \
		--fdatasync=1 --numjobs=2
}

case_is "flushes that are asked for while others sync and read: each is answered"
run_in_background loads
loading=$JOB
for ((i = 0; i < flushes; i++)); do
	bash -c 'echo flush >"$1"' - "$MNT/.wbfs/control" &
	gone_within 60 $! || fail "flush $i has no answer"
	wait $!
done
is_alive "$loading" || fail "the loads ended"
kill -INT "$loading"
wait "$loading" || :
volume_umount
finish
