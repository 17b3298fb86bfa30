# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What the mount tests share. A test sources this file, then:
#
#	needs fuse loop fio		exit 77 with a reason where one is missing
#	start				a work directory, and the trap that cleans up
#	case_is "what is shown"		closes the case before as passed
#	  ... commands; the first that fails fails the case and ends the script
#	finish				closes the last case and prints the plan
#
# Standard output carries TAP only; what commands print goes to standard
# error, which the harness keeps in the log. Everything made here is undone on
# exit, after a failure too: file systems, loop devices, mounts, processes
# (only those started here, by their ids), the work directory.
# KEEP=1 leaves the work directory; WBFS=PATH names the program under test;
# WBFS_TEST_MOUNT_OPTIONS=io_uring mounts every volume that a test only uses with it.
# WBFS_TEST_BACKING=nbdkit|qemu-nbd puts every backing that is a file behind that server.
set -euE -o pipefail

mount_tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top_srcdir=$(cd "$mount_tests/../.." && pwd)
test_name=$(basename "$0" .sh)

exec 3>&1 1>&2
export LC_ALL=C
export WBFS_CONFIG=		# no volume of this machine is ours
unset TAR_OPTIONS GREP_OPTIONS 2>/dev/null || :

# --- TAP -----------------------------------------------------------------------

cases=0 open_case='' finished=no

case_close() {
	[ -n "$open_case" ] || return 0
	cases=$((cases + 1))
	echo "ok $cases - $open_case" >&3
	open_case=''
}

case_is() {
	case_close
	open_case=$1
	echo "--- $test_name: $1"
}

case_skip() {	# what, why
	case_close
	cases=$((cases + 1))
	echo "ok $cases - $1 # SKIP $2" >&3
}

finish() {
	case_close
	finished=yes
	echo "1..$cases" >&3
}

fail() {
	echo "FAILED: $*"
	return 1
}

skip_all() {
	finished=yes
	echo "1..0 # SKIP $*" >&3
	exit 77
}

# --- what a test needs ------------------------------------------------------------

needs() {
	local need
	for need in "$@"; do
		case $need in
		fuse) [ -c /dev/fuse ] || skip_all "no /dev/fuse" ;;
		root) [ "$(id -u)" -eq 0 ] || skip_all "needs root" ;;
		loop)
			[ "$(id -u)" -eq 0 ] || skip_all "loop devices need root"
			losetup --find >/dev/null 2>&1 || skip_all "no free loop device"
			;;
		fs:*)
			grep -qw "${need#fs:}" /proc/filesystems ||
				modprobe "${need#fs:}" 2>/dev/null ||
				skip_all "the kernel has no ${need#fs:}"
			command -v "mkfs.${need#fs:}" >/dev/null ||
				skip_all "mkfs.${need#fs:} is not installed"
			;;
		*) command -v "$need" >/dev/null || skip_all "$need is not installed" ;;
		esac
	done
}

# For a shell in a mount namespace of its own: what other tests have mounted is let go of
# there, because a copy would keep their daemons and loop devices.
# shellcheck disable=SC2016
let_go_of_mounts='
	awk "\$3 ~ /^fuse/ || \$1 ~ /^\/dev\/loop/ { print \$2 }" /proc/self/mounts | tac |
		while read -r directory; do
			umount -l "$(printf %b "$directory")" 2>/dev/null
		done
	exec "$@"'

# The rest of the test runs in a mount namespace of its own, so that nothing it
# mounts or unmounts is seen outside. To be called before `start`, as root.
private_mounts() {
	[ -z "${WBFS_PRIVATE_MOUNTS:-}" ] || return 0
	needs root unshare
	unshare --mount true 2>/dev/null || skip_all "no mount namespaces here"
	export WBFS_PRIVATE_MOUNTS=yes
	exec 1>&3 3>&-
	exec unshare --mount --propagation private "$BASH" -c "$let_go_of_mounts" private \
		"$BASH" "$0" "$@"
}

find_wbfs() {
	local candidate
	for candidate in "${WBFS:-}" ./wbfs "$top_srcdir/build/wbfs" "$top_srcdir/wbfs"; do
		[ -n "$candidate" ] && [ -x "$candidate" ] || continue
		WBFS=$(realpath "$candidate")
		build_dir=$(dirname "$WBFS")
		return 0
	done
	skip_all "the program wbfs is not built (set WBFS)"
}

# The path of a helper program of tests/mount: built by make, or here by hand.
helper() {
	local name=$1 built
	built=$build_dir/tests/mount/$name
	if [ ! -x "$built" ]; then
		built=$W/$name
		[ -x "$built" ] || "${CC:-cc}" -std=gnu11 -O2 -g -Wall -pthread -D_GNU_SOURCE \
			-D_FILE_OFFSET_BITS=64 -o "$built" "$mount_tests/$name"*.c \
			$(pkg-config --cflags --libs fuse3)
	fi
	echo "$built"
}

# Sets promtool and prometheus, of Debian's package prometheus: those in the path, or
# else downloaded once into the build directory. PROMTOOL names another promtool.
find_promtool() {
	local build
	promtool=${PROMTOOL:-$(command -v promtool || :)}
	prometheus=$(command -v prometheus || :)
	[ -z "$promtool" ] || return 0
	build=$build_dir/prometheus
	"$top_srcdir/tests/support/get-prometheus" "$build" || return 1
	promtool=$build/promtool prometheus=$build/prometheus
}

# --- the work directory, and what must be undone ------------------------------------

W='' WORKER='' LOOP='' MNT=''
own_filesystems=() own_loops=() own_mounts=() own_workers=() own_jobs=()

start() {
	find_wbfs
	W=$(mktemp -d "${TMPDIR:-/var/tmp}/wbfs-$test_name.XXXXXX")
	PROGRAM=$WBFS		# itself, whatever stands in for it
	! over_nbd || put_behind_nbd
	trap 'echo "at line $LINENO of $0: $BASH_COMMAND"; keeper_says' ERR
	trap 'clean_up $?' EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# --- NBD ----------------------------------------------------------------------------

nbd_serve=$top_srcdir/tests/support/nbd-serve

# nbd_start NAME FILE [argument of nbdkit]...: sets NBD_URI. NBD_KIND chooses another server.
nbd_start() {
	NBD_URI=$("$nbd_serve" "${NBD_KIND:-nbdkit}" "$W/nbd/$1" "$2" "${@:3}")
}

line_is() {	# up|unreachable
	[ "$(stat_of backing_line.state)" = "$1" ]
}

nbd_kill() {	# NAME
	"$nbd_serve" kill "$W/nbd/$1"
}

nbd_all() {	# kill|forget
	local folder
	for folder in "$W"/nbd/*/; do
		[ ! -d "$folder" ] || "$nbd_serve" "$1" "${folder%/}"
	done
}
nbd_kill_all() { nbd_all kill; }
nbd_forget_all() { nbd_all forget; }

# --- the same test with its backings behind a server: WBFS_TEST_BACKING -----------------

over_nbd() { [ -n "${WBFS_TEST_BACKING:-}" ]; }

put_behind_nbd() {
	needs "${WBFS_TEST_BACKING%%-qcow2}"
	export WBFS_OVER_NBD=$WBFS NBD_FOLDER=$W/nbd WBFS_TEST_BACKING
	WBFS=$top_srcdir/tests/support/wbfs-over-nbd
}

# A case about the backing's own file, left out where that is a server's:
#	if local_case "what is shown"; then ... fi
local_case() {
	over_nbd || { case_is "$1"; return; }
	case_skip "$1" "it is about a file, and the backing is behind a server"
	return 1
}

# The program names the URI; tests look for the file, of which that has the path.
name_files() {	# FILE of messages
	! over_nbd ||
		sed -i -E "s#nbd[a-z+]*://[^/ ]*/(/[^?' ]*)(\\?socket=[^]' ,:;)]*)?#\\1#g" "$1"
}

is_mounted() {	# mountinfo writes a space as \040
	WANTED=${1// /\\040} awk '$5 == ENVIRON["WANTED"] { found = 1 } END { exit !found }' \
		/proc/self/mountinfo
}

# A zombie is dead, but not while other threads of it live: its first thread is one as soon as
# it has ended, and the others may have files and sockets open yet.
is_alive() {
	local line fields
	line=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	read -ra fields <<<"${line##*) }"	# from its state on; the 18th is how many threads
	[ "${fields[0]}" != Z ] || [ "${fields[17]}" -gt 1 ]
}

clean_up() {
	local status=$1 item i
	trap - ERR EXIT
	set +eE
	if [ "$finished" = no ]; then
		[ "$status" -ne 0 ] || status=1
		cases=$((cases + 1))
		echo "not ok $cases - ${open_case:-$test_name}" >&3
		echo "1..$cases" >&3
		if [ -n "${MNT:-}" ] && is_mounted "$MNT"; then
			timeout 5 cat "$MNT/.wbfs/stats.json"
		fi
	fi
	for item in "${own_jobs[@]}"; do
		kill "$item" 2>/dev/null && wait "$item" 2>/dev/null
	done
	# After a failure the daemon may hang, and would hang what follows.
	if [ "$status" -ne 0 ]; then
		for item in "${own_workers[@]}"; do kill -9 "$item" 2>/dev/null; done
	fi
	[ -z "${at_exit:-}" ] || eval "$at_exit"
	for ((i = ${#own_filesystems[@]} - 1; i >= 0; i--)); do
		umount "${own_filesystems[i]}" 2>/dev/null || umount -l "${own_filesystems[i]}" 2>/dev/null
	done
	for item in "${own_loops[@]}"; do losetup -d "$item" 2>/dev/null; done
	for item in "${own_mounts[@]}"; do
		is_mounted "$item" || continue
		[ "$status" -eq 0 ] && umount "$item" 2>/dev/null || umount -l "$item"
	done
	# Daemons before the disks, which a server of theirs may have open.
	for ((i = ${#own_workers[@]} - 1; i >= 0; i--)); do
		item=${own_workers[i]}
		[ "$item" != "${DISKS_SERVER:-}" ] && [ "$item" != "${HDD_SERVER:-}" ] || nbd_kill_all
		gone_within 20 "$item" || kill -9 "$item" 2>/dev/null
	done
	# Loop devices that stand on files of ours (cache or backing).
	for item in "${own_loops[@]}"; do losetup -d "$item" 2>/dev/null; done
	nbd_forget_all
	if [ -n "${KEEP:-}" ]; then
		echo "kept: $W"
	else
		rm -rf --one-file-system "$W"
	fi
	exit "$status"
}

# Wait until something is so; the limit only turns a hang into a failure.
gone_within() {	# seconds, pid
	local i
	for ((i = 0; i < $1 * 50; i++)); do
		is_alive "$2" || return 0
		sleep 0.02
	done
	return 1
}

until_it_is_so() {	# seconds, command: the limit turns a hang into a failure
	local i
	for ((i = 0; i < $1 * 50; i++)); do
		! "${@:2}" 2>/dev/null || return 0
		sleep 0.02
	done
	fail "not within $1 seconds: ${*:2}"
}

has_disk_open() {	# pid: it uses the image
	[ -n "$(find "/proc/$1/fd" -lname "$DISK")" ]
}

run_in_background() {	# sets JOB
	"$@" &
	JOB=$!
	own_jobs+=("$JOB")
}

# --- what a command says --------------------------------------------------------------

# says STATUS WORD... -- COMMAND...: it ends with STATUS and says every WORD.
says() {
	local wanted=$1 status=0 words=() word
	shift
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	"$@" >"$W/said" 2>&1 </dev/null || status=$?
	name_files "$W/said"
	cat "$W/said"
	[ $status -eq "$wanted" ] || fail "$*: exit status $status, not $wanted"
	for word in "${words[@]}"; do
		grep -qF -- "$word" "$W/said" || fail "$*: it does not say: $word"
	done
}

says_not() {	# WORD...: of what was said last
	local word
	for word; do
		! grep -qF -- "$word" "$W/said" || fail "it says: $word"
	done
}

# --- volumes -----------------------------------------------------------------------

# volume_make CACHE_SIZE IMAGE_SIZE [format option]...
volume_make() {
	CACHE=$W/cache BACKING=$W/backing MNT=$W/mnt
	rm -f "$CACHE" "$BACKING"
	nbd_forget_all
	volume_format --cache-size "$1" --size "$2" "${@:3}"
}

volume_format() {
	"$WBFS" format --cache "$CACHE" --backing "$BACKING" "$@"
}

test_options=(${WBFS_TEST_MOUNT_OPTIONS:+-o "$WBFS_TEST_MOUNT_OPTIONS"})

# volume_mount [mount option]...
volume_mount() {
	DISK=$MNT/disk
	mkdir -p "$MNT"
	"$WBFS" mount --cache "$CACHE" --backing "$BACKING" "${test_options[@]}" "$@" "$MNT"
	own_mounts+=("$MNT")
	WORKER=$(stat_of worker_pid)
	own_workers+=("$WORKER")
}

# With a keeper, in the foreground: what it and its daemons say is in $W/messages.
# keeper_mount_foreground [mount option]...; sets KEEPER and WORKER
keeper_mount_foreground() {
	DISK=$MNT/disk
	mkdir -p "$MNT"
	"$WBFS" mount -f --cache "$CACHE" --backing "$BACKING" "${test_options[@]}" -o keeper "$@" \
		"$MNT" 2>"$W/messages" &
	KEEPER=$!
	own_jobs+=("$KEEPER")
	own_workers+=("$KEEPER")
	own_mounts+=("$MNT")
	for ((i = 0; i < 3000; i++)); do
		[ ! -e "$MNT/disk" ] || break
		is_alive "$KEEPER" || break
		sleep 0.02
	done
	[ -e "$MNT/disk" ] || { cat "$W/messages"; fail "it is not mounted"; }
	WORKER=$(stat_of worker_pid)
	own_workers+=("$WORKER")
	[ "$(stat_of keeper.pid)" -eq "$KEEPER" ]
}

keeper_says() {
	[ ! -e "$W/messages" ] || tail -n 40 "$W/messages"
}

# The daemon that there is now, or none: also before it serves.
keeper_child() {
	tr -d ' ' <"/proc/$KEEPER/task/$KEEPER/children"
}

# Another daemon serves than the one before; sets WORKER.
worker_is_another() {
	[ "$(stat_of worker_pid)" != "$WORKER" ] || fail "the daemon is the same"
	WORKER=$(stat_of worker_pid)
	own_workers+=("$WORKER")
}

needs_resend() {	# with a mount that has a keeper
	[ -z "$(stat_of keeper.refusal)" ] ||
		skip_all "the kernel sends no request again (it needs Linux 6.9)"
}

volume_umount() {
	"$WBFS" umount "$MNT"
	volume_is_stopped
}

# A clean stop returns when the daemon is gone and the files are free.
volume_is_stopped() {
	! is_mounted "$MNT" || fail "$MNT is still mounted"
	! is_alive "$WORKER" || fail "the daemon $WORKER is still there"
	flock -n "$CACHE" true || fail "the cache is still locked"
	backing_is_free
}

backing_is_free() {
	local lock=$BACKING
	[[ $BACKING != nbd* ]] || return 0
	! mark_is_in_file || lock=$(mark_file).lock
	flock -n "$lock" true || fail "the backing is still locked"
}

volume_remount() {
	volume_umount
	volume_mount "$@"
}

# --- the mark of the backing -----------------------------------------------------------

mark_is_in_file() { over_nbd && [ -f "$BACKING" ]; }

mark_file() {	# where it is when the backing is behind a server
	"$nbd_serve" mark "$("$nbd_serve" folder "$W/nbd" "$(realpath "$BACKING")")"
}

mark_state() {	# what it says
	if mark_is_in_file; then
		sed -n 3p "$(mark_file)"
	else
		getfattr --absolute-names -n user.wbfs.state --only-values "$BACKING"
	fi
}

mark_set() {	# STATE, or nothing as in a mark of an older version
	if mark_is_in_file; then
		sed -i "3s/.*/$1/" "$(mark_file)"
	elif [ -n "$1" ]; then
		setfattr -n user.wbfs.state -v "$1" "$BACKING"
	else
		setfattr -x user.wbfs.state "$BACKING"
	fi
}

mark_remove() {
	local name
	if mark_is_in_file; then
		rm "$(mark_file)"
	else
		for name in uuid cache state; do setfattr -x user.wbfs.$name "$BACKING"; done
	fi
}

backing_is_unmarked() {
	if mark_is_in_file; then
		[ ! -e "$(mark_file)" ] || fail "a mark is in the state directory"
	else
		[ -z "$(getfattr -d -- "$BACKING" 2>/dev/null)" ] || fail "the backing is still marked"
		[ ! -e "$BACKING.wbfs-id" ] || fail "a mark lies beside the backing"
	fi
}

backing_save() {	# FILE: a copy, with its mark
	cp --sparse=always --preserve=xattr "$BACKING" "$1"
	! mark_is_in_file || cp "$(mark_file)" "$1.mark"
}

backing_bring_back() {	# FILE
	cp --sparse=always --preserve=xattr "$1" "$BACKING"
	! mark_is_in_file || cp "$1.mark" "$(mark_file)"
}

stat_of() {	# a field of stats.json: name, or name.name
	local value
	value=$(jq -r --arg k "$1" 'getpath($k | split("."))' <"${MNT:?}/.wbfs/stats.json")
	[ "$value" != null ] || fail "stats.json has no $1"
	echo "$value"
}

# SIGKILL of the daemon: what it had not made durable is lost.
daemon_kill() {
	kill -9 "$WORKER"
	gone_within 60 "$WORKER" || fail "the daemon does not die of SIGKILL"
}

# Takes down what stood on a killed daemon. Errors are expected on the way.
wreck_clear() {
	local item
	for item in "${own_filesystems[@]}"; do
		is_mounted "$item" || continue
		umount "$item" 2>/dev/null || umount -l "$item"
	done
	own_filesystems=()
	for item in "${own_loops[@]}"; do
		losetup -d "$item" 2>/dev/null || :
		loop_is_gone "$item"
	done
	own_loops=()
	wreck_clear_mount
}

wreck_clear_mount() {
	umount "$MNT" 2>/dev/null || umount -l "$MNT"
}

# --- disks of the test's own: test_disk.c ------------------------------------------------

# disks_start CACHE_SIZE BACKING_SIZE: sets CACHE and BACKING. Their bytes are
# in $W/store.
disks_start() {
	test_disk=$(helper test_disk)
	DISKS=$W/disks MNT=$W/mnt
	CACHE=$DISKS/cache BACKING=$DISKS/backing
	mkdir -p "$DISKS" "$W/store"
	DISKS_SERVER=$("$test_disk" serve "$DISKS" "$W/socket" "$W/store" \
		"cache=$(numfmt --from=iec "$1")" "backing=$(numfmt --from=iec "$2")")
	own_mounts+=("$DISKS")
	own_workers+=("$DISKS_SERVER")
}

disks() {	# a command of test_disk
	"$test_disk" ask "$W/socket" "$@"
}

count_of() {	# disk, what: of what came to it
	disks counts "$1" | sed "s/.*$2 \\([0-9]*\\).*/\\1/"
}

# An operation that came to it waits for `disks heal`.
is_held() {	# disk
	[ "$(count_of "$1" held)" -gt 0 ]
}

# A server of the backing was in the dark as well.
disks_power_on() {
	nbd_kill_all
	disks power-on
}

# Lazily, because a ring of a dead daemon may hold a file for a moment more: the
# server ends when the last one is gone.
disks_stop() {
	nbd_kill_all
	umount -l "$DISKS"
	gone_within 60 "$DISKS_SERVER" || fail "the server of the disks does not end"
	rm -rf "$W/socket" "$W/store"
}

# --- a hard disk that is not there: tests/bench/hdd_fuse.c -------------------------------

# hdd_start SIZE [option of hdd_fuse]...: sets BACKING, a disk in memory that is as slow
# as a hard disk, and HDD, its directory. It reads as zeros.
hdd_start() {
	local store program
	program=${HDD_FUSE:-$build_dir/tests/bench/hdd_fuse}
	[ -x "$program" ] || skip_all "hdd_fuse is not built (make check TESTS=)"
	HDD=$W/hdd BACKING=$W/hdd/disk
	mkdir -p "$HDD"
	# Without a name it is gone when its daemon is.
	store=$(mktemp "$([ -w /dev/shm ] && echo /dev/shm || echo "$W")/wbfs-hdd.XXXXXX")
	# Taken at once: a page that is taken in the middle of a write is no part of the disk.
	fallocate -l "$1" "$store" 2>/dev/null || truncate -s "$1" "$store"
	HDD_SERVER=$("$program" "${@:2}" "$store" "$HDD") || { rm -f "$store"; fail "hdd_fuse"; }
	rm "$store"
	own_mounts+=("$HDD")
	own_workers+=("$HDD_SERVER")
}

hdd_stat() {	# a field of its stats.json
	jq -e ".$1" <"$HDD/stats.json"
}

hdd_control() {	# clear, settle, time off, time on, trace FILE, trace off
	echo "$*" >"$HDD/control"
}

hdd_stop() {
	local i
	nbd_kill_all
	# A loop device that is gone may have its file for a moment more.
	for ((i = 0; i < 500; i++)); do
		! umount "$HDD" 2>/dev/null || break
		sleep 0.02
	done
	! mountpoint -q "$HDD" || umount "$HDD"
	gone_within 60 "$HDD_SERVER" || fail "the server of the hard disk does not end"
}

# --- loop devices and file systems on them ----------------------------------------------

# loop_attach FILE [losetup option]...; sets LOOP
loop_attach() {
	LOOP=$(losetup --find --show --direct-io=on "${@:2}" "$1")
	own_loops+=("$LOOP")
}

loop_is_gone() {
	local i
	for ((i = 0; i < 1500; i++)); do
		losetup "$1" >/dev/null 2>&1 || return 0
		sleep 0.02
	done
	fail "$1 does not come loose"
}

loop_detach() {	# [device]
	local device=${1:-$LOOP} item left=()
	losetup -d "$device"
	loop_is_gone "$device"
	for item in "${own_loops[@]}"; do
		[ "$item" = "$device" ] || left+=("$item")
	done
	own_loops=("${left[@]}")
}

fs_make() {	# ext4|xfs device
	case $1 in
	ext4) mkfs.ext4 -q -F "$2" ;;
	xfs) mkfs.xfs -q -f "$2" ;;
	*) fail "file system $1?" ;;
	esac
}

fs_check() {	# ext4|xfs device: clean, changes nothing
	case $1 in
	ext4) e2fsck -fn "$2" ;;
	xfs) xfs_repair -n "$2" ;;
	esac
}

fs_mount() {	# device directory
	mkdir -p "$2"
	mount "$1" "$2"
	own_filesystems+=("$2")
}

fs_umount() {	# directory
	local item left=()
	umount "$1"
	for item in "${own_filesystems[@]}"; do
		[ "$item" = "$1" ] || left+=("$item")
	done
	own_filesystems=("${left[@]}")
}

# --- data ---------------------------------------------------------------------------------

# random_file FILE BYTES
random_file() {
	head -c "$2" /dev/urandom >"$1"
}

# A source tree to copy: the C headers of the machine, and our own sources.
# About TREE_MB megabytes in many small files.
tree_make() {	# directory
	local limit=${TREE_MB:-30}
	mkdir -p "$1"
	(
		cd /
		find usr/include "${top_srcdir#/}/src" "${top_srcdir#/}/tests" -type f \
			-size -1024k -printf '%s %p\n' 2>/dev/null | sort -k2 |
			awk -v max=$((limit * 1000000)) '{ s += $1
				sub(/^[0-9]+ /, ""); if (s <= max) print }' |
			xargs -d '\n' cp --parents -t "$1"
	)
}

same_tree() {
	diff -r --no-dereference "$1" "$2"
}

# Through dd for its long reads: those of cmp are as short as st_blksize says.
same_bytes() {	# file file [bytes]
	dd if="$1" bs=1M ${3:+iflag=count_bytes count="$3"} status=none |
		cmp ${3:+-n "$3"} - "$2"
}
