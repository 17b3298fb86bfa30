#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of bash: the words that it offers are those of the program, also
# behind "=", within -o and for mount points.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
completion=$top_srcdir/data/bash-completion/wbfs
. "$completion"

# Readline's part: it tells what the function asked it for.
compopt() { asked+=" $2"; }

# offers LINE WORD...: exactly these, for the cursor at the end of the line. The
# line is taken apart as readline does it: at blanks, and round "=" and ":".
offers() {
	local line=$1 piece
	shift
	asked='' COMP_WORDS=()
	while [[ $line =~ ^\ *([=:]+|[^ =:]+)(.*)$ ]]; do
		COMP_WORDS+=("${BASH_REMATCH[1]}")
		line=${BASH_REMATCH[2]}
	done
	[[ -z $line ]] || COMP_WORDS+=('')
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	piece=${COMP_WORDS[COMP_CWORD]}
	[[ $piece != [=:]* ]] || piece=''
	_wbfs "$WBFS" "$piece" "${COMP_WORDS[COMP_CWORD - 1]}"
	printf '%s\n' "$@" | sed '/^$/d' | sort -u >"$W/wanted"
	printf '%s\n' "${COMPREPLY[@]}" | sed '/^$/d' | sort >"$W/offered"
	diff "$W/wanted" "$W/offered" || fail "this is not what is offered"
}

asks_for() {
	[ "$asked" = "${1:+ $1}" ] || fail "readline was asked for '$asked', not for '$1'"
}

case_is "all that the program has is offered, and nothing else"
# From the help that people read, not from the list that completion reads.
mapfile -t commands < <("$WBFS" help | sed -n 's/^  wbfs \([a-z]*\) .*/\1/p')
[ ${#commands[@]} -gt 8 ] || fail "the help lists few commands"
offers 'wbfs ' "${commands[@]}" --help --version
for command in "${commands[@]}"; do
	mapfile -t options < <("$WBFS" help "$command" |
		sed -n 's/^  \(-., \|    \)\(--[a-z-]*\).*/\2/p')
	offers "wbfs $command -" "${options[@]}"
done
offers 'wbfs help ' "${commands[@]}"
mapfile -t options < <("$WBFS" help mount | sed -n 's/^      \([a-z_]*=\?\).*/\1/p' | grep -v '^and$'
	"$WBFS" help mount | sed -n 's/^      and as in mount(8): //p' | tr -d ' ' | tr ',' '\n'
	printf '%s\n' rw defaults _netdev nofail auto noauto user nouser \
		users owner group relatime async)
offers 'wbfs mount -o ' "${options[@]}"
asks_for nospace

case_is "words begun are ended"
offers 'wbfs umo' umount
offers 'wbfs format --cache-' --cache-size
offers 'wbfs status --j' --json
offers 'wbfs help res' rescue $("$WBFS" help | sed -n 's/^  wbfs \(resize\) .*/\1/p')
offers 'wbfs frobnicate '
offers 'wbfs frob'

case_is "values are offered behind an equals sign, and behind a comma"
offers 'wbfs mount -o allow_writeb' allow_writeback=
offers 'wbfs mount -o allow_writeback=' on off
offers 'wbfs mount --options allow_writeback=o' on off
offers 'wbfs mount -o ram_buffer=16M,allow_writeb' 16M,allow_writeback=
offers 'wbfs mount -o ram_buffer=16M,allow_writeback=of' off
offers 'wbfs mount --options=allow_o' allow_other
offers 'wbfs mount --options=ram_buffer=1M,allow_o' 1M,allow_other
offers 'wbfs mount -o sync_interval_s='

case_is "files and directories are left to readline"
offers 'wbfs format --cache '
asks_for default
offers 'wbfs format --cache=/de'
asks_for default
offers 'wbfs check /de'
asks_for default
offers 'wbfs mount --cache c --backing '
asks_for default
export WBFS_CONFIG=$W/wbfs.conf
offers 'wbfs mount --cache c --backing b /mn'
asks_for 'filenames plusdirs'
printf '%s\n' '# [/mnt/off]' '[/mnt/one]' 'cache=c' '[/mnt/two b]' 'cache=c' >"$WBFS_CONFIG"
offers 'wbfs mount /mn' /mnt/one '/mnt/two b'
asks_for 'filenames plusdirs'
offers 'wbfs format --save /mnt/o' /mnt/one
offers 'wbfs format --cache-size '
asks_for ''

case_is "mount points are those of volumes"
mkdir "$W/a b"
volume_make 32M 32M --no-zero
volume_mount
MNT1=$MNT MNT="$W/a b" CACHE=$W/cache2 BACKING=$W/backing2
volume_format --no-zero --cache-size 32M --size 32M
volume_mount
mine() {
	_wbfs_mounts | grep -F "$W/"
}
[ "$(mine)" = "$(printf '%s\n' "$MNT1" "$MNT")" ] || fail "not the mount points of the two volumes"
for command in umount status flush drain scrub; do
	offers "wbfs $command $MNT1" "$MNT1"
	asks_for filenames
done
offers "wbfs umount -- $MNT1" "$MNT1"
offers "wbfs resize $MNT1" "$MNT1"
asks_for 'filenames default'

case_is "tunables are offered behind the mount point, as often as wanted, and their values"
mapfile -t tunables < <("$WBFS" set "$MNT1" | sed 's/=.*/=/')
offers "wbfs set $MNT1 " "${tunables[@]}"
asks_for nospace
offers "wbfs set $MNT1 sync_interval_s=1 allow_writeb" allow_writeback=
offers "wbfs set $MNT1 sync_interval_s=1 allow_writeback=" on off
offers "wbfs set $MNT1 allow_writeback=of" off
asks_for ''
volume_umount
MNT=$MNT1
umount "$MNT"

if command -v script >/dev/null; then
	case_is "a real bash completes a line with it"
	printf '%s\n' "PATH=$(dirname "$WBFS"):\$PATH; PS1=; bind 'set enable-bracketed-paste off'" \
		"cd $W; . $completion" >"$W/rc"
	# Two tabs would list; each of these has one answer.
	printf 'wbfs he\tfor\t\nexit\n' |
		script -qec "bash --noprofile --rcfile $W/rc -i" "$W/typescript" >/dev/null
	tr -d '\r' <"$W/typescript"
	grep -qF 'wbfs format --cache PATH' "$W/typescript" || fail "the line was not completed"
fi

finish
