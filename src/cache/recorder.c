/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/recorder.h"

#include <glib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mutant.h"

/* The order on the disk. */
G_STATIC_ASSERT((int)WB_LIFETIME_SSD_WRITTEN_BYTES == WB_COUNTER_SSD_WRITTEN_BYTES &&
		(int)WB_LIFETIME_WRITTEN_BYTES == WB_COUNTER_WRITTEN_BYTES &&
		(int)WB_LIFETIME_READ_BYTES == WB_COUNTER_READ_BYTES &&
		(int)WB_LIFETIME_BACKING_WRITTEN_BYTES == WB_COUNTER_BACKING_WRITTEN_BYTES &&
		(int)WB_LIFETIME_MOUNTS == WB_COUNTER_MOUNTS);

struct wb_recorder {
	/* constant after new */
	struct wb_store *store;
	struct wb_stats *stats;
	struct wb_message *message;
	struct wb_flush *flush;		/* set once, before the first start */
	struct wb_region *region;	/* likewise */

	uint64_t lifetime[WB_LIFETIME_COUNT];	/* before this mount, but its number */

	/* of the update in progress, or of whoever starts the next one */
	struct wb_superblock superblock;
	unsigned next_copy;		/* the older one */
	unsigned copies_left;
	struct wb_recorder_callbacks callbacks;
	struct wb_io io;
	struct wb_device_waiter device_waiter;
	struct wb_superblock_disk *disk;	/* aligned */

	atomic_bool is_busy;		/* set by the starter */
	_Atomic uint32_t completions;	/* threads inside finish() */
};

static struct wb_recorder *recorder_of(struct wb_io *io)
{
	return (struct wb_recorder *)((char *)io - offsetof(struct wb_recorder, io));
}

struct wb_recorder *wb_recorder_new(struct wb_store *store, struct wb_stats *stats,
				    struct wb_message *message,
				    const struct wb_superblock *superblock,
				    unsigned first_copy)
{
	struct wb_recorder *recorder = g_new0(struct wb_recorder, 1);

	recorder->store = store;
	recorder->stats = stats;
	recorder->message = message;
	recorder->superblock = *superblock;
	recorder->next_copy = first_copy;
	memcpy(recorder->lifetime, superblock->counters, sizeof recorder->lifetime);
	recorder->lifetime[WB_LIFETIME_MOUNTS]++;
	recorder->disk = aligned_alloc(WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	g_assert(recorder->disk);
	return recorder;
}

void wb_recorder_free(struct wb_recorder *recorder)
{
	if (!recorder)
		return;
	g_assert(!recorder->is_busy);
	free(recorder->disk);
	g_free(recorder);
}

struct wb_superblock *wb_recorder_superblock(struct wb_recorder *recorder)
{
	g_assert(!wb_recorder_is_busy(recorder));
	return &recorder->superblock;
}

void wb_recorder_get_lifetime(struct wb_recorder *recorder, uint64_t lifetime[WB_LIFETIME_COUNT])
{
	const struct wb_stats *stats = recorder->stats;

	memcpy(lifetime, recorder->lifetime, sizeof recorder->lifetime);
	lifetime[WB_LIFETIME_SSD_WRITTEN_BYTES] += wb_stats_sum(stats, WB_STAT_SSD_WRITTEN_BYTES);
	lifetime[WB_LIFETIME_WRITTEN_BYTES] += wb_stats_sum(stats, WB_STAT_WRITTEN_BYTES);
	lifetime[WB_LIFETIME_READ_BYTES] += wb_stats_sum(stats, WB_STAT_READ_BYTES);
	lifetime[WB_LIFETIME_BACKING_WRITTEN_BYTES] +=
		wb_stats_sum(stats, WB_STAT_BACKING_WRITTEN_BYTES);
}

/* With what has been counted up to now; counters of a later version stay. */
static void encode_next(struct wb_recorder *recorder)
{
	recorder->superblock.generation++;
	wb_recorder_get_lifetime(recorder, recorder->superblock.counters);
	wb_superblock_encode(&recorder->superblock, recorder->disk);
}

void wb_recorder_set_region(struct wb_recorder *recorder, struct wb_region *region)
{
	recorder->region = region;
}

void wb_recorder_set_flush(struct wb_recorder *recorder, struct wb_flush *flush)
{
	recorder->flush = flush;
}

bool wb_recorder_is_idle(struct wb_recorder *recorder)
{
	return !wb_recorder_is_busy(recorder) && atomic_load(&recorder->completions) == 0;
}

bool wb_recorder_is_busy(struct wb_recorder *recorder)
{
	return atomic_load(&recorder->is_busy);
}

static void finish(struct wb_recorder *recorder, int error)
{
	struct wb_recorder_callbacks callbacks = recorder->callbacks;

	if (error) {
		WB_STAT_ADD(recorder->stats, WB_STAT_CACHE_ERRORS, 1);
		wb_message_set(recorder->message, "cache %s: writing superblock %u failed: %s",
			       recorder->store->label, recorder->next_copy,
			       g_strerror(-error));
	}
	atomic_fetch_add(&recorder->completions, 1);
	/* Before anybody acts on it. */
	if (!error && recorder->region)
		wb_region_set_generation(recorder->region, recorder->superblock.generation);
	if (callbacks.done)
		callbacks.done(callbacks.arg, error);
	atomic_store(&recorder->is_busy, false);
	if (callbacks.idle)
		callbacks.idle(callbacks.arg);
	atomic_fetch_sub(&recorder->completions, 1);
}

static void write_copy(struct wb_recorder *recorder);

static void flushed(struct wb_device_waiter *waiter, int error)
{
	struct wb_recorder *recorder = (struct wb_recorder *)((char *)waiter -
					offsetof(struct wb_recorder, device_waiter));

	if (!error) {
		recorder->next_copy ^= 1;
		if (--recorder->copies_left > 0) {
			write_copy(recorder);
			return;
		}
	}
	finish(recorder, error);
}

static void written(struct wb_io *io, int error)
{
	struct wb_recorder *recorder = recorder_of(io);

	if (error) {
		finish(recorder, error);
		return;
	}
	recorder->device_waiter.done = flushed;
	if (WB_MUTANT(superblocks_together) && recorder->copies_left > 1) {
		flushed(&recorder->device_waiter, 0);
		return;
	}
	wb_flush_device(recorder->flush, &recorder->device_waiter);
}

static void write_copy(struct wb_recorder *recorder)
{
	encode_next(recorder);
	wb_io_prepare(&recorder->io, WB_IO_WRITE, WB_IO_CLASS_LOG,
		      wb_superblock_offset(recorder->next_copy), recorder->disk,
		      WB_BLOCK_BYTES, written);
	WB_STAT_ADD(recorder->stats, WB_STAT_SSD_WRITES, 1);
	WB_STAT_ADD(recorder->stats, WB_STAT_SSD_WRITTEN_BYTES, WB_BLOCK_BYTES);
	wb_store_submit(recorder->store, &recorder->io);
}

void wb_recorder_start(struct wb_recorder *recorder,
		       const struct wb_recorder_callbacks *callbacks)
{
	g_assert(!atomic_exchange(&recorder->is_busy, true));
	recorder->callbacks = *callbacks;
	recorder->copies_left = WB_SUPERBLOCK_COUNT;
	write_copy(recorder);
}

/* The same steps with waiting I/O. */
int wb_recorder_write_sync(struct wb_recorder *recorder)
{
	int error = 0;

	g_assert(!atomic_exchange(&recorder->is_busy, true));
	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT && !error; i++) {
		encode_next(recorder);
		WB_STAT_ADD(recorder->stats, WB_STAT_SSD_WRITES, 1);
		WB_STAT_ADD(recorder->stats, WB_STAT_SSD_WRITTEN_BYTES, WB_BLOCK_BYTES);
		error = wb_store_write_sync(recorder->store,
					    wb_superblock_offset(recorder->next_copy),
					    recorder->disk, WB_BLOCK_BYTES);
		if (!error && !(WB_MUTANT(superblocks_together) && i == 0))
			error = wb_store_flush_sync(recorder->store);
		if (!error)
			recorder->next_copy ^= 1;
	}
	recorder->callbacks = (struct wb_recorder_callbacks){ 0 };
	finish(recorder, error);
	return error;
}
