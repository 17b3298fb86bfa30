/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/rambuf.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/memory.h"
#include "cache/cache.h"

struct wb_rambuf {
	/* constant after new */
	int memory_fd;			/* of memory of its own, else -1 */
	void *memory;			/* likewise, else NULL */
	size_t memory_bytes;
	struct wb_region *region;
	uint32_t count;			/* with the spare one */

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

static struct wb_rambuf *new_empty(void)
{
	struct wb_rambuf *rambuf = g_new0(struct wb_rambuf, 1);

	rambuf->memory_fd = -1;
	wb_lock_init(&rambuf->lock, WB_RANK_POOL);
	return rambuf;
}

static struct wb_rambuf *fill(struct wb_rambuf *rambuf)
{
	rambuf->count = wb_region_get_shape(rambuf->region).buffer_count;
	rambuf->free = g_new(uint32_t, rambuf->count);
	for (uint32_t i = 0; i < rambuf->count; i++)
		rambuf->free[i] = rambuf->count - 1 - i;
	rambuf->free_count = rambuf->count;
	return rambuf;
}

static gboolean get_memory(struct wb_rambuf *rambuf, size_t bytes, GError **error)
{
	rambuf->memory_bytes = bytes;
	rambuf->memory_fd = memfd_create("wbfs-ram-buffers", MFD_CLOEXEC);
	rambuf->memory = map_shared(rambuf->memory_fd, bytes);
	if (rambuf->memory)
		return TRUE;
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
		    "cannot get %zu MiB of memory for RAM buffers: %s "
		    "(a smaller ram_buffer may help)", bytes >> 20, g_strerror(errno));
	return FALSE;
}

struct wb_rambuf *wb_rambuf_new(const struct wb_cache_memory *memory,
				const struct wb_region_shape *shape, GError **error)
{
	struct wb_rambuf *rambuf = new_empty();
	size_t bytes = wb_region_bytes(shape);

	if (!memory->base && !get_memory(rambuf, bytes, error)) {
		wb_rambuf_free(rambuf);
		return NULL;
	}
	if (memory->base && memory->bytes < bytes) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
			    "the memory for RAM buffers has %zu bytes, and %zu are needed",
			    memory->bytes, bytes);
		wb_rambuf_free(rambuf);
		return NULL;
	}
	rambuf->region = memory->base ? wb_region_new(memory->base, memory->bytes, shape) :
					wb_region_new(rambuf->memory, bytes, shape);
	return fill(rambuf);
}

struct wb_rambuf *wb_rambuf_adopt(const struct wb_cache_memory *memory)
{
	struct wb_rambuf *rambuf = new_empty();

	rambuf->region = wb_region_adopt(memory->base, memory->bytes);
	return fill(rambuf);
}

void wb_rambuf_free(struct wb_rambuf *rambuf)
{
	if (!rambuf)
		return;
	if (rambuf->memory)
		wb_memory_unmap(rambuf->memory, rambuf->memory_bytes);
	if (rambuf->memory_fd >= 0)
		close(rambuf->memory_fd);
	wb_region_free(rambuf->region);
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
	return take(rambuf, WB_RAMBUF_SPARE_COUNT);
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

	return count > WB_RAMBUF_SPARE_COUNT ? count - WB_RAMBUF_SPARE_COUNT : 0;
}

uint32_t wb_rambuf_count(struct wb_rambuf *rambuf)
{
	return rambuf->count - WB_RAMBUF_SPARE_COUNT;
}

struct wb_region *wb_rambuf_region(struct wb_rambuf *rambuf)
{
	return rambuf->region;
}

void *wb_rambuf_block(struct wb_rambuf *rambuf, uint32_t index, uint32_t block)
{
	return wb_region_buffer(rambuf->region, index) + (size_t)block * WB_BLOCK_BYTES;
}
