#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tests/COVERAGE.md says which test shows each thing: every line of its tables
# names tests that there are and that make check runs, by their cases; everything
# that can be set is in it.
#
#	coverage.sh [FILE]		another file than tests/COVERAGE.md
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
table=${1:-$top/tests/COVERAGE.md}
export LC_ALL=C
failures=0
references=0

complain() {
	echo "$*"
	failures=$((failures + 1))
}

# has_case FILE CASE: a test of Criterion with that name, or a case of a script
# whose name has these words in it.
has_case() {
	case $1 in
	*.c) grep -qE "^(Parameterized)?Test\([a-z_0-9]+, $2\)|^(Parameterized)?Test\([a-z_0-9]+, $2," "$1" ;;
	*) grep -E '(case_is|local_case|tool_case|case_skip|result|step)' "$1" | grep -qF -e "$2" ;;
	esac
}

check_reference() {	# the line's number, "FOLDER/FILE" or "FOLDER/FILE: CASE"
	local name=${2%%: *} case='' file
	[ "$name" = "$2" ] || case=${2#*: }
	references=$((references + 1))
	file=$top/tests/$name
	[ -f "$file" ] || file=$file.c
	[ -f "$file" ] || { complain "line $1: there is no test $name"; return; }
	grep -qwF "tests/$name" "$top/tests/tests.am" "$top/Makefile.am" ||
		complain "line $1: $name is in no list of tests"
	[ -z "$case" ] || has_case "$file" "$case" || complain "line $1: $name has no case \"$case\""
}

number=0 missing=0
while IFS= read -r line; do
	number=$((number + 1))
	[[ $line = '| '* && $line != *'| tests |' ]] || continue
	cell=${line%|}
	cell=${cell##*|}
	if [[ $cell = ' none yet: '* ]]; then
		missing=$((missing + 1))
		continue
	fi
	found=no
	while read -r reference; do
		[ -n "$reference" ] || continue
		check_reference $number "$reference"
		found=yes
	# shellcheck disable=SC2016
	done < <(grep -oE '`[a-z]+/[^`]+`' <<<"$cell" | tr -d '`')
	[ $found = yes ] || complain "line $number names no test: $line"
done <"$table"

# What can be set, given and asked for. Taken from the program, as far as it is built.
if [ -x "${WBFS:-}" ]; then
	while read -r kind name _; do
		case $kind in
		tunable | command) grep -q "\`$name\`\|\`wbfs $name" "$table" || complain "the $kind $name is not in it" ;;
		esac
	done < <("$WBFS" help --list)
fi

echo "$references references, $missing lines without a test"
[ $references -ge 50 ] || complain "this test found few references"
[ $failures -eq 0 ]
