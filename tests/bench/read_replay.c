/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "read_replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/ondisk.h"

/* The traces have lost their flushes. Without any, the log gives no place free but in
 * haste, and what is read finds none. */
#define SYNC_EVERY 32u

static bool do_access(int fd, struct access access, void *buffer)
{
	off_t offset = (off_t)access.address * WB_BLOCK_BYTES;
	ssize_t done = access.is_write ? pwrite(fd, buffer, WB_BLOCK_BYTES, offset) :
					 pread(fd, buffer, WB_BLOCK_BYTES, offset);

	if (done == WB_BLOCK_BYTES)
		return true;
	fprintf(stderr, "read_bench: block %u cannot be %s: %s\n", (unsigned)access.address,
		access.is_write ? "written" : "read",
		done < 0 ? strerror(errno) : "it lies behind the end");
	return false;
}

bool replay(const struct trace *trace, const char *path)
{
	/* Below the page cache, as the trace was recorded. */
	int fd = open(path, O_RDWR | O_DIRECT);
	void *buffer = NULL;
	bool ok = true;

	if (fd < 0) {
		fprintf(stderr, "read_bench: %s: %s\n", path, strerror(errno));
		return false;
	}
	if (posix_memalign(&buffer, WB_BLOCK_BYTES, WB_BLOCK_BYTES) != 0)
		abort();
	memset(buffer, 0x5a, WB_BLOCK_BYTES);
	for (guint i = 0; i < trace->accesses->len && ok; i++)
		ok = do_access(fd, g_array_index(trace->accesses, struct access, i), buffer) &&
		     (i % SYNC_EVERY != 0 || fdatasync(fd) == 0);
	free(buffer);
	close(fd);
	return ok;
}
