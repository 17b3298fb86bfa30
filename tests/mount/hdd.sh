#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The hard disk of the benchmarks: it keeps what is written, takes the time of one, and
# says what it did. Its model is tested in unit/test_hdd_model.c, where time is free;
# here no answer may come earlier than the model has it, however late it comes.
. "$(dirname "$0")/lib.sh"

needs fuse root fio jq
start
hdd_start 64M --write-cache 4
hdd_fuse=$(dirname "$WBFS")/tests/bench/hdd_fuse

io() {	# fio option...
	fio --name=io --filename="$BACKING" --direct=1 --ioengine=io_uring --allow_file_create=0 \
		--randseed=1 --output-format=json "$@" | sed -n '/^{/,$p' >"$W/fio.json"
}
# is_so JQ-EXPRESSION: of stats.json, with fio's job as $fio
is_so() {
	jq -e --slurpfile f "$W/fio.json" "\$f[0].jobs[0] as \$fio | $1" <"$HDD/stats.json" >/dev/null ||
		{ cat "$HDD/stats.json"; fail "not so: $1"; }
}

case_is "it keeps what is written, in any size, in parallel"
io --rw=randwrite --bsrange=512-64k --bs_unaligned=0 --size=16m --iodepth=16 --verify=crc32c --do_verify=1
random_file "$W/data" $((8 << 20))
dd if="$W/data" of="$BACKING" bs=1M seek=20 oflag=direct conv=notrunc status=none
dd if="$BACKING" bs=1M skip=20 count=8 iflag=direct status=none | cmp - "$W/data"
[ "$(stat -c %s "$BACKING")" -eq $((64 << 20)) ] || fail "its size"
says 1 "No space left" -- dd if=/dev/zero of="$BACKING" bs=4096 seek=16384 count=1 conv=notrunc

case_is "random reads one at a time take a seek and half a turn each"
hdd_control clear
io --rw=randread --bs=4k --io_size=1m --iodepth=1
is_so '.reads == 256 and .media_reads > 200 and .seek_ms / .seeks > 5 and .turn_ms / .media_reads > 3'
is_so '$fio.read.runtime >= .busy_ms - 50 and .busy_ms / .media_reads > 11 and .busy_ms / .media_reads < 15'

case_is "writes are answered from the write cache, a flush when they are on the platters"
hdd_control settle
hdd_control clear
io --rw=randwrite --bs=4k --io_size=400k --iodepth=1
is_so '.writes == 100 and .fua_writes == 0 and .flushes == 0'
io --rw=randwrite --bs=4k --io_size=400k --iodepth=1 --end_fsync=1
is_so '.writes == 200 and .flushes == 1 and .unwritten_bytes == 0 and .media_written_bytes >= 700000'
is_so '.elapsed_ms >= .span_ms and .span_ms >= .flush_most_ms and .flush_most_ms > 0'

case_is "an O_DSYNC write is on the platters when it is answered"
hdd_control clear
io --rw=randwrite --bs=4k --io_size=80k --iodepth=1 --sync=dsync
is_so '.fua_writes == 20 and .media_writes == 20 and .unwritten_bytes == 0 and $fio.write.runtime >= .busy_ms - 50'

case_is "with it each operation of the arm is a line of a file"
hdd_control clear
hdd_control trace "$W/trace"
io --rw=write --bs=1m --size=16m --iodepth=4 --end_fsync=1
hdd_control trace off
awk -v wanted=$((16 << 20)) '
	NF != 5 || $2 < $1 || $5 != "w" || $1 < before { print; bad = 1 }
	{ before = $2; sum += $4 }
	END { exit bad || sum != wanted }' "$W/trace" || { head "$W/trace"; fail "the trace"; }

case_is "without work its arm is at rest, and it says for how long"
idle=$(hdd_stat idle_ms)
until jq -e ".idle_ms > $idle + 100" <"$HDD/stats.json" >/dev/null; do sleep 0.02; done
dd if="$BACKING" of=/dev/null bs=4k count=1 iflag=direct status=none
jq -e '.idle_ms < .elapsed_ms - 100' <"$HDD/stats.json"

case_is "without time everything is there at once, and nothing is counted"
hdd_control settle
hdd_control clear
hdd_control time off
io --rw=randwrite --bs=4k --size=16m --iodepth=8 --verify=crc32c --do_verify=1 --end_fsync=1 --verify_state_save=0
is_so '.reads == 0 and .writes == 0 and .flushes == 0 and .media_reads == 0'
hdd_control time on
io --rw=randread --bs=4k --io_size=400k --iodepth=1
is_so '.reads == 100 and .media_reads > 80 and $fio.read.runtime >= .busy_ms - 50'

case_is "a volume on it: after a drain and a stop it has everything"
CACHE=$W/cache MNT=$W/mnt
volume_format --cache-size 32M
volume_mount
fio --name=fill --filename="$DISK" --direct=1 --ioengine=io_uring --rw=randwrite --bs=4k --size=16m \
	--iodepth=16 --randseed=2 --allow_file_create=0 --output=/dev/null
dd if="$DISK" of="$W/image" bs=1M iflag=direct status=none
"$WBFS" drain "$MNT"
volume_umount
same_bytes "$W/image" "$BACKING"

case_is "it ends when it is unmounted; wrong arguments are refused"
hdd_stop
says 1 "usage: hdd_fuse" -- "$hdd_fuse" "$W/data"
says 1 "--rpm fast: a number from" -- "$hdd_fuse" --rpm fast "$W/data" "$HDD"
says 1 "$W/none: No such file" -- "$hdd_fuse" "$W/none" "$HDD"
truncate -s 5000 "$W/data"
says 1 "$W/data: a file of at least 1 MiB" -- "$hdd_fuse" "$W/data" "$HDD"
finish
