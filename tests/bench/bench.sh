#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Measures wbfs against what limits it, row by row of rows.json, and prints the table.
# `make bench` builds what is needed and calls it; by hand:
#
#	WBFS=PATH NULL_FUSE=PATH BENCH_CORE=PATH bench.sh [full|quick] [ROW...]
#	SUITE=hdd WBFS=PATH HDD_FUSE=PATH bench.sh [full|quick] [ROW...]
#
# SUITE=hdd	on the simulated hard disk, the rows of rows_hdd.json: `make bench-hdd`
# SUITE=nbd	with a backing behind an NBD server, the rows of rows_nbd.json: `make bench-nbd`
# SUITE=peers	on that disk too, against other programs, the rows of rows_peers.json: `make bench-peers`
# BASE=PATH	another wbfs, measured in the same pairs: the last column is new / old.
#		It has to understand the same format
# PEERS="loop qemu"  of the peers only these
# PAIRS=N	runs of each side (11, quick 3)
# RESULTS=DIR	bench.json and bench.svg (hdd.json ...); rows that are not measured now stay there
# TMPDIR=DIR	on the disk that plays the SSD (/var/tmp)
bench_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$bench_dir/../mount/lib.sh"
. "$bench_dir/lib.sh"
finished=yes	# no TAP

wanted=full
case ${1:-} in full | quick | tiny) wanted=$1; shift ;; esac
SUITE=${SUITE:-bench}
profile "$wanted"
. "$bench_dir/groups.sh"
case $SUITE in
bench) . "$bench_dir/groups_start.sh" ;;
hdd | nbd | peers) . "$bench_dir/groups_$SUITE.sh" ;;
*) fail "SUITE=$SUITE: bench, hdd, nbd or peers" ;;
esac

suite_needs
[ -z "${BASE:-}" ] || [ -x "$BASE" ] || fail "BASE: $BASE is no program"
RESULTS=${RESULTS:-$PWD}
# Before the results are written, which may lie in the tree.
revision=$(git -C "$bench_dir" describe --always --dirty 2>/dev/null || "$WBFS" --version)

# --- which rows -------------------------------------------------------------------

rows_wanted() {	# ROW...: sets rows to those, all of them without any, as JSON
	local name
	all_rows=$(suite_rows)
	for name; do
		jq -e --arg n "$name" 'any(.[]; .name == $n)' <<<"$all_rows" >/dev/null ||
			fail "there is no row $name; there are: $(jq -r 'map(.name) | join(" ")' <<<"$all_rows")"
	done
	rows=$(jq -c --args '[.[] | select(($ARGS.positional | length) == 0 or (.name | IN($ARGS.positional[])))]' \
		"$@" <<<"$all_rows")
}

# --- the machine -------------------------------------------------------------------

machine() {
	local disk source
	source=$(df --output=source "$W" | tail -n 1)
	disk="$(lsblk -no PKNAME,NAME,MODEL "$source" 2>/dev/null | head -n 1 | xargs), $(stat -f -c %T "$W")"
	jq -n --arg model "$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)" \
		--argjson cores "$(nproc)" --arg kernel "$(uname -r)" --arg disk "${disk#, }" \
		--argjson memory_gib "$(awk '/^MemTotal/ { print int($2 / 1048576 + 0.5) }' /proc/meminfo)" \
		--arg libfuse "$(pkg-config --modversion fuse3 2>/dev/null || fusermount3 --version | awk '{ print $NF }')" \
		--arg fio "$(fio --version | sed 's/^fio-//')" \
		'{model: $model, cores: $cores, memory_gib: $memory_gib, kernel: $kernel,
		  libfuse: $libfuse, fio: $fio, disk: $disk}'
}

# Time of all processors so far: that of a hypervisor's other guests, and all of it.
stolen_ticks() {
	awk '$1 == "cpu" { print $9, $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9 }' /proc/stat
}

doubts_print() {
	awk '{ sum += $1 } END { if (NR && sum / NR > 10) printf "(other programs kept the machine %d %% busy between the measurements: do not believe it)\n", sum / NR }' "$W/others"
	stolen_ticks | awk -v before="$stolen_before" '{ split(before, b, " ")
		percent = ($1 - b[1]) * 100 / ($2 - b[2])
		if (percent > 2) printf "(the hypervisor gave %d %% of the time to others)\n", percent }'
}

# --- results -----------------------------------------------------------------------

results_write() {	# rows as JSON
	local old='{}'
	mkdir -p "$RESULTS"
	[ ! -s "$RESULTS/$SUITE.json" ] || old=$(<"$RESULTS/$SUITE.json")
	jq -s -L "$bench_dir" --argjson rows "$1" --argjson old "$old" --argjson machine "$(machine)" \
		--argjson all "$all_rows" --arg profile "$PROFILE" --arg revision "$revision" \
		--arg date "$(date -u +%Y-%m-%d)" --arg title "$suite_title" 'include "statistics";
		(all_results($rows) | map(. + {profile: $profile, revision: $revision, date: $date})) as $new
		| {title: $title, machine: $machine, rows: merge($all; $old.rows // []; $new)}' \
		<"$W/samples" >"$W/bench.json"
	cp "$W/bench.json" "$RESULTS/$SUITE.json"
	jq -r -L "$bench_dir" 'include "chart"; chart' <"$W/bench.json" >"$RESULTS/$SUITE.svg"
}

columns() {	# words between tabs, under each other
	awk -F '\t' '
		{ line[NR] = $0; for (i = 1; i <= NF; i++) if (NF > 1 && length($i) > width[i]) width[i] = length($i) }
		END { for (n = 1; n <= NR; n++) {
			count = split(line[n], word, FS)
			for (i = 1; i < count; i++) printf "%-*s  ", width[i], word[i]
			print word[count]
		} }'
}

table_print() {	# rows as JSON
	jq -r -L "$bench_dir" --argjson rows "$1" 'include "table";
		(.machine | machine), "", (.rows |= map(select(.name | IN($rows[].name))) | table)' <"$W/bench.json" |
		columns >&3
	doubts_print >&3
	[ "$PROFILE" = full ] || echo "($PROFILE: few pairs, short runs)" >&3
}

# --- run -----------------------------------------------------------------------------

rows_wanted "$@"
find_wbfs
program[wbfs]=$WBFS
volumes=(wbfs)
if [ -n "${BASE:-}" ]; then
	program[base]=$(realpath "$BASE")
	volumes+=(base)
fi
start
: >"$W/samples"
: >"$W/others"
stolen_before=$(stolen_ticks)
for group in $(jq -r 'map(.group) | reduce .[] as $g ([]; if index($g) then . else . + [$g] end) | .[]' <<<"$rows"); do
	echo "$group" >&2
	began=$SECONDS
	"group_$group"
	results_write "$rows"	# what there is stays when a later one fails
	echo "$group took $((SECONDS - began)) s" >&2
done
table_print "$rows"
