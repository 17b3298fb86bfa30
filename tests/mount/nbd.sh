#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A backing behind an NBD server: its whole life, the server killed and started again,
# its machine without power, connections cut, the daemon killed, both; what users see
# meanwhile, and that in the end every byte is on the server.
# CUTS and ROUNDS choose how often, SEED when.
. "$(dirname "$0")/lib.sh"
needs fuse root nbdkit fio socat
start

CUTS=${CUTS:-8} ROUNDS=${ROUNDS:-3}
RANDOM=${SEED:-$RANDOM}
echo "SEED=$RANDOM"
CACHE=$W/cache MNT=$W/mnt image=$W/image

volume_is_stopped() {
	! is_mounted "$MNT" || fail "$MNT is still mounted"
	! is_alive "$WORKER" || fail "the daemon $WORKER is still there"
	flock -n "$CACHE" true || fail "the cache is still locked"
	[ -z "$(find /var/lib/wbfs -name "nbd*${W##*/}*.lock" -size +0)" ] ||
		fail "the daemon did not say goodbye to the server"
}

make_remote() {	# cache size, image size, argument of nbdkit...
	rm -f "$CACHE" "$image"
	nbd_forget_all
	truncate -s "$2" "$image"
	nbd_start server "$image" "${@:3}"
	BACKING=$NBD_URI
	"$WBFS" format --cache "$CACHE" --cache-size "$1" --backing "$BACKING"
}

# nbdkit 1.32 may fail an assertion of its own when it is cut off in mid-sentence, a
# moment later: somebody has to look after it.
watched_line_is_up() {
	local i
	for ((i = 0; i < 600; i++)); do
		nbd_start server "$image"
		[ "$(stat_of backing_line.state)" != up ] || return 0
		sleep 0.1
	done
	fail "the line does not come back"
}

drained_equals_the_image() {
	dd if="$MNT/disk" of="$W/copy" bs=1M status=none
	"$WBFS" drain "$MNT"
	volume_umount
	cmp "$W/copy" "$image"
}

load() {	# seconds
	fio --name=load --filename="$MNT/disk" --ioengine=libaio --direct=1 --rw=randrw \
		--bsrange=4k-64k --iodepth=16 --time_based --runtime="$1" --size=100% \
		--verify=crc32c --verify_backlog=512 --verify_fatal=1 --verify_state_save=0 --fsync=64 \
		--randseed="$RANDOM" --output="$W/fio"
}

case_is "format, mount, status, drain and umount over a Unix socket"
make_remote 32M 96M
volume_mount
[ "$(stat_of backing.kind)" = nbd ]
[ "$(stat_of backing.path)" = "$BACKING" ]
until_it_is_so 60 line_is up
random_file "$W/data" 8M
dd if="$W/data" of="$MNT/disk" bs=64k seek=16 conv=notrunc,fsync status=none
says 0 "(nbd, 96 MiB" -- "$WBFS" status "$MNT"
drained_equals_the_image
cmp -n 8388608 -i 1048576:0 "$image" "$W/data"

case_is "the mark is in the state directory, and a second user is refused"
mark=$("$nbd_serve" mark "$W/nbd/server")
head -n 1 "$mark" | grep -qE '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
volume_mount
says 1 "is in use by wbfs" -- "$WBFS" format --cache "$W/other" --cache-size 32M \
	--backing "$BACKING"
volume_umount

case_is "another image in its place is noticed"
mv "$image" "$W/aside"
random_file "$image" 96M
nbd_kill server
nbd_start server "$image"
volume_mount 2>"$W/said"
grep "was changed without cache" "$W/said"
volume_umount
mv "$W/aside" "$image"
nbd_kill server
nbd_start server "$image"

case_is "another host with the SSD: refused without the mark, mounted with a copy of it or by force"
volume_mount -o allow_writeback=off
random_file "$W/moved" 4M
dd if="$W/moved" of="$MNT/disk" bs=64k conv=notrunc,fsync status=none
volume_umount
cp "$mark" "$W/mark"
rm "$mark" "$mark.lock"		# as on a host that has never had it
says 1 "carries no mark of a volume" "use --force" -- "$WBFS" mount --cache "$CACHE" \
	--backing "$BACKING" "$MNT"
cp "$W/mark" "$mark"
volume_mount -o allow_writeback=off
cmp -n 4194304 "$W/moved" "$MNT/disk"
volume_umount
rm "$mark" "$mark.lock"
volume_mount --force -o allow_writeback=off
cmp -n 4194304 "$W/moved" "$MNT/disk"
[ "$(stat_of dirty_blocks)" -gt 0 ] || fail "nothing was only on the SSD"
volume_remount			# from now on it has the mark
drained_equals_the_image
cmp -n 4194304 "$W/moved" "$image"

case_is "a cache cannot be behind a server, and what is read-only is not mounted to be written"
says 1 "only a backing may be behind an NBD server" -- "$WBFS" format --cache "$BACKING" \
	--backing "$image"
nbd_kill server
nbd_start server "$image" -r
says 1 "is read-only: the server does not let us write" -- "$WBFS" mount --cache "$CACHE" \
	--backing "$BACKING" "$MNT"
nbd_kill server
says 1 "the NBD server cannot be used" -- "$WBFS" mount --cache "$CACHE" \
	--backing "$BACKING" "$MNT"
nbd_start server "$image"

case_is "while the server is away writes and cached reads go on, other reads get EIO in time"
make_remote 32M 96M
volume_mount -o backing_timeout_s=1
dd if="$W/data" of="$MNT/disk" bs=64k conv=notrunc,fsync status=none
nbd_kill server
until_it_is_so 60 line_is unreachable
says 0 "unreachable since" -- "$WBFS" status "$MNT"
grep -x 'wbfs_backing_unreachable.* 1' "$MNT/.wbfs/metrics"
grep "the backing is unreachable; writeback waits" "$MNT/.wbfs/events"
dd if="$W/data" of="$MNT/disk" bs=64k seek=128 conv=notrunc,fsync status=none
dd if="$MNT/disk" bs=1M skip=8 count=8 status=none | cmp - "$W/data"
! dd if="$MNT/disk" of=/dev/null bs=4k skip=20000 count=1 iflag=direct status=none
nbd_start server "$image"
until_it_is_so 60 line_is up
grep "the backing can be reached again" "$MNT/.wbfs/events"
dd if="$MNT/disk" of=/dev/null bs=4k skip=20000 count=1 iflag=direct status=none
drained_equals_the_image

case_is "a stop without the server ends, and nothing is lost"
volume_mount -o backing_timeout_s=1
nbd_kill server
until_it_is_so 60 line_is unreachable
dd if="$W/data" of="$MNT/disk" bs=64k seek=300 conv=notrunc,fsync status=none
"$WBFS" umount "$MNT"
volume_is_stopped
nbd_start server "$image"
volume_mount
dd if="$MNT/disk" bs=64k skip=300 count=128 status=none | cmp - "$W/data"
drained_equals_the_image

case_is "the connection is cut $CUTS times under load: no error, and all data is right"
make_remote 64M 96M
socat "UNIX-LISTEN:$W/proxy,fork" "UNIX-CONNECT:$W/nbd/server/socket" &
proxy=$!
own_jobs+=("$proxy")
until [ -S "$W/proxy" ]; do sleep 0.01; done
through="nbd+unix:///?socket=$W/proxy"
"$WBFS" format --cache "$CACHE" --backing "$through" --force
BACKING=$through volume_mount
# Whoever is connected, until the daemon has noticed.
is_cut() {
	# shellcheck disable=SC2046
	kill -9 $(cat "/proc/$proxy/task/$proxy/children") || :
	[ "$(stat_of backing_line.breaks)" -gt "$breaks" ]
}
load $((CUTS * 3 / 2 + 2)) &
fio=$!
for ((cut = 0; cut < CUTS; cut++)); do
	sleep "1.$((RANDOM % 10))"
	breaks=$(stat_of backing_line.breaks)
	until_it_is_so 60 is_cut
	watched_line_is_up
done
wait "$fio"
watched_line_is_up
[ "$(stat_of backing_line.breaks)" -ge "$CUTS" ] || fail "it was cut less often"
drained_equals_the_image
kill "$proxy"
rm -f /var/lib/wbfs/nbd+unix*"$(tr / - <<<"$W/proxy")"*

case_is "the server is killed and started again $ROUNDS times under load"
make_remote 64M 96M
volume_mount
load $((ROUNDS * 2 + 2)) &
fio=$!
for ((round = 0; round < ROUNDS; round++)); do
	sleep "0.$((RANDOM % 10))"
	nbd_kill server
	sleep "0.$((RANDOM % 10))"
	nbd_start server "$image"
done
wait "$fio"
drained_equals_the_image

case_is "the server's machine loses power $ROUNDS times under load: what no flush covered is written again"
disks_start 1M 96M
image=$BACKING CACHE=$W/cache
rm -f "$CACHE"
nbd_start dark "$image"
BACKING=$NBD_URI
"$WBFS" format --cache "$CACHE" --cache-size 64M --backing "$BACKING"
volume_mount
load $((ROUNDS * 2 + 2)) &
fio=$!
for ((round = 0; round < ROUNDS; round++)); do
	sleep "1.$((RANDOM % 10))"
	# The first time it is sure that the server has taken what it has not flushed.
	if [ $round = 0 ]; then
		disks fail backing flush none delay held
		until_it_is_so 60 is_held backing
	fi
	disks power-cut $RANDOM "$( ((round % 2)) && echo any || echo loses-all)"
	disks heal backing
	nbd_kill dark
	disks power-on
	nbd_start dark "$image"
done
wait "$fio"
[ "$(stat_of backing_errors)" -gt 0 ] || fail "no flush was in doubt"
drained_equals_the_image
"$nbd_serve" forget "$W/nbd/dark"
disks_stop
image=$W/image

case_is "the daemon is killed $ROUNDS times, the server before, after it or not: what was synced is there, and a prefix"
make_remote 64M 96M
writer=$(helper synced_writer)
for ((round = 0; round < ROUNDS; round++)); do
	volume_mount
	run_in_background "$writer" write "$MNT/disk" "$W/book" $((64 << 20)) 4 $RANDOM
	until_it_is_so 60 has_disk_open "$JOB"
	sleep "1.$((RANDOM % 10))"
	[ $((round % 3)) != 0 ] || nbd_kill server
	daemon_kill
	[ $((round % 3)) != 1 ] || nbd_kill server
	status=0
	wait "$JOB" || status=$?
	[ $status -eq 3 ] || fail "the writer ended with $status, not by the death of the daemon"
	umount -l "$MNT"
	nbd_start server "$image"
	volume_mount
	"$writer" verify "$MNT/disk" "$W/book"
	drained_equals_the_image
done

case_is "another program takes over, with the line and without a user who notices"
volume_mount -o keeper
own_workers+=("$(stat_of keeper.pid)")
load 4 &
fio=$!
sleep 1
"$WBFS" upgrade "$MNT"
wait "$fio"
[ "$(stat_of worker_pid)" != "$WORKER" ] || fail "the daemon is the same"
WORKER=$(stat_of worker_pid)
own_workers+=("$WORKER")
drained_equals_the_image

case_is "detach and rescue reach the server too"
volume_mount
dd if="$W/data" of="$MNT/disk" bs=64k conv=notrunc,fsync status=none
dd if="$MNT/disk" of="$W/copy" bs=1M status=none
daemon_kill
umount -l "$MNT"
"$WBFS" rescue "$CACHE" --output "$W/rescued"
cmp "$W/copy" "$W/rescued"
"$WBFS" detach "$CACHE"
cmp "$W/copy" "$image"

case_is "an image grows when its export has grown"
make_remote 32M 96M
volume_mount
says 1 "its server has to make it larger first" -- "$WBFS" resize "$MNT" --size 128M
truncate -s 128M "$image"
nbd_kill server
nbd_start server "$image"
"$WBFS" resize "$MNT" --size 128M
dd if="$W/data" of="$MNT/disk" bs=1M seek=120 conv=notrunc,fsync status=none
drained_equals_the_image

case_is "blocks of 4 KiB, and no zeroing"
make_remote 32M 96M --filter=nozero --filter=blocksize-policy blocksize-minimum=4096 \
	blocksize-preferred=4096 blocksize-maximum=64K blocksize-error-policy=error
volume_mount
[ "$(stat_of backing.alignment_bytes)" = 4096 ]
fio --name=x --filename="$MNT/disk" --rw=randwrite --bsrange=512-20k --bs_unaligned \
	--size=96M --io_size=40M --ioengine=psync --verify=crc32c --output="$W/fio"
fallocate -p -o 1M -l 8M "$MNT/disk"
drained_equals_the_image

for kind in qemu-nbd qemu-nbd-qcow2; do
	if ! command -v qemu-nbd >/dev/null; then
		case_skip "$kind" "qemu-nbd is not installed"
		continue
	fi
	case_is "$kind over TCP, killed once"
	rm -f "$CACHE" "$image"
	nbd_forget_all
	rm -rf "$W/nbd/server"
	truncate -s 96M "$image"
	[ $kind = qemu-nbd ] || qemu-img create -q -f qcow2 "$image" 96M
	NBD_KIND=$kind nbd_start server "$image"
	BACKING=$NBD_URI
	"$WBFS" format --cache "$CACHE" --cache-size 64M --backing "$BACKING"
	volume_mount
	load 4 &
	fio=$!
	sleep 1
	nbd_kill server
	NBD_KIND=$kind nbd_start server "$image"
	wait "$fio"
	dd if="$MNT/disk" of="$W/copy" bs=1M status=none
	"$WBFS" drain "$MNT"
	volume_umount
	nbd_kill server
	[ $kind = qemu-nbd ] || { qemu-img convert -O raw "$image" "$W/raw" && mv "$W/raw" "$image"; }
	cmp "$W/copy" "$image"
done
nbd_forget_all
rm -rf "$W/nbd/server"

if command -v qemu-nbd >/dev/null; then
	case_is "what qemu-nbd cannot read is an error for that alone, and no break of the line"
	disks_start 1M 96M
	dd if="$W/data" of="$BACKING" bs=1M conv=notrunc status=none
	NBD_KIND=qemu-nbd nbd_start dark "$BACKING"
	BACKING=$NBD_URI CACHE=$W/cache
	rm -f "$CACHE"
	"$WBFS" format --cache "$CACHE" --cache-size 32M --backing "$BACKING"
	volume_mount
	disks fail backing read EIO from 40960 length 4096
	says 1 "Input/output error" -- dd if="$MNT/disk" of=/dev/null bs=4k skip=10 count=1 iflag=direct
	dd if="$MNT/disk" bs=4k skip=11 count=1 iflag=direct status=none |
		cmp -n 4096 -i 0:45056 - "$W/data"
	[ "$(stat_of backing_line.breaks)" -eq 0 ] || fail "the line broke"
	disks heal backing
	dd if="$MNT/disk" bs=64k count=128 iflag=direct status=none | cmp -n 8388608 - "$W/data"
	volume_umount
	"$nbd_serve" forget "$W/nbd/dark"
	disks_stop
else
	case_skip "what qemu-nbd cannot read" "qemu-nbd is not installed"
fi

if command -v certtool >/dev/null && nbdkit --dump-config | grep -q '^tls=yes'; then
	case_is "nbds with certificates"
	mkdir "$W/pki"
	(
		cd "$W/pki"
		printf 'cn = test\nca\ncert_signing_key\n' >ca.info
		printf 'cn = localhost\ndns_name = localhost\ntls_www_server\nencryption_key\nsigning_key\n' >server.info
		certtool --generate-privkey >ca-key.pem
		certtool --generate-self-signed --load-privkey ca-key.pem --template ca.info \
			--outfile ca-cert.pem
		certtool --generate-privkey >server-key.pem
		certtool --generate-certificate --load-ca-certificate ca-cert.pem \
			--load-ca-privkey ca-key.pem --load-privkey server-key.pem \
			--template server.info --outfile server-cert.pem
	)
	truncate -s 96M "$image"
	rm -f "$CACHE"
	nbd_start server "$image" --tls=require --tls-certificates="$W/pki"
	BACKING="nbds+unix://localhost/$image?socket=$W/nbd/server/socket&tls-certificates=$W/pki"
	"$WBFS" format --cache "$CACHE" --cache-size 32M --backing "$BACKING" --force
	volume_mount
	dd if="$W/data" of="$MNT/disk" bs=64k conv=notrunc,fsync status=none
	nbd_kill server
	nbd_start server "$image" --tls=require --tls-certificates="$W/pki"
	until_it_is_so 60 line_is up
	drained_equals_the_image
else
	case_skip "nbds with certificates" "certtool is not installed, or nbdkit has no TLS"
fi

finish
