#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `wbfs top` in a terminal of tmux: what it shows, in the smallest terminal that it
# promises and in a larger one, without colours, and when the daemon dies.
. "$(dirname "$0")/lib.sh"

needs fuse tmux jq
start
socket=$W/tmux
tmux() { command tmux -S "$socket" -f /dev/null "$@"; }
at_exit="command tmux -S $socket kill-server 2>/dev/null"
# One server for all: where it ends with a session, the next one may still find it.
tmux start-server \; set-option -s exit-empty off

screen() { tmux capture-pane -p -t top; }

wait_a_little() { read -rt 0.1 <> <(:) || true; }
# shows WORD...: all of them, as soon as the screen has been drawn again
shows() {
	local word tries missing
	for ((tries = 0; tries < 300; tries++)); do
		screen >"$W/screen"
		missing=
		for word; do
			grep -qF -- "$word" "$W/screen" || missing=$word
		done
		[ -n "$missing" ] || return 0
		wait_a_little
	done
	cat "$W/screen"
	fail "no '$missing' on the screen"
}

# draws PATTERN: within a minute
draws() {
	until_it_is_so 60 is_drawn "$1" || { cat "$W/screen"; return 1; }
}

is_drawn() {
	screen >"$W/screen"
	grep -qE -- "$1" "$W/screen"
}

begin() {	# COLUMNS LINES [TERM]
	tmux new-session -d -s top -x "$1" -y "$2" "env TERM=${3:-screen} '$WBFS' top '$MNT'; echo ended with \$?; cat"
}

volume_make 64M 64M
volume_mount -o allow_writeback=off

case_is "all of it in 80 columns and 24 lines"
begin 80 24
shows "wbfs top  $MNT" running read write 'to SSD' 'to HDD' hits dirty writeback latency p99.9 \
	segments 'q quit' IOPS
[ "$(wc -l <"$W/screen")" -le 24 ] || fail "more than 24 lines"

case_is "what is written is seen: dirty data, the ring, latencies"
dd if=/dev/urandom of="$DISK" bs=1M count=8 oflag=direct conv=notrunc,fsync status=none
shows '8 MiB'
draws ' d*H' || fail "no head in the map of the ring"
draws '^sync +[0-9]' || fail "no latency of the sync"

case_is "the mode, when it is switched"
shows "wbfs top  $MNT  writeback"
"$WBFS" set "$MNT" cache_mode=writethrough
shows "wbfs top  $MNT  writethrough"
"$WBFS" set "$MNT" cache_mode=writeback

case_is "a larger terminal, and a smaller one, while it runs"
tmux resize-window -t top -x 120 -y 40
shows 'q quit'
[ "$(awk '/q quit/ { print NR }' "$W/screen")" -gt 24 ] || wait_a_little
tmux resize-window -t top -x 60 -y 10
shows "wbfs top" 'q quit'

case_is "the time until all is clean stands alone, however narrow it is"
"$WBFS" set "$MNT" allow_writeback=on
"$WBFS" drain "$MNT"
"$WBFS" set "$MNT" allow_writeback=off
dd if=/dev/urandom of="$DISK" bs=1M count=8 oflag=direct conv=notrunc,fsync status=none
tmux resize-window -t top -x 58 -y 24
shows 'clean in'
draws ' clean in [0-9]+:[0-9]+ *$' || fail "something is in its way"

case_is "q ends it, with the terminal as it was"
tmux send-keys -t top q
shows 'ended with 0'
tmux kill-session -t top

case_is "without colours, and on a terminal that is no UTF-8"
begin 80 24 vt100
shows "wbfs top  $MNT" dirty segments
tmux send-keys -t top q
shows 'ended with 0'
tmux kill-session -t top

case_is "the daemon dies: that is said, and q still ends it"
begin 80 24
shows running
daemon_kill
shows gone
tmux send-keys -t top q
shows 'ended with 0'
tmux kill-session -t top
wreck_clear

case_is "no terminal, and no volume"
volume_mount
says 1 "'wbfs top' needs a terminal" -- "$WBFS" top "$MNT" </dev/null
volume_umount
finish
