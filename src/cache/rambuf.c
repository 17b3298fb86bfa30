/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/rambuf.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/memory.h"
#include "cache/cache.h"

#define SPARE_COUNT 1u

struct wb_rambuf {
	/* constant after new */
	int memory_fd;
	char *memory;
	uint32_t count;			/* with the spare one */
	uint32_t segment_bytes;

	struct wb_lock lock;
	uint32_t *free;			/* under lock: a stack of indexes */
	_Atomic uint32_t free_count;	/* written under lock */
};

static char *map_shared(int fd, size_t bytes)
{
	if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
		return NULL;
	return wb_memory_map_shared(fd, bytes);
}

struct wb_rambuf *wb_rambuf_new(uint32_t count, uint32_t segment_bytes, GError **error)
{
	struct wb_rambuf *rambuf = g_new0(struct wb_rambuf, 1);
	size_t bytes;

	count += SPARE_COUNT;
	bytes = (size_t)count * segment_bytes;
	rambuf->count = count;
	rambuf->segment_bytes = segment_bytes;
	rambuf->memory_fd = memfd_create("wbfs-ram-buffers", MFD_CLOEXEC);
	rambuf->memory = map_shared(rambuf->memory_fd, bytes);
	if (!rambuf->memory) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
			    "cannot get %zu MiB of memory for RAM buffers: %s "
			    "(a smaller ram_buffer may help)", bytes >> 20,
			    g_strerror(errno));
		if (rambuf->memory_fd >= 0)
			close(rambuf->memory_fd);
		g_free(rambuf);
		return NULL;
	}
	wb_lock_init(&rambuf->lock, WB_RANK_POOL);
	rambuf->free = g_new(uint32_t, count);
	for (uint32_t i = 0; i < count; i++)
		rambuf->free[i] = count - 1 - i;
	rambuf->free_count = count;
	return rambuf;
}

void wb_rambuf_free(struct wb_rambuf *rambuf)
{
	if (!rambuf)
		return;
	wb_memory_unmap(rambuf->memory, (size_t)rambuf->count * rambuf->segment_bytes);
	close(rambuf->memory_fd);
	wb_lock_clear(&rambuf->lock);
	g_free(rambuf->free);
	g_free(rambuf);
}

static uint32_t take(struct wb_rambuf *rambuf, uint32_t kept)
{
	uint32_t index = WB_NO_RAM_BUFFER;

	wb_lock_acquire(&rambuf->lock);
	if (rambuf->free_count > kept)
		index = rambuf->free[--rambuf->free_count];
	wb_lock_release(&rambuf->lock);
	return index;
}

uint32_t wb_rambuf_take(struct wb_rambuf *rambuf)
{
	return take(rambuf, SPARE_COUNT);
}

uint32_t wb_rambuf_take_spare(struct wb_rambuf *rambuf)
{
	return take(rambuf, 0);
}

void wb_rambuf_give_back(struct wb_rambuf *rambuf, uint32_t index)
{
	wb_lock_acquire(&rambuf->lock);
	g_assert(index < rambuf->count && rambuf->free_count < rambuf->count);
	rambuf->free[rambuf->free_count++] = index;
	wb_lock_release(&rambuf->lock);
}

uint32_t wb_rambuf_free_count(struct wb_rambuf *rambuf)
{
	uint32_t count = atomic_load(&rambuf->free_count);

	return count > SPARE_COUNT ? count - SPARE_COUNT : 0;
}

uint32_t wb_rambuf_count(struct wb_rambuf *rambuf)
{
	return rambuf->count - SPARE_COUNT;
}

void *wb_rambuf_block(struct wb_rambuf *rambuf, uint32_t index, uint32_t block)
{
	g_assert(index < rambuf->count);
	return rambuf->memory + (size_t)index * rambuf->segment_bytes +
	       (size_t)block * WB_BLOCK_BYTES;
}
