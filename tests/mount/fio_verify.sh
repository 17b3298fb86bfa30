#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# fio with crc32c verify, and a comparison with a plain file: mixed sizes from
# 512 bytes to 1 MiB, unaligned ones too, 32 deep, on MOUNT/disk and through a
# loop device; the cache is a quarter of what each case writes, or less.
. "$(dirname "$0")/lib.sh"

needs fuse loop fio jq
start
volume_make 64M 384M
volume_mount
mirror=$(helper mirror_io)

mixed=512/15:1k/10:2k/5:4k/35:8k/10:16k/5:64k/10:256k/5:1m/5

verified() {	# name, file, fio options
	(cd "$W" && fio --name="$1" --filename="$2" --verify=crc32c --verify_fatal=1 \
		--do_verify=1 --randrepeat=0 --size=160m --numjobs=2 --offset_increment=160m \
		--group_reporting "${@:3}")
}

deep=(--ioengine=libaio --iodepth=32 --direct=1)

case_is "mixed sizes, 32 deep, directly"
verified mixed "$DISK" "${deep[@]}" --rw=randwrite --bssplit="$mixed" --blockalign=512

case_is "written again and again, verified in between, 32 deep, directly"
verified rewrite "$DISK" "${deep[@]}" --rw=randwrite --bssplit="$mixed" --blockalign=512 \
	--norandommap --serialize_overlap=1 --io_size=320m --verify_backlog=200

case_is "offsets and lengths that are not multiples of a sector"
verified unaligned "$DISK" --ioengine=psync --direct=0 --rw=randwrite --bsrange=600-100000 \
	--bs_unaligned=1 --blockalign=1 --size=110m --offset_increment=128m --numjobs=3

case_is "sequential 1 MiB writes with O_DSYNC"
verified dsync "$DISK" --ioengine=libaio --iodepth=8 --direct=1 --sync=dsync --rw=write --bs=1m

case_is "mixed sizes, 32 deep, through a loop device"
loop_attach "$DISK"
verified loop "$LOOP" "${deep[@]}" --rw=randwrite --bssplit="$mixed" --blockalign=512

case_is "buffered writes through a loop device"
verified loopbuf "$LOOP" --ioengine=psync --direct=0 --invalidate=1 --rw=randwrite \
	--bssplit=512/10:4k/50:64k/30:1m/10 --blockalign=512 --end_fsync=1
loop_detach

case_is "any byte offset, discards and zero-ranges: reads equal those of a plain file"
cp --sparse=always "$DISK" "$W/reference"
"$mirror" "$DISK" "$W/reference" $((320 << 20)) 4 1200 1
same_bytes "$DISK" "$W/reference"

case_is "the same by whole sectors with O_DIRECT"
"$mirror" "$DISK" "$W/reference" $((320 << 20)) 8 500 2 512
same_bytes "$DISK" "$W/reference"

case_is "after a clean stop and a new mount the image is the same"
volume_remount
same_bytes "$DISK" "$W/reference"
volume_umount
finish
