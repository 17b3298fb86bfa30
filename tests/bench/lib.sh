# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
# What the benchmarks measure on, made from nothing in one work directory, and how
# one measurement is made. Over tests/mount/lib.sh, which also takes all of it down.
#
# A side is what a measurement runs on: `null` and `bare` (null_fuse), `raw` (a file beside the
# caches), `wbfs`, or `base` (another binary, when BASE names one); what follows a
# colon tells two measurements on the same thing apart.

# --- how much ------------------------------------------------------------------

# profile full|quick|tiny: sizes in MiB, pairs. `tiny` is for the test of the tool.
profile() {
	PROFILE=$1
	case $1 in
	full) percent=100 default_pairs=11 image_mib=2048 cache_mib=4096 big_mib=16384 log_mib=4096 lone_mib=1024 ;;
	quick) percent=25 default_pairs=3 image_mib=1024 cache_mib=2048 big_mib=16384 log_mib=1024 lone_mib=64 ;;
	tiny) percent=1 default_pairs=2 image_mib=192 cache_mib=256 big_mib=512 log_mib=32 lone_mib=4 ;;
	*) fail "profile $1?" ;;
	esac
	case ${SUITE:-} in hdd | nbd | peers) "profile_$SUITE" "$1" ;; esac
	PAIRS=${PAIRS:-$default_pairs}
	stream_part=2
	[ "$1" != tiny ] || stream_part=16
	set_mib=$((image_mib / 8))	# working set of random writes: what each drain has to write
}

# A smaller image would be another density: `quick` leaves out repetitions, and measures a
# part of what takes the rival minutes.
profile_hdd() {
	default_pairs=1
	case $PROFILE in
	full) hdd_image_mib=2048 rival_part=1 read_s=40 endless_s=30 boot_trace=one-boot zipf_history=800000 zipf_counted=20000 ;;
	quick) hdd_image_mib=2048 rival_part=4 read_s=20 endless_s=20 boot_trace=one-boot zipf_history=400000 zipf_counted=5000 ;;
	tiny) hdd_image_mib=256 rival_part=2 read_s=2 endless_s=1 boot_trace=one-boot@0:1000 zipf_history=4000 zipf_counted=100 ;;
	esac
}

profile_nbd() {
	[ "$1" = tiny ] || image_mib=$((image_mib / 2)) cache_mib=$((cache_mib / 2))
}

profile_peers() {
	default_pairs=3
	case $PROFILE in
	full) peer_image_mib=2048 peer_s=8 ;;
	quick) default_pairs=1 peer_image_mib=2048 peer_s=3 ;;
	tiny) default_pairs=1 peer_image_mib=128 peer_s=1 ;;
	esac
	peer_cache_mib=$((peer_image_mib / 2))
}

amount() {	# MiB at full length: for --io_size
	local kib=$(($1 * 1024 * percent / 100))
	echo "$((kib > 1024 ? kib : 1024))k"
}

# --- volumes ---------------------------------------------------------------------

declare -A program mounted_with
volumes=()

# The globals of tests/mount/lib.sh, which knows one volume at a time.
volume_use() {	# wbfs|base
	WBFS=${program[$1]}
	CACHE=$W/$1/cache BACKING=$W/$1/backing MNT=$W/$1/mnt DISK=$W/$1/mnt/disk
}

worlds_make() {	# once: all that most rows need
	local name
	[ ! -e "$W/raw" ] || return 0
	echo "preparing files of $image_mib MiB and caches of $cache_mib MiB" >&2
	RAW=$W/raw raw_file=$W/raw raw_offset=0
	file_fill "$RAW" "$image_mib"
	for name in "${volumes[@]}"; do
		mkdir -p "$W/$name"
		volume_use "$name"
		file_fill "$BACKING" "$image_mib"
		volume_format --cache-size "${cache_mib}M" 2>"$W/said" || { cat "$W/said"; fail "format"; }
	done
	null_start null
	null_pid=${own_workers[-1]}
}

# Written, and not with zeros: a sparse or unwritten file would be another disk.
file_fill() {	# file MiB
	fio --name=fill --filename="$1" --size="$2m" --rw=write --bs=1m --iodepth=4 \
		--ioengine=io_uring --direct=1 --fallocate=none --end_fsync=1 >/dev/null
}

# A daemon of null_fuse: null_start SIDE [--bare] [FILE OFFSET]
null_start() {
	local side=$1 flags=()
	shift
	[ "${1:-}" != --bare ] || { flags=(--bare); shift; }
	mkdir -p "$W/$side"
	own_workers+=("$("$NULL_FUSE" "${flags[@]}" $((image_mib << 20)) "$W/$side" "$@")")
	own_mounts+=("$W/$side")
}

# The side `bare`: as `null`, but past libfuse.
bare_start() { [ -d "$W/bare" ] || null_start bare --bare; }

# The side `pass`, until pass_end: a daemon that reads what the side `raw` reads, and does
# nothing else.
pass_start() { null_start pass "$raw_file" "$raw_offset"; }
pass_end() { umount "$W/pass"; }

# All volumes mounted with these options, and only then mounted anew.
volumes_mount() {	# options
	local name
	worlds_make
	for name in "${volumes[@]}"; do
		[ "${mounted_with[$name]:-}" != "$1" ] || continue
		volume_use "$name"
		! is_mounted "$MNT" || "$WBFS" umount "$MNT"
		mounted_with[$name]=''
		volume_mount -o "$1"
		mounted_with[$name]=$1
	done
}

volumes_remount() {
	local options=${mounted_with[wbfs]} name
	for name in "${volumes[@]}"; do mounted_with[$name]=gone; done
	volumes_mount "$options"
}

# New caches that have nothing of the image, over the same backings.
volumes_empty() {	# mount options
	local name
	volumes_mount "$1"
	for name in "${volumes[@]}"; do
		drained "$name"
		"$WBFS" umount "$MNT"
		mounted_with[$name]=''
		volume_format --force --no-zero
	done
	volumes_mount "$1"
}

# What a side's I/O goes to: `through` is the file, a loop device over it, or the file
# of the volume `big` in its place. `raw` reads the very places that the program reads,
# while raw_file and raw_offset say so: what was written lately, or lies elsewhere, may
# come faster from the same disk.
through=file
declare -A loop_of
file_of() {	# side
	case $through:$1 in
	loop:*) echo "${loop_of[${1%%:*}]}" ;;
	*:raw*) echo "$raw_file" ;;
	*:null* | *:bare* | *:pass*) echo "$W/${1%%:*}/disk" ;;
	*) echo "$(volume_of "$1")/mnt/disk" ;;
	esac
}

volume_of() {	# side: its directory
	case $through in
	big) echo "$W/big" ;;
	*) echo "$W/${1%%:*}" ;;
	esac
}

raw_reads() {	# file offset: until raw_reads_end
	raw_file=$1 raw_offset=$2
}
raw_reads_end() { raw_file=$RAW raw_offset=0; }

ring_offset() {	# cache
	"$WBFS" dump "$1" | awk '$1 == "ring_offset" { at = $2 } END { print at }'
}

loops_attach() {	# side...: of these, and of the volumes
	local side
	through=file
	for side in "$@" "${volumes[@]}"; do
		loop_attach "$(file_of "$side")"
		loop_of[$side]=$LOOP
	done
	through=loop
}

loops_detach() {
	local side
	through=file
	for side in "${!loop_of[@]}"; do loop_detach "${loop_of[$side]}"; done
	loop_of=()
}

is_volume() { [[ $1 == wbfs* || $1 == base* ]]; }

# Nothing is dirty and nothing in RAM, so that no measurement pays for another.
drained() {	# side
	is_volume "$1" || return 0
	volume_use "${1%%:*}"
	drain_now
}
drain_now() {
	"$WBFS" drain "$MNT" >"$W/said" 2>&1 || { cat "$W/said"; fail "drain $MNT"; }
}

# --- one measurement ---------------------------------------------------------------

busy_ticks() {	# of all processors together: user nice system irq softirq
	awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8 }' /proc/stat
}

# How busy the machine is while nothing is measured here: that of others, in percent.
others_percent() {
	local before
	before=$(busy_ticks)
	sleep 0.1
	awk -v ticks="$(($(busy_ticks) - before))" -v hz="$(getconf CLK_TCK)" -v cores="$(nproc)" \
		'BEGIN { printf "%d", ticks / hz / 0.1 / cores * 100 }'
}

# fio_json FILE FIO_OPTION...: what fio has to say, in $W/fio.json
fio_json() {
	local file=$1
	shift
	fio --name=bench --filename="$file" --direct=1 --ioengine=io_uring --group_reporting \
		--norandommap --random_generator=tausworthe64 --randseed="$pair" --fallocate=none \
		--allow_file_create=0 --clat_percentiles=0 --lat_percentiles=1 --output-format=json "$@" >"$W/fio.out"
	sed -n '/^{/,$p' "$W/fio.out" >"$W/fio.json"
}

# Rates are those of fio; CPU is that of the whole machine, until all that was written
# is durable, also what the log still has to write after fio's last answer.
measure() {	# side FIO_OPTION...
	local side=$1 file before after
	shift
	file=$(file_of "$side")
	[[ $side != raw* ]] || set -- "$@" --offset="$raw_offset"
	counters_take "$side" "$W/counters_before"
	before=$(busy_ticks)
	fio_json "$file" "$@"
	[[ "$*" != *write* ]] || sync -d "$file"
	after=$(busy_ticks)
	counters_take "$side" "$W/counters_after"
	sample "$side" "$(jq -c --argjson ticks "$((after - before))" --argjson hz "$(getconf CLK_TCK)" \
		--slurpfile a "$W/counters_before" --slurpfile b "$W/counters_after" '
		.jobs[0] | (.read.total_ios + .write.total_ios) as $ios
		| (if .read.total_ios > .write.total_ios then .read else .write end)
		| {iops, mb_s: (.bw_bytes / 1000000), p50_us: (.lat_ns.percentile["50.000000"] / 1000),
		   p99_us: (.lat_ns.percentile["99.000000"] / 1000),
		   cpu_us: ($ticks / $hz * 1000000 / $ios)}
		+ (def change($k): $b[0][$k] - $a[0][$k];
		   def share($part; $all): if change($all) == 0 then {}
			else {($part): (change($part) / change($all))} end;
		   if $a[0].read_bytes == null then {} else
		     share("read_ram_bytes"; "read_bytes") + share("read_cache_bytes"; "read_bytes")
		     + share("read_backing_bytes"; "read_bytes")
		     + share("ssd_bytes_written"; "written_bytes")
		     + share("backing_bytes_written"; "written_bytes")
		     + (def waits($c): [$c[0].lock_waits[]?.count] | add // 0;
			{lock_waits: ((waits($b) - waits($a)) / $ios)})
		   end)' <"$W/fio.json")"
}

# The program's own counters: samples carry how many bytes of each kind there were for
# each byte of the user, and how many waits for locks for each request.
counters_take() {	# side file
	echo '{}' >"$2"
	! is_volume "$1" || cat "$(volume_of "$1")/mnt/.wbfs/stats.json" >"$2"
}

# Of a mounted volume, so far: "HITS READS", in blocks.
reads_counted() {
	"$WBFS" status --json "$MNT" | jq -r '
		([.read_hit_ram_full, .read_hit_ram_partial, .read_hit_ssd_full, .read_hit_ssd_partial] | add) as $hits
		| "\($hits) \($hits + .read_miss_hdd_full + .read_miss_hdd_partial)"'
}

sample_note() {	# jq expression over the last sample
	jq -c ". + {note: ($1)}" <"$W/sample" >"$W/noted"
	sed -i '$d' "$W/samples"
	cat "$W/noted" >>"$W/samples"
}

# The last sample is of what it is meant to be of.
sample_is_from() {	# side read_cache_bytes|...
	! is_volume "$1" || jq -e --arg k "$2" '.[$k] > 0.99' <"$W/sample" >/dev/null ||
		fail "less than 99 % of it was $2"
}

sample() {	# side JSON
	jq -nc --arg group "$group" --arg side "$1" --argjson pair "$pair" --argjson values "$2" \
		'{group: $group, pair: $pair, side: $side} + $values' | tee -a "$W/samples" >"$W/sample"
	jq -r '"  \(.group) \(.pair): \(.side) \(del(.group, .pair, .side) | to_entries
		| map("\(.key) \(.value | if type == "number" then . * 1000 | round / 1000 else . end)")
		| join(" "))"' <"$W/sample" >&2
}

# So many times as many pairs in a full run. Where single runs differ most (who wakes on
# which processor), many short ones say more than few long ones.
often() {	# factor COMMAND...
	local pairs=$PAIRS
	[ "$PROFILE" != full ] || PAIRS=$((pairs * $1))
	"${@:2}"
	PAIRS=$pairs
}

# Every side once for each pair. Each goes first, and last, equally often: what drifts
# (the machine's neighbours, a disk that cleans up) is then shared evenly.
alternate() {	# COMMAND side...
	local command=$1 sides=() count i
	shift
	for i in "$@"; do
		sides+=("$i")
		[[ -z ${BASE:-} || $i != wbfs* ]] || sides+=("base${i#wbfs}")
	done
	count=${#sides[@]}
	for ((pair = 1; pair <= PAIRS; pair++)); do
		others_percent >>"$W/others"
		echo >>"$W/others"
		for ((i = 0; i < count; i++)); do
			if ((pair % 2)); then
				"$command" "${sides[(i + pair / 2) % count]}"
			else
				"$command" "${sides[(count - 1 - i + pair / 2) % count]}"
			fi
		done
	done
}

# The median of what was measured so far, e.g. to set the pace of a background load.
median_of() {	# group side metric
	jq -s -r -L "$bench_dir" --arg g "$1" --arg s "$2" --arg m "$3" 'include "statistics";
		[.[] | select(.group == $g and .side == $s) | .[$m]] | median' <"$W/samples"
}
