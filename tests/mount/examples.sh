#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What lies in examples/ works: each is run, or at least read by the tool that it
# is for.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
examples=$top_srcdir/examples
volume_make 64M 256M --no-zero
volume_mount

tool_case() {	# TOOL, what is shown: FALSE when the tool is missing
	if command -v "$1" >/dev/null; then
		case_is "$2"
	else
		case_skip "$2" "$1 is not installed"
		return 1
	fi
}

if tool_case fio "fio takes each job file, and runs it"; then
	for file in "$examples"/fio/*.fio; do
		MNT=$MNT SIZE=8M fio --parse-only "$file"
		# Little data in place of a time.
		sed '/^time_based/d; s/^runtime=.*/size=8m/' "$file" >"$W/job.fio"
		MNT=$MNT SIZE=8M fio --output-format=json --output="$W/fio.json" "$W/job.fio"
		jq -e '[.jobs[].error] | add == 0' "$W/fio.json" || fail "$file: errors"
		jq -e '[.jobs[] | .read.total_ios + .write.total_ios] | add > 7' "$W/fio.json" ||
			fail "$file: it did nothing"
	done
fi

if tool_case qemu-system-x86_64 "qemu starts a machine with the image as its disk"; then
	printf 'info block\nquit\n' |
		ACCEL=tcg "$examples/qemu" "$MNT" -S -display none -monitor stdio >"$W/said" 2>&1
	cat "$W/said"
	grep -qF "$DISK (raw)" "$W/said"
	grep -q 'Cache mode: *writeback, direct' "$W/said"
fi
case_is "qemu says so when no volume is mounted"
says 1 'is a volume mounted' -- "$examples/qemu" "$W"
says 2 'usage: ' -- "$examples/qemu"

if tool_case virt-xml-validate "libvirt's schema accepts the machine"; then
	virt-xml-validate "$examples/libvirt.xml" domain
fi

if ! (needs loop fs:ext4) 3>/dev/null; then
	case_skip "loop-ext4 makes, mounts and unmounts a file system" "needs root, a loop device, ext4"
	case_skip "luks" "needs root and a loop device"
	volume_umount
	finish
	exit 0
fi

# Loop devices on the image that an example left behind after a failure.
at_exit='for item in $(losetup --noheadings --output NAME --associated "$DISK"); do
	losetup -d "$item"; done'

# (a test beside this one may have a copy of the mount for a moment)
no_loop_is_left() { [ -z "$(losetup --associated "$DISK")" ]; }

case_is "loop-ext4 makes, mounts and unmounts a file system, and keeps it"
# fio has written there; all zeros is nothing at all.
fallocate --zero-range --length 256M --keep-size "$DISK"
"$examples/loop-ext4" "$MNT" "$W/fs"
own_filesystems+=("$W/fs")
losetup --noheadings --output DIO --associated "$DISK" | grep -qw 1 || fail "not with direct I/O"
random_file "$W/fs/file" 3000000
sum=$(cksum <"$W/fs/file")
"$examples/loop-ext4" --stop "$W/fs"
! is_mounted "$W/fs" || fail "still mounted"
until_it_is_so 60 no_loop_is_left
volume_remount
"$examples/loop-ext4" "$MNT" "$W/fs"
[ "$(cksum <"$W/fs/file")" = "$sum" ] || fail "the file system was made anew"
"$examples/loop-ext4" --stop "$W/fs"
says 1 'is a volume mounted' -- "$examples/loop-ext4" "$W" "$W/fs"
says 1 'nothing is mounted' -- "$examples/loop-ext4" --stop "$W/fs"
says 2 'usage: ' -- "$examples/loop-ext4"

if tool_case cryptsetup "luks formats the image; its header survives a remount"; then
	key=$W/key
	printf secret >"$key"
	quick=(--batch-mode --key-file "$key" --pbkdf pbkdf2 --pbkdf-force-iterations 1000)
	"$examples/luks" format "$MNT" "${quick[@]}"
	until_it_is_so 60 no_loop_is_left
	volume_remount
	cryptsetup isLuks "$DISK"
	cryptsetup luksDump "$DISK" | grep -q 'sector: *4096 \[bytes\]' || fail "not with sectors of 4 KiB"
	cryptsetup open --test-passphrase --key-file "$key" "$DISK"
	says 1 'is a volume mounted' -- "$examples/luks" format "$W"
	says 2 'usage: ' -- "$examples/luks"
	modprobe dm-crypt 2>/dev/null || :
	if grep -qw device-mapper /proc/misc; then
		case_is "luks opens and closes the image"
		name=wbfs-test-$$
		"$examples/luks" open "$MNT" $name --key-file "$key"
		mkfs.ext4 -q "/dev/mapper/$name"
		fs_mount "/dev/mapper/$name" "$W/fs"
		random_file "$W/fs/file" 1000000
		fs_umount "$W/fs"
		fs_check ext4 "/dev/mapper/$name"
		"$examples/luks" close $name
	else
		case_skip "luks opens and closes the image" "the kernel has no device mapper"
	fi
fi

volume_umount

nbd_state() {	# of the example's server, which is no other's
	rm -f "/var/lib/wbfs/nbd+unix:---?socket=$(tr / - <<<"${W#/}" | sed s/^/-/)"*
}
nbd_example() {	# what it takes: a volume over that, mounted
	rm -rf "$W/nbd-example" "$W/nbd-cache"
	BACKING=$("$examples/nbd" "$W/nbd-example" "$@") CACHE=$W/nbd-cache
	at_exit='"$examples/nbd" "$W/nbd-example" stop; nbd_state'
	until [ -s "$W/nbd-example/pid" ]; do sleep 0.01; done
	"$WBFS" format --cache "$CACHE" --cache-size 32M --backing "$BACKING"
	volume_mount
}
nbd_example_ends() {
	"$WBFS" umount "$MNT"
	"$examples/nbd" "$W/nbd-example" stop
	nbd_state
	at_exit=
}
random_file "$W/nbd-data" 24M
for kind in file memory flaky raw qcow2; do
	tool=nbdkit
	case $kind in raw | qcow2) tool=qemu-nbd ;; esac
	tool_case $tool "nbd: a volume over $kind" || continue
	nbd_example $kind 64M
	dd if="$W/nbd-data" of="$DISK" bs=1M conv=notrunc,fsync status=none
	[ $kind = flaky ] || "$WBFS" drain "$MNT"
	same_bytes "$DISK" "$W/nbd-data" 25165824
	nbd_example_ends
done

objects_start() {	# OBJECTS: where their server is
	mkdir "$W/objects"
	mkfifo "$W/port"
	"$top_srcdir/tests/support/object-server" "$W/objects" >"$W/port" &
	own_jobs+=($!)
	OBJECTS=http://127.0.0.1:$(head -n 1 "$W/port")
}
image_of_objects() {	# FILE: what the objects of 1 MiB are together
	local n object
	rm -f "$1"
	truncate -s 64M "$1"
	for ((n = 0; n < 64; n++)); do
		object=$W/objects/images/wbfs/$(printf %016x $n)
		[ ! -e "$object" ] || dd if="$object" of="$1" bs=1M seek=$n conv=notrunc status=none
	done
}
if nbdkit S3 --dump-plugin >/dev/null 2>&1; then
	case_is "nbd: a volume over s3, in objects that are whole: any write, discard and zero-range"
	objects_start
	export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=none
	BUCKET=images ENDPOINT=$OBJECTS nbd_example s3 64M
	dd if="$W/nbd-data" of="$DISK" bs=1M conv=notrunc,fsync status=none
	"$WBFS" drain "$MNT"
	cp "$DISK" "$W/nbd-reference"
	"$(helper mirror_io)" "$DISK" "$W/nbd-reference" $((64 << 20)) 2 150 11
	"$WBFS" drain "$MNT"
	same_bytes "$DISK" "$W/nbd-reference"
	nbd_example_ends
	image_of_objects "$W/nbd-image"
	same_bytes "$W/nbd-image" "$W/nbd-reference"
else
	case_skip "nbd: a volume over s3" "nbdkit's S3 plugin (nbdkit-plugin-python) or boto3 is not installed"
fi
if nbdkit curl --dump-plugin >/dev/null 2>&1 && /usr/bin/python3 --version; then
	case_is "nbd: a volume over curl: what the web server has, and what was written since"
	[ -n "${OBJECTS:-}" ] || objects_start
	random_file "$W/objects/base.img" 32M
	cp "$W/objects/base.img" "$W/nbd-reference"
	nbd_example curl "$OBJECTS/base.img"
	same_bytes "$DISK" "$W/nbd-reference"
	for file in "$DISK" "$W/nbd-reference"; do
		dd if="$W/nbd-data" of="$file" bs=64k seek=5 count=200 conv=notrunc,fsync status=none
	done
	"$WBFS" drain "$MNT"
	same_bytes "$DISK" "$W/nbd-reference"
	nbd_example_ends
else
	case_skip "nbd: a volume over curl" "nbdkit's curl plugin or Python is not installed"
fi
if tool_case nbdkit "nbd: what is asked for wrongly is answered with the usage"; then
	says 2 'usage: ' -- "$examples/nbd" "$W" nothing 1M
fi
finish
