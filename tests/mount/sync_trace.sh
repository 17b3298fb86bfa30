#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Watches the real program through the kernel's tracepoints: no FSYNC and no
# O_DSYNC write is answered before a device flush that covers it has completed.
# (The core tests assert the same over a counting store; this shows that the
# store, io_uring and the front end keep it.)
. "$(dirname "$0")/lib.sh"

needs fuse root jq
grep -qw tracefs /proc/filesystems || skip_all "the kernel has no tracefs"
# The first one has this number on every kernel.
[ "$(readlink /proc/self/ns/pid)" = 'pid:[4026531836]' ] ||
	skip_all "the trace numbers threads as the first PID namespace does"
start

mkdir "$W/tracefs"
mount -t tracefs none "$W/tracefs" || skip_all "tracefs cannot be mounted"
own_filesystems+=("$W/tracefs")
instance=$W/tracefs/instances/wbfs-$$
mkdir "$instance" || skip_all "no trace instance"
at_exit="rmdir $instance 2>/dev/null"
for event in io_uring/io_uring_submit_req io_uring/io_uring_complete \
	syscalls/sys_enter_pwritev2 syscalls/sys_exit_pwritev2 \
	fuse/fuse_request_send fuse/fuse_request_end block/block_rq_issue block/block_rq_complete; do
	[ -d "$instance/events/$event" ] || skip_all "the kernel has no tracepoint $event"
	echo 1 >"$instance/events/$event/enable"
done
echo 0 >"$instance/tracing_on"
echo 32768 >"$instance/buffer_size_kb"
echo mono >"$instance/trace_clock"

volume_make 64M 256M
volume_mount -o allow_writeback=off,sync_interval_s=0
minor=$(awk -v d="$MNT" '$5 == d { sub(/.*:/, "", $3); print $3 }' /proc/self/mountinfo)
tids=$(ls "/proc/$WORKER/task" | tr '\n' ' ')

trace() {	# NAME COMMAND...: what happens while the command runs
	echo >"$instance/trace"
	echo 1 >"$instance/tracing_on"
	"${@:2}"
	echo 0 >"$instance/tracing_on"
	cp "$instance/trace" "$W/trace.$1"
	! grep -q 'LOST' "$W/trace.$1" || fail "the trace is not complete"
}

# judge NAME OPCODE LEAST: every answer to OPCODE (FSYNC or WRITE), of which
# there are at least LEAST, is covered. Numbers are lines of the trace.
# Covered: an SSD write that was submitted after the newest user write came (to
# the ring, or by a thread that waits for it: pwritev2); then an FSYNC of the same
# ring, submitted after the last SSD write had completed and completed itself
# before the answer. Or that write was one with RWF_DSYNC, which this trace does
# not show: then the disk must have completed a flush or FUA write between its
# submission and the answer.
judge() {
	awk -v tids="$tids" -v minor="$minor" -v opcode="$2" -v least="$3" '
	BEGIN { n = split(tids, t, " "); for (i = 1; i <= n; i++) ours[t[i]] = 1 }
	/^#/ { next }
	{
		event = ""
		for (i = 1; i <= NF; i++)
			if ($i ~ /^sys_pwritev2(\(fd:|$)/) {
				event = $(i + 1) == "->" ? "exit" : "enter"; break
			} else if ($i ~ /^(io_uring_submit_req|io_uring_complete|fuse_request_send|fuse_request_end|block_rq_issue|block_rq_complete):$/) {
				event = $i; first = i + 1; break
			}
		if (event == "") next
		match($0, /-[0-9]+ +\[/); task = substr($0, RSTART + 1, RLENGTH - 2); gsub(/ /, "", task)
		rest = ""
		for (i = first; i <= NF; i++) rest = rest $i " "
	}
	event == "io_uring_submit_req:" && (task in ours) {
		match(rest, /req [^,]*/); req = substr(rest, RSTART + 4, RLENGTH - 4)
		match(rest, /opcode [A-Z_0-9]*/); op[req] = substr(rest, RSTART + 7, RLENGTH - 7)
		if (op[req] ~ /WRITE/) { ssd_writes++; under_way++; write_submitted = NR }
		if (op[req] == "FSYNC") { fsync_submitted[req] = NR; clean_at[req] = (under_way == 0) ? write_completed : -1 }
	}
	event == "io_uring_complete:" {
		match(rest, /req [^,]*/); req = substr(rest, RSTART + 4, RLENGTH - 4)
		if (!(req in op)) next
		match(rest, /result -?[0-9]+/); result = substr(rest, RSTART + 7, RLENGTH - 7) + 0
		if (op[req] ~ /WRITE/) { under_way--; write_completed = NR }
		if (op[req] == "FSYNC" && result == 0 && clean_at[req] >= 0) { flush_from = fsync_submitted[req]; flush_done = NR }
		delete op[req]
	}
	event == "enter" && (task in ours) {
		ssd_writes++; under_way++; write_submitted = NR
	}
	event == "exit" && (task in ours) {
		under_way--; write_completed = NR
	}
	event == "block_rq_complete:" {
		split(rest, word, " ")
		if (word[2] ~ /F/) disk_flush = NR
	}
	event == "fuse_request_send:" && rest ~ ("^connection " minor " ") {
		split(rest, word, " ")
		request[word[4]] = word[7]
		if (word[7] == "(FUSE_WRITE)") { newest_write = NR; writes++ }
	}
	event == "fuse_request_end:" && rest ~ ("^connection " minor " ") {
		split(rest, word, " ")
		kind = request[word[4]]
		if (kind != "(FUSE_" opcode ")") next
		answers++
		on_ssd = write_submitted > newest_write && under_way == 0
		by_flush = on_ssd && flush_from > write_completed && flush_done > 0
		by_fua = on_ssd && disk_flush > write_submitted
		if (by_flush) flushed++
		else if (by_fua) fua++
		else { bad++; print "line " NR ": not covered: " $0 }
	}
	END {
		print answers " answers: " flushed + 0 " behind a flush, " fua + 0 " by RWF_DSYNC, " bad + 0 " bad"
		exit !(answers >= least && !bad)
	}' "$W/trace.$1"
}

writes_and_syncs() {	# count bytes
	local n
	for ((n = 0; n < $1; n++)); do
		dd if=/dev/zero of="$DISK" bs="$2" count=1 seek=$n oflag=direct \
			conv=notrunc,fdatasync status=none
	done
}

case_is "lone 4 KiB writes, each with an fdatasync"
trace lone writes_and_syncs 50 4096
judge lone FSYNC 50

case_is "3 MiB with an fsync: many records, one flush after the last"
many_records() {
	local n
	for ((n = 0; n < 8; n++)); do
		dd if=/dev/zero of="$DISK" bs=1M count=3 seek=$((n * 3)) oflag=direct \
			conv=notrunc,fsync status=none
	done
}
trace many many_records
judge many FSYNC 8

case_is "O_DSYNC writes"
trace dsync dd if=/dev/zero of="$DISK" bs=4096 count=50 oflag=direct,dsync conv=notrunc status=none
judge dsync WRITE 50

case_is "the judge objects to a trace without the flushes"
grep -v -e 'opcode FSYNC' -e 'block_rq_complete' "$W/trace.many" >"$W/trace.broken"
if judge broken FSYNC 8; then fail "it did not"; fi

volume_umount
rmdir "$instance"
finish
