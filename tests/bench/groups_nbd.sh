# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
# The groups of rows_nbd.json: what a user sees of a backing behind an NBD server that is 5 ms
# away, against the same on a local one.
#
# A side is `wbfs`, a volume whose backing is a file behind nbdkit with its delay filter, or
# `local`, the same program with such a file itself. Both files are in memory, so that the
# SSD serves the caches alone. (The filter delays no flush; no user waits for one.) The
# server gets of the processors only what nobody else wants, as if it were on a machine of
# its own; what the client takes counts.

suite_title="wbfs: a backing behind an NBD server, 5 ms away, against a local one"
nbd_delay=(--filter=delay rdelay=5ms wdelay=5ms)

suite_rows() { cat "$bench_dir/rows_nbd.json"; }
suite_needs() {
	needs fuse root jq fio nbdkit
	[ -z "${BASE:-}" ] || fail "BASE is not for a remote backing"
}

# In place of those of lib.sh, for what groups.sh measures.

volume_use() {	# wbfs|local
	WBFS=${program[$1]}
	CACHE=$W/$1/cache BACKING=$memory/$1 MNT=$W/$1/mnt DISK=$W/$1/mnt/disk
	[ "$1" = local ] || BACKING=$NBD_URI
}

worlds_make() {
	local name
	[ -z "${memory:-}" ] || return 0
	memory=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo "$W")/wbfs-nbd.XXXXXX")
	at_exit='rm -rf "$memory"'
	echo "preparing images of $image_mib MiB and caches of $cache_mib MiB" >&2
	program[local]=${program[wbfs]}
	volumes=(wbfs local)
	for name in "${volumes[@]}"; do
		mkdir "$W/$name"
		fallocate -l "${image_mib}M" "$memory/$name"
	done
	nbd_start server "$memory/wbfs" "${nbd_delay[@]}"
	chrt --idle --all-tasks --pid 0 "$(<"$W/nbd/server/pid")"
	for name in "${volumes[@]}"; do
		volume_use "$name"
		volume_format --cache-size "${cache_mib}M" 2>"$W/said" || { cat "$W/said"; fail "format"; }
	done
}

is_volume() { [[ $1 == wbfs* || $1 == local* ]]; }

group_rw_qd1() {
	volumes_mount $quiet
	often 2 alternate write_qd1 wbfs local
}

group_rw_qd32() {
	volumes_mount $quiet
	alternate write_qd32 wbfs local
}

group_sync() {
	volumes_mount $quiet
	often 2 alternate write_sync wbfs local
}

group_rr_ssd() {
	ssd_reads_prepare $((image_mib / 2))
	alternate read_ssd_qd32 wbfs local
}

# As it is used: what is written is on its way to the backing all the time.
writes_back=allow_writeback=on

group_rw_qd32_on() {
	volumes_mount $writes_back
	alternate write_qd32 wbfs local
}

group_sync_on() {
	volumes_mount $writes_back
	often 2 alternate write_sync wbfs local
}
