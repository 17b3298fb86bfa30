#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The man pages say what the program can do: every command, option and mount
# option of the tables in src/cmd/ is in wbfs(1), every key of stats.json, verb,
# control file and tunable in wbfs-control(7); and these pages name none that there
# is not.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
failures=0

complain() {
	echo "$*"
	failures=$((failures + 1))
}

# --- what there is ------------------------------------------------------------

# The linker drops what the tables do not need, and with it the cache. Every list has
# an entry, so that the keys of entries are seen too.
cat >"$work/print.c" <<'END'
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/lock.h"
#include "cmd/options.h"
#include "frontend/stats_json.h"

void wb_lock_get_waits(enum wb_lock_rank rank, struct wb_lock_waits *waits)
{
	*waits = (struct wb_lock_waits){ .count = rank, .ns = 1 };
}

const char *wb_lock_rank_name(enum wb_lock_rank rank)
{
	return rank ? "some" : "none";
}

int main(int argc, char **argv)
{
	struct wb_mount_facts facts = { .version = "", .mount_point = "",
					.cache.path = "", .backing.path = "" };
	static struct wb_stats_view view = { .tunables = WB_TUNABLES_DEFAULT };
	GString *text = g_string_new(NULL);

	view.facts = &facts;
	view.snapshot.bad_ranges.count = 1;
	view.snapshot.refused_ranges.count = 1;
	view.snapshot.refused_ranges.range[0].error = -EIO;

	if (argc > 1 && !strcmp(argv[1], "options"))
		g_string_append(text, wb_options_list());
	else
		wb_stats_json_append(text, &view);
	return fputs(text->str, stdout) < 0;
}
END
# shellcheck disable=SC2046
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -I"$top/src" -o "$work/print" "$work/print.c" \
	"$top"/src/cmd/{options,options_help,options_table,mount_options,usage,size_parse}.c \
	"$top/src/frontend/stats_json.c" \
	"$top"/src/cache/{stats,histogram,schedule,tunables}.c "$top"/src/base/{clock,lines}.c \
	$(pkg-config --cflags --libs glib-2.0 json-glib-1.0)
"$work/print" options >"$work/options"
"$work/print" stats >"$work/json"
keys() { tr -d '": ' | sort -u; }
grep -o '"[a-z0-9_]*" :' "$work/json" | keys >"$work/keys"
grep -o '^  "[a-z0-9_]*" :' "$work/json" | keys >"$work/outer"
comm -13 "$work/outer" "$work/keys" >"$work/inner"
! grep ' : \[\]' "$work/json" ||
	complain "this test makes a list without entries: it does not see their keys"
sed -n 's/^\t{ "\([a-z_]*\)", \(\.[a-z_]* = \)\?wb_cache_.*/\1/p' \
	"$top/src/frontend/control_files.c" >"$work/verbs"
sed -n 's/^#define UPGRADE "\(.*\)"/\1/p' "$top/src/frontend/control_files.c" >>"$work/verbs"
sed -n 's/^\t{ "\([a-z.]*\)", 0[0-7]*, .*/\1/p' \
	"$top/src/frontend/control_files.c" >"$work/files"
echo tunables/ >>"$work/files"	# a directory
sed -n 's/^\t{ FIELD(\([a-z_]*\)).*/\1/p' "$top/src/cache/tunables.c" >"$work/tunables"
for list in options keys inner verbs files tunables; do
	[ -s "$work/$list" ] || complain "this test found no $list in the sources"
done

# --- what the pages say ---------------------------------------------------------

page=$top/man/wbfs.1
section() {	# page, title: its lines
	awk -v title="$2" '/^\.Sh / { on = $0 == ".Sh " title; next } on' "$1"
}
item_words() {	# the words of all list items, one per line
	sed -n 's/^\.It [A-Z][a-z] //p' | tr ' ' '\n' | grep -v '^[,|]*$' | sort -u
}

section "$page" DESCRIPTION | sed -n 's/^\.It Cm //p' | sort >"$work/said.command"
section "$page" DESCRIPTION | grep '^\.It Fl' | grep -o 'Fl Fl [a-z-]*' |
	sed 's/Fl Fl /--/' | sort >"$work/said.option"
section "$page" 'MOUNT OPTIONS' | grep '^\.It Cm' |
	sed 's/^\.It Cm //; s/ Ns = Ns Ar [a-z]*//g; s/ Ns =.*//; s/, Cm /, /g' | tr ' ' '\n' |
	grep -v '^,$' | sort >"$work/said.mount-option"
for kind in command option mount-option; do
	awk -v kind=$kind '$1 == kind { print $2 }' "$work/options" | sort >"$work/is.$kind"
done
echo --version >>"$work/is.option"	# stands in place of a command
# a tunable is a mount option too
awk '$1 == "tunable" { print $2 }' "$work/options" >>"$work/is.mount-option"
sort -o "$work/is.mount-option" "$work/is.mount-option"
sort -o "$work/is.option" "$work/is.option"
for kind in command option mount-option; do
	diff "$work/is.$kind" "$work/said.$kind" >"$work/diff" && continue
	complain "wbfs(1) and the table differ in ${kind}s (<: not in the page, >: not in the table):"
	cat "$work/diff"
done

page=$top/man/wbfs-control.7
{
	section "$page" 'KEYS OF STATS.JSON' | item_words
	section "$page" TUNABLES | sed -n 's/^\.It Li //p'	# members of tunables
	# A member of an object or of a list's entries may stand in a sentence.
	section "$page" 'KEYS OF STATS.JSON' | sed -n 's/^\.Li \([a-z0-9_]*\).*/\1/p' | sort -u |
		comm -12 - "$work/inner"
} | sort -u >"$work/said.keys"
if ! diff "$work/keys" "$work/said.keys" >"$work/diff"; then
	complain "wbfs-control(7) and stats.json differ (<: not in the page, >: not in stats.json):"
	cat "$work/diff"
fi
section "$page" TUNABLES | sed -n 's/^\.It Li //p' | sort >"$work/said.tunables"
sort "$work/tunables" | diff - "$work/said.tunables" ||
	complain "wbfs-control(7) and the table differ in tunables"
section "$page" DESCRIPTION | sed -n 's/ Ar .*//; s/^\.It Li //p' | sort >"$work/said.verbs"
sort "$work/verbs" | diff - "$work/said.verbs" || complain "wbfs-control(7) differs in verbs"
section "$page" DESCRIPTION | sed -n 's/^\.It Pa //p' | sort >"$work/said.files"
sort "$work/files" | diff - "$work/said.files" || complain "wbfs-control(7) differs in files"

[ "$failures" -eq 0 ]
