#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every source file and every test stands in the build lists: what is forgotten
# there is neither built nor distributed.
set -eu
cd "$(dirname "$0")/../.."
status=0

missing() {	# file, list
	echo "$1 is missing in $2"
	status=1
}

for file in src/*/*.[ch]; do
	grep -qE "(^|[[:space:]])$file([[:space:]]|\$)" src/sources.am || missing "$file" src/sources.am
done
for file in tests/support/*.[ch] tests/mount/*.sh tests/tidy/*.sh; do
	[ -e "$file" ] || continue
	grep -qE "(^|[[:space:]])$file([[:space:]]|\$)" tests/tests.am || missing "$file" tests/tests.am
done
for file in tests/unit/*.c tests/core/*.c tests/race/*.c tests/mount/*.c; do
	[ -e "$file" ] || continue
	grep -qE "(^|[[:space:]])${file%.c}([[:space:]]|\$)" tests/tests.am || missing "${file%.c}" tests/tests.am
done
for file in man/*.[1-8]; do
	[ -e "$file" ] || continue
	grep -qE "(^|[[:space:]])$file([[:space:]]|\$)" Makefile.am || missing "$file" Makefile.am
done
exit $status
