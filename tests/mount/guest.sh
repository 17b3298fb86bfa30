#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A QEMU guest with MOUNT/disk as its raw virtio disk (cache=none): it mounts
# an ext4, writes, syncs, trims and powers off; the data is there after a
# remount, for another guest and for the host.
#
#	ACCEL=tcg|kvm GUEST_DIR=directory guest.sh
#
# tests/mount/guest/prepare makes kernel and initramfs (tests/run calls it).
. "$(dirname "$0")/lib.sh"

ACCEL=${ACCEL:-tcg}

needs fuse loop fs:ext4 qemu-system-x86_64 jq
start
guest=${GUEST_DIR:-$build_dir/guest}
"$mount_tests/guest/prepare" "$guest" ||
	skip_all "the guest's kernel and initramfs cannot be made (no network?)"

boot() {	# what
	qemu-system-x86_64 -accel "$ACCEL" -m 256 -nodefaults -no-reboot -nographic -serial stdio \
		-kernel "$guest/vmlinuz" -initrd "$guest/initramfs" \
		-append "console=ttyS0 quiet panic=-1 wb.do=$1" \
		-drive "file=$DISK,format=raw,if=virtio,cache=none,aio=${AIO:-native},discard=unmap" \
		</dev/null >"$W/console" 2>&1 &
	local qemu=$!
	own_jobs+=($qemu)
	wait $qemu || { cat "$W/console"; fail "QEMU ended with an error"; }
	tr -d '\r' <"$W/console" | tail -n 20
	grep -q "guest: $1 done" "$W/console" || fail "the guest did not: $1"
	grep -q "guest: unmounted" "$W/console" || fail "the guest did not unmount"
}

volume_make 64M 256M
volume_mount
mkfs.ext4 -q -F "$DISK"

case_is "a guest mounts a file system, writes, syncs, trims and powers off"
boot write

case_is "SIGKILL after its power-off, remount: another guest finds its data"
daemon_kill
wreck_clear_mount
volume_mount
boot verify

case_is "so does the host, after a drain, on the backing alone"
"$WBFS" drain "$MNT"
volume_umount
loop_attach "$BACKING"
fs_check ext4 "$LOOP"
fs_mount "$LOOP" "$W/fs"
(cd "$W/fs/guest" && grep -v file3 ../sums | sha256sum -c)
fs_umount "$W/fs"
loop_detach
finish
