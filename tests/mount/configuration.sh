#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The configuration file: mount and umount with nothing but a mount point, --all,
# what overrides what, `format --save`, and what is said when it is wrong.
. "$(dirname "$0")/lib.sh"

needs fuse jq
private_mounts
start

conf=$W/wbfs.conf
export WBFS_CONFIG=$conf
for name in a b c; do mkdir "$W/mnt.$name"; done

# configured NAME: the volume, as the one that the helpers mean
configured() {
	CACHE=$W/cache.$1 BACKING=$W/backing.$1 MNT=$W/mnt.$1 DISK=$W/mnt.$1/disk
}

make_volume() {	# name, format option...
	configured "$1"
	"$WBFS" format --cache "$CACHE" --backing "$BACKING" --cache-size 16M --size 16M \
		--no-zero "${@:2}"
}

own() {	# name: clean up its mount
	configured "$1"
	own_mounts+=("$MNT")
	WORKER=$(stat_of worker_pid)
	own_workers+=("$WORKER")
}

is_stopped() {	# name
	! is_mounted "$W/mnt.$1" || fail "$1 is still mounted"
	flock -n "$W/cache.$1" true || fail "the cache of $1 is still locked"
}

case_is "without an entry a mount says what is missing, and where it could stand"
says 2 'needs --cache PATH and --backing PATH' "entry [$W/mnt.a]" "$conf" -- \
	"$WBFS" mount "$W/mnt.a"

case_is "format --save writes an entry, then mount and umount need no more"
cat >"$conf" <<'END'
# the volumes of this machine

# not one of ours
[/mnt/not/there]
cache=/none
backing=/none
auto=off
END
cp "$conf" "$W/before"
(cd "$W" && "$WBFS" format --cache cache.a --backing backing.a --cache-size 16M --size 16M \
	--no-zero --save mnt.a) >"$W/out"
grep -qF "'wbfs mount $W/mnt.a' mounts it: saved in $conf" "$W/out"
cmp -n "$(stat -c %s "$W/before")" "$W/before" "$conf"
"$WBFS" mount "$W/mnt.a"
own a
[ "$(stat_of cache.path)" = "$CACHE" ] && [ "$(stat_of backing.path)" = "$BACKING" ]
"$WBFS" umount "$W/mnt.a"
volume_is_stopped

case_is "an entry of another volume is kept, unless forced"
configured b
says 1 "has an entry [$W/mnt.a] of another volume already" "$W/cache.a" -- \
	"$WBFS" format --cache "$CACHE" --backing "$BACKING" --cache-size 16M --size 16M \
	--no-zero --save "$W/mnt.a"
[ ! -e "$CACHE" ] && [ ! -e "$BACKING" ]
make_volume b --save "$W/mnt.a" --force
make_volume a --save "$W/mnt.a" --force
[ "$(grep -c "cache=$CACHE" "$conf")" -eq 1 ] && ! grep -q "cache.b" "$conf"
make_volume b --save "$W/mnt.b" --force

case_is "its options hold, and the command line overrides them"
configured a
cat >>"$conf" <<END
allow_writeback=off
fsname=of the file
options=noatime
END
"$WBFS" mount "$W/mnt.b"
own b
grep "^of\\\\040the\\\\040file $MNT fuse.wbfs " /proc/self/mounts | grep -q noatime
"$WBFS" umount "$MNT"
"$WBFS" mount -o fsname=other,atime "$MNT"
own b
grep -q "^other $MNT fuse.wbfs " /proc/self/mounts
"$WBFS" umount "$MNT"

case_is "the file of the user follows the system's, --config replaces both"
unset WBFS_CONFIG
mkdir "$W/xdg"
printf '[%s]\ncache=%s\nbacking=%s\nfsname=user\n' "$W/mnt.a" "$W/cache.a" "$W/backing.a" \
	>"$W/xdg/wbfs.conf"
XDG_CONFIG_HOME=$W/xdg "$WBFS" mount "$W/mnt.a"
own a
grep -q "^user $MNT fuse.wbfs " /proc/self/mounts
XDG_CONFIG_HOME=$W/xdg "$WBFS" umount "$MNT"
XDG_CONFIG_HOME=$W/xdg "$WBFS" mount --config "$conf" "$W/mnt.b"
own b
grep -q "^of.*file $MNT fuse.wbfs " /proc/self/mounts
"$WBFS" umount "$MNT"
says 1 'cannot read the configuration' "$W/none" -- "$WBFS" mount --config "$W/none" "$MNT"
export WBFS_CONFIG=$conf

case_is "mount --all mounts what is not mounted, umount --all stops it"
says 0 "/mnt/not/there: not mounted (noauto)" "$W/mnt.a: mounted" "$W/mnt.b: mounted" -- \
	"$WBFS" mount --all
own a
own b
says 0 "$W/mnt.a: mounted already" "$W/mnt.b: mounted already" -- "$WBFS" mount --all
random_file "$W/data" 100000
dd if="$W/data" of="$W/mnt.a/disk" conv=notrunc status=none
says 0 "$W/mnt.a: flushed" "$W/mnt.b: flushed" -- "$WBFS" flush --all

case_is "umount --all stops every one, the last mounted first"
says 0 "$W/mnt.a: unmounted" "$W/mnt.b: unmounted" -- "$WBFS" umount --all
[ "$(head -n 1 "$W/said")" = "$W/mnt.b: unmounted" ]
is_stopped a
is_stopped b
says 0 -- "$WBFS" umount --all

case_is "--all goes on behind one that fails, and says so in its exit status"
rm "$W/cache.a"
printf '[%s]\ncache=%s\ncahce=x\n[relative]\ncache=/c\n[%s]\n' "$W/mnt.c" /none /none/dir >>"$conf"
says 1 "$W/mnt.a: " "$W/cache.a" "$W/mnt.b: mounted" "$W/mnt.c: $conf, [$W/mnt.c], cahce" \
	"did you mean 'cache'" "group [relative] of the configuration ($conf) should be a mount point" \
	"/none/dir: 'wbfs mount' needs --cache PATH and --backing PATH" -- "$WBFS" mount --all
own b
exec 7<"$DISK"
says 1 busy "pid $$" -- "$WBFS" umount --all
exec 7<&-
says 0 "$W/mnt.b: unmounted" -- "$WBFS" umount --all
is_stopped b

case_is "a file that is none is refused as a whole, by all that reads it"
printf 'cache=/c\n' >"$conf"
says 1 "$conf is no configuration file" -- "$WBFS" mount "$W/mnt.b"
says 1 "$conf is no configuration file" -- "$WBFS" mount --all
configured c
says 1 "$conf is no configuration file" -- "$WBFS" format --cache "$CACHE" \
	--backing "$BACKING" --cache-size 16M --size 16M --no-zero --save "$MNT"
[ ! -e "$CACHE" ]

case_is "the example of the manual page is right"
sed -n '/^\.Sh EXAMPLES/,$p' "$top_srcdir/man/wbfs.conf.5" | sed -n '/^\.Bd/,/^\.Ed/p' |
	sed "/^\./d; s,^\[/mnt/,[$W/none/," >"$conf"
says 1 "$W/none/vm" 'does not exist: create the directory' 'not mounted (noauto)' -- "$WBFS" mount --all

case_is "an entry that cannot be written at the end leaves the volume, and says so"
: >"$conf"
mount --bind "$conf" "$conf"	# what is mounted cannot be replaced
own_filesystems+=("$conf")
says 1 'the volume was made, but its entry was not saved' "$conf" -- "$WBFS" format \
	--cache "$CACHE" --backing "$BACKING" --cache-size 16M --size 16M --no-zero --save "$MNT"
"$WBFS" check "$CACHE"
fs_umount "$conf"
[ ! -s "$conf" ] && [ -z "$(find "$W" -name 'wbfs.conf?*')" ]
finish
