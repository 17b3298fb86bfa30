#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With a keeper the death of the daemon is a pause: SIGKILL and its like at random
# moments, while another one takes over too, under verified loads on the image, on ext4
# over a loop device and in a guest; no user sees an error, and every block is right.
# Says how long the pauses were, and how long they should be at most: 250 ms, and what
# it takes to read once, in one go, the part of the log that lies in short records.
#
#	ROUNDS=4 UPGRADES=2 SEED=number LOADS="file ext4 guest" survive.sh
#
# CACHE_MIB=128		of the cache; what is written, and the image, grow with it
# LONE_MIB=16		of the log that is filled with short records beforehand
. "$(dirname "$0")/lib.sh"

ROUNDS=${ROUNDS:-4}
UPGRADES=${UPGRADES:-2}
CACHE_MIB=${CACHE_MIB:-128}
LONE_MIB=${LONE_MIB:-16}
LOADS=${LOADS:-file ext4 guest}
SEED=${SEED:-$RANDOM}
RANDOM=$SEED
echo "SEED=$SEED"

needs fuse jq fio perl
start
ulimit -c 0
passes=0
writer_area=$((192 << 20))

survivor_mount() {	# size of segments
	volume_make "${CACHE_MIB}M" "$((CACHE_MIB * 4))M" --segment-size "$1"
	keeper_mount_foreground
	needs_resend
	: >"$W/longest"
}

# Once in a while before the next one serves, or just as it does; mostly while it serves:
# after a dozen deaths in a row of which none came to anything a keeper gives up.
a_moment() {
	if ((RANDOM % 4)); then
		stat_of worker_pid >/dev/null
		sleep "$((RANDOM % 10 / 9)).$((RANDOM % 7))$((RANDOM % 10))"
	else
		sleep "0.$((RANDOM % 2 * (RANDOM % 10)))$((RANDOM % 10))"
	fi
}

signals=(KILL KILL KILL SEGV ABRT KILL BUS KILL)

# Deaths, while the load whose pid is given goes on; the same moments for each seed. A load
# that ends by its own clock may be over early when the machine is busy.
kill_rounds() {	# pid of the load [command: it has come to its end]
	local round worker
	for ((round = 1; round <= ROUNDS; round++)); do
		a_moment
		worker=$(keeper_child)
		kill -s "${signals[RANDOM % ${#signals[@]}]}" "$worker" 2>/dev/null || :
		is_alive "$1" && continue
		"${2:-false}" || fail "the load has ended in round $round"
		break
	done
	worker_serves
	[ "$(stat_of keeper.worker_restarts)" -gt 0 ]
}

worker_serves() {	# also if it is the last one that died
	WORKER=$(stat_of worker_pid)
	own_workers+=("$WORKER")
}

note() {
	echo "# $*"
	echo "# $*" >&3
}

# MiB in a second, in one go: of what recovery would read.
read_rate() {
	local before after mib=$((CACHE_MIB < 256 ? CACHE_MIB : 256))
	before=$(date +%s%N)
	dd if="$CACHE" of=/dev/null bs=1M iflag=direct count=$mib status=none
	after=$(date +%s%N)
	echo $((mib * 1000000000 / (after - before)))
}

# "MILLISECONDS KIB PARTS" of each pause; KIB of short records.
pauses() {
	sed -n 's/.* took over.* after \([0-9]*\) ms (\(.*recover with \([0-9]*\) KiB.*\))$/\1 \3 \2/p' \
		"$W/messages"
}

# When a daemon died before it served, so much more is due. No time decides whether it passes: the machine may be busy.
report() {
	local rate
	rate=$(read_rate)
	pauses >"$W/pauses"
	[ -s "$W/pauses" ] || fail "no pause was told of"
	note "$1: $(stat_of keeper.worker_restarts) daemons died," \
		"$(awk -v rate="$rate" '
		{ bound = 250 + $2 / 1024 / rate * 1000 }
		$4 == "that" { bound *= 1 + $3; again++ }
		$1 > bound { above++; if ($1 - bound > worst) worst = $1 - bound }
		$1 >= longest { longest = $1; limit = bound; kib = $2
			$1 = $2 = ""; parts = substr($0, 3) }
		END { printf "longest of %d pauses %d ms (%s), at most %d for %d KiB at %d MiB/s; ",
				NR, longest, parts, limit, kib, rate
			if (again) printf "%d with more than one that died, ", again
			if (above) printf "%d above that, by %d ms at most", above, worst
			else printf "none above that" }' "$W/pauses")" \
		"$(sort -n "$W/longest" | awk 'END { if (NR) printf "; longest request %d ms", $1 / 1000000 }')"
	! grep -h ' error ' "$MNT/.wbfs/events" || fail "there are errors in the events"
}

# Again and again: written as a whole, and read back.
verified_load() {
	while [ ! -e "$W/enough" ]; do
		fio --name=load --filename="$DISK" --size=$((CACHE_MIB * 5 / 4))m --rw=randwrite \
			--bssplit=4k/60:16k/20:64k/15:1m/5 --direct=1 --ioengine=libaio \
			--iodepth=16 --verify=crc32c --verify_fatal=1 --do_verify=1 \
			--verify_state_save=0 --output-format=json \
			--randseed=$((SEED + passes++)) "$@" >"$W/fio.log" 2>&1 ||
			{ cat "$W/fio.log"; return 1; }
		sed -n '/^{/,$p' "$W/fio.log" |
			jq '.jobs[0] | .job_runtime as $ms | [.read, .write, .sync | .lat_ns.max |
				select(. <= $ms * 1000000)] | max' >>"$W/longest"	# fio: some syncs took years
	done
}

# Each write a record of its own: of these the whole log is read.
fill_with_lone_writes() {
	fio --name=fill --filename="$DISK" --size=$((CACHE_MIB * 5 / 4))m --rw=randwrite --bs=4k \
		--io_size=$((LONE_MIB / 2))m --direct=1 --ioengine=psync --fdatasync=1 --output="$W/fio.log"
}

# Zero ranges and discards between writes, against a plain file: what was executed and
# not answered must not be executed once more.
mirrored_load() {
	truncate -s $((128 << 20)) "$W/mirror"
	while [ ! -e "$W/enough" ]; do
		"$mirror_io" "$W/part" "$W/mirror" $((128 << 20)) 4 300 $((SEED + passes++)) || return 1
	done
}

finish_load() {	# pid
	touch "$W/enough"
	wait "$1" || fail "the load has seen an error or wrong data"
	rm "$W/enough"
}

load_file() {
	case_is "fio with checksums, 16 deep, on the image: $ROUNDS deaths at random moments"
	survivor_mount 1M
	run_in_background verified_load
	kill_rounds "$JOB"
	finish_load "$JOB"
	report file

	case_is "the same with small segments, synced all the time"
	volume_umount
	survivor_mount "$((CACHE_MIB / 2))K"	# 2048 of them: their headers are read one by one
	run_in_background verified_load --fdatasync=8
	kill_rounds "$JOB"
	finish_load "$JOB"
	report synced

	case_is "every write of 4 KiB is synced by itself: nothing but short records in the log"
	volume_umount
	survivor_mount 1M
	fill_with_lone_writes
	run_in_background verified_load --size=16m --bssplit=4k/100 --ioengine=psync --fdatasync=1
	kill_rounds "$JOB"
	finish_load "$JOB"
	report lone

	case_is "writes, discards and zeroed ranges, in order and against a plain file"
	mirror_io=$(helper mirror_io)
	volume_umount
	survivor_mount 256K
	ln -sf "$DISK" "$W/part"
	run_in_background mirrored_load
	kill_rounds "$JOB"
	finish_load "$JOB"
	report mirror
	volume_umount
	"$WBFS" check "$CACHE"

	case_is "$UPGRADES upgrades between two programs under load"
	patch_version
	survivor_mount 256K
	run_in_background verified_load
	for ((round = 0; round < UPGRADES; round++)); do
		a_moment
		"${programs[round % 2]}" upgrade "$MNT"
		is_alive "$JOB" || fail "the load has ended"
	done
	worker_serves
	[ "$(stat_of keeper.upgrades_done)" -eq "$UPGRADES" ]
	finish_load "$JOB"
	report upgrades
	volume_umount

	case_is "both in turn: what is handed over and what was left are the same"
	survivor_mount 256K
	run_in_background verified_load
	for ((round = 0; round < UPGRADES; round++)); do
		a_moment
		"${programs[round % 2]}" upgrade "$MNT"
		a_moment
		kill -9 "$(keeper_child)" 2>/dev/null || :
		is_alive "$JOB" || fail "the load has ended"
	done
	worker_serves
	finish_load "$JOB"
	report both
	volume_umount

	case_is "SIGKILL of keeper and daemon: what was synced is there"
	survivor_mount 1M
	writer=$(helper synced_writer)
	run_in_background "$writer" write "$DISK" "$W/book" $writer_area 4 $((SEED * 1000))
	until [ "$(stat_of written_bytes)" -gt 0 ]; do
		is_alive "$JOB" || fail "nothing was written"
	done
	sleep "0.$((RANDOM % 10))"
	kill -9 "$KEEPER" "$WORKER"
	wait "$JOB" || [ $? -eq 3 ]
	gone_within 60 "$WORKER"
	wreck_clear_mount
	volume_mount
	"$writer" verify "$DISK" "$W/book"
	volume_umount
}

patch_version() {	# the same program by another name
	local version
	version=$("$WBFS" --version)
	version=${version#wbfs }
	cp "$PROGRAM" "$W/other"
	FROM=$version TO=${version%?}x perl -0777 -pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/g' "$W/other"
	programs=("$W/other" "$PROGRAM")
}

copy_and_compare() {	# directory
	local n=0
	while [ ! -e "$W/enough" ]; do
		cp -a "$W/tree" "$1/copy-$n" && sync -f "$1" &&
			same_tree "$W/tree" "$1/copy-$n" || return 1
		rm -rf "$1/copy-$((n - 2))"
		n=$((n + 1))
	done
}

load_ext4() {
	case_is "ext4 on a loop device: $ROUNDS deaths while files are copied and compared"
	needs loop fs:ext4
	TREE_MB=12 tree_make "$W/tree"
	survivor_mount 1M
	loop_attach "$DISK"
	fs_make ext4 "$LOOP"
	fs_mount "$LOOP" "$W/fs"
	run_in_background copy_and_compare "$W/fs"
	kill_rounds "$JOB"
	finish_load "$JOB"
	fs_umount "$W/fs"
	fs_check ext4 "$LOOP"
	report ext4
	loop_detach
	volume_umount
	"$WBFS" check "$CACHE"
}

guest_run() {
	qemu-system-x86_64 -accel "${ACCEL:-tcg}" -m 256 -nodefaults -no-reboot -nographic \
		-serial stdio -kernel "$guest/vmlinuz" -initrd "$guest/initramfs" \
		-append "console=ttyS0 quiet panic=-1 wb.do=sqlite wb.seconds=$((2 * ROUNDS + 15))" \
		-drive "file=$DISK,format=raw,if=virtio,cache=none,aio=${AIO:-native},discard=unmap" \
		</dev/null >"$W/console" 2>&1
}

guest_says() {	# words
	for ((i = 0; i < 6000; i++)); do
		! grep -qF "$1" "$W/console" 2>/dev/null || return 0
		is_alive "$JOB" || break
		sleep 0.02
	done
	cat "$W/console"
	fail "the guest does not say: $1"
}

guest_is_done() {
	grep -q 'guest: sqlite done' "$W/console"
}

load_guest() {
	local pid
	guest=${GUEST_DIR:-$build_dir/guest}
	if ! command -v qemu-system-x86_64 >/dev/null || ! "$mount_tests/guest/prepare" "$guest"; then
		case_skip "a guest with sqlite" "no QEMU, or its kernel and initramfs cannot be made"
		return 0
	fi
	case_is "a guest with sqlite, a commit for each row: $ROUNDS deaths"
	survivor_mount 1M
	mkfs.ext4 -q -F "$DISK"
	run_in_background guest_run
	pid=$JOB
	guest_says 'guest: began'
	kill_rounds "$pid" guest_is_done
	wait "$pid" || { cat "$W/console"; fail "QEMU ended with an error"; }
	guest_says 'guest: unmounted'
	tr -d '\r' <"$W/console" | tail -n 5
	guest_is_done || fail "the guest has seen an error"
	! grep -i 'i/o error\|ext4-fs error' "$W/console" || fail "the guest has seen an error"
	e2fsck -fn "$DISK"
	report guest
	volume_umount
	"$WBFS" check "$CACHE"
}

for load in $LOADS; do
	"load_$load"
done
finish
