# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
# The groups of rows_hdd.json: what wbfs does for a slow disk, on the simulated one.
#
# A side is `hdd`, the bare disk; `wbfs`, a volume on it; or `rival`, the same program as
# dm-writeboost would write back: the 32 oldest segments, sorted, block by block. Each
# measurement begins with an empty cache and an idle disk. The whole table is measured
# with a drive whose write cache is small for its size, as that of a large one is, and
# once more, without targets, with 64 MiB (rows and groups that end in _c64); but not what
# has little to do with writes (`once`).

part() { echo $(($1 * hdd_image_mib / 2048)); }	# MiB; sizes are those of the full image

suite_rows() {
	jq -c '. + map(select(.once | not) | .name += "_c64" | .group += "_c64" | del(.at_least, .at_most)
		| .title += " (write cache of 64 MiB)")' <"$bench_dir/rows_hdd.json"
}

suite_needs() {
	needs fuse root jq fio
	[ -z "${BASE:-}" ] || fail "BASE is not for the hard disk"
	[ -x "${HDD_FUSE:-}" ] || fail "HDD_FUSE does not name hdd_fuse; make bench-hdd builds it"
	HDD_FUSE=$(realpath "$HDD_FUSE")
	read_bench=$(dirname "$HDD_FUSE")/read_bench
}

# --- the disk and the volume on it ------------------------------------------------------

# A file on FUSE does not say that it turns; a program that does not know the option
# sweeps all the same, and fills no gaps.
disk_turns() {
	! "$WBFS" help mount | grep -q backing_rotational || echo backing_rotational=on,
}

small_drive_mib=4
drive_mib=$small_drive_mib

rival_options=writeback_order=segments,writeback_batch=32
declare -A options_of=([wbfs]='' [rival]=$rival_options [bypass]=bypass_threshold=4096)

world_make() {	# image MiB, cache MiB: a new disk, and a cache that was written in full
	mkdir -p "$W/hdd_world"
	hdd_start "$1M" --write-cache "$drive_mib"
	CACHE=$W/hdd_world/cache MNT=$W/hdd_world/mnt DISK=$W/hdd_world/mnt/disk
	cache_size=$2M
	volume_format --force --cache-size "$cache_size" >"$W/said" 2>&1 || { cat "$W/said"; fail "format"; }
}

world_remove() {
	! is_mounted "$MNT" || "$WBFS" umount "$MNT"
	hdd_stop
	rm -rf --one-file-system "$W/hdd_world"
}

# A cache that knows nothing, mounted as that side wants it.
volume_fresh() {	# side, mount options
	if is_mounted "$MNT"; then
		hdd_control settle
		"$WBFS" umount "$MNT"
	fi
	volume_format --force --no-zero >"$W/said" 2>&1 || { cat "$W/said"; fail "format"; }
	volume_mount -o "$(disk_turns)$2${options_of[${1%%:*}]:+,${options_of[${1%%:*}]}}"
	hdd_begin
}

hdd_begin() {
	hdd_control settle
	hdd_control clear
}

file_of_side() {	# side
	[[ $1 = hdd* ]] && echo "$BACKING" || echo "$DISK"
}

# --- which blocks, and writing them ------------------------------------------------------

# Numbers of blocks in random order, each once.
blocks_random() {	# how many, of how many
	awk -v seed="$pair" -v count="$1" -v total="$2" 'BEGIN {
		srand(seed)
		for (i = 0; i < total; i++)
			block[i] = i
		for (i = 0; i < count; i++) {
			j = i + int(rand() * (total - i))
			t = block[i]; block[i] = block[j]; block[j] = t
			print block[i]
		}
	}'
}

# fio writes those blocks, 32 at once, in the order of the list, and syncs. (The sync goes
# with the last 31 writes and need not cover them: in a replay fio obeys no end_fsync.)
blocks_write() {	# file list
	awk -v file="$1" 'BEGIN { print "fio version 2 iolog"; print file " add"; print file " open" }
		{ printf "%s write %d 4096\n", file, $1 * 4096 }
		END { print file " datasync 0 0"; print file " close" }' <"$2" >"$W/iolog"
	fio --name=bench --direct=1 --ioengine=io_uring --allow_file_create=0 --output=/dev/null \
		--read_iolog="$W/iolog" --replay_no_stall=1 --iodepth=32
}

write_in_order() {	# file MiB: sets `took`, until they are durable
	fio_json "$1" --rw=write --bs=1m --iodepth=8 --size="$2m" --io_size="$2m" --end_fsync=1
	took=$(jq '.jobs[0].write.runtime / 1000' <"$W/fio.json")
}

# --- drains -------------------------------------------------------------------------------

# Everything that is dirty, of so many MiB: from the first request at the disk to its last
# answer, without the start and the end of commands, as for the bare disk. Or, as the
# volume tells it, until that part of it is clean.
drain_timed() {	# side MiB part
	local before took blocks=$(($2 * 256 / $3))
	hdd_begin
	hdd_control trace "$W/trace_${group}_${1%%:*}"
	before=$(date +%s%N)
	if [ "$3" -eq 1 ]; then
		drain_now
		took=$(jq '.span_ms / 1000' <"$HDD/stats.json")
	else
		"$WBFS" set "$MNT" allow_writeback=on writeback_modulator=off
		while [ "$(stat_of writeback_blocks)" -lt $blocks ]; do sleep 0.05; done
		took=$(jq -n "$(($(date +%s%N) - before)) / 1000000000 * $2 * 256 / $(stat_of writeback_blocks)")
	fi
	hdd_control trace off
	sample_of_drain "$1" "$2" "$took" "$(jq -n "$(($(date +%s%N) - before)) / 1000000000")"
}

sample_of_drain() {	# side MiB seconds [seconds with the command]
	sample "$1" "$(jq -c --argjson mib "$2" --argjson seconds "$3" --argjson command_s "${4:-0}" '
		{seconds: $seconds, mb_s: ($mib * 1.048576 / $seconds), $command_s, media_writes, media_reads, seeks,
		 media_mib: ((.media_read_bytes + .media_written_bytes) / 1048576),
		 arm_s: (.busy_ms / 1000), flushes, flush_most_ms}' <"$HDD/stats.json")"
}

# The same blocks, in the batches of the rival, written by fio: each is sorted, and on the
# platters before the next one begins. Counted is from the first request to the last answer
# of each, so that starting fio is not.
batches_by_fio() {	# side list
	local batch
	took=0
	rm -f "$W"/batch.*
	split -l $((32 * 255)) "$2" "$W/batch."
	for batch in "$W"/batch.*; do
		sort -n "$batch" >"$W/sorted"
		hdd_begin
		blocks_write "$BACKING" "$W/sorted"
		took=$(jq "$took + .span_ms / 1000" <"$HDD/stats.json")
	done
	sample_of_drain "$1" "$(($(wc -l <"$2") / 256))" "$took"
}

drain_of_list() {	# side
	local blocks=$W/blocks
	if [[ $1 = hdd* ]]; then
		batches_by_fio "$1" "$blocks"
		return
	fi
	volume_fresh "$1" allow_writeback=off
	blocks_write "$DISK" "$blocks"
	drain_timed "$1" "$(($(wc -l <"$blocks") / 256))" "$([[ $1 = rival* ]] && echo "$drain_part" || echo 1)"
}

image_once() {	# side
	hdd_begin
	write_in_order "$BACKING" "$hdd_image_mib"
	sample "$1" "{\"seconds\": $took, \"mb_s\": $(jq -n "$hdd_image_mib * 1.048576 / $took")}"
}

group_drain_64() {
	pair=1 drain_part=1
	world_make "$hdd_image_mib" "$(part 1024)"
	blocks_random $(($(part 64) * 256)) $((hdd_image_mib * 256)) >"$W/blocks"
	alternate drain_of_list hdd rival wbfs
	world_remove
	heads_write
}

group_drain_512() {
	pair=1 drain_part=$rival_part
	world_make "$hdd_image_mib" "$(part 1024)"
	blocks_random $(($(part 512) * 256)) $((hdd_image_mib * 256)) >"$W/blocks"
	alternate drain_or_once hdd rival wbfs
	world_remove
	heads_write
}
drain_or_once() {
	if [[ $1 = hdd* ]]; then image_once "$1"; else drain_of_list "$1"; fi
}

group_drain_half() {
	pair=1
	world_make "$hdd_image_mib" "$(part 2048)"
	blocks_random $((hdd_image_mib * 128)) $((hdd_image_mib * 128)) | awk '{ print $1 * 2 }' >"$W/blocks"
	alternate drain_or_once hdd wbfs
	world_remove
}

group_drain_order() {
	world_make "$hdd_image_mib" "$(part 1024)"
	five_times alternate drain_in_order hdd wbfs
	world_remove
}
drain_in_order() {
	local mib
	mib=$(part 256)
	if [[ $1 = hdd* ]]; then
		hdd_begin
		write_in_order "$BACKING" "$mib"
		sample_of_drain "$1" "$mib" "$took"
	else
		volume_fresh "$1" allow_writeback=off
		write_in_order "$DISK" "$mib"
		drain_timed "$1" "$mib" 1
	fi
}

# What takes only some seconds.
five_times() {
	local pairs=$PAIRS
	[ "$PROFILE" = tiny ] || PAIRS=$((pairs * 5))
	"$@"
	PAIRS=$pairs
}

# Where the arm was in the drains of this group: one picture for all sides.
heads_write() {
	local side end=0 last sides=()
	for side in rival wbfs; do
		[ -s "$W/trace_${group}_$side" ] || continue
		sides+=("$side")
		last=$(tail -n 1 "$W/trace_${group}_$side" | cut -d ' ' -f 2)
		[ "$last" -le "$end" ] || end=$last
	done
	[ "$end" -gt 0 ] || return 0
	for side in "${sides[@]}"; do
		awk -v end="$end" -v side="$side" -v moments=$head_moments '
			{
				at = int($2 / end * moments) " " $5
				if (!(at in low) || $3 < low[at]) low[at] = $3
				if (!(at in high) || $3 + $4 > high[at]) high[at] = $3 + $4
			}
			END { for (at in low) { split(at, w, " "); printf "{\"side\": \"%s\", \"stroke\": [%d, \"%s\", %.0f, %.0f]}\n", side, w[1], w[2], low[at], high[at] } }' \
			<"$W/trace_${group}_$side"
	done | jq -s -r -L "$bench_dir" --argjson last_us "$end" --argjson mib "$hdd_image_mib" --argjson moments $head_moments \
		--arg title "$(jq -r --arg g "$group" 'map(select(.group == $g)) | .[0].title | sub(":.*"; "")' <<<"$all_rows")" '
		include "head";
		{title: $title, seconds: ($last_us / 1000000), bytes: ($mib * 1048576), moments: $moments,
		 sides: (group_by(.side) | map({name: .[0].side, title: ({rival: "without the planner: 32 segments at a time, sorted",
			wbfs: "with it"}[.[0].side]), strokes: (map(.stroke) | sort)}))} | heads' >"$W/head.svg"
	mkdir -p "$RESULTS"
	cp "$W/head.svg" "$RESULTS/head_$group.svg"
}
head_moments=900

# --- a cache that is full, or too small ---------------------------------------------------

group_endless() {
	world_make "$hdd_image_mib" "$(part 256)"
	alternate endless hdd wbfs
	world_remove
}
endless() {	# side
	local file
	file=$(file_of_side "$1")
	if [[ $1 = hdd* ]]; then hdd_begin; else volume_fresh "$1" allow_writeback=on; fi
	fio_json "$file" "${random_writes[@]}" --size="${hdd_image_mib}m" --iodepth=32 --time_based \
		--ramp_time="${endless_s}s" --runtime="${endless_s}s"
	sample "$1" "$(jq -c '.jobs[0].write | {iops, p99_us: (.lat_ns.percentile["99.000000"] / 1000),
		most_ms: (.lat_ns.max / 1000000)}
		| . + {note: "p99 \(.p99_us / 1000 * 10 | round / 10) ms, longest \(.most_ms | round) ms"}' <"$W/fio.json")"
}

group_copy() {
	world_make "$((hdd_image_mib * 2))" "$(part 256)"
	alternate copy hdd wbfs bypass
	world_remove
}
copy() {	# side
	local mib clean=0 before
	mib=$(part 3072)
	if [[ $1 = hdd* ]]; then
		hdd_begin
	else
		volume_fresh "$1" allow_writeback=on
	fi
	write_in_order "$(file_of_side "$1")" "$mib"
	before=$(date +%s%N)
	[[ $1 = hdd* ]] || drain_now
	clean=$(jq -n "$took + $(($(date +%s%N) - before))e-9")
	sample "$1" "$(jq -nc --argjson mb "$(jq -n "$mib * 1.048576")" --argjson took "$took" --argjson clean "$clean" \
		'{seconds: $took, mb_s: ($mb / $took), clean_seconds: $clean,
		  note: "\($mb / $clean | round) MB/s until all is on the disk"}')"
}

# --- reads ----------------------------------------------------------------------------------

# One block in four is dirty, and another one is read.
group_read_p99() {
	pair=1
	world_make "$hdd_image_mib" "$(part 1024)"
	blocks_random $((hdd_image_mib * 64)) $((hdd_image_mib * 64)) | awk '{ print $1 * 4 }' >"$W/blocks"
	alternate read_during wbfs:idle wbfs:drain
	world_remove
}
read_during() {	# side
	volume_fresh "$1" allow_writeback=off
	blocks_write "$DISK" "$W/blocks"
	hdd_begin
	drain=''
	if [[ $1 = *:drain ]]; then
		run_in_background "$WBFS" drain "$MNT"
		drain=$JOB
		until [ "$(hdd_stat media_writes)" -gt 10 ]; do
			is_alive "$drain" || fail "the drain ended early"
			sleep 0.02
		done
	fi
	reads_until_drained
	sample "$1" "$(jq -c --slurpfile hdd "$HDD/stats.json" '.jobs[0].read | {iops, reads: .total_ios,
		p50_us: (.lat_ns.percentile["50.000000"] / 1000), p99_us: (.lat_ns.percentile["99.000000"] / 1000),
		most_ms: (.lat_ns.max / 1000000), media_writes: $hdd[0].media_writes, flushes: $hdd[0].flushes}
		| . + {note: "\(.reads) reads, longest \(.most_ms | round) ms"}' <"$W/fio.json")"
	if [ -n "$drain" ]; then
		kill "$drain" 2>/dev/null || :
		wait "$drain" || :
	fi
	own_jobs=()
}
# For so long, but not longer than the drain.
reads_until_drained() {
	run_in_background fio --name=bench --filename="$DISK" --direct=1 --ioengine=io_uring \
		--norandommap --randseed="$pair" --allow_file_create=0 --clat_percentiles=0 --lat_percentiles=1 \
		--output-format=json --output="$W/fio.out" "${random_reads[@]}" --ba=16k --offset=12k \
		--size="$((hdd_image_mib - 1))m" --iodepth=1 --time_based --runtime="$read_s"
	if [ -n "$drain" ]; then
		while is_alive "$drain" && is_alive "$JOB"; do sleep 0.05; done
		kill -INT "$JOB" 2>/dev/null || :
	fi
	wait "$JOB" || [ -n "$drain" ] || fail "fio"
	sed -n '/^{/,$p' "$W/fio.out" >"$W/fio.json"
}

# --- what is kept of reads ------------------------------------------------------------------

# do_trace FILE UNIT TRACE: sets `took`
do_trace() {
	took=$("$read_bench" "--replay$2" "$1" "$bench_dir/traces" "$3") || fail "the replay"
}

# A machine boots as fast as its disk goes; then the program stops, starts, and the machine
# boots again.
group_boot() {
	pair=1
	world_make 4096 "$(part 512)"
	alternate boot hdd wbfs
	world_remove
}
boot() {	# side
	local options=read_cache=on
	if [[ $1 = hdd* ]]; then
		hdd_begin
		boot_timed "$1" "$BACKING"
		return
	fi
	volume_fresh "$1" $options
	boot_timed "$1:cold" "$DISK"
	drain_now
	"$WBFS" umount "$MNT"
	volume_mount -o "$(disk_turns)$options"
	hdd_begin
	boot_timed "$1:warm" "$DISK"
}
boot_timed() {	# side file
	do_trace "$2" -requests "$boot_trace"
	sample "$1" "$(jq -c --argjson seconds "$took" '{seconds: $seconds, reads, writes}' <"$HDD/stats.json")"
}

# The cache has seen so much of the trace, of a disk that took no time, that it is full and
# has chosen what it keeps; then the disk is one again.
group_zipf() {
	pair=1
	world_make 2048 512
	alternate zipf wbfs
	world_remove
}
zipf() {	# side
	local hits reads hits_before reads_before slots part=zipf@$zipf_history:$zipf_counted
	volume_fresh "$1" read_cache=on
	hdd_control time off
	do_trace "$DISK" '' "zipf@0:$zipf_history"
	hdd_control time on
	hdd_begin
	read -r hits_before reads_before < <(reads_counted)
	do_trace "$DISK" '' "$part"
	read -r hits reads < <(reads_counted)
	slots=$(($(stat_of segments.total) * 256))
	sample simulated "{\"hit_percent\": $("$read_bench" --ring "$slots:256" "$bench_dir/traces" "$part")}"
	sample forecast "{\"hit_percent\": $(stat_of read_cache.hit_percent_same)}"
	sample "$1" "$(jq -nc --argjson hits $((hits - hits_before)) --argjson reads $((reads - reads_before)) \
		--argjson seconds "$took" '{hit_percent: (100 * $hits / $reads), iops: ($reads / $seconds)}')"
}

# --- the same with another drive --------------------------------------------------------------

with_large_drive() {
	drive_mib=64
	"$@"
	drive_mib=$small_drive_mib
}
for hdd_case in drain_64 drain_512 drain_half drain_order endless copy read_p99; do
	eval "group_${hdd_case}_c64() { with_large_drive group_$hdd_case; }"
done
