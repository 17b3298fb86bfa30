/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory of the RAM buffers, which the keeper holds, as this worker sees it. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "cmd/kept.h"
#include "cmd/report.h"

static bool fail(GError **error, size_t bytes)
{
	return wb_fail_errno(error, "the keeper has no %zu MiB of memory for RAM buffers (a "
			     "smaller ram_buffer may help)", bytes >> 20);
}

static bool map(struct wb_kept *kept, size_t bytes, struct wb_cache_memory *memory, GError **error)
{
	*memory = (struct wb_cache_memory){
		.base = wb_memory_map_shared(kept->memory_fd, bytes),
		.bytes = bytes,
		.is_left = true,
	};
	return memory->base || fail(error, bytes);
}

/* What nobody needs any more may have been for other buffers or of another layout. */
bool wb_kept_map_memory(struct wb_kept *kept, uint64_t ram_buffer_bytes, uint32_t segment_bytes,
			struct wb_cache_memory *memory, GError **error)
{
	size_t bytes = wb_cache_memory_bytes(ram_buffer_bytes, segment_bytes,
					     WB_FUSE_REQUESTS_MAX);
	struct stat st;

	if (fstat(kept->memory_fd, &st) < 0)
		return fail(error, bytes);
	if (st.st_size && !map(kept, (size_t)st.st_size, memory, error))
		return false;
	if (st.st_size && ((size_t)st.st_size == bytes ||
			   wb_cache_memory_look(memory, NULL) != WB_CACHE_MEMORY_EMPTY))
		return true;
	if (st.st_size)
		wb_memory_unmap(memory->base, memory->bytes);
	if (ftruncate(kept->memory_fd, 0) < 0 || ftruncate(kept->memory_fd, (off_t)bytes) < 0)
		return fail(error, bytes);
	return map(kept, bytes, memory, error);
}

bool wb_kept_has_memory(const struct wb_kept *kept)
{
	struct stat st;

	return fstat(kept->memory_fd, &st) < 0 || st.st_size > 0;
}

bool wb_kept_save_memory(struct wb_kept *kept, struct wb_store *cache_store, GError **error)
{
	struct wb_cache_config config = { .cache_store = cache_store };
	struct stat st;
	bool ok;

	if (fstat(kept->memory_fd, &st) < 0)
		return wb_fail_errno(error, "the memory of the RAM buffers cannot be looked at");
	if (!map(kept, (size_t)st.st_size, &config.memory, error))
		return false;
	ok = wb_cache_save_memory(&config, error);
	wb_memory_unmap(config.memory.base, config.memory.bytes);
	return ok;
}
