#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each layer links, in full, with nothing but the layers below it. In full
# (--whole-archive), as else a file that nothing asks for is left out, and a
# call upwards in it goes unnoticed. The include check cannot see a function
# that is declared by hand.
set -eu
build=${top_builddir:-$PWD}
[ -e "$build/libwbbase.a" ] || { echo "no libraries in $build"; exit 77; }
: "${CC:=cc}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo 'int main(void) { return 0; }' >"$work/main.c"
status=0

# LINK_LIBS and LINK_FLAGS come from the harness: libraries, sanitizers.
link() {	# layer, layers below
	local archives=() layer
	# An archive without a member would prove nothing.
	[ -n "$(ar t "$build/libwb$1.a")" ] || { echo "$1: empty"; return; }
	for layer in "$@"; do archives+=("$build/libwb$layer.a"); done
	# shellcheck disable=SC2086
	if $CC -pthread ${LINK_FLAGS-} -o "$work/a" "$work/main.c" -Wl,--whole-archive \
	   "${archives[@]}" -Wl,--no-whole-archive ${LINK_LIBS-}; then
		echo "$1: fine"
	else
		echo "$1: asks for something above it"
		status=1
	fi
}

link base
link io base
link keeper
link format base
link cache format io base
link frontend cache format io base
link cmd frontend cache format io keeper base
exit $status
