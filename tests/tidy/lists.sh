#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every file of the repository stands in a build list: what is forgotten there is
# neither built nor run nor distributed.
set -eu
cd "$(dirname "$0")/../.."
files=$(git ls-files --cached --others --exclude-standard 2>/dev/null) && [ -n "$files" ] ||
	{ echo "no git here; a distribution holds what the lists hold"; exit 77; }
words=$(cat Makefile.am src/sources.am tests/tests.am tests/bench/bench.am | tr -s ' \t\\' '\n' | sort -u)
status=0

for file in $files; do
	[ -e "$file" ] || continue
	case $file in
	# automake adds these by itself
	configure.ac | *.am | README | .gitignore) continue ;;
	# listed as a whole: what is there depends on who measured
	tests/bench/results/* | tests/bench/traces/*) continue ;;
	esac
	# a test program is listed without its suffix
	grep -qxF -e "$file" -e "${file%.c}" <<<"$words" || { echo "$file is in no build list"; status=1; }
done
exit $status
