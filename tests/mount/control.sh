#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Control of a mounted volume: tunables by file and by command, events, who may
# write what.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
volume_make 32M 64M --no-zero
volume_mount -o sync_interval_s=7
control=$MNT/.wbfs

refuses() {	# EINVAL for this text in that tunable, and the value stays
	local before status=0
	before=$(cat "$control/tunables/$1")
	printf '%s' "$2" 2>"$W/said" >"$control/tunables/$1" || status=$?
	[ $status -ne 0 ] || fail "$1 takes '$2'"
	[ "$(cat "$control/tunables/$1")" = "$before" ] || fail "'$2' has changed $1"
}

last_event() {	# of that kind has these words
	grep -E "^[-0-9]{10}T[0-9:]{8}\.[0-9]{3}[-+][0-9:]{5} $1 " "$control/events" |
		tail -n 1 | grep -qF -- "$2" || { cat "$control/events"; fail "no event: $2"; }
}

case_is "each tunable is a file that shows what was given at the mount"
[ "$(cat "$control/tunables/sync_interval_s")" = 7 ]
[ "$(cat "$control/tunables/allow_writeback")" = on ]
for file in "$control"/tunables/*; do
	[ "$(stat -c '%a %u' "$file")" = "644 $(id -u)" ]
	# what it shows it takes
	cat "$file" >"$W/value" && cat "$W/value" >"$file"
done
[ "$(stat -c '%a %F' "$control/tunables")" = "755 directory" ]
last_event 'note   ' ' set to '

case_is "echo sets it, and events say so"
echo off >"$control/tunables/allow_writeback"
[ "$(cat "$control/tunables/allow_writeback")" = off ]
last_event 'note   ' 'allow_writeback set to off'

case_is "nonsense is EINVAL, changes nothing, and events say what it takes"
refuses allow_writeback maybe
last_event refused "'allow_writeback' takes 'on' or 'off', not 'maybe'"
refuses sync_interval_s 86401
last_event refused "a whole number of seconds from 0 to 86400, not '86401'"
refuses sync_interval_s '5 s'
refuses sync_interval_s "$(head -c 5000 /dev/zero | tr '\0' 9)"
says 1 'Invalid argument' -- bash -c "echo maybe >'$control/tunables/allow_writeback'"
says 1 'Invalid argument' -- bash -c "echo nonsense >'$control/control'"
last_event refused "control: there is no verb 'nonsense'"
says 1 'Operation not permitted' -- touch "$control/tunables/new"

case_is "wbfs set changes several at once, or nothing"
says 0 -- "$WBFS" set "$MNT" allow_writeback=on sync_interval_s=11
[ "$(cat "$control/tunables/allow_writeback" "$control/tunables/sync_interval_s" | xargs)" = "on 11" ]
says 2 "'sync_interval_s' takes a whole number" -- \
	"$WBFS" set "$MNT" allow_writeback=off sync_interval_s=x
[ "$(cat "$control/tunables/allow_writeback")" = on ] || fail "the right one was set"
says 2 "unknown tunable 'alow_writeback'; did you mean 'allow_writeback'" -- \
	"$WBFS" set "$MNT" alow_writeback=off
says 2 "takes NAME=VALUE, not 'sync_interval_s'" -- "$WBFS" set "$MNT" sync_interval_s
says 1 'is not a mounted wbfs volume' -- "$WBFS" set "$W" sync_interval_s=1

case_is "wbfs set without a value shows all of them, and takes them back"
"$WBFS" set "$MNT" >"$W/all"
grep -qx 'sync_interval_s=11' "$W/all"
[ "$(wc -l <"$W/all")" -eq "$(ls "$control/tunables" | wc -l)" ]
xargs "$WBFS" set "$MNT" <"$W/all"
"$WBFS" set "$MNT" | diff "$W/all" -

case_is "begin and end of what was asked for are events"
random_file "$W/data" 1000000
dd if="$W/data" of="$DISK" bs=1M conv=notrunc status=none
"$WBFS" drain "$MNT"
last_event 'note   ' 'drain done: 0 blocks dirty'
"$WBFS" scrub "$MNT"
last_event 'note   ' 'scrub done: '
grep -q ' note    opened: epoch ' "$control/events"
[ "$(stat_of writeback_blocks)" -gt 0 ]
echo clear_stats >"$control/control"
[ "$(stat_of writeback_blocks)" -eq 0 ] && [ "$(stat_of written_bytes)" -eq 0 ]
last_event 'note   ' 'statistics cleared'

case_is "of more than 200 events the newest are kept, and the same one is counted"
for i in {1..210}; do echo "$((i % 7))" >"$control/tunables/scrub_rate_mib_s"; done
[ "$(wc -l <"$control/events")" -eq 200 ]
for i in 1 2 3; do echo 64 >"$control/tunables/scrub_rate_mib_s"; done
last_event 'note   ' 'scrub_rate_mib_s set to 64 (3 times, last at '
volume_umount

as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
if [ "$(id -u)" -eq 0 ] && "${as_nobody[@]}" true; then
	case_is "others may look where they are let in, and only the owner may write"
	chmod 755 "$W" "$MNT"
	volume_mount
	says 1 'Permission denied' -- "${as_nobody[@]}" cat "$control/events"
	volume_remount -o allow_other
	for file in events stats.json tunables/sync_interval_s; do
		"${as_nobody[@]}" cat "$control/$file" >"$W/seen"
		[ -s "$W/seen" ]
	done
	says 1 'Permission denied' -- "${as_nobody[@]}" cat "$control/control"
	for file in tunables/sync_interval_s events stats.json control; do
		says 1 'Permission denied' -- "${as_nobody[@]}" bash -c "echo 1 >'$control/$file'"
	done
	says 1 'Permission denied' -- "${as_nobody[@]}" "$WBFS" set "$MNT" sync_interval_s=9
	says 1 'Permission denied' -- "${as_nobody[@]}" "$WBFS" flush "$MNT"
	[ "$(cat "$control/tunables/sync_interval_s")" = 5 ] || fail "another user has set it"
	volume_umount
else
	case_skip "others may look, only the owner may write" "needs root and setpriv"
fi
finish
