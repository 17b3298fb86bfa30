#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a write costs on the SSD, as the program's own counters show it.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
# Nothing of its own accord: no writeback, no periodic sync.
quiet=allow_writeback=off,sync_interval_s=0
volume_make 64M 256M
volume_mount -o "$quiet"

before() {
	bytes_before=$(stat_of ssd_bytes_written)
	flushes_before=$(stat_of flushes)
}

# A write with FUA needs no flush, so there may be fewer.
cost() {	# bytes, flushes at most
	local bytes flushes
	bytes=$(($(stat_of ssd_bytes_written) - bytes_before))
	flushes=$(($(stat_of flushes) - flushes_before))
	[ "$bytes" -eq "$1" ] || fail "$bytes bytes were written to the SSD, not $1"
	[ "$flushes" -le "$2" ] || fail "$flushes flushes of the SSD, not $2"
}

# put BYTES AT_BYTE [dd option]...: one write; fdatasync unless told otherwise
put() {
	dd if=/dev/urandom of="$DISK" bs="$1" count=1 iflag=fullblock \
		oflag=direct,seek_bytes seek="$2" conv=notrunc,fdatasync status=none "${@:3}"
}

case_is "255 sequential blocks and an fdatasync cost 1 MiB"
before
put $((255 * 4096)) $((16 << 20))
cost $((1 << 20)) 1

case_is "a lone 4 KiB write and an fdatasync cost 8 KiB and one flush"
for n in 1 2 3 4 5; do
	before
	put 4096 $((n * 1000 * 4096))
	cost 8192 1
done

case_is "a lone 512-byte write and an fdatasync cost 8 KiB and one flush"
before
put 512 $((3 * 4096 + 512))
cost 8192 1

case_is "an O_DSYNC write of 4 KiB costs 8 KiB and at most one flush"
before
put 4096 $((7 * 4096)) oflag=direct,seek_bytes,dsync conv=notrunc
cost 8192 1

case_is "an fsync with nothing new costs no I/O"
before
sync "$DISK"
sync -d "$DISK"
"$WBFS" flush "$MNT"
cost 0 0

case_is "reads cost no writes"
before
dd if="$DISK" of=/dev/null bs=1M iflag=direct status=none
cost 0 0
volume_umount
finish
