/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmap() and munmap() for a program that opens a million caches, one after the
 * other: what the core maps for its tables and buffers, and a disk for its bytes, is
 * kept and given out again, as zeros. Without it the kernel's work for fresh pages is most of what
 * a simulated life costs. For one thread. The RAM buffers' shared mapping gets
 * the same memory: nobody else looks at it here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The sanitizers have an mmap() of their own. */
#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
	!HAS_FEATURE(address_sanitizer) && !HAS_FEATURE(thread_sanitizer)

#define KEPT_MAX 64u

static struct kept {
	void *memory;
	size_t bytes;
	bool is_out;
} kept[KEPT_MAX];

static void *map_for_good(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, addr, bytes, prot, flags, fd, offset);
}

static void *give_again(size_t bytes)
{
	for (unsigned i = 0; i < KEPT_MAX; i++) {
		if (kept[i].is_out || kept[i].bytes < bytes || kept[i].bytes > 2 * bytes)
			continue;
		kept[i].is_out = true;
		return memset(kept[i].memory, 0, bytes);
	}
	return NULL;
}

/* A place for a new one, where need be that of one that nobody uses. */
static struct kept *find_place(void)
{
	static unsigned next;

	for (unsigned n = 0; n < KEPT_MAX; n++) {
		struct kept *place = &kept[next++ % KEPT_MAX];

		if (place->is_out)
			continue;
		if (place->memory)
			syscall(SYS_munmap, place->memory, place->bytes);
		return place;
	}
	return NULL;
}

void *mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	struct kept *place;
	void *memory;

	if (addr || prot == PROT_NONE || ((flags & MAP_SHARED) && !(flags & MAP_POPULATE)))
		return map_for_good(addr, bytes, prot, flags, fd, offset);
	memory = give_again(bytes);
	if (memory)
		return memory;
	memory = map_for_good(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			      -1, 0);
	place = memory == MAP_FAILED ? NULL : find_place();
	if (place)
		*place = (struct kept){ .memory = memory, .bytes = bytes, .is_out = true };
	return memory;
}

int munmap(void *addr, size_t bytes)
{
	for (unsigned i = 0; i < KEPT_MAX; i++) {
		if (kept[i].is_out && kept[i].memory == addr) {
			kept[i].is_out = false;
			return 0;
		}
	}
	return (int)syscall(SYS_munmap, addr, bytes);
}

#endif
