#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What README.md and the manual pages tell people to type works: each command there is
# run, letter for letter but for paths, sizes and devices, which are those of this test;
# or another test runs it, or it is said here why none does. One that is in neither list
# is a failure, and so is one here that no page has any more.
. "$(dirname "$0")/lib.sh"

needs fuse loop fs:ext4 jq getfattr setfattr nbdkit qemu-nbd qemu-img
# Those are the test's own; the commands here name their backings themselves.
[ -z "${WBFS_TEST_BACKING:-}" ] || skip_all "its commands name their backings themselves"
start

# --- what is said ------------------------------------------------------------------

# One command a line: code blocks, with their lines joined and comments left out, and what
# stands in a sentence with its arguments.
of_readme() {
	awk '/^## Try it/ { on = 1 } on && /^    / { print }' "$top_srcdir/README.md" |
		sed -e ':a' -e '/\\$/{N;s/ *\\\n */ /;ba' -e '}' |
		sed -e 's/^ *//' -e 's/ \{2,\}#.*//' -e '/^#/d' -e 's/ *$//' -e '/^log before/d'
	awk '/^## Try it/ { on = 1 } on && !/^    / { printf "%s ", $0 } /^$/ { print "" }' \
		"$top_srcdir/README.md" | grep -oE '`[^`]+`' | tr -d '`' |
		grep -E '^(wbfs [a-z]+ (/|--all)|systemctl |wbfs help)'
}
of_pages() {
	sed -n -e '/^\.Dl /{s///;p}' -e '/^\.Bd -literal/,/^\.Ed/{/^\.[BE]d/!p}' \
		"$top_srcdir"/man/{wbfs.1,wbfs-control.7,wbfs-remote.7,mount.wbfs.8} |
		sed -e ':a' -e '/\\e$/{N;s/ *\\e\n */ /;ba' -e '}'
}
{ of_readme; of_pages; } | sort -u >"$W/documented"
: >"$W/known"

# What is typed there, here.
here() {	# COMMAND [SED]
	sed -e "s,nbd://server/,nbd://localhost:$port/,; s,--port 10809,--port $port," \
		-e 's/ 20G/ 64M/; s/ 500G/ 256M/; s/ 1T/ 256M/; s/ 64G/ 64M/; s/+100G/+64M/' \
		-e "s,\([ =>']\)/\(ssd\|hdd\|mnt\|run\|srv\)\>,\1$W/\2,g" \
		-e "s,/dev/loop0,${loop:-},g" ${2:+-e "$2"} <<<"$1"
}

# typed COMMAND [SED]: as it is documented, and then what this test needs otherwise.
typed() {
	local line
	grep -qxF -- "$1" "$W/documented" || fail "no page says: $1"
	echo "$1" >>"$W/known"
	line=$(here "$@")
	echo "\$ $line"
	eval "$line" || fail "$line"
	note_daemon
}

# Every mount is undone in the end.
note_daemon() {
	local pid
	[ -e "$mnt/.wbfs/stats.json" ] || return 0
	pid=$(jq .worker_pid <"$mnt/.wbfs/stats.json")
	[[ " ${own_workers[*]} " = *" $pid "* ]] || own_workers+=("$pid")
}

# elsewhere WHY COMMAND...: WHY is a test, or the reason why there is none.
elsewhere() {
	[[ $1 != */* ]] || [ -e "$top_srcdir/tests/${1%%:*}" ] || fail "there is no tests/$1"
	printf '%s\n' "${@:2}" >>"$W/known"
}

port=$((20000 + $$ % 12000))	# below those that the kernel gives to connections
loop='' mnt=$W/mnt/wb disk=$W/mnt/wb/disk
mkdir -p "$W"/{bin,ssd,hdd,srv,run,state} "$mnt" "$W/mnt/data"
ln -s "$WBFS" "$W/bin/wbfs"
export PATH=$W/bin:$PATH WBFS_CONFIG=$W/wbfs.conf XDG_STATE_HOME=$W/state
own_mounts+=("$mnt")

# --- README ------------------------------------------------------------------------

case_is "README: a volume is made and mounted"
typed 'wbfs format --cache /ssd/cache.img --cache-size 20G --backing /hdd/vm.img --size 500G'
typed 'wbfs mount --cache /ssd/cache.img --backing /hdd/vm.img /mnt/wb'
typed 'wbfs status /mnt/wb'
typed 'wbfs help'

case_is "README: a file system on it, settings, a larger image"
typed 'loop=$(losetup --find --show --direct-io=on /mnt/wb/disk)'
own_loops+=("$loop")
typed 'mkfs.ext4 $loop && mount $loop /srv'
own_filesystems+=("$W/srv")
random_file "$W/srv/file" 3000000
typed 'wbfs set /mnt/wb cache_mode=writethrough'
typed 'wbfs resize /mnt/wb --size +100G'
losetup -c "$loop"
[ "$(blockdev --getsize64 "$loop")" = $((320 << 20)) ] || fail "the loop device has not grown"
typed 'wbfs scrub /mnt/wb'
sum=$(cksum <"$W/srv/file")
typed 'umount /srv && losetup -d $loop'
loop_is_gone "$loop"
own_loops=() own_filesystems=()

if command -v qemu-system-x86_64 >/dev/null; then
	case_is "README, wbfs(1): a virtual machine with it"
	quit="s/-accel kvm/-accel tcg/; s/-m 4G/-m 64M/; s/qemu-system-x86_64/echo quit | & -S \
-display none -monitor stdio/"
	typed 'qemu-system-x86_64 -m 4G -accel kvm -drive file=/mnt/wb/disk,format=raw,if=virtio,cache=none,aio=native,discard=unmap' "$quit"
	typed 'qemu-system-x86_64 -drive file=/mnt/wb/disk,format=raw,cache=none' "$quit"
else
	case_skip "README, wbfs(1): a virtual machine with it" "qemu-system-x86_64 is not installed"
	elsewhere "QEMU is not installed" 'qemu-system-x86_64 -m 4G -accel kvm -drive file=/mnt/wb/disk,format=raw,if=virtio,cache=none,aio=native,discard=unmap' \
		'qemu-system-x86_64 -drive file=/mnt/wb/disk,format=raw,cache=none'
fi

case_is "README: stopped, looked at, rescued, read without its cache"
typed 'wbfs umount /mnt/wb'
typed 'wbfs check /ssd/cache.img'
typed 'wbfs rescue /ssd/cache.img --output /hdd/rescued.img'
typed 'wbfs mount --without-cache --backing /hdd/vm.img /mnt/wb'
cmp -n $((1 << 20)) "$disk" "$W/hdd/vm.img"
typed 'wbfs umount /mnt/wb'

case_is "README: written back, so that the backing is complete"
typed 'wbfs mount --cache /ssd/cache.img --backing /hdd/vm.img /mnt/wb'
typed 'wbfs drain /mnt/wb && wbfs umount /mnt/wb'
cmp "$W/hdd/vm.img" "$W/hdd/rescued.img"
loop_attach "$W/hdd/vm.img"
fs_mount "$LOOP" "$W/srv"
[ "$(cksum <"$W/srv/file")" = "$sum" ] || fail "the file is another one"
fs_umount "$W/srv"
loop_detach
typed 'wbfs detach /ssd/cache.img'
rm "$W"/[sh]dd/*

# --- wbfs(1) -----------------------------------------------------------------------

case_is "wbfs(1): a volume and a file system, and be done with both"
typed 'wbfs format --cache /ssd/cache --cache-size 20G --backing /hdd/image --size 1T'
typed 'mkdir /mnt/wb' 's/mkdir/& -p/'
typed 'wbfs mount --cache /ssd/cache --backing /hdd/image /mnt/wb'
typed 'losetup --find --show --direct-io=on /mnt/wb/disk' "s,\$, >$W/loop,"
loop=$(cat "$W/loop")
own_loops+=("$loop")
typed 'mkfs.ext4 /dev/loop0'
typed 'mount /dev/loop0 /mnt/data'
own_filesystems+=("$W/mnt/data")
random_file "$W/mnt/data/file" 1000000

case_is "wbfs-control(7): statistics, verbs and tunables as files"
typed 'jq .dirty_blocks /mnt/wb/.wbfs/stats.json'
typed 'echo drain > /mnt/wb/.wbfs/control'
typed 'echo off > /mnt/wb/.wbfs/tunables/allow_writeback'
typed 'tail -n 5 /mnt/wb/.wbfs/events'

case_is "wbfs(1): stopped, a copy of the backing, its mark restored, taken apart"
typed 'umount /mnt/data && losetup -d /dev/loop0'
loop_is_gone "$loop"
own_loops=() own_filesystems=()
typed 'wbfs drain /mnt/wb && wbfs umount /mnt/wb'
paths="s, backing, $W/hdd/image,; s, copy\$, $W/hdd/copy,"
typed 'cp --preserve=timestamps,xattr backing copy' "$paths"
mv "$W/hdd/copy" "$W/hdd/image"
uuid=$(getfattr --only-values -n user.wbfs.uuid "$W/hdd/image")
setfattr -x user.wbfs.uuid "$W/hdd/image"
typed 'setfattr -n user.wbfs.uuid -v UUID backing' "$paths; s,UUID,$uuid,"
wbfs mount --cache "$W/ssd/cache" --backing "$W/hdd/image" "$mnt"
note_daemon
typed 'wbfs umount /mnt/wb && wbfs detach /ssd/cache'
rm "$W"/[sh]dd/*

case_is "wbfs(1), README: the configuration; another program for the daemon"
typed 'wbfs format --cache /ssd/cache --cache-size 20G --backing /hdd/image --size 1T --save /mnt/wb'
typed 'wbfs mount /mnt/wb'
wbfs umount "$mnt"
typed 'wbfs mount --all'
wbfs umount "$mnt"
wbfs mount -o keeper "$mnt"
note_daemon
typed 'wbfs upgrade /mnt/wb'
wbfs umount "$mnt"

case_is "wbfs(1): what to do when the cache is lost"
paths="s, cache , $W/ssd/cache ,; s, image\$, $W/hdd/saved,; s, path mountpoint, $W/hdd/image $mnt,"
typed 'wbfs rescue cache --output image' "$paths"
typed 'wbfs mount --without-cache --backing path mountpoint' "$paths"
wbfs umount "$mnt"
typed 'wbfs mount --without-cache --force --backing path mountpoint' "$paths"
wbfs umount "$mnt"
typed 'wbfs format --cache path --cache-size size --backing path' \
	"s,--cache path,--cache $W/ssd/new,; s, size , 64M ,; s,--backing path,--backing $W/hdd/image,"
rm "$W"/[sh]dd/*

# --- wbfs-remote(7) ------------------------------------------------------------------

# The servers, in the background and to be ended; images in place of those that lie elsewhere.
nbdkit="s,^nbdkit,& --pidfile $W/nbdkit.pid,"
qemu_nbd="s,^qemu-nbd,& --fork --pid-file=$W/qemu-nbd.pid,; s, disk.qcow2, $W/disk.qcow2,; \
s, rbd:.*, $W/rbd.img,"
end_server() {	# file with its id
	local pid
	pid=$(cat "$1")
	kill "$pid"
	gone_within 60 "$pid" || fail "the server does not end"
	rm "$1"
}
# What a volume leaves in the state directory, and servers after a failure.
at_exit='for item in "$W"/*.pid; do [ ! -e "$item" ] || kill "$(cat "$item")"; done
	[ ! -d /var/lib/wbfs ] ||
		find /var/lib/wbfs -name "*localhost:$port*" -o -name "*$(basename "$W")*" | xargs -r rm'

case_is "wbfs-remote(7): a file behind nbdkit"
truncate -s 256M "$W/srv/disk.img"
typed 'nbdkit --port 10809 file /srv/disk.img' "$nbdkit"
typed 'wbfs format --cache /ssd/cache --cache-size 64G --backing nbd://server/'
typed 'wbfs mount --cache /ssd/cache --backing nbd://server/ /mnt/wb'
wbfs umount "$mnt"
end_server "$W/nbdkit.pid"
rm "$W"/ssd/*

case_is "wbfs-remote(7): qemu-nbd, with a qcow2 image and as for RBD"
qemu-img create -q -f qcow2 "$W/disk.qcow2" 256M
typed 'qemu-nbd --persistent --shared=8 --format=qcow2 --discard=unmap --socket=/run/disk.sock disk.qcow2' "$qemu_nbd"
wbfs format --cache "$W/ssd/cache" --cache-size 64M --backing "nbd+unix:///?socket=$W/run/disk.sock"
end_server "$W/qemu-nbd.pid"
rm "$W"/ssd/*
truncate -s 256M "$W/rbd.img"
typed 'qemu-nbd --persistent --shared=8 --format=raw --cache=none --discard=unmap --socket=/run/rbd.sock rbd:pool/image:id=admin:conf=/etc/ceph/ceph.conf' "$qemu_nbd"
typed "wbfs format --cache /ssd/cache --cache-size 64G --backing 'nbd+unix:///?socket=/run/rbd.sock'"
end_server "$W/qemu-nbd.pid"
rm "$W"/ssd/*

# --- the rest ------------------------------------------------------------------------

case_is "no command is left out, here or by another test"
elsewhere package/check_newcomer './examples/quickstart' './tests/run' \
	'autoreconf -fi && mkdir -p build && cd build && ../configure && make && make install'
elsewhere mount/top.sh 'wbfs top /mnt/wb'
elsewhere mount/mount_helper.sh '/hdd/vm.img  /mnt/wb  wbfs  cache=/ssd/cache.img  0 0' \
	'/hdd/image /mnt/wb wbfs cache=/ssd/cache,nofail 0 0' 'none /mnt/wb wbfs defaults 0 0' \
	'/hdd/image /mnt/wb wbfs cache=/ssd/cache,x-systemd.requires-mounts-for=/ssd 0 0'
elsewhere package/in_guest '/mnt/wb/disk /srv ext4 loop 0 0' \
	'/mnt/wb/disk /srv ext4 loop,_netdev,x-systemd.requires=wbfs@mnt-wb.service 0 0' \
	'systemctl enable --now wbfs@mnt-wb.service' \
	'systemctl enable --now wbfs@$(systemd-escape --path /mnt/wb).service'
elsewhere mount/examples.sh 'nbdkit --unix /run/s3.sock --filter=nozero --filter=blocksize-policy S3 bucket=images key=wbfs size=1T object-size=1M blocksize-minimum=4K blocksize-preferred=1M blocksize-maximum=32M blocksize-error-policy=allow'
elsewhere mount/systemd.sh 'systemctl reload wbfs@mnt-wb.service'
elsewhere mount/journal.sh 'journalctl WBFS_MOUNT_POINT=/mnt/wb'
elsewhere mount/resize_cache.sh 'wbfs resize /dev/ssd/cache --to /root/c --cache-size 40G' \
	'lvextend -L 80G /dev/ssd/cache' 'wbfs resize /root/c --to /dev/ssd/cache --force'
elsewhere package/check_sid 'echo Y > /sys/module/fuse/parameters/enable_uring'
sort -u "$W/known" | diff "$W/documented" - || fail "<: in no list of this test, >: on no page"

finish
