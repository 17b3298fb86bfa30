#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every #include under src/ is allowed by src/layers.txt, and every edge that is
# listed there exists.
#
#	layers.sh [SRC]		another tree than that of this script
set -eu
src=${1:-$(cd "$(dirname "$0")/../../src" && pwd)}
cd "$src"

# shellcheck disable=SC2046
awk '
function bad(text) { print text; errors++ }

# the line "KIND NAME: WORDS" of layers.txt
function words_into(table, name,    i) {
	for (i = 3; i <= NF; i++)
		table[name, $i] = 1
}

# the tier of a file of the cache, or 0
function tier_of(file,    module) {
	module = file
	sub(/\.[ch]$/, "", module)
	return file in tier ? tier[file] : tier[module]
}

function check_own_layer(file, header,    me, from, to) {
	if (layer != "cache")
		return
	me = file
	sub(/\.[ch]$/, "", me)
	from = tier_of(file)
	to = tier_of(header)
	if (header == me ".h" || to == 0 || to < from)
		return
	if (to > from)
		bad(FILENAME ": " header " lies in a higher tier")
	else if ((file, header) in edge)
		used[file, header] = 1
	else if ((me, header) in edge)
		used[me, header] = 1
	else
		bad(FILENAME ": the edge to " header " is not listed")
}

BEGIN { tier_count = 0 }

FILENAME == "layers.txt" {
	sub(/#.*/, "")
	$0 = $0		# splits again
	if (NF == 0)
		next
	name = $2
	sub(/:$/, "", name)
	if ($1 == "layer") {
		is_layer[name] = 1
		words_into(may, name)
	} else if ($1 == "system") {
		is_strict[name] = 1
		words_into(sys, name)
	} else if ($1 == "tier") {
		tier_count++
		for (i = 3; i <= NF; i++)
			tier[$i] = tier_count
	} else if ($1 == "edge") {
		words_into(edge, name)
	} else {
		bad("layers.txt: what is \"" $1 "\"?")
	}
	next
}

FNR == 1 {
	split(FILENAME, part, "/")
	layer = part[1]
	file = part[2]
	module = FILENAME
	sub(/\.[ch]$/, "", module)
	file_count++
	if (!(layer in is_layer))
		bad(FILENAME ": lies in no layer")
	if (layer == "cache" && !tier_of(file))
		bad(FILENAME ": lies in no tier")
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, quoted, "\"")
	header = quoted[2]
	if (split(header, part, "/") != 2)
		bad(FILENAME ": \"" header "\" does not name its layer")
	else if (part[1] == layer)
		check_own_layer(file, part[2])
	else if (!((layer, part[1]) in may) && !((layer, header) in may))
		bad(FILENAME ": " layer " may not include " header)
}

/^[ \t]*#[ \t]*include[ \t]*</ {
	header = $0
	sub(/^[^<]*</, "", header)
	sub(/>.*/, "", header)
	if (layer in is_strict && !((layer, header) in sys) && !((module, header) in sys))
		bad(FILENAME ": " layer " may not include <" header ">")
}

END {
	for (pair in edge) {
		if (!(pair in used)) {
			split(pair, part, SUBSEP)
			bad("layers.txt: nothing uses the edge from " part[1] " to " part[2])
		}
	}
	print file_count " files, " errors + 0 " errors"
	exit errors > 0 || file_count == 0
}
' layers.txt $(find . -mindepth 2 -name '*.[ch]' | sed 's,^\./,,' | LC_ALL=C sort)
