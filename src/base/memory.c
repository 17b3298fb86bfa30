/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGE_BYTES ((size_t)4096)
#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define HUGE_FROM_BYTES ((size_t)4 << 20)	/* less is not worth it */

/* Newer than the oldest headers that we build with. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23		/* Linux 5.14 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25		/* Linux 6.1 */
#endif

static bool is_late;	/* by start-up, before there are threads */

void wb_memory_bring_in_late(void)
{
	is_late = true;
}

static void touch(char *memory)
{
	volatile char *byte = memory;

	*byte = *byte;
}

static void bring_in(char *memory, size_t bytes)
{
	if (!madvise(memory, bytes, MADV_POPULATE_WRITE))
		return;
	for (size_t at = 0; at < bytes; at += PAGE_BYTES)
		touch(memory + at);
}

/* Most systems give shared memory huge pages only when asked afterwards: then there
 * has to be something, and all that there is is copied. So: one page of each. */
static void collapse(char *memory, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += HUGE_PAGE_BYTES)
		touch(memory + at);
	madvise(memory, bytes, MADV_COLLAPSE);
}

/* Of `bytes`, at an address where huge pages can lie. */
static char *map_aligned(int fd, size_t bytes, int flags)
{
	size_t pages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	char *room = mmap(NULL, pages + HUGE_PAGE_BYTES, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;
	char *memory;

	if (room == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)room % HUGE_PAGE_BYTES;
	memory = mmap(room + before, pages, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	if (memory == MAP_FAILED) {
		int saved_errno = errno;

		munmap(room, pages + HUGE_PAGE_BYTES);
		errno = saved_errno;
		return NULL;
	}
	if (before)
		munmap(room, before);
	if (before < HUGE_PAGE_BYTES)
		munmap(memory + pages, HUGE_PAGE_BYTES - before);
	return memory;
}

static void *map(int fd, size_t bytes)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	char *memory;

	if (bytes < HUGE_FROM_BYTES) {
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			      flags | (is_late ? 0 : MAP_POPULATE), fd, 0);
		return memory == MAP_FAILED ? NULL : memory;
	}
	memory = map_aligned(fd, bytes, flags);
	if (!memory)
		return NULL;
	madvise(memory, bytes, MADV_HUGEPAGE);
	if (fd >= 0)
		collapse(memory, bytes / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES);
	if (!is_late)
		bring_in(memory, bytes);
	return memory;
}

void *wb_memory_map(size_t bytes)
{
	return map(-1, bytes);
}

void *wb_memory_map_shared(int fd, size_t bytes)
{
	return map(fd, bytes);
}

void wb_memory_unmap(void *memory, size_t bytes)
{
	munmap(memory, bytes);
}
