#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What systemd is told, and the units: readiness over a NOTIFY_SOCKET of the test's
# own, and `systemd-analyze verify`.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
socket_log=$(helper socket_log)

listen() {	# file, address
	: >"$1"
	mkfifo "$W/ready.$$"
	"$socket_log" "$1" "$2" >"$W/ready.$$" &
	own_jobs+=($!)
	read -r _ <"$W/ready.$$"
	rm "$W/ready.$$"
}

heard_within() {	# seconds, file, word
	local i
	for ((i = 0; i < $1 * 50; i++)); do
		! grep -qx -- "$3" "$2" || return 0
		sleep 0.02
	done
	cat "$2"
	fail "nobody said $3"
}

volume_make 16M 32M --no-zero
mkdir "$MNT"

# ready_and_stop NAME ADDRESS
ready_and_stop() {
	listen "$W/$1" "$2"
	NOTIFY_SOCKET=$2 "$WBFS" mount -f --cache "$CACHE" --backing "$BACKING" "$MNT" &
	WORKER=$!
	own_workers+=("$WORKER")
	own_mounts+=("$MNT")
	heard_within 60 "$W/$1" READY=1
	is_mounted "$MNT"
	dd if=/dev/zero of="$MNT/disk" bs=4096 count=1 conv=notrunc,fsync status=none
	! grep -q STOPPING "$W/$1" || fail "it stops"
	"$WBFS" umount "$MNT"
	wait "$WORKER"
	heard_within 60 "$W/$1" STOPPING=1
	[ "$(grep -c READY=1 "$W/$1")" -eq 1 ]
	[ "$(grep -n 'READY=1\|STOPPING=1' "$W/$1" | sed 's/.*://' | xargs)" = "READY=1 STOPPING=1" ]
	grep -q "^STATUS=.*$MNT" "$W/$1"
}

case_is "READY when the image can be used, STOPPING when it is unmounted"
ready_and_stop path "$W/notify"

case_is "the same over an abstract socket"
ready_and_stop abstract "@wbfs-test-$$"

case_is "READY is not said when the mount fails"
listen "$W/failed" "$W/notify.failed"
says 1 'No such file' -- env NOTIFY_SOCKET="$W/notify.failed" \
	"$WBFS" mount -f --cache "$W/none" --backing "$BACKING" "$MNT"
! grep -q READY "$W/failed"

case_is "nobody listens, or what is no address: the mount works all the same"
for address in "$W/nobody" nonsense "@" "$(printf '/%0200d' 1)"; do
	NOTIFY_SOCKET=$address volume_mount
	volume_umount
done

built=$(dirname "$WBFS")/data/systemd
if [ -d "$built" ]; then
	case_is "the units that are installed name the program, by its path"
	for unit in wbfs@.service wbfs-sleep.service; do
		grep -q '^ExecStart=/[^@]*/wbfs ' "$built/$unit"
		! grep '@[a-z]*@' "$built/$unit" || fail "$unit still has words to be replaced"
	done
else
	case_skip "the units that are installed" "configured without systemd"
fi

# The same files, with the program where they look for it.
units=$W/units
mkdir "$units"
for unit in wbfs@.service wbfs-sleep.service; do
	sed "s,@bindir@,$(dirname "$WBFS")," "$top_srcdir/data/systemd/$unit.in" >"$units/$unit"
done
cp "$units/wbfs@.service" "$units/wbfs@mnt-wb.service"

if command -v systemd-analyze >/dev/null; then
	case_is "systemd-analyze verify accepts the units"
	SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no \
		"$units/wbfs@mnt-wb.service" "$units/wbfs-sleep.service" 2>&1 | tee "$W/said"
	! grep -i "wbfs" "$W/said" || fail "it objects"
	# that it would object at all
	sed 's/^Type=notify/Type=nonsense/; s/^KillMode/KilMode/' "$units/wbfs@.service" \
		>"$units/wbfs@wrong.service"
	systemd-analyze verify --man=no "$units/wbfs@wrong.service" >"$W/said" 2>&1 || :
	grep -q 'KilMode' "$W/said"
else
	case_skip "systemd-analyze verify accepts the units" "systemd-analyze is not installed"
fi

if command -v systemd-escape >/dev/null; then
	case_is "the generator says what cache and backing lie on, also with odd names"
	cat >"$W/generator.conf" <<-'END'
	# [/mnt/not]
	[/mnt/wb]
	cache=/ssd/a b%"c
	 backing = /dev/disk/by-id/an-hdd
	sync_interval_s=1
	[/mnt/an other]
	backing=/hdd/im\sage
	cache=relative
	END
	WBFS_CONFIG=$W/generator.conf "$top_srcdir/data/systemd/wbfs-generator" "$W/generated" \
		"$W/generated" "$W/generated"
	(cd "$W/generated" && grep -r . . | sort) | tee "$W/said"
	diff "$W/said" - <<-'END'
	./wbfs@mnt-an\x20other.service.d/backing.conf:RequiresMountsFor="/hdd/im age"
	./wbfs@mnt-an\x20other.service.d/backing.conf:[Unit]
	./wbfs@mnt-wb.service.d/backing.conf:After=dev-disk-by\x2did-an\x2dhdd.device
	./wbfs@mnt-wb.service.d/backing.conf:Wants=dev-disk-by\x2did-an\x2dhdd.device
	./wbfs@mnt-wb.service.d/backing.conf:[Unit]
	./wbfs@mnt-wb.service.d/cache.conf:RequiresMountsFor="/ssd/a b%%\"c"
	./wbfs@mnt-wb.service.d/cache.conf:[Unit]
	END
	WBFS_CONFIG=$W/none "$top_srcdir/data/systemd/wbfs-generator" "$W/nothing"
	[ ! -e "$W/nothing" ]
else
	case_skip "the generator" "systemd-escape is not installed"
fi

case_is "a reload has the installed program take over under a keeper, and says where there is none"
reload=$(sed -n 's/^ExecReload=//p' "$units/wbfs@.service")
volume_mount -o keeper
KEEPER=$(stat_of keeper.pid)
own_workers+=("$KEEPER")
says 0 "$MNT is served by wbfs" -- bash -c "${reload/\"%f\"/\"$MNT\"}"
worker_is_another
[ "$(stat_of keeper.upgrades_done)" -eq 1 ]
volume_umount
volume_mount -o keeper=off
says 1 "$MNT has no keeper" -- bash -c "${reload/\"%f\"/\"$MNT\"}"
[ "$(stat_of worker_pid)" = "$WORKER" ]
volume_umount

case_is "no setting gives the service a mount namespace, which would hide its mount"
! grep -E '^(Protect(System|Home|Kernel|Proc|Hostname|Control|Clock)|Private|ReadOnly|ReadWrite|Inaccessible|TemporaryFile|Bind|Root|MountFlags|MountAPIVFS|DynamicUser|StateDirectory)' \
	"$units/wbfs@.service"
finish
