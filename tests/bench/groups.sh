# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The groups of rows.json: each sets up, measures its sides in pairs, and clears up.
# Rows that look at the same measurements share a group.

suite_title="wbfs: measured against its targets"
suite_rows() { cat "$bench_dir/rows.json"; }
suite_needs() {
	needs fuse root jq fio
	[ -x "${NULL_FUSE:-}" ] || fail "NULL_FUSE does not name null_fuse; make bench builds it"
	NULL_FUSE=$(realpath "$NULL_FUSE")
}

quiet=allow_writeback=off	# writeback is paid for in `sustained` alone
whole=(--size="${set_mib}m")

# --- writes ---------------------------------------------------------------------

random_writes=(--rw=randwrite --bs=4k)

group_rw_qd1() {
	volumes_mount $quiet
	bare_start
	often 2 alternate write_qd1 null bare wbfs
}
write_qd1() {
	drained "$1"
	measure "$1" "${random_writes[@]}" "${whole[@]}" --iodepth=1 --io_size="$(amount 48)"
}

group_rw_qd32() {
	volumes_mount $quiet
	bare_start
	often 3 alternate write_qd32 null bare wbfs
}
write_qd32() {
	drained "$1"
	measure "$1" "${random_writes[@]}" "${whole[@]}" --iodepth=32 --io_size="$(amount 320)"
}

# The same volume mounted in turn with the one and the other.
group_keeper() {
	often 3 alternate write_keeper wbfs:alone wbfs:keeper
}
write_keeper() {
	local keeper=off
	[[ $1 != *:keeper ]] || keeper=on
	volumes_mount "$quiet,keeper=$keeper"
	drained "$1"
	measure "$1" "${random_writes[@]}" "${whole[@]}" --iodepth=32 --io_size="$(amount 256)"
}

group_rw_2x32() {
	volumes_mount $quiet
	bare_start
	often 3 alternate write_2x32 null bare wbfs
}
write_2x32() {
	drained "$1"
	measure "$1" "${random_writes[@]}" "${whole[@]}" --iodepth=32 --numjobs=2 \
		--io_size="$(amount 160)"
}

group_rw_loop() {
	volumes_mount $quiet
	bare_start
	loops_attach null bare
	often 3 alternate write_loop null bare wbfs
	loops_detach
}
write_loop() {
	drained "$1"
	measure "$1" "${random_writes[@]}" "${whole[@]}" --iodepth=32 --io_size="$(amount 192)"
}

group_sync() {
	volumes_mount $quiet
	often 3 alternate write_sync null raw wbfs
}
write_sync() {
	drained "$1"
	measure "$1" "${random_writes[@]}" "${whole[@]}" --ioengine=psync --fdatasync=1 \
		--io_size="$(amount 24)"
}

group_dsync() {
	volumes_mount $quiet
	alternate write_dsync wbfs:jobs1 wbfs:jobs8
}
write_dsync() {
	local jobs=${1#*:jobs}
	drained "$1"
	measure "$1" "${random_writes[@]}" "${whole[@]}" --iodepth=1 --sync=dsync --numjobs="$jobs" \
		--io_size="$(amount $((jobs == 1 ? 24 : 8)))"
}

group_sw_1m() {
	volumes_mount $quiet
	alternate write_1m null raw wbfs
}
write_1m() {
	drained "$1"
	measure "$1" --rw=write --bs=1m --iodepth=8 --size="${image_mib}m" --io_size="$(amount 2048)"
}

# One writer at a time that waits for each answer, alone, or beside another one that
# keeps the log streaming at half of what the SSD takes, for longer than what is before
# it can swallow. It writes the same range over and over, so that the log never runs out
# of places whose data is superseded.
group_stream() {
	local raw_amount=2048m	# also in `quick`: less is swallowed
	[ "$PROFILE" != tiny ] || raw_amount=$(amount 2048)
	volumes_mount $quiet
	for pair in 1 2 3; do
		measure raw --rw=write --bs=1m --iodepth=8 --size="${image_mib}m" --io_size="$raw_amount"
	done
	stream_rate=$(median_of stream raw mb_s | awk -v part=$stream_part '{ print int($1 / part) }')
	alternate write_stream null:idle null:stream wbfs:idle wbfs:stream
}
write_stream() {
	local before
	drained "$1"
	JOB=''
	if [[ $1 = *:stream ]]; then
		before=$(bytes_streamed "$1")
		run_in_background fio --name=stream --filename="$(file_of "$1")" --direct=1 --ioengine=io_uring \
			--rw=write --bs=1m --iodepth=4 --offset="${set_mib}m" --size="${set_mib}m" \
			--time_based --runtime=600 --rate="${stream_rate}m" --allow_file_create=0 \
			--output=/dev/null
		until [ "$(bytes_streamed "$1")" -gt $((before + (64 << 20))) ]; do
			is_alive "$JOB" || fail "the stream ended early"
			sleep 0.02
		done
	fi
	measure "$1" "${random_writes[@]}" "${whole[@]}" --iodepth=1 --io_size="$(amount 48)"
	[ -n "$JOB" ] || return 0
	is_alive "$JOB" || fail "the stream ended before the measurement"
	kill -INT "$JOB"
	wait "$JOB" || :
	own_jobs=()
}

# So far: to the SSD, or to a daemon that has none.
bytes_streamed() {	# side
	if is_volume "$1"; then
		stat_of ssd_bytes_written
	else
		awk '$1 == "rchar:" { print $2 }' "/proc/$null_pid/io"
	fi
}

# --- reads -----------------------------------------------------------------------

random_reads=(--rw=randread --bs=4k)

put_in_cache() {	# MiB, from the start of the image
	local name
	for name in "${volumes[@]}"; do
		drained "$name"
		fio_json "$(file_of "$name")" --rw=write --bs=1m --iodepth=8 --size="$1m"
	done
}

# Half of the RAM buffers, and nothing that makes it durable: then it stays there.
group_rr_ram() {
	local name
	volumes_mount $quiet,sync_interval_s=0
	pair=0
	put_in_cache 32
	bare_start
	often 3 alternate read_ram null bare wbfs
}
read_ram() {
	measure "$1" "${random_reads[@]}" --size=32m --iodepth=32 --io_size="$(amount 320)"
}

# The log begins at the start of the ring: there lies what is read. Mounted anew,
# nothing of it is in RAM.
ssd_reads_prepare() {	# MiB
	local at
	volumes_empty $quiet
	pair=0
	put_in_cache "$1"
	volume_use wbfs
	"$WBFS" umount "$MNT"
	at=$(ring_offset "$CACHE")
	volumes_remount
	raw_reads "$W/wbfs/cache" "$at"
}

read_from_ssd() {	# side fio_option...
	measure "$@"
	sample_is_from "$1" read_cache_bytes
}

group_rr_ssd_qd1() {
	ssd_reads_prepare $((image_mib / 2))
	pass_start
	alternate read_ssd_qd1 null raw pass wbfs
	pass_end
	raw_reads_end
}
read_ssd_qd1() {
	read_from_ssd "$1" "${random_reads[@]}" --size="$((image_mib / 2))m" --iodepth=1 \
		--io_size="$(amount 40)"
}

group_rr_ssd_qd32() {
	ssd_reads_prepare $((image_mib / 2))
	pass_start
	alternate read_ssd_qd32 null raw pass wbfs
	pass_end
	raw_reads_end
}
read_ssd_qd32() {
	read_from_ssd "$1" "${random_reads[@]}" --size="$((image_mib / 2))m" --iodepth=32 \
		--io_size="$(amount 256)"
}

group_sr_1m() {
	ssd_reads_prepare $((image_mib / 2))
	alternate read_1m null raw wbfs
	raw_reads_end
}
read_1m() {
	read_from_ssd "$1" --rw=read --bs=1m --size="$((image_mib / 2))m" --iodepth=8 \
		--io_size="$(amount 2048)"
}

group_rr_miss() {
	volumes_empty $quiet
	raw_reads "$W/wbfs/backing" 0
	pass_start
	alternate read_miss null raw pass wbfs
	pass_end
	raw_reads_end
}
read_miss() {
	measure "$1" "${random_reads[@]}" --size="$((image_mib / 2))m" --iodepth=32 \
		--io_size="$(amount 256)"
	sample_is_from "$1" read_backing_bytes
}

# --- the transport ------------------------------------------------------------------

# The same volume mounted in turn with the one and the other, and all rows at each mount.
# Reads are from RAM, so that no disk takes part. Not with BASE, which may not know the
# option. The kernel's parameter is switched on meanwhile.
uring_switch=/sys/module/fuse/parameters/enable_uring
uring_done=no
uring_group() {
	local pairs=$PAIRS
	[ $uring_done = no ] || return 0
	uring_done=yes
	if [ "$(cat $uring_switch 2>/dev/null)" = N ]; then
		# shellcheck disable=SC2016
		at_exit='echo N >$uring_switch'
		echo Y >$uring_switch || :
	fi
	if [ "$(cat $uring_switch 2>/dev/null)" != Y ] || [ -n "${BASE:-}" ]; then
		echo "not measured: there is no FUSE over io_uring here, or there is a BASE" >&2
		return 0
	fi
	worlds_make
	[ "$PROFILE" != full ] || PAIRS=$(((pairs + 1) / 2))	# nine rows at each
	alternate transport null wbfs:classic wbfs:uring
	PAIRS=$pairs
}
for uring_case in rw_qd1 rw_qd32 rw_2x32 rr_qd1 rr_qd32 rr_2x32 sync w_1m r_1m; do
	eval "group_uring_$uring_case() { uring_group; }"
done

transport() {	# side
	local group options=$quiet,sync_interval_s=0
	[ "$1" != wbfs:uring ] || options+=,io_uring
	if is_volume "$1"; then
		volumes_mount "$options"
		volume_use wbfs
		[ "wbfs:$(stat_of transport)" = "${1/%:uring/:io_uring}" ] ||
			fail "mounted over $(stat_of transport)"
	fi
	for group in $(jq -r '.[].group | select(startswith("uring_"))' <<<"$rows"); do
		drained "$1"
		transport_case "$1" "${group#uring_}"
	done
}

transport_case() {	# side case
	local side=$1 deep=(--iodepth=32)
	case $2 in
	*_qd1) deep=(--iodepth=1) ;;
	*_2x32) deep+=(--numjobs=2) ;;
	esac
	case $2 in
	rr_* | r_1m) fio_json "$(file_of "$side")" --rw=write --bs=1m --iodepth=8 --size=32m ;;
	esac
	case $2 in
	rw_qd1) measure "$side" "${random_writes[@]}" "${whole[@]}" "${deep[@]}" --io_size="$(amount 48)" ;;
	rw_qd32) measure "$side" "${random_writes[@]}" "${whole[@]}" "${deep[@]}" --io_size="$(amount 384)" ;;
	rw_2x32) measure "$side" "${random_writes[@]}" "${whole[@]}" "${deep[@]}" --io_size="$(amount 192)" ;;
	rr_qd1) measure "$side" "${random_reads[@]}" --size=32m "${deep[@]}" --io_size="$(amount 48)" ;;
	rr_qd32) measure "$side" "${random_reads[@]}" --size=32m "${deep[@]}" --io_size="$(amount 384)" ;;
	rr_2x32) measure "$side" "${random_reads[@]}" --size=32m "${deep[@]}" --io_size="$(amount 192)" ;;
	sync) measure "$side" "${random_writes[@]}" "${whole[@]}" --ioengine=psync --fdatasync=1 --io_size="$(amount 16)" ;;
	w_1m) measure "$side" --rw=write --bs=1m --iodepth=8 --size="${image_mib}m" --io_size="$(amount 1024)" ;;
	r_1m) measure "$side" --rw=read --bs=1m --iodepth=8 --size=32m --io_size="$(amount 1024)" ;;
	esac
}
