#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# src/README.md is the map: each file under src/ stands in the table of its layer,
# nothing stands there that is not, and each thread has its line. tests/README.md is
# that of the tests: each folder and each script that mounts stands in it.
set -eu
cd "$(dirname "$0")/../../src"
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# "layer module" of the tables: `a`, `a.h`, `a_{b,c}`, `a_*`. Sections are named as layers.
awk '
/^## / { layer = $2 }
/^\| / && layer ~ /^(base|io|keeper|format|cache|frontend|cmd)$/ {
	count = split($0, cell, "|")
	names = layer == "cache" ? cell[3] : cell[2]
	while (match(names, /`[^`]+`/)) {
		name = substr(names, RSTART + 1, RLENGTH - 2)
		names = substr(names, RSTART + RLENGTH)
		sub(/\.h$/, "", name)
		if (match(name, /\{.*\}/)) {
			many = split(substr(name, RSTART + 1, RLENGTH - 2), part, ",")
			for (i = 1; i <= many; i++)
				print layer, substr(name, 1, RSTART - 1) part[i]
		} else {
			print layer, name
		}
	}
}' README.md | sort -u >"$work/said"
find . -mindepth 2 -name '*.[ch]' -printf '%P\n' | sed 's,/, ,; s/\.[ch]$//' | sort -u >"$work/is"
if [ ! -s "$work/said" ] || [ ! -s "$work/is" ]; then echo "this test found nothing"; exit 1; fi

while read -r layer name; do
	case $name in
	*'*')	# a family
		grep "^$layer ${name%'*'}" "$work/is" >>"$work/families" ||
			{ echo "there is no $layer/$name"; status=1; } ;;
	*) grep -qx "$layer $name" "$work/is" || { echo "there is no $layer/$name"; status=1; } ;;
	esac
done <"$work/said"
sort -u "$work/said" "$work/families" | comm -13 - "$work/is" >"$work/missing"
[ ! -s "$work/missing" ] || { echo "not in src/README.md:"; cat "$work/missing"; status=1; }

{
	grep -rhoE '"wb-[a-z-]+"' ./*/*.c | grep -v -- '-error"$'
	grep -rhoE 'g_thread_(try_)?new\("[a-z-]+"' ./*/*.c | grep -o '".*"'
} | tr -d '"' | sort -u >"$work/threads"
[ "$(wc -l <"$work/threads")" -ge 9 ] || { echo "this test found few threads"; status=1; }
while read -r thread; do
	grep -q "^|.*\`$thread\`" README.md || { echo "thread $thread is not in src/README.md"; status=1; }
done <"$work/threads"

cd ../tests
for name in */; do
	grep -qF "| \`$name\` |" README.md || { echo "folder $name is not in tests/README.md"; status=1; }
done
for name in mount/*.sh; do
	name=${name#mount/}
	grep -qF "\`${name/#cli_*/cli_*.sh}\`" README.md ||
		{ echo "$name is not in tests/README.md"; status=1; }
done
exit $status
