#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a daemon has to say goes to the journal with fields that name the volume: where
# the journal listens, and where standard error is its stream. The journal is the
# test's own, in a mount namespace.
. "$(dirname "$0")/lib.sh"

needs fuse jq
private_mounts
start
socket_log=$(helper socket_log)

mount -t tmpfs none /run
own_filesystems+=(/run)
mkdir -p /run/systemd/journal

listen() {	# arguments of socket_log
	rm -f "$W/ready"
	mkfifo "$W/ready"
	"$socket_log" "$@" >"$W/ready" &
	own_jobs+=($!)
	read -r _ <"$W/ready"
}

# logged FILE WORD...: one message has all of these lines
logged() {
	local i file=$1
	shift
	for ((i = 0; i < 3000; i++)); do
		! awk -v words="$(printf '%s\n' "$@")" 'BEGIN { n = split(words, word, "\n"); RS = "\n--\n" }
			{ all = 1
			  for (i = 1; i <= n; i++) all = all && index("\n" $0 "\n", "\n" word[i])
			  found = found || all }
			END { exit !found }' "$file" || return 0
		sleep 0.02
	done
	cat "$file"
	fail "no message has: $*"
}

volume_make 16M 32M --no-zero
UUID=$("$WBFS" check "$CACHE" | sed -n 's/^volume \([-0-9a-f]*\),.*/\1/p')
[ ${#UUID} -eq 36 ]

use_and_stop() {	# provokes a message: it is in use when it is told to stop
	exec 7<"$MNT/disk"
	kill -TERM "$WORKER"
	logged "$1" "MESSAGE=$MNT is not stopped, because it is in use" PRIORITY=4 \
		"WBFS_MOUNT_POINT=$MNT" "WBFS_UUID=$UUID" SYSLOG_IDENTIFIER=wbfs
	exec 7<&-
}

case_is "without a journal a daemon works as ever"
volume_mount
volume_umount

case_is "a daemon in the background logs to the journal, with the volume in its fields"
listen "$W/background" /run/systemd/journal/socket
volume_mount
use_and_stop "$W/background"
volume_umount

case_is "a journal that takes nothing keeps nobody waiting"
# It may be stuck because its files are on the mount. Each signal is a message more than its
# socket has room for.
volume_mount
kill -STOP "${own_jobs[-1]}"
exec 7<"$MNT/disk"
for ((i = 0; i < $(</proc/sys/net/unix/max_dgram_qlen) + 5; i++)); do
	kill -TERM "$WORKER"
	"$WBFS" status "$MNT" >"$W/said"
done
exec 7<&-
timeout 60 "$WBFS" umount "$MNT"
kill -CONT "${own_jobs[-1]}"

case_is "so does one in the foreground whose standard error is the journal's stream"
listen --stream /run/systemd/journal/stdout
: >"$W/background"
"$socket_log" --connect /run/systemd/journal/stdout \
	"$WBFS" mount -f --cache "$CACHE" --backing "$BACKING" "$MNT" &
WORKER=$!
own_workers+=("$WORKER")
for ((i = 0; i < 3000; i++)); do
	! is_mounted "$MNT" || break
	sleep 0.02
done
use_and_stop "$W/background"
volume_umount

case_is "an error that ends a command goes there too"
status=0
"$socket_log" --connect /run/systemd/journal/stdout \
	"$WBFS" mount -f --cache "$W/none" --backing "$BACKING" "$MNT" || status=$?
[ "$status" -eq 1 ]
logged "$W/background" PRIORITY=3 "WBFS_MOUNT_POINT=$MNT"
grep -aq "cannot open cache $W/none" "$W/background"

case_is "on a terminal, in a pipe or a file it is plain text"
"$WBFS" mount --cache "$W/none" --backing "$BACKING" "$MNT" 2>"$W/err" || :
grep -q "^wbfs: cannot open cache $W/none" "$W/err"
finish
