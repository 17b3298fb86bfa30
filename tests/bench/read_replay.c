/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "read_replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/ondisk.h"

#define REQUEST_BLOCKS_MAX 1024u

static bool do_access(int fd, struct access access, guint count, void *buffer)
{
	off_t offset = (off_t)access.address * WB_BLOCK_BYTES;
	size_t length = (size_t)count * WB_BLOCK_BYTES;
	ssize_t done = access.is_write ? pwrite(fd, buffer, length, offset) :
					 pread(fd, buffer, length, offset);

	if (done == (ssize_t)length)
		return true;
	fprintf(stderr, "read_bench: block %u cannot be %s: %s\n", (unsigned)access.address,
		access.is_write ? "written" : "read",
		done < 0 ? strerror(errno) : "it lies behind the end");
	return false;
}

/* How many of the accesses from `at` on are one request. */
static guint length_of(const struct trace *trace, guint at, enum replay_unit unit)
{
	guint count = 1;

	while (unit == REPLAY_REQUESTS && at + count < trace->end && count < REQUEST_BLOCKS_MAX &&
	       !g_array_index(trace->accesses, struct access, at + count).is_start)
		count++;
	return count;
}

static bool do_all(const struct trace *trace, int fd, enum replay_unit unit)
{
	void *buffer = NULL;
	bool ok = true;

	if (posix_memalign(&buffer, WB_BLOCK_BYTES, REQUEST_BLOCKS_MAX * WB_BLOCK_BYTES) != 0)
		abort();
	memset(buffer, 0x5a, REQUEST_BLOCKS_MAX * WB_BLOCK_BYTES);
	for (guint i = trace->begin, count; i < trace->end && ok; i += count) {
		count = length_of(trace, i, unit);
		ok = do_access(fd, g_array_index(trace->accesses, struct access, i), count, buffer);
	}
	free(buffer);
	return ok;
}

bool replay(const struct trace *trace, const char *path, enum replay_unit unit, double *seconds)
{
	/* Below the page cache, as the trace was recorded. */
	int fd = open(path, O_RDWR | O_DIRECT);
	gint64 began = g_get_monotonic_time();
	bool ok;

	if (fd < 0) {
		fprintf(stderr, "read_bench: %s: %s\n", path, strerror(errno));
		return false;
	}
	ok = do_all(trace, fd, unit);
	if (ok && fdatasync(fd) != 0) {
		fprintf(stderr, "read_bench: %s cannot be synced: %s\n", path, strerror(errno));
		ok = false;
	}
	*seconds = (double)(g_get_monotonic_time() - began) / G_USEC_PER_SEC;
	close(fd);
	return ok;
}
