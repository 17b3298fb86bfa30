/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies of images where the source has holes, bad sectors, or a filesystem
 * that does not do the copying itself. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/image_copy.h"

#define UNIT 4096u
#define BYTES (40 * UNIT + 512)

/* --- a disk that fails: these stand before those of the C library ------------- */

static int bad_fd = -1;
static off_t bad_offset = -1;
static int hand_over_errno;

ssize_t pread(int fd, void *data, size_t length, off_t offset)
{
	if (fd == bad_fd && offset <= bad_offset && bad_offset < offset + (off_t)length) {
		errno = EIO;
		return -1;
	}
	return (ssize_t)syscall(SYS_pread64, fd, data, length, offset);
}

ssize_t copy_file_range(int from, off_t *from_offset, int to, off_t *to_offset, size_t length,
			unsigned flags)
{
	if (hand_over_errno) {
		errno = hand_over_errno;
		return -1;
	}
	return (ssize_t)syscall(SYS_copy_file_range, from, from_offset, to, to_offset, length,
				flags);
}

/* The copying is what is tested here, not the filesystem's. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (request == FICLONE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

/* --- a source and its copy ------------------------------------------------------ */

static int from, to;
static uint8_t content[BYTES];
static uint64_t lost_at, lost_bytes;
static unsigned lost_count;

static int make_file(void)
{
	char path[] = "/var/tmp/wbfs-image-copy.XXXXXX";
	int fd = mkstemp(path);

	cr_assert(fd >= 0);
	unlink(path);
	return fd;
}

/* Data, a hole of twenty units, data, zeros that are written, data. */
static void start(void)
{
	for (unsigned i = 0; i < BYTES; i++)
		content[i] = (uint8_t)(1 + i / 512 % 200);
	memset(content + 8 * UNIT, 0, 20 * UNIT);
	memset(content + 32 * UNIT, 0, 2 * UNIT);
	from = make_file();
	to = make_file();
	cr_assert_eq(pwrite(from, content, 8 * UNIT, 0), 8 * UNIT);
	cr_assert_eq(pwrite(from, content + 28 * UNIT, BYTES - 28 * UNIT, 28 * UNIT),
		     BYTES - 28 * UNIT);
	lost_count = 0;
}

static void stop(void)
{
	close(from);
	close(to);
}

TestSuite(image_copy, .init = start, .fini = stop);

static void on_unreadable(void *arg, uint64_t offset, uint64_t length)
{
	(void)arg;
	lost_count++;
	lost_at = offset;
	lost_bytes = length;
}

static void copy(uint64_t bytes)
{
	struct wb_image_copy params = {
		.from_path = "from", .to_path = "to", .from = from, .to = to,
		.bytes = bytes, .unreadable = on_unreadable,
	};
	g_autoptr(GError) error = NULL;
	uint8_t found[BYTES + 1];

	cr_assert(wb_image_copy(&params, &error), "%s", error ? error->message : "");
	cr_assert_eq(pread(to, found, sizeof found, 0), (ssize_t)bytes);
	cr_assert(!memcmp(found, content, bytes));
}

static bool is_hole(unsigned unit)
{
	return lseek(to, (off_t)unit * UNIT, SEEK_HOLE) == (off_t)unit * UNIT;
}

Test(image_copy, has_the_content_of_the_source)
{
	copy(BYTES);
	cr_expect(is_hole(10) && !is_hole(30));
}

Test(image_copy, of_a_part_ends_there)
{
	copy(35 * UNIT + 512);
}

Test(image_copy, by_hand_leaves_holes_where_the_source_has_zeros)
{
	hand_over_errno = EXDEV;
	copy(BYTES);
	cr_expect(is_hole(10) && !is_hole(30) && is_hole(32));
}

Test(image_copy, loses_no_more_than_the_unit_that_cannot_be_read)
{
	hand_over_errno = EIO;
	bad_fd = from;
	bad_offset = 30 * UNIT + 700;
	memset(content + 30 * UNIT, 0, UNIT);
	copy(BYTES);
	cr_expect_eq(lost_count, 1);
	cr_expect_eq(lost_at, 30 * UNIT);
	cr_expect_eq(lost_bytes, UNIT);
}

Test(image_copy, that_cannot_be_written_says_where)
{
	int other = dup(to);
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", other);
	g_autoptr(GError) error = NULL;
	struct wb_image_copy params = {
		.from_path = "from", .to_path = "the target", .from = from,
		.bytes = BYTES, .unreadable = on_unreadable,
	};

	params.to = open(path, O_RDONLY);
	cr_assert_not(wb_image_copy(&params, &error));
	cr_assert(strstr(error->message, "the target"), "%s", error->message);
	close(params.to);
	close(other);
}

static bool stop_at_once(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
	*(uint64_t *)arg = total_bytes;
	return done_bytes > 0;
}

Test(image_copy, that_is_stopped_is_no_whole_copy_and_says_so)
{
	uint64_t total_bytes = 0;
	g_autoptr(GError) error = NULL;
	struct wb_image_copy params = {
		.from_path = "from", .to_path = "the target", .from = from, .to = to,
		.bytes = BYTES, .unreadable = on_unreadable,
		.progress = stop_at_once, .progress_arg = &total_bytes,
	};

	cr_assert_not(wb_image_copy(&params, &error));
	cr_expect_str_eq(error->message, "the copy the target was stopped before its end");
	cr_expect_eq(total_bytes, BYTES);
}
