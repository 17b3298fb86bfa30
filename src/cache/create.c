/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/create.h"

#include <errno.h>
#include <string.h>

#include "base/lock.h"
#include "cache/cache.h"

#define PIECE_BYTES (UINT64_C(1) << 20)
#define DEPTH_ALL 4u
#define DEPTH_HEADERS 64u

/* --- many writes of zeros, side by side ------------------------------------- */

struct zero_write {
	struct wb_io io;		/* first: done() casts */
	struct zeroing *owner;
	struct zero_write *next_free;
};

struct zeroing {
	/* constant */
	struct wb_store *store;
	void *zeros;			/* PIECE_BYTES, shared: nobody writes to it */
	const struct wb_create_params *params;
	uint64_t total_bytes;

	struct wb_lock lock;
	struct wb_cond cond;
	/* under lock */
	struct zero_write *free_writes;
	uint64_t done_bytes;
	int error;			/* the first */
};

static void zero_write_done(struct wb_io *io, int error)
{
	struct zero_write *write = (struct zero_write *)io;
	struct zeroing *z = write->owner;

	wb_lock_acquire(&z->lock);
	if (error && !z->error)
		z->error = error;
	z->done_bytes += io->length_bytes;
	write->next_free = z->free_writes;
	z->free_writes = write;
	wb_cond_signal(&z->cond);
	wb_lock_release(&z->lock);
}

static struct zero_write *take_write(struct zeroing *z)
{
	struct zero_write *write;

	wb_lock_acquire(&z->lock);
	while (!z->free_writes) {
		if (z->store->ops->poll) {
			wb_lock_release(&z->lock);
			g_assert(z->store->ops->poll(z->store));
			wb_lock_acquire(&z->lock);
		} else {
			wb_cond_wait(&z->cond, &z->lock);
		}
	}
	write = z->free_writes;
	z->free_writes = write->next_free;
	wb_lock_release(&z->lock);
	return write;
}

/* FALSE when one before it has failed, or it shall stop. */
static bool zero_piece(struct zeroing *z, uint64_t offset, uint64_t length)
{
	struct zero_write *write = take_write(z);
	uint64_t done_bytes;
	bool is_stopped;
	int error;

	wb_lock_acquire(&z->lock);
	done_bytes = z->done_bytes;
	wb_lock_release(&z->lock);
	is_stopped = z->params->progress &&
		     !z->params->progress(z->params->progress_arg, done_bytes, z->total_bytes);
	wb_lock_acquire(&z->lock);
	if (is_stopped && !z->error)
		z->error = -ECANCELED;
	error = z->error;
	if (error) {
		write->next_free = z->free_writes;
		z->free_writes = write;
	}
	wb_lock_release(&z->lock);
	if (error)
		return false;
	wb_io_prepare(&write->io, WB_IO_WRITE, WB_IO_CLASS_LOG, offset, z->zeros, length,
		      zero_write_done);
	wb_store_submit(z->store, &write->io);
	return true;
}

static void zero_all(struct zeroing *z)
{
	for (uint64_t offset = 0; offset < z->total_bytes; offset += PIECE_BYTES) {
		if (!zero_piece(z, offset, MIN(PIECE_BYTES, z->total_bytes - offset)))
			return;
	}
}

static void zero_headers(struct zeroing *z, const struct wb_geometry *g)
{
	for (uint64_t place = 0; place < g->segment_count; place++) {
		if (!zero_piece(z, wb_geometry_segment_offset(g, place), WB_BLOCK_BYTES))
			return;
	}
}

uint64_t wb_create_erased_bytes(const struct wb_store *store,
				const struct wb_create_params *params,
				const struct wb_geometry *g)
{
	return params->zero_mode == WB_ZERO_ALL ?
		store->size_bytes - store->size_bytes % store->alignment_bytes :
		g->segment_count * WB_BLOCK_BYTES;
}

static int zero_ring(struct wb_store *store, const struct wb_create_params *params,
		     const struct wb_geometry *g)
{
	bool is_all = params->zero_mode == WB_ZERO_ALL;
	unsigned depth = is_all ? DEPTH_ALL : DEPTH_HEADERS;
	struct zero_write *writes = g_new0(struct zero_write, depth);
	struct zeroing z = { .store = store, .params = params };

	z.zeros = g_aligned_alloc0(1, PIECE_BYTES, WB_BLOCK_BYTES);
	z.total_bytes = wb_create_erased_bytes(store, params, g);
	wb_lock_init(&z.lock, WB_RANK_STORE);
	wb_cond_init(&z.cond);
	for (unsigned i = 0; i < depth; i++) {
		writes[i].owner = &z;
		writes[i].next_free = z.free_writes;
		z.free_writes = &writes[i];
	}
	if (is_all)
		zero_all(&z);
	else
		zero_headers(&z, g);
	for (unsigned i = 0; i < depth; i++)	/* for good: none is in flight then */
		take_write(&z);
	if (!z.error && params->progress)
		params->progress(params->progress_arg, z.total_bytes, z.total_bytes);
	wb_cond_clear(&z.cond);
	wb_lock_clear(&z.lock);
	g_aligned_free(z.zeros);
	g_free(writes);
	return z.error;
}

/* --- superblocks ---------------------------------------------------------- */

static int destroy_superblocks(struct wb_store *store)
{
	void *block = g_aligned_alloc0(1, WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	int error = 0;

	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT && !error; i++)
		error = wb_store_write_sync(store, wb_superblock_offset(i), block,
					    WB_BLOCK_BYTES);
	g_aligned_free(block);
	return error ? error : wb_store_flush_sync(store);
}

/* One copy at a time, each flushed before the other is touched. */
int wb_create_write_superblocks(struct wb_store *store, struct wb_superblock *superblock)
{
	void *block = g_aligned_alloc0(1, WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	int error = 0;

	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT && !error; i++) {
		superblock->generation++;
		wb_superblock_encode(superblock, block);
		error = wb_store_write_sync(store, wb_superblock_offset(i), block,
					    WB_BLOCK_BYTES);
		if (!error)
			error = wb_store_flush_sync(store);
	}
	g_aligned_free(block);
	return error;
}

static void fill_superblock(struct wb_superblock *s, const struct wb_create_params *params,
			    const struct wb_geometry *geometry)
{
	*s = (struct wb_superblock){
		.geometry = *geometry,
		.state_flags = WB_STATE_CLEAN,
		.tail_segment = 1,
		.tail_sequence = 1,
		.backing_mark_kind = params->backing_mark_kind,
	};
	memcpy(s->uuid, params->uuid, sizeof s->uuid);
	memcpy(s->backing_mark, params->backing_mark, sizeof s->backing_mark);
	if (params->backing_path)
		g_strlcpy(s->backing_path, params->backing_path, sizeof s->backing_path);
}

int wb_create_erase(struct wb_store *store, const struct wb_create_params *params,
		    const struct wb_geometry *geometry, const char **doing)
{
	int error;

	*doing = "destroying the old superblocks";
	error = destroy_superblocks(store);
	if (error)
		return error;
	*doing = "writing zeros";
	error = zero_ring(store, params, geometry);
	/* For certain before there is a superblock: a header of an earlier life behind
	 * a valid one would be looked at. */
	return error ? error : wb_store_flush_sync(store);
}

static int lay_out(struct wb_store *store, const struct wb_create_params *params,
		   const struct wb_geometry *geometry, const char **doing)
{
	struct wb_superblock superblock;
	int error;

	fill_superblock(&superblock, params, geometry);
	superblock.counters[WB_COUNTER_SSD_WRITTEN_BYTES] =
		wb_create_erased_bytes(store, params, geometry);
	error = wb_create_erase(store, params, geometry, doing);
	if (error)
		return error;
	*doing = "writing the superblocks";
	return wb_create_write_superblocks(store, &superblock);
}

gboolean wb_create(struct wb_store *cache_store, const struct wb_create_params *params,
		   GError **error)
{
	struct wb_geometry geometry;
	enum wb_geometry_verdict verdict = wb_geometry_compute(&geometry,
			cache_store->size_bytes, params->segment_bytes, params->backing_bytes);
	const char *doing;
	int result;

	if (verdict != WB_GEOMETRY_OK) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT, "%s: %s",
			    cache_store->label, wb_geometry_verdict_text(verdict));
		return FALSE;
	}
	result = lay_out(cache_store, params, &geometry, &doing);
	if (result) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_IO, "%s: %s failed: %s",
			    cache_store->label, doing, g_strerror(-result));
		return FALSE;
	}
	return TRUE;
}
