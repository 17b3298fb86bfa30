#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With a keeper the death of the daemon is a pause: SIGKILL and its like at random
# moments, while another one takes over too, under verified loads on the image, on ext4
# over a loop device and in a guest; no user sees an error, and every block is right.
#
#	ROUNDS=4 UPGRADES=2 SEED=number LOADS="file ext4 guest" survive.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=${ROUNDS:-4}
UPGRADES=${UPGRADES:-2}
LOADS=${LOADS:-file ext4 guest}
SEED=${SEED:-$RANDOM}
RANDOM=$SEED
echo "SEED=$SEED"

needs fuse jq fio perl
start
ulimit -c 0
passes=0
writer_area=$((192 << 20))

survivor_mount() {
	volume_make 128M 512M --segment-size "$1"
	volume_mount -o keeper
	KEEPER=$(stat_of keeper.pid)
	own_workers+=("$KEEPER")
	[ -z "$(stat_of keeper.refusal)" ] || skip_all "the kernel sends no request again (it needs Linux 6.9)"
}

children() {
	tr -d ' ' <"/proc/$KEEPER/task/$KEEPER/children"
}

# Sometimes before the next one serves, or just as it does; mostly later.
a_moment() {
	if ((RANDOM % 4)); then
		sleep "$((RANDOM % 10 / 9)).$((RANDOM % 7 + 3))$((RANDOM % 10))"
	else
		sleep "0.$((RANDOM % 2))$((RANDOM % 10))"
	fi
}

signals=(KILL KILL KILL SEGV ABRT KILL BUS KILL)

# Deaths, while the load whose pid is given goes on; the same moments for each seed.
kill_rounds() {	# pid of the load
	local round worker
	for ((round = 1; round <= ROUNDS; round++)); do
		a_moment
		worker=$(children)
		kill -s "${signals[RANDOM % ${#signals[@]}]}" "$worker" 2>/dev/null || :
		is_alive "$1" || fail "the load has ended in round $round"
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

report() {
	note "$1: $(stat_of keeper.worker_restarts) daemons died, longest pause" \
		"$(stat_of keeper.longest_pause_ms) ms"
	! grep -h ' error ' "$MNT/.wbfs/events" || fail "there are errors in the events"
}

# Again and again: written as a whole, and read back.
verified_load() {
	while [ ! -e "$W/enough" ]; do
		fio --name=load --filename="$DISK" --size=160m --rw=randwrite \
			--bssplit=4k/60:16k/20:64k/15:1m/5 --direct=1 --ioengine=libaio \
			--iodepth=16 --verify=crc32c --verify_fatal=1 --do_verify=1 \
			--verify_state_save=0 \
			--randseed=$((SEED + passes++)) "$@" >"$W/fio.log" 2>&1 ||
			{ cat "$W/fio.log"; return 1; }
	done
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
	survivor_mount 64K
	run_in_background verified_load --fdatasync=8
	kill_rounds "$JOB"
	finish_load "$JOB"
	report synced

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
	note "upgrades: longest pause $(stat_of keeper.longest_pause_ms) ms"
	volume_umount

	case_is "both in turn: what is handed over and what was left are the same"
	survivor_mount 256K
	run_in_background verified_load
	for ((round = 0; round < UPGRADES; round++)); do
		a_moment
		"${programs[round % 2]}" upgrade "$MNT"
		a_moment
		kill -9 "$(children)" 2>/dev/null || :
		is_alive "$JOB" || fail "the load has ended"
	done
	worker_serves
	finish_load "$JOB"
	volume_umount

	case_is "SIGKILL of keeper and daemon: what was synced is there"
	survivor_mount 1M
	writer=$(helper synced_writer)
	run_in_background "$writer" write "$DISK" "$W/book" $writer_area 4 $((SEED * 1000))
	until [ "$(stat_of written_bytes)" -gt 0 ]; do is_alive "$JOB"; done
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
	kill_rounds "$pid"
	wait "$pid" || { cat "$W/console"; fail "QEMU ended with an error"; }
	guest_says 'guest: unmounted'
	tr -d '\r' <"$W/console" | tail -n 5
	grep -q 'guest: sqlite done' "$W/console" || fail "the guest has seen an error"
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
