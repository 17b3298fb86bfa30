/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/options_table.h"

#include <stddef.h>
#include <string.h>

static const struct wb_command commands[WB_COMMAND_COUNT] = {
	[WB_COMMAND_FORMAT] = { "format", NULL, false,
		"make a new volume of a cache and a backing",
		"Without --cache-size and --size both must exist and are used at their size.\n"
		"Never overwrites a cache with dirty data, a backing whose other cache is\n"
		"still dirty, or a file that is something else, without --force." },
	[WB_COMMAND_MOUNT] = { "mount", "MOUNTPOINT", true,
		"mount a volume; the image is MOUNTPOINT/disk",
		"Recovers the cache when it was not stopped cleanly. Returns when the image\n"
		"can be used. What is not given comes from the configuration, wbfs.conf(5). When\n"
		"the cache is lost: --without-cache; that with --force may be written to, and\n"
		"the cache is refused from then on." },
	[WB_COMMAND_UMOUNT] = { "umount", "MOUNTPOINT", true,
		"stop a mounted volume",
		"Everything acknowledged is made durable on the cache; dirty data stays there.\n"
		"Returns when the daemon is gone and both files are free." },
	[WB_COMMAND_STATUS] = { "status", "MOUNTPOINT", false,
		"show one mounted volume, or list all", NULL },
	[WB_COMMAND_TOP] = { "top", "MOUNTPOINT", false,
		"watch a mounted volume, or all of them, on the terminal",
		"Rates, hits, what is dirty, latencies and a map of the ring, once a second.\n"
		"q ends it; Tab goes to the next volume." },
	[WB_COMMAND_SET] = { "set", "MOUNTPOINT", true,
		"change tunables of a mounted volume, or show them",
		"Until the next mount. Nothing is changed when one of the values is not right.\n"
		"Without NAME=VALUE all of them are shown as they are now.", "NAME=VALUE" },
	[WB_COMMAND_FLUSH] = { "flush", "MOUNTPOINT", true,
		"make all acknowledged data durable", NULL },
	[WB_COMMAND_DRAIN] = { "drain", "MOUNTPOINT", true,
		"write back until nothing is dirty", NULL },
	[WB_COMMAND_SCRUB] = { "scrub", "MOUNTPOINT", true,
		"read back and verify all that lies in the cache",
		"Wrong copies of what the backing has too are dropped. The exit status is 1\n"
		"when the only copy of something is wrong." },
	[WB_COMMAND_CHECK] = { "check", "CACHE", true,
		"verify an unmounted cache; --repair makes it usable again",
		"Without --repair nothing is changed. Damage in the middle of the log is repaired\n"
		"by keeping what lies before it; what is given up is listed first, and has to be\n"
		"confirmed. `wbfs rescue --output IMAGE CACHE` saves it before. The exit status\n"
		"is 1 when something is wrong, or was lost." },
	[WB_COMMAND_DUMP] = { "dump", "CACHE", true,
		"print superblocks and records of an unmounted cache", NULL },
	[WB_COMMAND_RESCUE] = { "rescue", "CACHE", true,
		"apply the dirty data of an unmounted cache, without mounting",
		"To a copy of the backing (--output) or to the backing itself (--in-place).\n"
		"The cache is not changed. What cannot be read is listed as ranges of the\n"
		"image; the exit status is 1 then." },
	[WB_COMMAND_DETACH] = { "detach", "CACHE", true,
		"write all of an unmounted cache back, and take the volume apart",
		"The backing is complete alone afterwards, a plain image without a mark, and the\n"
		"cache is refused by mounts. It may be interrupted, and given again." },
	[WB_COMMAND_RESIZE] = { "resize", "MOUNTPOINT|CACHE", true,
		"make the image of a mounted volume larger, or change the size of a cache",
		"--size: the image grows while it is used, and with it a backing that is a file; a\n"
		"device has to be made larger before. A loop device on it sees that after\n"
		"`losetup -c`. --cache-size: an unmounted cache becomes larger or smaller with all\n"
		"that it holds; --to puts it elsewhere. +SIZE is so much more." },
	[WB_COMMAND_UPGRADE] = { "upgrade", "MOUNTPOINT", true,
		"have this program serve a mounted volume, in place of the one that does",
		"Whoever uses the image waits a moment. When this program cannot take over, the\n"
		"other one goes on. For volumes with a keeper." },
	[WB_COMMAND_HELP] = { "help", "COMMAND", false,
		"explain all commands, or one", NULL },
};

#define FOR(command) (1u << WB_COMMAND_##command)
#define FLAG WB_OPTION_FLAG
#define STRING WB_OPTION_STRING
#define SIZE WB_OPTION_SIZE
#define NEW_SIZE WB_OPTION_NEW_SIZE
#define MOUNT_OPTIONS WB_OPTION_MOUNT_OPTIONS

const struct wb_option wb_option_table[] = {
	{ "cache", 0, STRING, offsetof(struct wb_options, cache_path), "PATH",
	  FOR(FORMAT) | FOR(MOUNT), FOR(FORMAT),
	  "the cache: a file or device on the SSD" },
	{ "backing", 0, STRING, offsetof(struct wb_options, backing_path), "PATH",
	  FOR(FORMAT) | FOR(MOUNT) | FOR(CHECK) | FOR(RESCUE) | FOR(DETACH), FOR(FORMAT),
	  "the backing: an image file or device on the HDD" },
	{ "cache-size", 0, NEW_SIZE, offsetof(struct wb_options, cache_size_bytes), "SIZE",
	  FOR(FORMAT) | FOR(RESIZE), 0,
	  "format: create the cache file with this size; resize: the new size" },
	{ "size", 0, NEW_SIZE, offsetof(struct wb_options, size_bytes), "SIZE",
	  FOR(FORMAT) | FOR(RESIZE), 0,
	  "format: create the backing file with this size (sparse); resize: the new size" },
	{ "segment-size", 0, SIZE, offsetof(struct wb_options, segment_size_bytes), "SIZE",
	  FOR(FORMAT) | FOR(CHECK) | FOR(RESCUE), 0,
	  "unit of the log, a power of two from 64K to 4M (1M)" },
	{ "to", 0, STRING, offsetof(struct wb_options, to_path), "PATH",
	  FOR(RESIZE), 0, "put the cache into this file or device; the old one stays as it is" },
	{ "no-zero", 0, FLAG, offsetof(struct wb_options, no_zero), NULL,
	  FOR(FORMAT) | FOR(RESIZE), 0, "do not write zeros over the whole cache" },
	{ "force", 0, FLAG, offsetof(struct wb_options, force), NULL,
	  FOR(FORMAT) | FOR(RESCUE) | FOR(MOUNT) | FOR(RESIZE), 0,
	  "do what would be refused; what is overwritten is LOST" },
	{ "save", 0, STRING, offsetof(struct wb_options, save_mount_point), "MOUNTPOINT",
	  FOR(FORMAT), 0, "write the volume into the configuration as that of MOUNTPOINT" },
	{ "output", 0, STRING, offsetof(struct wb_options, output_path), "IMAGE",
	  FOR(RESCUE), 0, "write a copy of the backing with all dirty data" },
	{ "in-place", 0, FLAG, offsetof(struct wb_options, in_place), NULL,
	  FOR(RESCUE), 0, "write all dirty data to the backing itself" },
	{ "repair", 0, FLAG, offsetof(struct wb_options, repair), NULL,
	  FOR(CHECK), 0, "make the cache usable again; asks when that costs data" },
	{ "yes", 0, FLAG, offsetof(struct wb_options, yes), NULL,
	  FOR(CHECK), 0, "do not ask" },
	{ "without-cache", 0, FLAG, offsetof(struct wb_options, without_cache), NULL,
	  FOR(MOUNT), 0, "the cache is lost: show the backing alone, to be read only" },
	{ "all", 'a', FLAG, offsetof(struct wb_options, all), NULL,
	  FOR(MOUNT) | FOR(UMOUNT) | FOR(FLUSH), 0,
	  "every volume of the configuration; to stop or flush, every mounted one" },
	{ "recursive", 'R', FLAG, offsetof(struct wb_options, recursive), NULL,
	  FOR(UMOUNT), 0, "first take down what stands on it through loop devices" },
	{ "wait", 0, FLAG, offsetof(struct wb_options, wait), NULL,
	  FOR(UMOUNT), 0, "wait while it is in use" },
	{ "config", 0, STRING, offsetof(struct wb_options, config_path), "PATH",
	  FOR(MOUNT) | FOR(FORMAT), 0, "use this configuration file, and no other" },
	{ "foreground", 'f', FLAG, offsetof(struct wb_options, foreground), NULL,
	  FOR(MOUNT), 0, "stay in the foreground, messages to standard error" },
	{ "options", 'o', MOUNT_OPTIONS, 0, "OPTIONS",
	  FOR(MOUNT), 0, "mount options, separated by commas:" },
	{ "json", 0, FLAG, offsetof(struct wb_options, json), NULL,
	  FOR(STATUS), 0, "print it as JSON" },
	{ "table", 0, FLAG, offsetof(struct wb_options, table), NULL,
	  FOR(STATUS), 0, "print the columns that dm-writeboost had, and their names" },
	{ "watch", 0, WB_OPTION_INTERVAL, offsetof(struct wb_options, watch_s), NULL,
	  FOR(STATUS), 0, "again and again, every 2 seconds or as often as is said" },
	{ "list", 0, FLAG, offsetof(struct wb_options, list), NULL,
	  FOR(HELP), 0, "list all commands and options, for programs" },
	{ "help", 'h', FLAG, offsetof(struct wb_options, help), NULL,
	  (1u << WB_COMMAND_COUNT) - 1, 0, "explain the command" },
};

const unsigned wb_option_count = G_N_ELEMENTS(wb_option_table);

const struct wb_command *wb_options_command(enum wb_command_id id)
{
	return &commands[id];
}

bool wb_options_find_command(const char *name, enum wb_command_id *id)
{
	for (unsigned i = 0; i < WB_COMMAND_COUNT; i++)
		if (!strcmp(commands[i].name, name)) {
			*id = i;
			return true;
		}
	return false;
}

const struct wb_option *wb_options_find(const char *name, size_t length, char short_name)
{
	for (unsigned i = 0; i < wb_option_count; i++) {
		const struct wb_option *option = &wb_option_table[i];

		if (short_name ? option->short_name == short_name :
		    strlen(option->name) == length && !memcmp(option->name, name, length))
			return option;
	}
	return NULL;
}
