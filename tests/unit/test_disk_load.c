/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way from a file to its disks, and what their statistics say, in a tree of
 * files that looks like the kernel's. */
#include <criterion/criterion.h>
#include <glib/gstdio.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cmd/disk_load.h"

#define SECOND_NS UINT64_C(1000000000)
#define PERCENT_NS (SECOND_NS / 100)

static char *top, *root;
static struct wb_disk_load load;

static void begin(void)
{
	top = g_dir_make_tmp("disk_load.XXXXXX", NULL);
	cr_assert(top);
	root = g_build_filename(top, "block", NULL);
	cr_assert_eq(g_mkdir(root, 0700), 0);
}

static void end(void)
{
	g_autofree char *command = g_strdup_printf("rm -rf '%s'", top);

	wb_disk_load_clear(&load);
	cr_assert_eq(system(command), 0);
	g_free(root);
	g_free(top);
}

TestSuite(disk_load, .init = begin, .fini = end);

G_GNUC_PRINTF(2, 3) static void put(const char *path, const char *format, ...)
{
	g_autofree char *full = g_build_filename(top, path, NULL);
	g_autofree char *directory = g_path_get_dirname(full);
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	cr_assert_eq(g_mkdir_with_parents(directory, 0700), 0);
	cr_assert(g_file_set_contents(full, text, -1, NULL));
}

/* The entry "8:1" of the tree for what lies at `path`, e.g. "sda/sda1". */
static void link_device(unsigned device, const char *path)
{
	g_autofree char *name = g_strdup_printf("%s/8:%u", root, device);
	g_autofree char *target = g_build_filename(top, path, NULL);
	g_autofree char *dev = g_build_filename(path, "dev", NULL);

	put(dev, "8:%u\n", device);
	cr_assert_eq(symlink(target, name), 0);
}

static void set_times(const char *path, unsigned long reads_ms, unsigned long busy_ms)
{
	g_autofree char *stat_file = g_build_filename(path, "stat", NULL);

	put(stat_file, "%8d %8d %8d %8lu %8d %8d %8d %8d %8d %8lu %8d 0 0 0 0 0 0\n", 1, 2, 3,
	    reads_ms, 5, 6, 7, 8, 0, busy_ms, 11);
}

static void make_disk(unsigned device, const char *path)
{
	set_times(path, 0, 0);
	link_device(device, path);
}

static void make_slave(const char *of, const char *name, const char *path)
{
	g_autofree char *directory = g_build_filename(top, of, "slaves", NULL);
	g_autofree char *link = g_build_filename(directory, name, NULL);
	g_autofree char *target = g_build_filename(top, path, NULL);

	cr_assert_eq(g_mkdir_with_parents(directory, 0700), 0);
	cr_assert_eq(symlink(target, link), 0);
}

static struct stat file_on(unsigned device)
{
	return (struct stat){ .st_mode = S_IFREG, .st_dev = makedev(8, device) };
}

/* A file on a device of the tree. */
static void find(unsigned device)
{
	struct stat backing = file_on(device), cache = file_on(200);

	wb_disk_load_clear(&load);
	wb_disk_load_find(&load, root, &backing, &cache);
	load.sampled_ns = 0;
}

static void expect(unsigned seconds, const char *disk, unsigned busy_percent,
		   unsigned reads_percent)
{
	struct wb_disk_sample sample;

	cr_assert(wb_disk_load_sample(&load, seconds * SECOND_NS, &sample));
	cr_assert_str_eq(sample.disk, disk);
	cr_assert_eq(sample.interval_ns, SECOND_NS);
	cr_assert_eq(sample.busy_ns, busy_percent * PERCENT_NS, "%lu", sample.busy_ns);
	cr_assert_eq(sample.reads_ns, reads_percent * PERCENT_NS, "%lu", sample.reads_ns);
}

Test(disk_load, a_file_counts_by_the_disk_of_its_filesystem_and_a_device_by_itself)
{
	struct stat device = { .st_mode = S_IFBLK, .st_dev = makedev(0, 6),
			       .st_rdev = makedev(8, 0) };
	struct stat cache = file_on(200);

	make_disk(0, "sda");
	find(0);
	set_times("sda", 300, 830);
	expect(1, "sda", 83, 30);
	set_times("sda", 300, 830);
	expect(2, "sda", 0, 0);
	wb_disk_load_clear(&load);
	wb_disk_load_find(&load, root, &device, &cache);
	load.sampled_ns = 0;
	set_times("sda", 400, 1330);
	expect(1, "sda", 50, 10);
}

Test(disk_load, a_partition_counts_by_its_whole_disk)
{
	make_disk(0, "sda");
	make_disk(1, "sda/sda1");
	make_disk(2, "sda/sda2");
	put("sda/sda1/partition", "1\n");
	put("sda/sda2/partition", "2\n");
	find(1);
	set_times("sda/sda1", 0, 100);
	set_times("sda/sda2", 0, 900);
	set_times("sda", 0, 950);
	expect(1, "sda", 95, 0);
}

Test(disk_load, of_several_disks_under_one_device_the_busiest_counts)
{
	make_disk(0, "sda");
	make_disk(1, "sda/sda1");
	put("sda/sda1/partition", "1\n");
	make_disk(16, "sdb");
	make_disk(32, "sdc");
	make_disk(100, "md0");
	make_disk(101, "dm-0");
	make_slave("md0", "sda1", "sda/sda1");
	make_slave("md0", "sdb", "sdb");
	make_slave("dm-0", "md0", "md0");
	make_slave("dm-0", "sdc", "sdc");
	find(101);
	set_times("dm-0", 999, 999);
	set_times("md0", 999, 999);
	set_times("sda", 10, 200);
	set_times("sdb", 20, 700);
	set_times("sdc", 30, 300);
	expect(1, "sdb", 70, 2);
	set_times("sda", 20, 1100);
	set_times("sdb", 20, 800);
	set_times("sdc", 30, 300);
	expect(2, "sda", 90, 1);
}

Test(disk_load, a_loop_device_counts_by_the_disk_under_its_file)
{
	g_autofree char *file = g_build_filename(top, "image", NULL);
	struct stat st;

	put("image", "x");
	cr_assert_eq(stat(file, &st), 0);
	make_disk(70, "loop0");
	put("loop0/loop/backing_file", "%s\n", file);
	/* The real device of that file, as the tree knows it. */
	set_times("disk", 0, 0);
	g_autofree char *name = g_strdup_printf("%s/%u:%u", root, major(st.st_dev),
						minor(st.st_dev));
	g_autofree char *target = g_build_filename(top, "disk", NULL);

	cr_assert_eq(symlink(target, name), 0);
	find(70);
	set_times("loop0", 0, 1000);
	set_times("disk", 0, 400);
	expect(1, "disk", 40, 0);
}

Test(disk_load, a_disk_turns_when_the_kernel_says_so)
{
	make_disk(0, "sda");
	find(0);
	cr_assert_not(wb_disk_load_turns(&load));
	put("sda/queue/rotational", "0\n");
	cr_assert_not(wb_disk_load_turns(&load));
	put("sda/queue/rotational", "1\n");
	cr_assert(wb_disk_load_turns(&load));
	find(9);
	cr_assert_not(wb_disk_load_turns(&load), "who is not known does not");
}

Test(disk_load, a_loop_device_over_what_has_no_disk_counts_by_itself)
{
	make_disk(70, "loop0");
	put("loop0/loop/backing_file", "/nowhere/image (deleted)\n");
	find(70);
	set_times("loop0", 0, 600);
	expect(1, "loop0", 60, 0);
}

Test(disk_load, what_has_no_statistics_is_not_known)
{
	struct wb_disk_sample sample;

	find(9);
	cr_assert_not(wb_disk_load_is_known(&load));
	cr_assert_not(wb_disk_load_sample(&load, SECOND_NS, &sample));
	cr_assert_eq(sample.interval_ns, SECOND_NS);
	cr_assert_eq(sample.busy_ns, 0);
	make_disk(10, "sda");
	put("sda/stat", "1 2 3\n");
	find(10);
	cr_assert_not(wb_disk_load_is_known(&load));
}

Test(disk_load, devices_that_lie_upon_each_other_in_a_ring_end_the_search)
{
	make_disk(1, "dm-1");
	make_disk(2, "dm-2");
	make_slave("dm-1", "dm-2", "dm-2");
	make_slave("dm-2", "dm-1", "dm-1");
	find(1);
	cr_assert(wb_disk_load_is_known(&load));
}

Test(disk_load, a_disk_that_the_cache_uses_too_is_not_asked)
{
	struct stat backing = file_on(1), cache = file_on(2), elsewhere = file_on(16);

	make_disk(0, "sda");
	make_disk(1, "sda/sda1");
	make_disk(2, "sda/sda2");
	make_disk(16, "sdb");
	put("sda/sda1/partition", "1\n");
	put("sda/sda2/partition", "2\n");
	wb_disk_load_find(&load, root, &backing, &cache);
	cr_assert_not(wb_disk_load_is_known(&load));
	wb_disk_load_clear(&load);
	wb_disk_load_find(&load, root, &backing, &elsewhere);
	cr_assert(wb_disk_load_is_known(&load));
}

Test(disk_load, the_kernels_counters_may_wrap_and_a_disk_may_go)
{
	struct wb_disk_sample sample;

	make_disk(0, "sda");
	set_times("sda", UINT32_MAX - 99, UINT32_MAX - 499);
	find(0);
	set_times("sda", 100, 200);
	expect(1, "sda", 70, 20);
	put("sda/stat", " ");
	cr_assert_not(wb_disk_load_sample(&load, 2 * SECOND_NS, &sample));
	cr_assert_eq(sample.busy_ns, 0);
	set_times("sda", 100, 500);
	expect(3, "sda", 30, 0);
}

/* On this machine, whatever it has. */
Test(disk_load, the_disks_of_this_machine_can_be_looked_for)
{
	struct stat here, elsewhere = { .st_mode = S_IFREG };
	struct wb_disk_sample sample;

	cr_assert_eq(stat("/proc/self/exe", &here), 0);
	wb_disk_load_find(&load, NULL, &here, &elsewhere);
	if (wb_disk_load_is_known(&load))
		cr_assert(wb_disk_load_sample(&load, load.sampled_ns + SECOND_NS, &sample));
}
