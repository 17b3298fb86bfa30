#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files of src/ have at most some 500 lines, functions some 60. What is well above
# stands in HACKING.md, "Sizes", with its reason; what stands there is above.
# Prints what the sizes are.
set -eu
cd "$(dirname "$0")/../.."
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# "LINES NAME" of each file, and of each function without its braces.
wc -l src/*/*.c | awk '$2 != "total" { print $1, $2 }' | sort -n >"$work/files"
awk '
FNR == 1 { name = "" }
/^[a-z].*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
/^\{$/ && name != "" { begin = FNR }
/^\}$/ && begin { print FNR - begin - 1, FILENAME ": " name; begin = 0; name = "" }
' src/*/*.c | sort -n >"$work/functions"
awk '
{ text = $0; gsub(/[ \t]/, "", text) }
text == "" { next }
{ lines++ }
inside || text ~ /\/\*/ { comments++ }
text ~ /\/\*/ { inside = 1 }
text ~ /\*\// { inside = 0 }
END { print int(100 * comments / lines + 0.5) }' src/*/*.[ch] >"$work/comments"

for what in files functions; do
	count=$(wc -l <"$work/$what")
	[ "$count" -gt 100 ] || { echo "this test found few $what"; status=1; }
	echo "$count $what of src: median $(sed -n "$((count / 2 + 1))s/ .*//p" "$work/$what")," \
		"95 of 100 up to $(sed -n "$((count * 95 / 100))s/ .*//p" "$work/$what") lines"
done
echo "$(cat "$work/comments") % of the lines have a comment"

awk '/^## / { on = $0 == "## Sizes" } on && /^\| `/' HACKING.md >"$work/said"
[ -s "$work/said" ] || { echo "HACKING.md has no table of sizes"; status=1; }
while read -r lines name; do
	name=${name##*: }
	grep -qF "\`$name\`" "$work/said" ||
		{ echo "$name has $lines lines: part it, or say why not in HACKING.md, Sizes"; status=1; }
done < <(awk '$1 > 550' "$work/files"; awk '$1 > 70' "$work/functions")
while IFS='`' read -r _ name _; do
	awk -v name="$name" '$NF == name && ($1 > 500 || $2 ~ /:$/ && $1 > 60) { found = 1 }
		END { exit !found }' "$work/files" "$work/functions" ||
		{ echo "$name is no longer large: take it out of HACKING.md, Sizes"; status=1; }
done <"$work/said"
exit $status
