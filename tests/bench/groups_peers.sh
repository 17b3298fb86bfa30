# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
# The rows of rows_peers.json, once for each peer: what somebody could use instead of wbfs
# without a kernel module, for the same image on the same simulated hard disk with the
# same SSD in front. Each side is set up from nothing for each pair, and has all rows of
# the list one after the other; each is given what its manual says is fast, and keeps
# what it promises (a peer that does not reach the disk at a sync is not slowed down for it).
#
#	loop	the hard disk alone, through a loop device
#	nbdkit	nbdkit's cache filter (its file is on the SSD), mounted by nbdfuse
#	qemu	QEMU's storage daemon: a qcow2 on the SSD over the raw image, exported by FUSE

suite_title="wbfs, and what could be used instead"

declare -A peer_needs=([loop]='losetup' [nbdkit]='nbdkit nbdfuse' [qemu]='qemu-img qemu-storage-daemon')
peers=()	# that can be measured
PEERS=${PEERS:-loop nbdkit qemu}	# that are wanted

suite_rows() {
	jq -c '[.[] as $row | $ARGS.positional[] | . as $peer | $row
		| .metric = .name | .name += "_" + $peer | .title += ", against \($peer)"
		| .group = "peers" | .side = "wbfs" | .limits = [$peer] | .at_least //= 1]' \
		--args "${peers[@]}" <"$bench_dir/rows_peers.json"
}

suite_needs() {
	local peer program missing
	needs fuse root jq fio
	[ -z "${BASE:-}" ] || fail "BASE is not for the peers"
	[ -x "${HDD_FUSE:-}" ] || fail "HDD_FUSE does not name hdd_fuse; make bench-peers builds it"
	HDD_FUSE=$(realpath "$HDD_FUSE")
	for peer in $PEERS; do
		missing=''
		[ -n "${peer_needs[$peer]:-}" ] || fail "PEERS: there is no peer $peer; there are: ${!peer_needs[*]}"
		for program in ${peer_needs[$peer]}; do
			command -v "$program" >/dev/null || missing+=" $program"
		done
		if [ -z "$missing" ]; then
			peers+=("$peer")
		else
			echo "$peer is not measured: there is no$missing (see tests/install-packages peers)" >&2
		fi
	done
}

# --- each side ------------------------------------------------------------------------

# Sets PEER_FILE, which is the image, on the disk BACKING with files of its own in $W/peer.
up_loop() {
	loop_attach "$BACKING"
	PEER_FILE=$LOOP
}
down_loop() { loop_detach "$LOOP"; }

up_wbfs() {
	CACHE=$W/peer/cache MNT=$W/peer/mnt DISK=$W/peer/mnt/disk
	mkdir "$MNT"
	volume_format --force --cache-size "${peer_cache_mib}M" >"$W/said" 2>&1 || { cat "$W/said"; fail "format"; }
	volume_mount
	PEER_FILE=$DISK
}
down_wbfs() { "$WBFS" umount "$MNT"; }

up_nbdkit() {
	mkdir "$W/peer/mnt"
	TMPDIR=$W/peer nbdkit --unix "$W/peer/sock" --pidfile "$W/peer/pid" --filter=cache \
		file "$BACKING" cache=writeback
	peer_pid_wait
	own_workers+=("$PEER_PID")
	run_in_background nbdfuse "$W/peer/mnt" --unix "$W/peer/sock"
	own_mounts+=("$W/peer/mnt")
	until is_mounted "$W/peer/mnt"; do
		is_alive "$JOB" || fail "nbdfuse has ended"
		sleep 0.02
	done
	PEER_FILE=$W/peer/mnt/nbd
}
# Its cache is given up: it need not be written to the disk.
down_nbdkit() {
	umount "$W/peer/mnt"
	kill -KILL "$PEER_PID"
	gone_within 60 "$PEER_PID" || fail "nbdkit does not end"
	own_jobs=()
}

up_qemu() {
	qemu-img create -q -f qcow2 -o extended_l2=on,cluster_size=128k,backing_fmt=raw \
		-b "$BACKING" "$W/peer/overlay"
	: >"$W/peer/disk"
	qemu-storage-daemon --daemonize --pidfile "$W/peer/pid" \
		--blockdev driver=file,node-name=hdd,filename="$BACKING",cache.direct=on,read-only=on \
		--blockdev driver=raw,node-name=base,file=hdd,read-only=on \
		--blockdev driver=file,node-name=ssd,filename="$W/peer/overlay",cache.direct=on \
		--blockdev driver=qcow2,node-name=image,file=ssd,backing=base \
		--export type=fuse,id=image,node-name=image,mountpoint="$W/peer/disk",writable=on
	peer_pid_wait
	own_workers+=("$PEER_PID")
	own_mounts+=("$W/peer/disk")
	PEER_FILE=$W/peer/disk
}
down_qemu() {
	umount "$W/peer/disk"
	kill "$PEER_PID"
	gone_within 60 "$PEER_PID" || fail "qemu-storage-daemon does not end"
}

peer_pid_wait() {
	until [ -s "$W/peer/pid" ]; do sleep 0.02; done
	PEER_PID=$(<"$W/peer/pid")
}

# --- the list ----------------------------------------------------------------------------

group_peers() {
	alternate peer_run "${peers[@]}" wbfs
}

peer_run() {	# side
	local found='{}' row
	mkdir "$W/peer"
	hdd_start "${peer_image_mib}M" --write-cache 64
	"up_$1"
	for row in $(jq -r '.[].name' <"$bench_dir/rows_peers.json"); do
		"peer_$row"
		found=$(jq -c --argjson found "$found" --arg row "$row" '.jobs[0]
			| (if .read.total_ios > .write.total_ios then .read else .write end) as $io
			| $found + {($row): (if $row == "seq_write" then $io.total_ios * 1.048576 / ($io.runtime / 1000)
				else $io.iops end)}' <"$W/fio.json")
	done
	"down_$1"
	hdd_stop
	rm -rf --one-file-system "$W/peer"
	sample "$1" "$found"
}

# The image: random writes, what is written in order, what is never written.
peer_timed() {	# FIO_OPTION...
	fio_json "$PEER_FILE" --bs=4k --time_based --runtime="${peer_s}s" "$@"
}
peer_seq_write() {
	fio_json "$PEER_FILE" --rw=write --bs=1m --iodepth=8 --offset="$((peer_image_mib / 2))m" \
		--size="$((peer_image_mib / 8))m" --end_fsync=1
}
peer_rr_hot() {
	peer_timed --rw=randread --iodepth=32 --offset="$((peer_image_mib / 2))m" --size="$((peer_image_mib / 8))m"
}
peer_rr_cold() {
	peer_timed --rw=randread --iodepth=1 --offset="$((peer_image_mib * 3 / 4))m" --size="$((peer_image_mib / 4))m"
}
peer_sync() {
	peer_timed --rw=randwrite --ioengine=psync --fdatasync=1 --size="$((peer_image_mib / 4))m"
}
peer_rw_qd1() { peer_timed --rw=randwrite --iodepth=1 --size="$((peer_image_mib / 4))m"; }
peer_rw_qd32() { peer_timed --rw=randwrite --iodepth=32 --size="$((peer_image_mib / 4))m"; }
