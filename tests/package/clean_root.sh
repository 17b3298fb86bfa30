# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# A clean Debian in a directory, for tests to install things into: 12, or the release
# that the caller sets before (release=sid). Sourced;
# nothing is mounted outside of a mount namespace, and no process outlives it:
#
#	clean_root_make DIRECTORY		needs root, debootstrap and a mirror
#	clean_root_run DIRECTORY COMMAND...	in it, with /proc, /dev and a /dev/fuse
#						for everybody, in namespaces of its own
#	devices=all clean_root_run ...		with the devices of this machine too
#
# Where the packages come from is what apt of this machine is set to: MIRROR=URL
# names another place.

release=${release:-bookworm}

# "URL CODENAME" of each Debian archive that apt here knows.
clean_root_archives() {
	if [ -n "${MIRROR:-}" ]; then
		echo "$MIRROR $release"
		return
	fi
	# Another release than this machine's comes from the place of its own one.
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(ORIGIN)' 'Created-By: Packages' |
		awk -v release="$release" '
			$3 != "Debian" { next }
			index($2, release) == 1 { known[$1 " " $2] = 1; count++ }
			$2 !~ /-/ { place = $1 }
			END {
				for (archive in known) print archive
				if (!count && place) print place, release
			}' | sort -u
}

clean_root_make() {	# directory
	local root=$1 archives mirror
	archives=$(clean_root_archives)
	mirror=$(awk -v release="$release" '$2 == release { print $1; exit }' <<<"$archives")
	[ -n "$mirror" ] || {
		echo "apt knows no archive of Debian $release here; set MIRROR" >&2
		return 1
	}
	# How this machine reaches it. In the namespace, as it mounts /proc there.
	unshare --mount --pid --fork debootstrap --variant=minbase "$release" "$root" "$mirror" >&2
	sed 's/^/deb /; s/$/ main/' <<<"$archives" >"$root/etc/apt/sources.list"
	apt-config dump --format '%f "%v";%n' Acquire::http Acquire::https Acquire::Check-Date \
		Acquire::Check-Valid-Until >"$root/etc/apt/apt.conf.d/00this-machine"
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	cp /etc/hosts "$root/etc/hosts"
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"	# no daemons there
	chmod 755 "$root/usr/sbin/policy-rc.d"
	# As every installation has it; fusermount3 asks it whose a mount is.
	ln -sf ../proc/self/mounts "$root/etc/mtab"
	rm -f "$root/dev/fuse"
	mknod -m 666 "$root/dev/fuse" c 10 229
}

clean_root_run() {	# directory command...
	local root=$1
	shift
	# The shell below is process 1 of the namespace: with it all others end, and
	# what they have mounted goes too.
	# shellcheck disable=SC2016
	devices=${devices:-few} unshare --mount --pid --ipc --fork --kill-child --propagation private bash -c '
		root=$1
		shift
		# A copy of what others have mounted would keep their daemons.
		awk "\$3 ~ /^fuse/ || \$1 ~ /^\\/dev\\/loop/ { print \$2 }" /proc/self/mounts | tac | xargs -r -d "\n" umount -l
		mount --bind "$root" "$root"
		mount -t proc proc "$root/proc"
		if [ "$devices" = all ]; then
			touch "$root/run/fuse"
			mount --bind "$root/dev/fuse" "$root/run/fuse"
			mount --rbind /dev "$root/dev"
			mount --rbind /sys "$root/sys"
			mount --bind "$root/run/fuse" "$root/dev/fuse"
		else
			mount -t sysfs -o ro sysfs "$root/sys"
			mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
			mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
			ln -sf pts/ptmx "$root/dev/ptmx"
		fi
		cd "$root"
		chroot "$root" env -i HOME=/root TERM="${TERM:-dumb}" LC_ALL=C.UTF-8 \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			DEBIAN_FRONTEND=noninteractive "$@"
	' bash "$root" "$@"
}
