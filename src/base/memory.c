/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

void wb_memory_bring_in(void *memory, size_t bytes)
{
	if (!madvise(memory, bytes, MADV_POPULATE_WRITE))
		return;
	for (size_t at = 0; at < bytes; at += PAGE_BYTES)
		touch((char *)memory + at);
}

void wb_memory_keep_from_children(void *memory, size_t bytes)
{
	(void)madvise(memory, bytes, MADV_DONTFORK);
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
		wb_memory_bring_in(memory, bytes);
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

/* --- for a while ------------------------------------------------------------------- */

#define LEFT_TO_OTHERS 8u		/* one part in so many of all memory */

/* 0: not known. */
static uint64_t kib_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* By the system's own guess of what could be used without swapping. */
static bool can_spare(size_t bytes)
{
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	char text[512];
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	if (length <= 0)
		return false;
	text[length] = '\0';
	return kib_of(text, "MemAvailable:") >= kib_of(text, "MemTotal:") / LEFT_TO_OTHERS +
						(bytes >> 10);
}

void *wb_memory_borrow(size_t bytes)
{
	void *memory;

	if (!can_spare(bytes))
		return NULL;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	/* Unlike a page fault it says when there is none. */
	if (!madvise(memory, bytes, MADV_POPULATE_WRITE))
		return memory;
	munmap(memory, bytes);
	return NULL;
}

void wb_memory_unmap(void *memory, size_t bytes)
{
	munmap(memory, bytes);
}
