/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/disk_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define DEPTH_MAX 16u		/* of devices upon devices */
#define SECOND_NS UINT64_C(1000000000)
#define MS_NS UINT64_C(1000000)

/* Fields of a stat file, in milliseconds and 32 bits wide, from 0. */
enum { STAT_READ_MS = 3, STAT_BUSY_MS = 9, STAT_FIELDS };

struct disk {
	dev_t device;
	char name[32];
	uint32_t reads_ms, busy_ms;	/* at the last look */
};

/* --- the way down ------------------------------------------------------------------ */

static char *path_of(const struct wb_disk_load *load, dev_t device, const char *name)
{
	return g_strdup_printf("%s/%u:%u%s%s", load->root, major(device), minor(device),
			       *name ? "/" : "", name);
}

static bool read_stat(const struct wb_disk_load *load, struct disk *disk)
{
	g_autofree char *path = path_of(load, disk->device, "stat");
	g_autofree char *text = NULL;
	uint32_t values[STAT_FIELDS];
	char *at, *end;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return false;
	at = text;
	for (unsigned i = 0; i < STAT_FIELDS; i++, at = end) {
		values[i] = (uint32_t)strtoull(at, &end, 10);
		if (end == at)
			return false;
	}
	disk->reads_ms = values[STAT_READ_MS];
	disk->busy_ms = values[STAT_BUSY_MS];
	return true;
}

static bool read_device(const char *path, dev_t *device)
{
	g_autofree char *text = NULL;
	unsigned first, second;

	if (!g_file_get_contents(path, &text, NULL, NULL) ||
	    sscanf(text, "%u:%u", &first, &second) != 2)
		return false;
	*device = makedev(first, second);
	return true;
}

/* That has statistics; FALSE when it has not. */
static bool add_disk(struct wb_disk_load *load, dev_t device)
{
	struct disk disk = { .device = device };
	g_autofree char *path = path_of(load, device, "");
	g_autofree char *resolved = realpath(path, NULL);

	for (unsigned i = 0; i < load->disks->len; i++)
		if (g_array_index(load->disks, struct disk, i).device == device)
			return true;
	if (!resolved || !read_stat(load, &disk))
		return false;
	g_strlcpy(disk.name, strrchr(resolved, '/') + 1, sizeof disk.name);
	g_array_append_val(load->disks, disk);
	return true;
}

static bool add_under(struct wb_disk_load *load, dev_t device, unsigned depth);

static dev_t device_of(const struct stat *st)
{
	return S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev;
}

static bool add_behind_loop(struct wb_disk_load *load, dev_t device, unsigned depth)
{
	g_autofree char *path = path_of(load, device, "loop/backing_file");
	g_autofree char *file = NULL;
	struct stat st;

	return g_file_get_contents(path, &file, NULL, NULL) &&
	       stat(g_strchomp(file), &st) == 0 && add_under(load, device_of(&st), depth + 1);
}

static bool add_slaves(struct wb_disk_load *load, dev_t device, unsigned depth)
{
	g_autofree char *directory = path_of(load, device, "slaves");
	g_autoptr(GDir) slaves = g_dir_open(directory, 0, NULL);
	const char *name;
	bool any = false;

	while (slaves && (name = g_dir_read_name(slaves))) {
		g_autofree char *path = g_build_filename(directory, name, "dev", NULL);
		dev_t slave;

		any |= read_device(path, &slave) && add_under(load, slave, depth + 1);
	}
	return any;
}

/* Whether there was any with statistics. Beneath what has none of its own to show
 * there may still be one: a loop device over a file in memory counts itself. */
static bool add_under(struct wb_disk_load *load, dev_t device, unsigned depth)
{
	g_autofree char *partition = path_of(load, device, "partition");
	g_autofree char *whole = path_of(load, device, "../dev");

	if (depth > DEPTH_MAX)
		return false;
	if (g_file_test(partition, G_FILE_TEST_EXISTS) && read_device(whole, &device))
		return add_under(load, device, depth + 1);
	return add_behind_loop(load, device, depth) || add_slaves(load, device, depth) ||
	       add_disk(load, device);
}

/* --- doors --------------------------------------------------------------------------- */

static void find(struct wb_disk_load *load, const char *root, const struct stat *st)
{
	*load = (struct wb_disk_load){
		.root = g_strdup(root ? root : "/sys/dev/block"),
		.disks = g_array_new(FALSE, TRUE, sizeof(struct disk)),
	};
	if (st)
		add_under(load, device_of(st), 0);
}

static bool meets(const struct wb_disk_load *a, const struct wb_disk_load *b)
{
	for (unsigned i = 0; i < a->disks->len; i++)
		for (unsigned j = 0; j < b->disks->len; j++)
			if (g_array_index(a->disks, struct disk, i).device ==
			    g_array_index(b->disks, struct disk, j).device)
				return true;
	return false;
}

void wb_disk_load_find(struct wb_disk_load *load, const char *root,
		       const struct stat *backing, const struct stat *cache)
{
	struct wb_disk_load of_cache;

	find(load, root, backing);
	find(&of_cache, root, cache);
	if (meets(load, &of_cache))
		g_array_set_size(load->disks, 0);
	wb_disk_load_clear(&of_cache);
	load->sampled_ns = wb_clock_now_ns(wb_clock_real());
}

bool wb_disk_load_is_known(const struct wb_disk_load *load)
{
	return load->disks && load->disks->len > 0;
}

bool wb_disk_load_turns(const struct wb_disk_load *load)
{
	bool turns = false;

	for (unsigned i = 0; load->disks && i < load->disks->len; i++) {
		const struct disk *disk = &g_array_index(load->disks, struct disk, i);
		g_autofree char *path = path_of(load, disk->device, "queue/rotational");
		g_autofree char *text = NULL;

		turns |= g_file_get_contents(path, &text, NULL, NULL) && text[0] == '1';
	}
	return turns;
}

void wb_disk_load_clear(struct wb_disk_load *load)
{
	if (load->disks)
		g_array_unref(load->disks);
	g_free(load->root);
	*load = (struct wb_disk_load)WB_DISK_LOAD_NONE;
}

bool wb_disk_load_sample(struct wb_disk_load *load, uint64_t now_ns,
			 struct wb_disk_sample *sample)
{
	bool any = false;

	*sample = (struct wb_disk_sample){ .disk = "" };
	sample->interval_ns = now_ns - load->sampled_ns;
	load->sampled_ns = now_ns;
	for (unsigned i = 0; i < load->disks->len; i++) {
		struct disk *disk = &g_array_index(load->disks, struct disk, i), before = *disk;
		uint64_t busy_ns;

		/* (gone: the others go on) */
		if (!read_stat(load, disk))
			continue;
		/* In 32 bits, in which the kernel counts. */
		busy_ns = (uint32_t)(disk->busy_ms - before.busy_ms) * MS_NS;
		if (any && busy_ns <= sample->busy_ns)
			continue;
		any = true;
		sample->disk = disk->name;
		sample->busy_ns = busy_ns;
		sample->reads_ns = (uint32_t)(disk->reads_ms - before.reads_ms) * MS_NS;
	}
	return any;
}

void wb_disk_load_tick(struct wb_disk_load *load, struct wb_cache *cache)
{
	uint64_t now_ns = wb_clock_now_ns(wb_clock_real());
	struct wb_disk_sample sample;

	/* (not set up: nothing is written back) */
	if (!load->disks || now_ns - load->sampled_ns < SECOND_NS)
		return;
	wb_disk_load_sample(load, now_ns, &sample);
	wb_cache_add_disk_sample(cache, &sample);
}
