#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU's block layer on MOUNT/disk as a raw disk with cache=none.
. "$(dirname "$0")/lib.sh"

needs fuse qemu-io qemu-img jq
start
volume_make 64M 512M
volume_mount

qio() {
	local command arguments=()
	for command in "$@"; do arguments+=(-c "$command"); done
	qemu-io -f raw -t none -d unmap "${arguments[@]}" "$DISK" 2>&1 | tee "$W/qemu-io.out"
	! grep -iE 'fail|error|verification' "$W/qemu-io.out" || fail "qemu-io objects"
}

case_is "write, flush, read back"
qio 'write -P 0x5a 0 64k' 'write -P 0xa5 1m 1m' 'write -P 0x11 5120 512' flush \
	'read -P 0x5a 0 5120' 'read -P 0x11 5120 512' 'read -P 0x5a 5632 59904' \
	'read -P 0xa5 1m 1m' 'read -P 0 2m 1m'

case_is "asynchronous writes, many at once"
qio 'aio_write -P 1 8m 1m' 'aio_write -P 2 9m 64k' 'aio_write -P 3 10m 4k' \
	'aio_write -P 4 11m 512' aio_flush flush \
	'read -P 1 8m 1m' 'read -P 2 9m 64k' 'read -P 3 10m 4k' 'read -P 4 11m 512'

case_is "discard and write zeroes read as zeros"
qio 'discard 16k 16k' 'write -z 1088k 64k' 'write -zu 1280k 128k' flush \
	'read -P 0x5a 8k 8k' 'read -P 0 16k 16k' 'read -P 0x5a 32k 32k' \
	'read -P 0xa5 1m 64k' 'read -P 0 1088k 64k' 'read -P 0xa5 1152k 128k' \
	'read -P 0 1280k 128k' 'read -P 0xa5 1408k 640k'

case_is "a whole image is converted in, and compares equal"
random_file "$W/source" $((300 << 20))
truncate -s 512M "$W/source"
qemu-img convert -n -f raw -O raw -t none "$W/source" "$DISK"
qemu-img compare -f raw -F raw -T none "$W/source" "$DISK"

case_is "it is still there after a remount"
volume_remount
qemu-img compare -f raw -F raw -T none "$W/source" "$DISK"
volume_umount
finish
