/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/writeback.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checksum.h"
#include "cache/cache.h"
#include "cache/limits.h"
#include "cache/writeback_plan.h"

#define BLOCK WB_BLOCK_BYTES
#define SEGMENTS_PER_BATCH_MAX 64u
/* A disk that cannot punch writes zeros: a piece grows while it is cheap. */
#define ZERO_PIECE_BYTES_MIN (UINT64_C(4) << 20)
#define ZERO_PIECE_BYTES_MAX (UINT64_C(1) << 30)
#define ZERO_PIECE_CHEAP_NS (UINT64_C(20) * 1000 * 1000)
#define ZERO_PIECE_DEAR_NS (UINT64_C(200) * 1000 * 1000)
#define ZERO_DEPTH 4u
#define ZERO_TIME_NS (UINT64_C(1000) * 1000 * 1000)	/* of one batch */

enum stage { IDLE, ZERO, READ, MERGE, WRITE, FLUSH, COMMIT };

struct batch_io {
	struct wb_writeback *writeback;
	bool is_used;			/* worker only */
	atomic_bool has_ended;
	int error;
	size_t first_block, block_count;	/* of the batch */
	uint64_t begun_ns;		/* of a punch */
	char *scratch;			/* one block, for MERGE */
	struct iovec *iov;		/* WB_WRITEBACK_JOIN_BLOCKS entries */
	struct wb_io io;
};

struct wb_writeback {
	/* constant after new */
	struct wb_writeback_deps deps;
	void (*kick)(void *arg);
	void (*zeros_done)(void *arg);
	void *arg;
	uint32_t batch_blocks;
	char *memory;			/* batch_blocks blocks, then scratch */
	struct iovec *iovs;
	struct wb_batch_block *blocks;

	/* worker only */
	_Atomic enum stage stage;	/* read by others as a hint */
	size_t block_count;
	uint32_t buffer_used;		/* blocks */
	uint64_t durable;		/* when the batch was selected */
	struct wb_segment *pinned[SEGMENTS_PER_BATCH_MAX];
	unsigned pinned_count;
	size_t next;			/* next block of the stage */
	unsigned next_sector;
	uint64_t next_zero;		/* discards before this block are done */
	uint64_t zeros_until_ns;	/* no new punch after this */
	uint64_t zero_piece_bytes;	/* of the next one */
	unsigned zeros_in_flight;
	bool has_zeros;
	bool has_bad;			/* blocks that failed before are in it */
	bool found_bad;			/* and this time */
	bool found_new_bad;		/* and did not before */
	uint64_t bad_retry_at_ns;
	int error;			/* of the batch */
	uint64_t retry_at_ns;
	atomic_bool is_abandoned;
	_Atomic unsigned failures;
	_Atomic unsigned bad_tries;	/* in a row that found bad blocks */
	atomic_bool is_stuck;
	atomic_bool retry_bad_now;
	_Atomic unsigned completions;	/* threads inside io_done() */
	struct batch_io ios[WB_WRITEBACK_DEPTH];
};

static size_t memory_bytes(const struct wb_writeback *writeback)
{
	return ((size_t)writeback->batch_blocks + WB_WRITEBACK_DEPTH) * BLOCK;
}

struct wb_writeback *wb_writeback_new(const struct wb_writeback_deps *deps, GError **error)
{
	struct wb_writeback *writeback = g_new0(struct wb_writeback, 1);
	size_t bytes;

	writeback->deps = *deps;
	/* No more than there can be. */
	writeback->batch_blocks = MIN(WB_BATCH_BLOCKS, deps->geometry.slot_count);
	bytes = memory_bytes(writeback);
	writeback->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (writeback->memory == MAP_FAILED) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
			    "cannot get %zu MiB of memory for writeback: %s", bytes >> 20,
			    g_strerror(errno));
		g_free(writeback);
		return NULL;
	}
	writeback->iovs = g_new0(struct iovec, WB_WRITEBACK_DEPTH * WB_WRITEBACK_JOIN_BLOCKS);
	writeback->blocks = g_new0(struct wb_batch_block, writeback->batch_blocks);
	writeback->zero_piece_bytes = ZERO_PIECE_BYTES_MIN;
	for (unsigned i = 0; i < WB_WRITEBACK_DEPTH; i++) {
		writeback->ios[i].writeback = writeback;
		writeback->ios[i].scratch = writeback->memory +
					    ((size_t)writeback->batch_blocks + i) * BLOCK;
		writeback->ios[i].iov = writeback->iovs + i * WB_WRITEBACK_JOIN_BLOCKS;
	}
	return writeback;
}

void wb_writeback_free(struct wb_writeback *writeback)
{
	if (!writeback)
		return;
	g_assert(writeback->stage == IDLE);
	munmap(writeback->memory, memory_bytes(writeback));
	g_free(writeback->iovs);
	g_free(writeback->blocks);
	g_free(writeback);
}

void wb_writeback_set_callbacks(struct wb_writeback *writeback, void (*kick)(void *arg),
				void (*zeros_done)(void *arg), void *arg)
{
	writeback->kick = kick;
	writeback->zeros_done = zeros_done;
	writeback->arg = arg;
}

bool wb_writeback_is_idle(struct wb_writeback *writeback)
{
	return writeback->stage == IDLE;
}

unsigned wb_writeback_failures(struct wb_writeback *writeback)
{
	return atomic_load(&writeback->failures);
}

bool wb_writeback_is_stuck(struct wb_writeback *writeback)
{
	return atomic_load(&writeback->is_stuck);
}

bool wb_writeback_is_settled(struct wb_writeback *writeback)
{
	return wb_writeback_is_idle(writeback) && atomic_load(&writeback->completions) == 0;
}

void wb_writeback_retry_bad(struct wb_writeback *writeback)
{
	atomic_store(&writeback->bad_tries, 0);
	atomic_store(&writeback->retry_bad_now, true);
}

unsigned wb_writeback_bad_tries(struct wb_writeback *writeback)
{
	return atomic_load(&writeback->bad_tries);
}

void wb_writeback_abandon(struct wb_writeback *writeback)
{
	atomic_store(&writeback->is_abandoned, true);
}

/* --- I/O of a batch ---------------------------------------------------------- */

static void io_done(struct wb_io *io, int error)
{
	struct batch_io *batch_io =
		(struct batch_io *)((char *)io - offsetof(struct batch_io, io));
	struct wb_writeback *writeback = batch_io->writeback;

	atomic_fetch_add(&writeback->completions, 1);
	batch_io->error = error;
	atomic_store(&batch_io->has_ended, true);
	/* From here on the worker may use it again. */
	if (writeback->kick)
		writeback->kick(writeback->arg);
	atomic_fetch_sub(&writeback->completions, 1);
}

static struct batch_io *take_io(struct wb_writeback *writeback)
{
	for (unsigned i = 0; i < WB_WRITEBACK_DEPTH; i++) {
		struct batch_io *io = &writeback->ios[i];

		if (!io->is_used) {
			io->is_used = true;
			atomic_store(&io->has_ended, false);
			return io;
		}
	}
	return NULL;
}

static bool has_io(const struct wb_writeback *writeback)
{
	for (unsigned i = 0; i < WB_WRITEBACK_DEPTH; i++) {
		if (writeback->ios[i].is_used)
			return true;
	}
	return false;
}

static char *batch_memory(struct wb_writeback *writeback, uint32_t buffer_block)
{
	return writeback->memory + (size_t)buffer_block * BLOCK;
}

/* Ended I/O is looked at by `ended`, on the worker. */
static bool collect(struct wb_writeback *writeback,
		    void (*ended)(struct wb_writeback *, struct batch_io *))
{
	bool any = false;

	for (unsigned i = 0; i < WB_WRITEBACK_DEPTH; i++) {
		struct batch_io *io = &writeback->ios[i];

		if (!io->is_used || !atomic_load(&io->has_ended))
			continue;
		io->is_used = false;
		ended(writeback, io);
		any = true;
	}
	return any;
}

static void backing_ended(struct wb_writeback *writeback, struct batch_io *io)
{
	static const char *const verbs[] = {
		[WB_IO_READ] = "reading", [WB_IO_WRITE] = "writing",
		[WB_IO_FLUSH] = "flushing", [WB_IO_ZERO] = "punching",
	};

	if (!io->error)
		return;
	writeback->error = io->error;
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_BACKING_ERRORS, 1);
	wb_message_set(writeback->deps.message,
		       "backing %s: %s %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
		       " failed: %s", writeback->deps.backing_store->label, verbs[io->io.op],
		       io->io.length_bytes, io->io.offset_bytes, g_strerror(-io->error));
}

/* --- SELECT -------------------------------------------------------------------- */

/* Blocks that failed their check are tried again after growing pauses. */
struct bad_policy {
	bool are_taken, were_seen;
};

/* How many blocks of the segment may be looked at: only durable records. The
 * head may get a new record at any moment; what it had when `durable` covered
 * all of it ends at the head's next block of that time. */
static uint32_t blocks_to_take(struct wb_writeback *writeback, uint64_t id,
			       const struct wb_log_head *head)
{
	struct wb_segment *segment = wb_segment_of_id(writeback->deps.segments, id);

	if (atomic_load(&segment->id) != id || atomic_load(&segment->dirty_count) == 0)
		return 0;
	if (id == head->segment_id)
		return !head->has_open_record && head->last_sequence <= writeback->durable ?
		       head->next_block : 0;
	return segment->last_sequence <= writeback->durable ?
	       writeback->deps.geometry.segment_blocks : 0;
}

/* Takes the dirty blocks among the first `limit` of a segment as far as memory
 * goes, with the gaps that one long read brings along. FALSE: full. */
static bool take_segment(struct wb_writeback *writeback, uint64_t id, uint32_t limit,
			 struct bad_policy *bad)
{
	const struct wb_geometry *g = &writeback->deps.geometry;
	uint32_t first = wb_geometry_slot(g, wb_geometry_place(g, id), 0);
	uint32_t last_slot = WB_NO_SLOT;

	for (uint32_t i = 0; i < limit; i++) {
		struct wb_batch_block *block = &writeback->blocks[writeback->block_count];
		struct wb_mapping mapping;
		uint32_t step = 1;

		wb_block_map_peek(writeback->deps.map, first + i, &mapping);
		if (mapping.state == WB_SLOT_BAD)
			bad->were_seen = true;
		if (mapping.state != WB_SLOT_DIRTY &&
		    !(mapping.state == WB_SLOT_BAD && bad->are_taken))
			continue;
		writeback->has_bad |= mapping.state == WB_SLOT_BAD;
		if (last_slot != WB_NO_SLOT &&
		    first + i - last_slot - 1 <= WB_WRITEBACK_GAP_BLOCKS)
			step = first + i - last_slot;
		if (writeback->buffer_used + step > writeback->batch_blocks)
			return false;
		writeback->buffer_used += step;
		*block = (struct wb_batch_block){
			.address = mapping.address, .slot = first + i,
			.buffer_block = writeback->buffer_used - 1, .mask = mapping.mask,
			.full_mask = wb_geometry_block_mask(g, mapping.address),
			.was_bad = mapping.state == WB_SLOT_BAD,
		};
		writeback->block_count++;
		last_slot = first + i;
	}
	return true;
}

static void unpin_all(struct wb_writeback *writeback)
{
	while (writeback->pinned_count > 0)
		wb_segment_unpin(writeback->deps.segments,
				 writeback->pinned[--writeback->pinned_count]);
}

/* Nothing that a drain could still do something about. */
static bool only_lost_data_is_left(struct wb_writeback *writeback,
				   const struct bad_policy *bad)
{
	if (bad->were_seen)
		return writeback->bad_tries >= WB_DRAIN_FAILURES_MAX;
	return wb_segment_table_dirty(writeback->deps.segments) > 0 &&
	       wb_segment_table_dirty(writeback->deps.segments) ==
		       wb_extent_table_bad_count(writeback->deps.extents);
}

/* The oldest first. A slot that is peeked as dirty may be superseded at any
 * moment; writing that version is harmless (it is durable, and the newer one
 * stays dirty), and COMMIT asks the map again. */
static bool select_batch(struct wb_writeback *writeback, enum wb_writeback_wish wish)
{
	struct wb_log_head head;
	uint64_t id = wb_tail_current(writeback->deps.tail).segment;
	struct wb_extent extent;
	struct bad_policy bad = {
		.are_taken = atomic_exchange(&writeback->retry_bad_now, false) ||
			     wb_clock_now_ns(writeback->deps.clock) >=
				     writeback->bad_retry_at_ns,
	};

	writeback->has_bad = false;
	writeback->durable = wb_log_durable(writeback->deps.log);
	wb_log_get_head(writeback->deps.log, &head);
	writeback->block_count = 0;
	writeback->buffer_used = 0;
	for (; id <= head.segment_id && writeback->pinned_count < SEGMENTS_PER_BATCH_MAX; id++) {
		struct wb_segment *segment = wb_segment_of_id(writeback->deps.segments, id);
		uint32_t limit = blocks_to_take(writeback, id, &head);

		if (id == head.segment_id && wish != WB_WRITEBACK_ALL)
			break;
		if (limit == 0)
			continue;
		wb_segment_pin(segment);
		writeback->pinned[writeback->pinned_count++] = segment;
		if (!take_segment(writeback, id, limit, &bad))
			break;
	}
	writeback->has_zeros = wb_extent_table_next_zero(writeback->deps.extents, 0,
							 writeback->durable, &extent);
	if (id > head.segment_id && !bad.were_seen)
		writeback->bad_tries = 0;
	atomic_store(&writeback->is_stuck, writeback->block_count == 0 &&
		     !writeback->has_zeros && only_lost_data_is_left(writeback, &bad));
	if (writeback->block_count > 0 || writeback->has_zeros)
		return true;
	unpin_all(writeback);
	return false;
}

/* --- ZERO ------------------------------------------------------------------------ */

static void zero_ended(struct wb_writeback *writeback, struct batch_io *io)
{
	uint64_t took_ns = wb_clock_now_ns(writeback->deps.clock) - io->begun_ns;

	writeback->zeros_in_flight--;
	if (took_ns < ZERO_PIECE_CHEAP_NS)
		writeback->zero_piece_bytes = MIN(writeback->zero_piece_bytes * 2,
						  ZERO_PIECE_BYTES_MAX);
	if (took_ns > ZERO_PIECE_DEAR_NS)
		writeback->zero_piece_bytes = MAX(writeback->zero_piece_bytes / 2,
						  ZERO_PIECE_BYTES_MIN);
	backing_ended(writeback, io);
}

static void submit_zero(struct wb_writeback *writeback, struct batch_io *io,
			enum wb_io_op op, uint64_t offset, uint64_t length)
{
	wb_io_prepare(&io->io, op, WB_IO_CLASS_WRITEBACK, offset,
		      op == WB_IO_WRITE ? io->scratch : NULL, length, io_done);
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_BACKING_ZEROED_BYTES, length);
	io->begun_ns = wb_clock_now_ns(writeback->deps.clock);
	writeback->zeros_in_flight++;
	wb_store_submit(writeback->deps.backing_store, &io->io);
}

/* The next piece of the extent that begins at or covers next_zero. FALSE: all
 * I/O is taken. A piece is bounded, and so is the time of a batch: on a disk
 * that cannot punch, zeros are written, and nothing else would go on. */
static bool zero_piece(struct wb_writeback *writeback, const struct wb_extent *extent)
{
	uint64_t size = writeback->deps.geometry.backing_bytes;
	uint64_t first = MAX(extent->first, writeback->next_zero);
	uint64_t count = MIN(extent->first + extent->count - first,
			     writeback->zero_piece_bytes / BLOCK);
	uint64_t offset = first * BLOCK, end = (first + count) * BLOCK;
	struct batch_io *io = writeback->zeros_in_flight < ZERO_DEPTH ? take_io(writeback) :
									NULL;

	if (!io)
		return false;
	if (end <= size || size == writeback->deps.backing_store->size_bytes) {
		submit_zero(writeback, io, WB_IO_ZERO, offset, MIN(end, size) - offset);
	} else if (offset + BLOCK <= size) {
		/* The image ends inside its last block, and the backing does
		 * not: that block is for the next piece. */
		count = size / BLOCK - first;
		submit_zero(writeback, io, WB_IO_ZERO, offset, count * BLOCK);
	} else {
		memset(io->scratch, 0, BLOCK);
		submit_zero(writeback, io, WB_IO_WRITE, offset, size - offset);
	}
	writeback->next_zero = first + count;
	return true;
}

/* Blocks under a discard that is not punched yet stay dirty: the punch must
 * never come after them. */
static void leave_out_held(struct wb_writeback *writeback)
{
	for (size_t i = 0; i < writeback->block_count; i++) {
		struct wb_batch_block *block = &writeback->blocks[i];
		uint64_t until;

		if (block->address >= writeback->next_zero &&
		    wb_extent_table_lookup(writeback->deps.extents, block->address, &until) ==
			    WB_EXTENT_ZERO)
			block->is_left_out = true;
	}
}

/* The extent is not narrowed by what the map has in it: those blocks are newer,
 * whole, and dirty (none can be clean before this punch is flushed), so they
 * will be written over the hole. */
static bool zero_step(struct wb_writeback *writeback)
{
	struct wb_extent extent;
	bool any = collect(writeback, zero_ended);

	while (writeback->has_zeros && !writeback->error) {
		if (!wb_extent_table_next_zero(writeback->deps.extents, writeback->next_zero,
					       writeback->durable, &extent)) {
			writeback->has_zeros = false;
			writeback->next_zero = UINT64_MAX;
		} else if (wb_clock_now_ns(writeback->deps.clock) > writeback->zeros_until_ns) {
			writeback->has_zeros = false;
			leave_out_held(writeback);
		} else if (!zero_piece(writeback, &extent)) {
			break;
		}
		any = true;
	}
	if (!has_io(writeback) && (!writeback->has_zeros || writeback->error)) {
		writeback->stage = READ;
		writeback->next = 0;
		return true;
	}
	return any;
}

/* --- READ ------------------------------------------------------------------------ */

static void set_state(struct wb_writeback *writeback, const struct wb_batch_block *block,
		      enum wb_slot_state state)
{
	struct wb_stripe *stripe = wb_block_map_stripe(writeback->deps.map, block->address);

	wb_lock_acquire(&stripe->lock);
	wb_block_map_set_state_locked(writeback->deps.map, block->address, block->slot, state);
	wb_lock_release(&stripe->lock);
}

/* It stays dirty, is left out of the batch, and is read again after a pause,
 * alone; the rest goes on. */
static void mark_bad(struct wb_writeback *writeback, struct wb_batch_block *block)
{
	unsigned tries = writeback->bad_tries;

	block->is_left_out = true;
	set_state(writeback, block, WB_SLOT_BAD);
	writeback->bad_retry_at_ns = wb_clock_now_ns(writeback->deps.clock) +
		MIN(WB_RETRY_FIRST_NS << MIN(tries, 10u), WB_RETRY_LAST_NS);
	writeback->found_bad = true;
	writeback->found_new_bad |= !block->was_bad;
}

static void check_block(struct wb_writeback *writeback, struct wb_batch_block *block)
{
	if (wb_crc32c(batch_memory(writeback, block->buffer_block), BLOCK) ==
	    wb_block_map_crc(writeback->deps.map, block->slot))
		return;
	mark_bad(writeback, block);
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_CHECKSUM_ERRORS, 1);
	wb_message_set(writeback->deps.message,
		       "cache %s: the newest data of image block %" G_GUINT64_FORMAT
		       " failed its checksum and stays in the cache",
		       writeback->deps.cache_store->label, block->address);
}

static void read_ended(struct wb_writeback *writeback, struct batch_io *io)
{
	for (size_t i = io->first_block; i < io->first_block + io->block_count; i++) {
		if (io->error)
			mark_bad(writeback, &writeback->blocks[i]);
		else
			check_block(writeback, &writeback->blocks[i]);
	}
	if (!io->error)
		return;
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_CACHE_ERRORS, 1);
	wb_message_set(writeback->deps.message, "cache %s: reading the log failed: %s",
		       writeback->deps.cache_store->label, g_strerror(-io->error));
}

/* Blocks [from, from + count) of one segment, from its RAM buffer. */
static bool copy_from_ram(struct wb_writeback *writeback, size_t from, size_t count)
{
	struct wb_segment *segment =
		wb_segment_of_slot(writeback->deps.segments, writeback->blocks[from].slot);
	uint32_t ram_index;

	if (!wb_segment_try_ram_pin(segment))
		return false;
	ram_index = segment->ram_index;
	for (size_t i = from; i < from + count; i++) {
		struct wb_batch_block *block = &writeback->blocks[i];

		memcpy(batch_memory(writeback, block->buffer_block),
		       wb_rambuf_block(writeback->deps.rambuf, ram_index,
				       block->slot % writeback->deps.geometry.segment_blocks),
		       BLOCK);
	}
	wb_segment_ram_unpin(writeback->deps.segments, segment);
	for (size_t i = from; i < from + count; i++)
		check_block(writeback, &writeback->blocks[i]);
	return true;
}

static bool read_step(struct wb_writeback *writeback)
{
	const struct wb_geometry *g = &writeback->deps.geometry;
	bool any = collect(writeback, read_ended);
	struct batch_io *io;

	while (writeback->next < writeback->block_count && !writeback->error &&
	       (io = take_io(writeback))) {
		const struct wb_batch_block *block = &writeback->blocks[writeback->next];
		uint32_t span;
		/* After a failure one by one, to tell the bad ones. */
		size_t most = writeback->has_bad ? writeback->next + 1 :
						   writeback->block_count;
		size_t count = wb_writeback_plan_read(writeback->blocks, most,
						      writeback->next, WB_WRITEBACK_GAP_BLOCKS,
						      g->segment_blocks, &span);

		io->first_block = writeback->next;
		io->block_count = count;
		any = true;
		if (copy_from_ram(writeback, writeback->next, count)) {
			io->is_used = false;
		} else {
			wb_io_prepare(&io->io, WB_IO_READ, WB_IO_CLASS_WRITEBACK,
				      wb_geometry_slot_offset(g, block->slot),
				      batch_memory(writeback, block->buffer_block),
				      (uint64_t)span * BLOCK, io_done);
			WB_STAT_ADD(writeback->deps.stats, WB_STAT_SSD_READ_BYTES,
				    io->io.length_bytes);
			wb_store_submit(writeback->deps.cache_store, &io->io);
		}
		writeback->next += count;
	}
	if (!has_io(writeback) &&
	    (writeback->next == writeback->block_count || writeback->error)) {
		wb_writeback_plan_sort(writeback->blocks, writeback->block_count);
		writeback->stage = MERGE;
		writeback->next = 0;
		return true;
	}
	return any;
}

/* --- MERGE ------------------------------------------------------------------------ */

static void merge_ended(struct wb_writeback *writeback, struct batch_io *io)
{
	struct wb_batch_block *block = &writeback->blocks[io->first_block];
	char *data = batch_memory(writeback, block->buffer_block);

	backing_ended(writeback, io);
	if (io->error)
		return;
	for (unsigned s = 0; s < WB_SECTORS_PER_BLOCK; s++) {
		if (!(block->mask & (1u << s)))
			memcpy(data + s * WB_SECTOR_BYTES, io->scratch + s * WB_SECTOR_BYTES,
			       WB_SECTOR_BYTES);
	}
	block->mask = block->full_mask;
}

/* Only this engine writes the backing, so nothing changes between this read
 * and the write that follows. */
static bool merge_step(struct wb_writeback *writeback)
{
	bool any = collect(writeback, merge_ended);
	bool is_needed = writeback->deps.backing_store->alignment_bytes > WB_SECTOR_BYTES;
	struct batch_io *io;

	for (; is_needed && writeback->next < writeback->block_count && !writeback->error;
	     writeback->next++) {
		const struct wb_batch_block *block = &writeback->blocks[writeback->next];

		if (block->is_left_out || block->mask == block->full_mask)
			continue;
		io = take_io(writeback);
		if (!io)
			return any;
		io->first_block = writeback->next;
		wb_io_prepare(&io->io, WB_IO_READ, WB_IO_CLASS_WRITEBACK,
			      block->address * BLOCK, io->scratch, BLOCK, io_done);
		wb_store_submit(writeback->deps.backing_store, &io->io);
		any = true;
	}
	if (!has_io(writeback)) {
		writeback->stage = WRITE;
		writeback->next = 0;
		writeback->next_sector = 0;
		return true;
	}
	return any;
}

/* --- WRITE, FLUSH, COMMIT ------------------------------------------------------------ */

static void prepare_write(struct wb_writeback *writeback, struct batch_io *io,
			  const struct wb_write_extent *extent)
{
	const struct wb_batch_block *block = &writeback->blocks[extent->first];
	uint64_t offset = block->address * BLOCK, length = extent->count * (uint64_t)BLOCK;

	for (size_t i = 0; i < extent->count; i++) {
		io->iov[i].iov_base = batch_memory(writeback, block[i].buffer_block);
		io->iov[i].iov_len = BLOCK;
	}
	if (extent->sector_count > 0) {
		offset += extent->first_sector * WB_SECTOR_BYTES;
		length = extent->sector_count * WB_SECTOR_BYTES;
		io->iov[0].iov_base = (char *)io->iov[0].iov_base +
				      extent->first_sector * WB_SECTOR_BYTES;
		io->iov[0].iov_len = length;
	} else if (offset + length > writeback->deps.geometry.backing_bytes) {
		/* The image's last block may be short. */
		io->iov[extent->count - 1].iov_len -=
			offset + length - writeback->deps.geometry.backing_bytes;
		length = writeback->deps.geometry.backing_bytes - offset;
	}
	wb_io_prepare(&io->io, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, offset, NULL, length, io_done);
	io->io.iov = io->iov;
	io->io.iov_count = (unsigned)extent->count;
}

static bool write_step(struct wb_writeback *writeback)
{
	bool any = collect(writeback, backing_ended);
	struct wb_write_extent extent;
	struct batch_io *io;

	while (!writeback->error && writeback->next < writeback->block_count &&
	       (io = take_io(writeback))) {
		if (!wb_writeback_plan_write(writeback->blocks, writeback->block_count,
					     &writeback->next, &writeback->next_sector,
					     WB_WRITEBACK_JOIN_BLOCKS, &extent)) {
			io->is_used = false;
			break;
		}
		prepare_write(writeback, io, &extent);
		WB_STAT_ADD(writeback->deps.stats, WB_STAT_BACKING_WRITES, 1);
		WB_STAT_ADD(writeback->deps.stats, WB_STAT_BACKING_WRITTEN_BYTES,
			    io->io.length_bytes);
		wb_store_submit(writeback->deps.backing_store, &io->io);
		any = true;
	}
	if (!has_io(writeback) &&
	    (writeback->next >= writeback->block_count || writeback->error)) {
		writeback->stage = FLUSH;
		io = take_io(writeback);
		wb_io_prepare(&io->io, WB_IO_FLUSH, WB_IO_CLASS_WRITEBACK, 0, NULL, 0, io_done);
		WB_STAT_ADD(writeback->deps.stats, WB_STAT_BACKING_FLUSHES, 1);
		wb_store_submit(writeback->deps.backing_store, &io->io);
		return true;
	}
	return any;
}

static bool flush_step(struct wb_writeback *writeback)
{
	if (!collect(writeback, backing_ended))
		return false;
	writeback->stage = COMMIT;
	return true;
}

static void mark_clean(struct wb_writeback *writeback)
{
	size_t count = 0;

	for (size_t i = 0; i < writeback->block_count; i++) {
		/* A newer version may have taken the map's place: that one is
		 * dirty and keeps its state. */
		if (!writeback->blocks[i].is_left_out) {
			set_state(writeback, &writeback->blocks[i], WB_SLOT_CLEAN);
			count++;
		}
	}
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_WRITEBACK_BLOCKS, count);
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_WRITEBACK_BATCHES, 1);
}

/* The backing's flush has ended. After any error nothing of the batch counts:
 * a flush that failed may have dropped writes that had succeeded. */
static void commit(struct wb_writeback *writeback)
{
	unsigned failures = writeback->failures;

	if (!writeback->error) {
		if (wb_extent_table_finish_zeros(writeback->deps.extents, writeback->next_zero,
						 writeback->durable) &&
		    writeback->zeros_done)
			writeback->zeros_done(writeback->arg);
		mark_clean(writeback);
		writeback->failures = 0;
		/* A new one gets all its tries: the count is one for all. */
		if (writeback->found_new_bad)
			writeback->bad_tries = 1;
		else if (writeback->found_bad)
			writeback->bad_tries++;
		else if (writeback->has_bad)
			writeback->bad_tries = 0;
	} else {
		writeback->retry_at_ns = wb_clock_now_ns(writeback->deps.clock) +
			MIN(WB_RETRY_FIRST_NS << MIN(failures, 10u), WB_RETRY_LAST_NS);
		writeback->failures = failures + 1;
	}
	unpin_all(writeback);
	writeback->stage = IDLE;
}

static bool begin(struct wb_writeback *writeback, enum wb_writeback_wish wish)
{
	if (wish == WB_WRITEBACK_OFF || writeback->is_abandoned)
		return false;
	if (writeback->failures > 0 &&
	    wb_clock_now_ns(writeback->deps.clock) < writeback->retry_at_ns)
		return false;
	if (!select_batch(writeback, wish)) {
		/* What is left is not durable yet, or nothing is. */
		if (wish == WB_WRITEBACK_ALL)
			wb_flush_want(writeback->deps.flush,
				      wb_log_last_sequence(writeback->deps.log));
		return false;
	}
	writeback->error = 0;
	writeback->found_bad = false;
	writeback->found_new_bad = false;
	writeback->next_zero = 0;
	writeback->zeros_in_flight = 0;
	writeback->zeros_until_ns = wb_clock_now_ns(writeback->deps.clock) + ZERO_TIME_NS;
	writeback->stage = ZERO;
	return true;
}

bool wb_writeback_step(struct wb_writeback *writeback, enum wb_writeback_wish wish)
{
	enum stage stage;

	if (writeback->is_abandoned && writeback->stage != IDLE) {
		collect(writeback, backing_ended);
		if (has_io(writeback))
			return false;
		writeback->error = -ECANCELED;
		writeback->stage = COMMIT;
	}
	stage = writeback->stage;
	switch (stage) {
	case IDLE: return begin(writeback, wish);
	case ZERO: return zero_step(writeback);
	case READ: return read_step(writeback);
	case MERGE: return merge_step(writeback);
	case WRITE: return write_step(writeback);
	case FLUSH: return flush_step(writeback);
	case COMMIT:
		commit(writeback);
		return true;
	}
	g_assert_not_reached();
}
