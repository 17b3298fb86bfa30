#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What takes long says how far it is: a bar on a terminal, lines elsewhere. An
# interrupt leaves something whole and says what. The disks are slow where a
# test has to look at what is under way.
. "$(dirname "$0")/lib.sh"

needs fuse jq script
start
disks_start 40M 64M
export TERM=xterm
mkfifo "$W/keys"
exec 8<>"$W/keys"

# on_terminal COLUMNS COMMAND...: on a terminal of its own, in the background;
# what it shows comes into $W/screen, what is written to descriptor 8 is typed.
on_terminal() {
	local columns=$1
	shift
	printf '%q ' "$@" >"$W/command"
	: >"$W/screen"
	# the shell has jobs in the background ignore it
	env --default-signal=INT script -qefc "stty cols $columns -echo; echo \$\$ >'$W/pid'; exec $(cat "$W/command")" "$W/screen" \
		<"$W/keys" >/dev/null &
	JOB=$!
	own_jobs+=("$JOB")
}

# What the terminal was told to draw, one drawing on a line.
drawings() { tr '\r' '\n' <"$W/screen" | sed 's/\x1b\[K//g'; }

drawn() {	# argument of grep...
	drawings >"$W/drawings"
	grep "$@" "$W/drawings"
}

wait_for() {	# WORDS FILE: the limit only turns a hang into a failure
	local i
	for ((i = 0; i < 3000; i++)); do
		! grep -qF -- "$1" "$2" || return 0
		sleep 0.02
	done
	cat "$2"
	fail "nothing says: $1"
}

ends_with() {	# STATUS
	local status=0
	wait "$JOB" || status=$?
	name_files "$W/screen"
	drawings
	[ $status -eq "$1" ] || fail "it ended with $status, not $1"
}

bar_fits() {	# COLUMNS LABEL: there are bars, and none is too wide
	drawn -F "$2" | grep '%' >/dev/null || fail "no bar of $2"
	drawn '%' | awk -v most="$1" 'length($0) >= most { print "too wide: " $0; bad = 1 }
		END { exit bad }'
}

case_is "format draws a bar on a terminal, takes it away, and says what was made"
disks fail cache write none delay 100
on_terminal 100 "$WBFS" format --cache "$CACHE" --backing "$BACKING"
ends_with 0
bar_fits 100 'zeroing the cache ['
drawn -q '^zeroing the cache \[#*\.*\] *[0-9]* %  [0-9.]* [KMG]*i*B of 40 MiB'
drawn -q '^volume .*(40 MiB)'
disks heal cache

case_is "Ctrl-C in a format: the cache is none, and that is said"
disks fail cache write none delay 500
on_terminal 100 "$WBFS" format --cache "$CACHE" --backing "$BACKING"
wait_for 'zeroing the cache' "$W/screen"
printf '\003' >&8
ends_with 130
drawn -q "^wbfs: interrupted: cache $CACHE holds no volume now; format it again"
disks heal cache
says 1 'this is not a wbfs cache' -- "$WBFS" check "$CACHE"
says 0 'volume ' -- "$WBFS" format --cache "$CACHE" --backing "$BACKING"
says_not '%'

if local_case "Ctrl-C in a format of new files: they are removed"; then
	# (the file that is waited for is made before the first write)
	on_terminal 100 "$WBFS" format --cache "$W/new" --cache-size 3G --backing "$W/new.b" \
		--size 1G
	wait_for 'zeroing the cache' "$W/screen"
	printf '\003' >&8
	ends_with 130
	drawn -q 'interrupted: no volume was made, and nothing was changed'
	[ ! -e "$W/new" ] && [ ! -e "$W/new.b" ] || fail "files were left"
fi

case_is "drain: a bar that fits a narrow terminal, and nothing left of it"
volume_mount -o allow_writeback=off
random_file "$W/data" $((16 << 20))
dd if="$W/data" of="$DISK" bs=1M conv=notrunc,fsync status=none
disks fail backing write none delay 60
on_terminal 50 "$WBFS" drain "$MNT"
ends_with 0
bar_fits 50 'drain'
[ "$(stat_of dirty_blocks)" -eq 0 ] || fail "dirty blocks are left"
[ -z "$(drawings | tail -n 1)" ] || drawings | tail -n 1 | grep -q done || fail "a bar is left"

case_is "Ctrl-C in a drain: it goes on in the daemon, and that is said"
disks heal backing
dd if="$W/data" of="$DISK" bs=1M conv=notrunc,fsync status=none
disks fail backing write none delay held times 4
on_terminal 80 "$WBFS" drain "$MNT"
wait_for 'drain [' "$W/screen"
printf '\003' >&8
ends_with 130
drawn -qF "interrupted: the drain of $MNT goes on in the daemon; 'wbfs drain $MNT' waits"
[ "$(stat_of draining)" = true ] || fail "the drain does not go on"
disks heal backing
says 0 -- "$WBFS" drain "$MNT"
[ "$(stat_of drains_done)" -eq 3 ] || fail "not every drain was answered"

case_is "without a terminal there are lines, not many, and the last says how long it took"
dd if="$W/data" of="$DISK" bs=1M conv=notrunc,fsync status=none
disks fail backing write none delay 3000
"$WBFS" drain "$MNT" 2>"$W/lines" &
JOB=$!
own_jobs+=("$JOB")
wait_for ' %, ' "$W/lines"
disks heal backing
wait "$JOB"
cat "$W/lines"
! grep -q $'\r' "$W/lines" || fail "a bar in a file"
[ "$(wc -l <"$W/lines")" -le 5 ] || fail "too many lines"
tail -n 1 "$W/lines" | grep -qE '^wbfs: drain: [0-9.]+ MiB in [0-9]+:[0-9]{2}, .*/s$'

case_is "scrub and check draw bars of their own"
volume_remount -o allow_writeback=off,scrub_rate_mib_s=16
on_terminal 90 "$WBFS" scrub "$MNT"
ends_with 0
bar_fits 90 'scrub ['
"$WBFS" set "$MNT" scrub_rate_mib_s=1
on_terminal 90 "$WBFS" scrub "$MNT"
wait_for 'scrub [' "$W/screen"
printf '\003' >&8
ends_with 130
drawn -qF "interrupted: the scrub of $MNT goes on in the daemon"
"$WBFS" set "$MNT" scrub_rate_mib_s=0
says 0 -- "$WBFS" scrub "$MNT"
dd if="$W/data" of="$DISK" bs=1M conv=notrunc,fsync status=none
volume_umount
on_terminal 90 "$WBFS" check "$CACHE"
ends_with 0
bar_fits 90 'reading the log ['
bar_fits 90 'verifying the data ['
drawn -q '^sound'

case_is "Ctrl-C in a check: nothing was changed"
disks fail cache read none delay 500
on_terminal 90 "$WBFS" check "$CACHE"
wait_for 'verifying the data' "$W/screen"
printf '\003' >&8
ends_with 130
drawn -q "interrupted: cache $CACHE was not changed"
disks heal cache

case_is "SIGTERM ends it in the same way, and is what the status says"
disks fail cache read none delay 500
on_terminal 90 "$WBFS" check "$CACHE"
wait_for 'verifying the data' "$W/screen"
kill -TERM "$(cat "$W/pid")"
ends_with 143
disks heal cache

case_is "rescue: Ctrl-C leaves no half image; in place it can be done again"
on_terminal 90 "$WBFS" rescue "$CACHE" --output "$W/image"
ends_with 0
bar_fits 90 'applying dirty data ['
same_bytes "$W/data" "$W/image" $((16 << 20))
rm "$W/image"
disks fail cache read none delay 500
on_terminal 90 "$WBFS" rescue "$CACHE" --output "$W/image"
wait_for 'reading the log' "$W/screen"
printf '\003' >&8
ends_with 130
drawn -q 'interrupted: the rescue had not begun; nothing was changed'
[ ! -e "$W/image" ] || fail "an image was begun"
disks heal cache
disks fail cache read none delay 5
on_terminal 90 "$WBFS" rescue "$CACHE" --output "$W/image"
wait_for 'applying dirty data' "$W/screen"
printf '\003' >&8
ends_with 130
drawn -q "interrupted: $W/image was removed; cache and backing were not changed"
[ ! -e "$W/image" ] || fail "half an image was left"
: >"$W/image"
on_terminal 90 "$WBFS" rescue "$CACHE" --output "$W/image" --force
wait_for 'applying dirty data' "$W/screen"
printf '\003' >&8
ends_with 130
drawn -q "interrupted: $W/image holds a part of an image; cache and backing were not changed"
on_terminal 90 "$WBFS" rescue "$CACHE" --in-place
wait_for 'applying dirty data' "$W/screen"
printf '\003' >&8
ends_with 130
drawn -q "interrupted: backing $BACKING has a part of the dirty data of $CACHE, which was not changed"
disks heal cache
says 0 -- "$WBFS" rescue "$CACHE" --in-place
same_bytes "$W/data" "$BACKING" $((16 << 20))

case_is "what is ignored stays ignored: a check goes on under nohup"
# (however few reads it takes: they last long enough for a line)
disks fail cache read none delay 1000
bash -c "trap '' HUP INT; exec '$WBFS' check '$CACHE'" >"$W/checked" 2>&1 &
JOB=$!
own_jobs+=("$JOB")
wait_for 'verifying the data' "$W/checked"
kill -INT "$JOB"; kill -HUP "$JOB"
wait "$JOB"
grep -q '^sound' "$W/checked"

disks heal cache

case_is "detach draws a bar, and Ctrl-C leaves a volume"
volume_mount -o allow_writeback=off
dd if="$W/data" of="$DISK" bs=1M conv=notrunc,fsync status=none
volume_umount
disks fail backing write none delay held times 4
on_terminal 90 "$WBFS" detach "$CACHE"
wait_for 'draining [' "$W/screen"
printf '\003' >&8
wait_for $'\r\e[K' "$W/screen"	# it has heard, and takes the bar away
disks heal backing
ends_with 130
bar_fits 90 'draining ['
drawn -q 'are still a volume, with .* of dirty data left'
says 0 'is complete without its cache' -- "$WBFS" detach "$CACHE"
same_bytes "$W/data" "$BACKING" $((16 << 20))

disks_stop
finish
