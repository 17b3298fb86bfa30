# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# More groups of rows.json: attaching, memory, and what goes on for longer.

# --- attaching -------------------------------------------------------------------

# A volume of its own: the cache is not written in full (--no-zero).
big_make() {	# cache MiB, image MiB
	mkdir -p "$W/big"
	program[big]=${program[wbfs]}
	volume_use big
	rm -f "$CACHE" "$BACKING"
	volume_format --cache-size "$1M" --size "$2M" --no-zero
	volume_mount -o $quiet
}

big_remove() {
	volume_use big
	! is_mounted "$MNT" || "$WBFS" umount "$MNT"
	rm -rf --one-file-system "$W/big"
}

big_kill() {
	daemon_kill
	wreck_clear_mount
	# I/O of the dead daemon may still be landing: it holds the lock until then.
	flock "$CACHE" true
}

big_fill() {	# from, to: MiB of the image, in full segments
	pair=0
	fio_json "$DISK" --rw=write --bs=1m --iodepth=8 --offset="$1m" --size="$(($2 - $1))m"
	sync -d "$DISK"
}

attach() {	# side: how long mounting takes, until the image can be used
	local before after
	before=$(date +%s%N)
	"${program[${1%%:*}]}" mount --cache "$CACHE" --backing "$BACKING" -o $quiet "$MNT"
	after=$(date +%s%N)
	own_mounts+=("$MNT")
	WORKER=$(stat_of worker_pid)
	own_workers+=("$WORKER")
	sample "$1" "{\"seconds\": $((after - before))e-9, \"segments\": $(stat_of segments.dirty)}"
}

attach_killed() { attach "$1"; big_kill; }
attach_stopped() {
	attach "$1"
	[[ $1 == base* || $(stat_of from_checkpoint) == true ]] ||
		fail "the stop left no checkpoint, or it was not used"
	"$WBFS" umount "$MNT"
}

group_attach_kill() {
	big_make "$big_mib" "$log_mib"
	big_fill 0 $((log_mib / 2))
	big_kill
	alternate attach_killed wbfs:half
	volume_mount -o $quiet
	big_fill $((log_mib / 2)) "$log_mib"
	big_kill
	alternate attach_killed wbfs
	big_remove
}

# With the same log in it: what is dirty stays so over a clean stop.
group_attach_clean() {
	big_make "$big_mib" "$log_mib"
	big_fill 0 "$log_mib"
	"$WBFS" umount "$MNT"
	alternate attach_stopped wbfs
	big_remove
}

# Each write is made durable alone, and so becomes a record of two blocks.
group_attach_lone() {
	pair=0
	big_make $((lone_mib * 2 + 64)) "$lone_mib"
	fio_json "$DISK" --ioengine=psync --fdatasync=1 --rw=write --bs=4k --size="$((lone_mib / 2))m"
	big_kill
	lone_offset=$(ring_offset "$CACHE")
	alternate attach_or_read raw wbfs
	big_remove
}
attach_or_read() {
	if [ "$1" != raw ]; then
		attach_killed "$1"
		return
	fi
	fio_json "$CACHE" --rw=read --bs=1m --iodepth=8 --offset="$lone_offset" --size="${lone_mib}m"
	sample raw "$(jq -c '{seconds: (.jobs[0].read.runtime / 1000)}' <"$W/fio.json")"
}

# --- memory ----------------------------------------------------------------------

resident_bytes() {	# cache MiB
	big_make "$1" 1024
	awk '/^VmRSS/ { print $2 * 1024 }' "/proc/$WORKER/status" >"$W/resident"
	big_remove
}

# Beyond what does not depend on the cache's size.
group_memory() {
	local small large
	pair=1
	resident_bytes $((big_mib / 8))
	small=$(<"$W/resident")
	resident_bytes "$big_mib"
	large=$(<"$W/resident")
	sample wbfs "$(jq -nc "{bytes: (($large - $small) / ($big_mib * 7 / 8 * 256)),
		note: \"\($large / 1048576 | round) MiB in all at $((big_mib / 1024)) GiB\"}")"
}

# --- without FUSE ------------------------------------------------------------------

group_core_write() { often 2 core write; }
group_core_read() { often 2 core read_ram; }

core() {	# case of bench_core
	[ -x "${BENCH_CORE:-}" ] || fail "BENCH_CORE does not name bench_core; make bench builds it"
	"$BENCH_CORE" --json --pairs "$PAIRS" --percent "$percent" "$1" | jq -c --arg g "$group" '.group = $g' |
		tee -a "$W/samples" >&2
}

# --- in the long run ---------------------------------------------------------------

# An image four times as large as the cache, which is full before what is measured
# begins: each write has to wait for what it displaces.
group_sustained() {
	local side
	pair=1
	for side in "${volumes[@]}"; do
		mkdir -p "$W/big"
		program[big]=${program[$side]}
		volume_use big
		file_fill "$BACKING" "$image_mib"
		volume_format --cache-size "$((image_mib / 4))M" 2>"$W/said"
		volume_mount -o allow_writeback=on
		through=big
		write_sustained "$side"
		through=file
		big_remove
	done
}
write_sustained() {
	measure "$1" "${random_writes[@]}" --size="${image_mib}m" --iodepth=32 --time_based \
		--ramp_time="$((20 * percent / 100))s" --runtime="$((20 * percent / 100 + 1))s"
	sample_note '"\(.ssd_bytes_written * 100 | round / 100) bytes to the SSD and " +
		"\(.backing_bytes_written * 100 | round / 100) to the backing for each byte"'
}
