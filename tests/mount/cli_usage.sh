#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the command line takes and refuses: exit statuses and messages.
. "$(dirname "$0")/lib.sh"

start

# gives STATUS WORD... -- ARGUMENT...: wbfs ends with it and says every word.
gives() {
	local wanted=$1 status=0 words=()
	shift
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	"$WBFS" "$@" >"$W/out" 2>"$W/err" </dev/null || status=$?
	cat "$W/out" "$W/err"
	[ $status -eq "$wanted" ] || fail "wbfs $*: exit status $status, not $wanted"
	for word in "${words[@]}"; do
		grep -qF -- "$word" "$W/out" "$W/err" || fail "wbfs $*: does not say: $word"
	done
	# Answers go to standard output, complaints to standard error.
	if [ "$wanted" -eq 0 ]; then
		[ ! -s "$W/err" ] || fail "wbfs $*: says something on standard error"
	else
		[ -s "$W/err" ] || fail "wbfs $*: says nothing on standard error"
	fi
}

case_is "help and version are answers, not errors"
gives 0 'wbfs ' -- --version
gives 0 'format' 'drain' 'dump' -- help
gives 0 'umount' -- --help
for command in format mount umount status set flush drain check dump rescue detach help; do
	gives 0 "wbfs $command" -- help $command
	gives 0 "wbfs $command" -- $command --help
done
gives 0 '--cache PATH --backing PATH [--cache-size SIZE] [--size SIZE]' -- help format
gives 0 '[-f] [-o OPTIONS] MOUNTPOINT' -- help mount

case_is "a wrong command line ends with 2 and names the word"
gives 2 'no command' --
gives 2 "did you mean 'mount'" -- moutn
gives 2 "unknown command 'frobnicate'" -- frobnicate
gives 2 "unknown command 'x'" "'wbfs help' lists all commands" -- help x
gives 2 "did you mean 'umount'" -- help unmount
gives 2 "did you mean '--help'" -- --hepl
gives 2 "did you mean '--json'" -- status --jsn
gives 2 '--cache PATH' -- format --backing b
gives 2 '--backing PATH' -- mount --cache c /
gives 2 'takes either a MOUNTPOINT or --all' -- umount --all m
gives 2 'MOUNTPOINT' -- mount --cache c --backing b
gives 2 'MOUNTPOINT' -- umount
gives 2 'MOUNTPOINT' -- flush
gives 2 'MOUNTPOINT' -- drain
gives 2 'CACHE' -- check
gives 2 'CACHE' -- dump
gives 2 "'b'" -- check a b
gives 2 '4Q' -- format --cache c --backing b --cache-size 4Q
gives 2 '512' -- format --cache c --backing b --size 1000
gives 2 'needs a PATH' -- format --backing b --cache
gives 2 "did you mean 'ram_buffer'" -- mount --cache c --backing b -o ram_bufer=1M m
gives 2 "'-o ro' for reading only" -- mount --without-cache --force --backing b -o ro m
[ ! -e c ] && [ ! -e b ] || fail "a refused command created files"

case_is "what is not there is said to be not there, with status 1"
gives 1 "$W/none" 'No such file' -- check "$W/none"
gives 1 "$W/none" 'No such file' -- dump "$W/none"
gives 1 "$W/none does not exist" -- umount "$W/none"
gives 1 "$W is not a mounted wbfs volume" -- status "$W"
gives 1 "$W is not a mounted wbfs volume" -- umount "$W"
gives 1 "$W is not a mounted wbfs volume" -- flush "$W"
gives 1 "$W is not a mounted wbfs volume" -- drain "$W"
gives 1 'neither a regular file nor a block device' -- check /dev/null
gives 1 'neither a regular file nor a block device' -- check "$W"

case_is "output that cannot be written is not taken for success"
status=0
"$WBFS" help >/dev/full || status=$?
[ $status -eq 1 ] || fail "exit status $status"
# longer than a buffer: nothing is left to flush at the end
status=0
"$WBFS" help mount >/dev/full || status=$?
[ $status -eq 1 ] || fail "exit status $status after a long text"

finish
