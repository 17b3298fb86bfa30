#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Memory: at most 20 bytes per 4 KiB of cache, and 128 MiB beside that.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start

resident_kib() {	# cache size: of the daemon that serves it, at defaults
	volume_make "$1" 1G --no-zero
	volume_mount
	awk '/^VmRSS/ { print $2 }' "/proc/$WORKER/status" >"$W/rss"
	grep -E '^(Vm(RSS|Lck|Size)|Rss|Threads)' "/proc/$WORKER/status"
	volume_umount
}

case_is "an 8 GiB cache takes at most 20 bytes per block more than a 2 GiB one"
resident_kib 2G
small=$(cat "$W/rss")
resident_kib 8G
large=$(cat "$W/rss")
blocks=$((6 << 18))
echo "2 GiB: $small KiB, 8 GiB: $large KiB," \
	"$(((large - small) * 10240 / blocks)) tenths of a byte per block"
[ $(((large - small) * 1024)) -le $((20 * blocks)) ] || fail "it takes more"

case_is "the fixed part is at most 128 MiB"
fixed=$((small - (large - small) / 3))
echo "fixed: $fixed KiB"
[ $fixed -le $((128 * 1024)) ] || fail "$fixed KiB"
# All of it is there from the start: less than the RAM buffers would mean that
# it comes with page faults, just when memory is short.
[ $fixed -ge $((64 * 1024)) ] || fail "only $fixed KiB are resident"
finish
