#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# man/wbfs-format.5 names every field of src/format/ondisk.h with the offset and
# the size that the compiler gives it, and nothing else; and the comments there
# have the same offsets.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
header=$top/src/format/ondisk.h
page=$top/man/wbfs-format.5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "struct field offset-in-comment" for each member of a disk structure
awk '
/^struct wb_.*_disk \{/ { name = $2; next }
/^}/ { name = "" }
name != "" && /;/ {
	member = $0
	sub(/;.*/, "", member)
	sub(/\[.*/, "", member)
	sub(/.*[ \t]/, "", member)
	offset = $0
	if (!sub(/.*\/\*[ \t]*/, "", offset) || !match(offset, /^[0-9]+/))
		offset = "none"
	else
		offset = substr(offset, 1, RLENGTH)
	print name, member, offset
}' "$header" | LC_ALL=C sort -s -k 1,1 >"$work/members"

{
	echo '#include <stdio.h>'
	echo '#include "format/ondisk.h"'
	echo 'int main(void) {'
	while read -r name member offset; do
		echo "printf(\"$name $member %zu %zu\\n\", offsetof(struct $name, $member),"
		echo "       sizeof(((struct $name *)0)->$member));"
	done <"$work/members"
	echo 'return 0; }'
} >"$work/print.c"
${CC:-cc} -std=gnu11 -I"$top/src" -o "$work/print" "$work/print.c"
"$work/print" | LC_ALL=C sort -s -k 1,1 >"$work/compiled"

# the same from the page: "struct field offset size"
awk '
/^\.\\" struct wb_/ { name = $3 }
/^\.El/ { name = "" }
name != "" && /^\.It [0-9]+ Ta [0-9]+ Ta Va / { print name, $7, $2, $4 }
' "$page" | LC_ALL=C sort -s -k 1,1 >"$work/page"

status=0
diff -u --label ondisk.h --label wbfs-format.5 "$work/compiled" "$work/page" || status=1
awk '{ print $1, $2, $3 }' "$work/compiled" |
	diff -u --label "comments of ondisk.h" --label "the compiler" "$work/members" - || status=1

for magic in $(sed -n 's/.*_MAGIC "\(.*\)".*/\1/p' "$header"); do
	grep -q "\"$magic\"\|Qq $magic" "$page" || { echo "the page lacks the magic $magic"; status=1; }
done
sed -n 's/^\tWB_ENTRY_\([A-Z]*\) = \([0-9a-fx]*\),.*/\2 \1/p' "$header" | grep -v EXTENT |
	while read -r number type; do
		grep -q "^\.It $number $type\$" "$page" || { echo "the page lacks type $number $type"; exit 1; }
	done || status=1

echo "$(wc -l <"$work/members") fields"
exit $status
