#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# MOUNTPOINT/disk behaves like a disk at its edges: size, ends of ranges, holes,
# attributes.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start

# An odd size: the last block is one sector.
volume_make 32M $(((20 << 20) + 512)) --no-zero
volume_mount
size=$(((20 << 20) + 512))

refused() {	# WORD COMMAND...
	local word=$1
	shift
	if "$@" 2>"$W/err"; then fail "$*: was not refused"; fi
	cat "$W/err"
	grep -qF "$word" "$W/err" || fail "$*: does not say: $word"
}

same_size() {
	[ "$(stat -c %s "$DISK")" -eq $size ] || fail "the size changed"
}

case_is "the size is that of the backing, and cannot be changed"
same_size
truncate -s $size "$DISK"
refused 'not permitted' truncate -s $((size - 512)) "$DISK"
refused 'not permitted' truncate -s $((size + 512)) "$DISK"
refused 'not permitted' chmod 644 "$DISK"
refused 'not permitted' rm -f "$DISK"
refused 'not permitted' mkdir "$MNT/x"
refused 'not permitted' mv "$DISK" "$MNT/x"
if echo >"$MNT/x"; then fail "a file was created"; fi
touch "$DISK"
same_size

case_is "writes end at the end of the disk"
random_file "$W/part" 4096
dd if="$W/part" of="$DISK" bs=512 count=1 seek=$((size / 512 - 1)) conv=notrunc status=none
refused 'No space' dd if="$W/part" of="$DISK" bs=512 count=1 seek=$((size / 512)) conv=notrunc
refused 'No space' dd if="$W/part" of="$DISK" bs=1024 count=1 oflag=seek_bytes \
	seek=$((size - 512)) conv=notrunc
same_size

case_is "reads end at the end of the disk"
tail -c 512 "$DISK" | cmp - <(head -c 512 "$W/part")
[ "$(dd if="$DISK" bs=4096 iflag=skip_bytes skip=$((size - 100)) status=none | wc -c)" -eq 100 ]
[ "$(dd if="$DISK" bs=4096 iflag=skip_bytes skip=$((size + 100)) status=none | wc -c)" -eq 0 ]

case_is "ranges are discarded and zeroed, unaligned too, and nothing beside them"
head -c $((1 << 20)) /dev/zero | tr '\0' x >"$W/x"
cp "$W/x" "$W/wanted"
dd if="$W/x" of="$DISK" bs=1M conv=notrunc status=none
for range in "-p 8192 16384" "-z 100 1" "-z 50000 70001" "-p 200001 511" "-z 1048000 576"; do
	read -r how offset length <<<"$range"
	fallocate $how -n -o "$offset" -l "$length" "$DISK"
	dd if=/dev/zero of="$W/wanted" bs="$length" count=1 oflag=seek_bytes seek="$offset" \
		conv=notrunc status=none
done
same_bytes "$W/wanted" "$DISK" $((1 << 20))
"$WBFS" drain "$MNT"
same_bytes "$W/wanted" "$DISK" $((1 << 20))
volume_remount
same_bytes "$W/wanted" "$DISK" $((1 << 20))

case_is "ranges beyond the end are cut, or refused when they would grow it"
fallocate -p -o $((size - 512)) -l 1M "$DISK"
[ "$(tail -c 512 "$DISK" | tr -d '\0' | wc -c)" -eq 0 ] || fail "the last sector is not zero"
fallocate -p -o $((size + 4096)) -l 4096 "$DISK"
fallocate -l $size "$DISK"
refused 'too large' fallocate -l $((size + 1)) "$DISK"
same_size

case_is "no other user gets in"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	chmod 711 "$W"
	if setpriv --reuid 65534 --regid 65534 --clear-groups ls "$MNT"; then fail "it let in another"; fi
	volume_remount -o allow_other
	setpriv --reuid 65534 --regid 65534 --clear-groups ls "$MNT"
	setpriv --reuid 65534 --regid 65534 --clear-groups cat "$MNT/.wbfs/stats.json" >/dev/null
	refused 'denied' setpriv --reuid 65534 --regid 65534 --clear-groups head -c 1 "$DISK"
	refused 'denied' setpriv --reuid 65534 --regid 65534 --clear-groups \
		bash -c "echo flush >'$MNT/.wbfs/control'"
fi

volume_umount
finish
