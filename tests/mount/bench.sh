#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The tool that measures: its arithmetic, its null daemon, and that it takes away what
# it made. What it measures is no test.
. "$(dirname "$0")/lib.sh"

needs fuse root jq fio
start
bench=$top_srcdir/tests/bench
null_fuse=$(dirname "$WBFS")/tests/bench/null_fuse
[ -x "$null_fuse" ] || skip_all "null_fuse is not built (make check TESTS=)"

# is WANTED EXPRESSION: of a module in tests/bench
statistics() { jq -nc -L "$bench" "include \"statistics\"; $1"; }
is() {
	local found
	found=$(statistics "$2")
	[ "$found" = "$1" ] || fail "$2 is $found, not $1"
}

case_is "medians and quartiles"
is null '[] | median'
is 3 '[5, 1, 3] | median'
is 2.5 '[4, 1, 3, 2] | median'
is 2 '[5, 1, 2, 3, 4] | quantile(0.25)'

case_is "the interval is that of the sign test"
# Of 11 values the 2nd and the 10th: P(X <= 1) of 11 throws is 12 / 2048 on each side.
is '{"low":2,"high":10,"covers":0.98828125}' '[range(1; 12)] | median_interval'
# Of 30 the 10th and the 21st: a table of the binomial distribution.
is '[10,21]' '[range(1; 31)] | median_interval | [.low, .high]'
is '{"low":1,"high":3,"covers":0.75}' '[3, 1, 2] | median_interval'
is 0 '[7] | median_interval.covers'

samples() {	# GROUP SIDE VALUE...: one for each pair
	local pair=0 value
	for value in "${@:3}"; do
		pair=$((pair + 1))
		echo "{\"group\": \"$1\", \"pair\": $pair, \"side\": \"$2\", \"speed\": $value}"
	done
}
results() {	# ROW-JSON: into $W/results
	jq -s -L "$bench" --argjson row "$1" 'include "statistics"; all_results([$row])' \
		<"$W/samples" >"$W/results"
}
result_is() { jq -e "$1" <"$W/results" >/dev/null || { cat "$W/results"; fail "not so: $1"; }; }

case_is "a ratio is that of a pair, to the limit that is lower over all pairs"
{ samples g null 100 300 500; samples g raw 200 250 200; samples g wbfs 180 250 160; } >"$W/samples"
row='{"name": "r", "title": "t", "group": "g", "metric": "speed", "side": "wbfs", "limits": ["null", "raw"]'
results "$row, \"at_least\": 0.85}"
result_is '.[0].limit == "raw" and .[0].figures == [0.9, 1, 0.8] and .[0].median == 0.9'
result_is '.[0].met and .[0].sides.null == 300 and (.[0] | has("against_base") | not)'

case_is "transport and disk one after the other: what adds nothing reaches that"
{ samples g null 30 40 50; samples g raw 10 10 10; samples g wbfs 5 5 5; } >"$W/serial"
jq -se -L "$bench" --argjson row "$row, \"serial\": [\"null\", \"raw\"]}" 'include "statistics";
	all_results([$row])[0] | .serial_ratio == 0.8 and .median == 0.5' <"$W/serial"

case_is "what a daemon reaches that only hands requests on is shown beside the row"
{ samples g null 30 40 50; samples g raw 10 10 10; samples g pass 8 7 8; samples g wbfs 4 7 6; } >"$W/passed"
jq -se -L "$bench" --argjson row "$row, \"pass\": \"pass\"}" 'include "statistics";
	all_results([$row])[0] | .pass_ratio == 0.8 and .against_pass == 0.75 and .median == 0.6' <"$W/passed"

case_is "a target is met or missed as it counts"
results "$row, \"at_least\": 0.8, \"at_most\": 0.9}"
result_is '.[0].met'
results "$row, \"at_least\": 0.8, \"at_most\": 0.89}"
result_is '.[0].met == false'
results "$row, \"at_least\": 0.95}"
result_is '.[0].met == false'
results "$row, \"at_most\": 0.95}"
result_is '.[0].met'
results "$row}"
result_is '.[0].met == null'
results "$row, \"at_least\": 0.8, \"judged_by\": \"interval\"}"
result_is '.[0].met and .[0].interval.low == 0.8'
results "$row, \"at_least\": 0.85, \"judged_by\": \"interval\"}"
result_is '.[0].met == false'
results "$row, \"at_most\": 0.95, \"judged_by\": \"interval\"}"
result_is '.[0].met == false'
results "${row/\"null\", \"raw\"/}, \"at_most\": 179}"
result_is '.[0].median == 180 and .[0].met == false'

case_is "another program is compared in the same pairs; what nobody measured is no row"
samples g base 90 100 100 >>"$W/samples"
results "$row, \"at_least\": 0.85}"
result_is '.[0].against_base.median == 2'
results "${row/\"g\"/\"other\"}}"
result_is '. == []'

case_is "rows measured now replace those measured before"
is '["new","old","new"]' 'merge([{name: "a"}, {name: "b"}, {name: "c"}];
	[{name: "b", v: "old"}, {name: "a", v: "old"}]; [{name: "c", v: "new"}, {name: "a", v: "new"}]) | map(.v)'

case_is "every row has its group"
(
	. "$bench/lib.sh"
	profile tiny
	. "$bench/groups.sh"
	. "$bench/groups_start.sh"
	for group in $(jq -r '.[].group' <"$bench/rows.json"); do
		declare -F "group_$group" >/dev/null || fail "there is no group_$group"
	done
)
jq -e 'all(.[]; has("name") and has("title") and has("metric") and has("side") and has("limits")) and
	(map(.name) | unique | length) == length' <"$bench/rows.json" >/dev/null || fail "rows.json"

each_row_has_its_group() (	# suite; its rows are in $W/rows then
	. "$bench/lib.sh"
	SUITE=$1 bench_dir=$bench
	profile tiny
	. "$bench/groups.sh"
	. "$bench/groups_$1.sh"
	suite_rows >"$W/rows"
	for group in $(jq -r '.[].group' <"$W/rows"); do
		declare -F "group_$group" >/dev/null || fail "there is no group_$group"
	done
)

case_is "every row of the hard disk has its group, and comes again with another drive"
each_row_has_its_group hdd
jq -e 'length == (map(.name) | unique | length) and all(.[]; has("title") and has("metric") and has("side")) and
	(map(select(.at_least or .at_most)) | length * 2) == length + (map(select(.once)) | length)' <"$W/rows"

case_is "every row of a remote backing has its group"
each_row_has_its_group nbd
jq -e 'length > 0 and all(.[]; .side == "wbfs" and .limits == ["local"] and .at_least == 0.95)' <"$W/rows"

random_file "$W/data" $((16 << 20))
mkdir "$W/null"
for bare in '' --bare; do
	case_is "the null daemon${bare:+, past libfuse,} keeps what is written, through a loop device too"
	null_pid=$("$null_fuse" $bare $((16 << 20)) "$W/null")
	own_mounts+=("$W/null")
	own_workers+=("$null_pid")
	dd if="$W/data" of="$W/null/disk" bs=1M oflag=direct conv=notrunc,fsync status=none
	same_bytes "$W/data" "$W/null/disk"
	fio --name=verify --filename="$W/null/disk" --direct=1 --ioengine=io_uring --iodepth=16 --rw=randwrite \
		--bsrange=512-64k --bs_unaligned=0 --size=8m --verify=crc32c --do_verify=1 --output=/dev/null
	fallocate --punch-hole --offset 4096 --length 8192 "$W/null/disk"
	dd if="$W/null/disk" bs=4096 skip=1 count=2 status=none | cmp -n 8192 - /dev/zero
	says 1 "No space left" -- dd if=/dev/zero of="$W/null/disk" bs=4096 seek=4096 count=1 conv=notrunc
	loop_attach "$W/null/disk"
	dd if="$W/data" of="$LOOP" bs=1M oflag=direct conv=fsync status=none
	same_bytes "$W/data" "$LOOP"
	loop_detach
	umount "$W/null"
	gone_within 60 "$null_pid" || fail "it does not end"
done

case_is "wrong arguments are refused"
says 1 "usage: null_fuse [--bare] BYTES MOUNTPOINT" -- "$null_fuse"
says 1 "a multiple of 4096" -- "$null_fuse" 5000 "$W/null"
says 1 "$W/none: No such file" -- "$null_fuse" 4096 "$W/none"

case_is "with a file it hands reads on to that, and writes nowhere"
null_pid=$("$null_fuse" $((8 << 20)) "$W/null" "$W/data" 4096)
own_workers+=("$null_pid")
fio --name=read --filename="$W/null/disk" --direct=1 --ioengine=io_uring --iodepth=64 --rw=randread \
	--bs=4k --size=8m --numjobs=2 --output=/dev/null
dd if="$W/null/disk" bs=8k iflag=direct status=none | cmp -n $((8 << 20)) -i 0:4096 - "$W/data"
says 1 "Read-only file system" -- dd if=/dev/zero of="$W/null/disk" bs=4096 count=1 oflag=direct conv=notrunc
umount "$W/null"
gone_within 60 "$null_pid" || fail "it does not end"
says 1 "$W/none: No such file" -- "$null_fuse" 4096 "$W/null" "$W/none" 0

case_is "the core without FUSE: every case runs, and reads what it means to read"
bench_core=$(dirname "$WBFS")/tests/bench/bench_core
"$bench_core" --pairs 1 --percent 1 >"$W/core"
cat "$W/core"
[ "$(grep -c '^[a-z_]*: random 4k' "$W/core")" -eq 6 ] || fail "not six cases"
"$bench_core" --pairs 2 --percent 1 --json read_ram >"$W/samples"
jq -se 'map([.pair, .side]) == [[1, "wbfs:threads1"], [1, "wbfs:threads2"], [1, "wbfs:apart"],
	[2, "wbfs:threads2"], [2, "wbfs:apart"], [2, "wbfs:threads1"]] and
	all(.[]; .group == "core_read_ram" and .iops > 0)' <"$W/samples"
says 2 "there is no case nothing" -- "$bench_core" write nothing
says 2 "bench_core: Unknown option" -- "$bench_core" --fast

export NULL_FUSE=$null_fuse RESULTS=$W/out TMPDIR=$W/tmp PAIRS=1
mkdir "$TMPDIR"

nothing_is_left() {
	[ -z "$(ls -A "$TMPDIR")" ] || fail "left: $(ls -A "$TMPDIR")"
	! grep -F " $W/tmp" /proc/self/mountinfo || fail "something is still mounted"
	! losetup --list --noheadings -O BACK-FILE | grep -F "$W/tmp" || fail "a loop device is left"
}

case_is "a measurement gives a table, JSON and a chart, and leaves nothing"
says 0 "4k random write through a loop" "(tiny: few pairs" -- "$bench/bench.sh" tiny rw_loop
nothing_is_left
jq -e '.machine.cores > 0 and (.rows | length) == 1 and .rows[0].name == "rw_loop" and
	.rows[0].sides.wbfs > 0 and .rows[0].median > 0' <"$W/out/bench.json"
lines=$(wc -l <"$W/out/bench.svg")
[ "$(head -c 4 "$W/out/bench.svg")" = "<svg" ] && [ "$(tail -n 1 "$W/out/bench.svg")" = "</svg>" ] ||
	fail "no SVG"
[ "$(grep -o "<text" "$W/out/bench.svg" | wc -l)" -eq "$(grep -o "</text>" "$W/out/bench.svg" | wc -l)" ] ||
	fail "an element is not closed"
grep -q "&gt;= 0.9" "$W/out/bench.svg" && [ "$lines" -gt 10 ] || fail "the chart lacks its row"

case_is "a drain on the simulated hard disk: a table, and where the head was"
rm -r "$W/out"		# as on a new machine
HDD_FUSE=$(dirname "$WBFS")/tests/bench/hdd_fuse SUITE=hdd says 0 "drain of 64 MiB" -- \
	"$bench/bench.sh" tiny honest drain_64
nothing_is_left
jq -e '(.rows | map(.name)) == ["honest", "drain_64"] and all(.rows[]; .median > 0) and
	.rows[0].sides.hdd > 0' <"$W/out/hdd.json"
[ "$(tail -n 1 "$W/out/hdd.svg")" = "</svg>" ] && [ "$(tail -n 1 "$W/out/head_drain_64.svg")" = "</svg>" ] ||
	fail "no SVG"
[ "$(grep -c 'stroke="#2e5c8a"' "$W/out/head_drain_64.svg")" -eq 2 ] || fail "not two sides"

case_is "what is kept of reads is measured there too"
HDD_FUSE=$(dirname "$WBFS")/tests/bench/hdd_fuse SUITE=hdd says 0 "a recorded boot as fast as it goes" -- \
	"$bench/bench.sh" tiny boot zipf
nothing_is_left
jq -e '.rows | map(select(.name == "boot" or .name == "zipf")) | length == 2 and .[0].median > 1 and
	.[0].sides["wbfs:warm"] > 0 and .[1].median > 0' <"$W/out/hdd.json"

case_is "the list for the peers runs on wbfs and on the bare disk"
says 0 "sync_loop" -- env HDD_FUSE="$(dirname "$WBFS")/tests/bench/hdd_fuse" SUITE=peers PEERS=loop \
	"$bench/bench.sh" tiny
nothing_is_left
jq -e '(.rows | length) == 6 and all(.rows[]; .median > 0 and .sides.loop > 0 and .sides.wbfs > 0)' \
	<"$W/out/peers.json"

if command -v nbdkit >/dev/null; then
	case_is "a sync and a read with a backing 5 ms away, and a local one: a table, and nothing is left"
	SUITE=nbd says 0 "4k write + fdatasync" "from the SSD" -- "$bench/bench.sh" tiny sync rr_ssd
	nothing_is_left
	! ls -d /dev/shm/wbfs-nbd.* 2>/dev/null || fail "an image is left"
	jq -e '(.rows | map(.name)) == ["sync", "rr_ssd"] and all(.rows[]; .median > 0 and
		.limit == "local" and .sides.wbfs > 0)' <"$W/out/nbd.json"
	[ "$(tail -n 1 "$W/out/nbd.svg")" = "</svg>" ] || fail "no SVG"
else
	case_skip "a sync and a read with a backing 5 ms away" "nbdkit is not installed"
fi

case_is "an interrupted one leaves nothing either"
PAIRS=100000 run_in_background "$bench/bench.sh" tiny rw_loop
until [ -s "$(echo "$TMPDIR"/*/samples)" ]; do
	is_alive "$JOB" || fail "it ended"
	sleep 0.02
done
kill -TERM "$JOB"
status=0
wait "$JOB" || status=$?
[ $status -eq 143 ] || fail "it ends with $status"
own_jobs=()
nothing_is_left

case_is "what it cannot measure is refused"
says 1 "there is no row rw_qd2; there are: rw_qd1" -- "$bench/bench.sh" tiny rw_qd2
SUITE=ssd says 1 "SUITE=ssd: bench, hdd, nbd or peers" -- "$bench/bench.sh" tiny
HDD_FUSE=/none SUITE=hdd says 1 "make bench-hdd builds it" -- "$bench/bench.sh" tiny
! command -v nbdkit >/dev/null || BASE=$WBFS SUITE=nbd says 1 "BASE is not for a remote backing" -- "$bench/bench.sh" tiny
BASE=$WBFS SUITE=peers says 1 "BASE is not for the peers" -- "$bench/bench.sh" tiny
HDD_FUSE=/none SUITE=peers says 1 "make bench-peers builds it" -- "$bench/bench.sh" tiny
HDD_FUSE=$(dirname "$WBFS")/tests/bench/hdd_fuse SUITE=peers PEERS=bcache says 1 "PEERS: there is no peer bcache" -- "$bench/bench.sh" tiny
BASE=$WBFS SUITE=hdd says 1 "BASE is not for the hard disk" -- "$bench/bench.sh" tiny
NULL_FUSE='' says 1 "make bench builds it" -- "$bench/bench.sh" tiny
BASE=/none says 1 "BASE: /none is no program" -- "$bench/bench.sh" tiny
nothing_is_left
finish
