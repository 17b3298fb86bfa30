/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Byte 0: flags; then the cache disk (support/sparse.h), of the size that a
 * volume of 8 segments of 64 KiB and 1 MiB has. Recovery looks at it; what it
 * takes, or a repair makes of it, is opened, read, written, synced, stopped
 * cleanly and opened again, from a checkpoint if there is one. The FIX flags make
 * checksums right, so that the bytes behind them are reached.
 */
#include <errno.h>
#include <string.h>

#include "cache/recovery.h"
#include "cache/recovery_replay.h"
#include "cache/repair.h"
#include "format/block.h"
#include "format/endian.h"
#include "fuzz/fuzz.h"
#include "support/sparse.h"
#include "support/volume_sim.h"

enum {
	FIX_SUPERBLOCKS = 1u << 0,
	FIX_HEADERS = 1u << 1,
	FIX_CHAIN = 1u << 2,	/* prev, and the superblocks' cut_crc */
	FIX_DATA = 1u << 3,	/* the entries' checksums */
	CHECK_ALL = 1u << 4,	/* as `wbfs check` does */
	WRITEBACK = 1u << 5,
	POWER_CUT = 1u << 6,	/* instead of the clean stop */
	REPAIR = 1u << 7,	/* what scans past damage, before it is opened */
};

#define IMAGE_BYTES (1u << 20)
#define BLOCKS (IMAGE_BYTES / WB_BLOCK_BYTES)
#define RUN_BLOCKS 16u
#define HEADERS_MAX 256u

static struct wb_sim sim;

/* --- making checksums right ------------------------------------------------------- */

struct headers {
	struct wb_record_disk *at[HEADERS_MAX];
	unsigned count;
};

static int compare_headers(const void *a, const void *b)
{
	const struct wb_record_disk *x = *(struct wb_record_disk *const *)a;
	const struct wb_record_disk *y = *(struct wb_record_disk *const *)b;
	uint64_t s = wb_get_le64(x->sequence), t = wb_get_le64(y->sequence);
	uint64_t e = wb_get_le64(x->epoch), f = wb_get_le64(y->epoch);

	return s != t ? (s < t ? -1 : 1) : e < f ? -1 : e > f;
}

static void find_headers(struct headers *headers, uint8_t *cache, uint64_t cache_bytes)
{
	headers->count = 0;
	for (uint64_t at = WB_SUPERBLOCK_AREA_BYTES;
	     at + WB_BLOCK_BYTES <= cache_bytes && headers->count < HEADERS_MAX;
	     at += WB_BLOCK_BYTES)
		if (!memcmp(cache + at, WB_RECORD_MAGIC, 8))
			headers->at[headers->count++] = (void *)(cache + at);
	qsort(headers->at, headers->count, sizeof headers->at[0], compare_headers);
}

/* The header of that sequence which a record of `epoch` continues. */
static struct wb_record_disk *find_previous(const struct headers *headers, uint64_t sequence,
					    uint64_t epoch)
{
	for (unsigned i = headers->count; i-- > 0;)
		if (wb_get_le64(headers->at[i]->sequence) == sequence &&
		    wb_get_le64(headers->at[i]->epoch) <= epoch)
			return headers->at[i];
	return NULL;
}

static void fix_data(struct wb_record_disk *header, const uint8_t *end)
{
	unsigned count = MIN(wb_get_le16(header->entry_count), WB_RECORD_ENTRIES_MAX);
	const uint8_t *block = (const uint8_t *)header + WB_BLOCK_BYTES;

	for (unsigned i = 0; i < count && block + WB_BLOCK_BYTES <= end; i++) {
		struct wb_entry_disk *e = &header->entries[i];

		if (!wb_entry_has_block(e->type))
			continue;
		if (e->type != WB_ENTRY_VOID)
			e->crc_or_length = wb_put_le32(wb_crc32c(block, WB_BLOCK_BYTES));
		block += WB_BLOCK_BYTES;
	}
}

static void fix_headers(const struct headers *headers, unsigned flags, const uint8_t *end)
{
	for (unsigned i = 0; i < headers->count; i++) {
		struct wb_record_disk *h = headers->at[i], *previous;

		if (flags & FIX_DATA)
			fix_data(h, end);
		previous = find_previous(headers, wb_get_le64(h->sequence) - 1,
					 wb_get_le64(h->epoch));
		if ((flags & FIX_CHAIN) && previous)
			h->prev = previous->crc;
		h->crc = wb_put_le32(wb_block_compute_crc(h));
	}
}

static void fix_superblock(const struct headers *headers, unsigned flags,
			   struct wb_superblock_disk *s)
{
	struct wb_record_disk *cut = find_previous(headers, wb_get_le64(s->cut_sequence),
						   wb_get_le64(s->epoch));

	if ((flags & FIX_CHAIN) && cut)
		s->cut_crc = cut->crc;
	if (!memcmp(s->magic, WB_SUPERBLOCK_MAGIC, sizeof s->magic))
		s->crc = wb_put_le32(wb_block_compute_crc(s));
}

/* As large as the superblock says. */
static void fix_checkpoint(struct wb_superblock_disk *s, uint8_t *cache, uint64_t cache_bytes)
{
	uint64_t offset = wb_get_le64(s->checkpoint_offset), used = wb_get_le64(s->checkpoint_used);
	struct wb_checkpoint_disk *head;

	if (offset > cache_bytes || used > cache_bytes - offset || used < sizeof *head)
		return;
	head = (void *)(cache + offset);
	head->crc = wb_put_le32(wb_block_compute_crc(head));
	s->checkpoint_crc = wb_put_le32(wb_crc32c(head, used));
}

/* Not into the disk's memory, which a power cut would not know of. The disk is
 * new: only the superblocks are not zeros. */
static void write_durably(const uint8_t *cache, uint64_t bytes)
{
	static const uint8_t zeros[WB_BLOCK_BYTES];
	struct wb_store *disk = sim.cache_disk.counting;

	for (uint64_t at = 0; at < bytes; at += WB_BLOCK_BYTES)
		if (at % WB_SUPERBLOCK_SPACING_BYTES == 0 ||
		    memcmp(cache + at, zeros, sizeof zeros))
			g_assert(!wb_store_write_sync(disk, at, cache + at, WB_BLOCK_BYTES));
	g_assert(!wb_store_flush_sync(disk));
}

static void lay_disk(const uint8_t *data, size_t size, unsigned flags)
{
	uint64_t bytes = sim.cache_disk.memory->size_bytes;
	uint8_t *cache = g_aligned_alloc0(bytes, 1, WB_BLOCK_BYTES);
	struct headers headers;

	wb_sparse_lay(data, size, cache, bytes);
	find_headers(&headers, cache, bytes);
	if (flags & FIX_HEADERS)
		fix_headers(&headers, flags, cache + bytes);
	for (unsigned copy = 0; copy < WB_SUPERBLOCK_COUNT && (flags & FIX_SUPERBLOCKS); copy++) {
		struct wb_superblock_disk *superblock = (void *)(cache + wb_superblock_offset(copy));

		fix_checkpoint(superblock, cache, bytes);
		fix_superblock(&headers, flags, superblock);
	}
	write_durably(cache, bytes);
	g_aligned_free(cache);
}

/* --- looking and using ---------------------------------------------------------------- */

static void bad_block(void *arg, const struct wb_recovery_record *record,
		      unsigned entry_index, const struct wb_entry *entry, uint32_t slot)
{
	(void)arg;
	g_assert(entry_index < record->entry_count);
	g_assert(entry->address < BLOCKS && slot < sim.geometry.slot_count);
}

/* Accepted, or refused with a reason. */
static bool scan(unsigned flags)
{
	struct wb_recovery_options options = { .bad_block = bad_block };
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(sim.cache_disk.counting,
						 flags & CHECK_ALL ? &options : NULL, &error);
	struct wb_recovery_dirty dirty;

	g_assert((r == NULL) == (error != NULL));
	if (!r) {
		g_assert(*error->message);
		return false;
	}
	wb_recovery_count_dirty(r, &dirty);
	/* (another image size would be refused by opening) */
	g_assert(dirty.dirty_blocks <= r->superblock.geometry.slot_count);
	wb_recovery_free(r);
	return true;
}

static uint64_t changes(const struct wb_sim_disk *disk)
{
	return wb_store_counting_ios(disk->counting, WB_IO_WRITE) +
	       wb_store_counting_ios(disk->counting, WB_IO_ZERO);
}

/* --- repair ------------------------------------------------------------------------------ */

static void look_at_lost(const struct wb_recovery *r)
{
	g_autoptr(GArray) ranges = wb_repair_list_lost(r);
	g_autoptr(GArray) gaps = wb_repair_list_gaps(r);
	uint64_t end = 0, next = r->cut_sequence + 1;

	for (guint i = 0; i < ranges->len; i++) {
		const struct wb_repair_range *range =
			&g_array_index(ranges, struct wb_repair_range, i);

		g_assert(range->count > 0 && range->first >= end);
		end = range->first + range->count;
		g_assert(end <= r->superblock.geometry.backing_blocks);
	}
	for (guint i = 0; i < gaps->len; i++) {
		const struct wb_repair_gap *gap = &g_array_index(gaps, struct wb_repair_gap, i);

		g_assert(gap->first >= next && gap->last >= gap->first);
		next = gap->last + 1;
	}
	g_assert(r->damage || r->lost_records->len == 0);
}

/* As rescue does. The recovery is of no use afterwards. */
static void replay_lost(struct wb_recovery *r)
{
	struct wb_replay *replay;

	wb_repair_take_lost(r);
	replay = wb_replay_new(r);
	g_assert(replay->blocks->len <= r->entries->len);
	wb_replay_free(replay);
}

/* Any header tells the volume, as a backing's mark would. */
static struct wb_recovery *scan_by_records(struct wb_superblock *superblock)
{
	const uint8_t *bytes = wb_sim_cache_bytes(&sim);
	struct wb_recovery_options how = { .goes_past_damage = true, .superblock = superblock };
	struct wb_repair_facts facts = { .backing_bytes = IMAGE_BYTES, .backing_path = "/b" };
	uint64_t at = sim.geometry.ring_offset;

	while (at < sim.cache_disk.memory->size_bytes && memcmp(bytes + at, WB_RECORD_MAGIC, 8))
		at += WB_BLOCK_BYTES;
	if (at >= sim.cache_disk.memory->size_bytes)
		return NULL;
	memcpy(facts.uuid, ((const struct wb_record_disk *)(bytes + at))->uuid, 16);
	if (!wb_repair_guess_superblock(sim.cache_disk.counting, &facts, superblock, NULL))
		return NULL;
	return wb_recovery_scan(sim.cache_disk.counting, &how, NULL);
}

static struct wb_recovery *scan_past_damage(bool by_records)
{
	static struct wb_superblock superblock;
	struct wb_recovery_options how = { .goes_past_damage = true, .bad_block = bad_block };

	return by_records ? scan_by_records(&superblock) :
			    wb_recovery_scan(sim.cache_disk.counting, &how, NULL);
}

static void look_past_damage(bool by_records)
{
	uint64_t before = changes(&sim.cache_disk);
	struct wb_recovery *r = scan_past_damage(by_records);

	if (r) {
		look_at_lost(r);
		replay_lost(r);
		wb_recovery_free(r);
	}
	g_assert(changes(&sim.cache_disk) == before);
}

/* What was repaired is sound, and nothing is left to repair. */
static void repair(void)
{
	bool by_records = false;
	struct wb_recovery *r;
	g_autoptr(GError) error = NULL;

	look_past_damage(false);
	look_past_damage(true);
	r = scan_past_damage(false);
	if (!r) {
		by_records = true;
		r = scan_past_damage(true);
	}
	if (!r)
		return;
	if (wb_repair_apply(sim.cache_disk.counting, r, &error)) {
		g_assert(scan(0));
		wb_recovery_free(r);
		r = scan_past_damage(false);
		g_assert(r && wb_repair_need(r) == WB_REPAIR_NOTHING);
	} else {
		g_assert(*error->message);
		g_assert(by_records || !scan(0) || wb_repair_need(r) != WB_REPAIR_LOG);
	}
	wb_recovery_free(r);
}

/* What is refused is left as it was. */
static bool open_or_refuse(void)
{
	uint64_t before = changes(&sim.cache_disk) + changes(&sim.backing_disk);
	g_autoptr(GError) error = NULL;

	if (wb_sim_open(&sim, &error))
		return true;
	g_assert(error && *error->message);
	g_assert(changes(&sim.cache_disk) + changes(&sim.backing_disk) == before);
	return false;
}

struct contents {
	_Alignas(WB_BLOCK_BYTES) uint8_t data[IMAGE_BYTES];
	bool is_unreadable[BLOCKS];
};

static bool is_fine(int error)
{
	g_assert(error == 0 || error == -EIO);
	return error == 0;
}

static bool read_run(struct contents *contents, unsigned first, unsigned count)
{
	uint64_t at = (uint64_t)first * WB_BLOCK_BYTES;

	return is_fine(wb_sim_read(&sim, at, contents->data + at,
				   (uint64_t)count * WB_BLOCK_BYTES));
}

static void read_blocks(struct contents *contents, unsigned first, unsigned count)
{
	bool are_fine = read_run(contents, first, count);

	for (unsigned i = first; i < first + count; i++)
		contents->is_unreadable[i] = !are_fine && !read_run(contents, i, 1);
}

static void read_all(struct contents *contents)
{
	for (unsigned i = 0; i < BLOCKS; i += RUN_BLOCKS)
		read_blocks(contents, i, RUN_BLOCKS);
}

/* An invented cache holds clean copies of what the backing never had. (Before the
 * first step, which may forget some of them.) */
static void teach_backing(void)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		bool is_dirty;
		const uint8_t *copy = wb_sim_cached_block(&sim, i, &is_dirty);

		if (copy && !is_dirty)
			g_assert(!wb_store_write_sync(sim.backing_disk.counting,
						      (uint64_t)i * WB_BLOCK_BYTES, copy,
						      WB_BLOCK_BYTES));
	}
	g_assert(!wb_store_flush_sync(sim.backing_disk.counting));
}

static void fill(struct contents *contents, uint64_t from, uint64_t bytes, uint8_t value)
{
	unsigned first = (unsigned)(from / WB_BLOCK_BYTES);
	unsigned end = (unsigned)((from + bytes - 1) / WB_BLOCK_BYTES) + 1;
	int error = value ? wb_sim_fill(&sim, from, value, bytes, 0) :
			    wb_sim_zero(&sim, from, bytes, 0);

	if (!is_fine(error)) {	/* some of it may have been done */
		read_blocks(contents, first, end - first);
		return;
	}
	memset(contents->data + from, value, bytes);
	memset(contents->is_unreadable + first, 0, end - first);
}

/* TRUE when all that was written is durable. */
static bool change(struct contents *contents)
{
	bool is_synced;

	fill(contents, 2 * WB_BLOCK_BYTES, 3 * WB_BLOCK_BYTES, 0xa1);
	fill(contents, 40 * WB_BLOCK_BYTES + 700, 5000, 0xa2);
	fill(contents, 64 * WB_BLOCK_BYTES, 32 * WB_BLOCK_BYTES, 0);
	is_synced = is_fine(wb_sim_sync(&sim));
	wb_sim_settle(&sim);
	return is_synced;
}

static void expect_same(const struct contents *expected, const struct contents *found)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		size_t at = (size_t)i * WB_BLOCK_BYTES;

		g_assert(expected->is_unreadable[i] == found->is_unreadable[i]);
		g_assert(expected->is_unreadable[i] ||
			 !memcmp(expected->data + at, found->data + at, WB_BLOCK_BYTES));
	}
}

static bool stop_in_some_way(unsigned flags)
{
	if (!(flags & POWER_CUT))
		return wb_sim_close(&sim) == 0;
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	return true;
}

/* The log was not looked at: it may be damaged, or say something else than an
 * invented checkpoint. */
static bool may_contradict_log(unsigned flags, bool is_log_sound)
{
	struct wb_stats_snapshot stats;

	wb_sim_stats(&sim, &stats);
	return stats.is_from_checkpoint &&
	       (!is_log_sound || (flags & (FIX_SUPERBLOCKS | FIX_HEADERS)));
}

/* What was stopped leaves a checkpoint again; else the log is asked after all. */
static void open_in_spite_of_log(unsigned flags, const struct contents *contents)
{
	static struct contents found;

	if (!open_or_refuse()) {
		g_assert(flags & POWER_CUT);
		return;
	}
	read_all(&found);
	if (!(flags & POWER_CUT))
		expect_same(contents, &found);
	wb_sim_close(&sim);
}

/* A volume that was opened once is as good as any other. */
static void use(unsigned flags, bool is_log_sound)
{
	static struct contents contents, found;
	bool in_spite_of_log = may_contradict_log(flags, is_log_sound), is_synced;

	teach_backing();
	read_all(&contents);
	is_synced = change(&contents);
	read_all(&found);
	expect_same(&contents, &found);
	if (!stop_in_some_way(flags) || !is_synced)
		return;
	if (in_spite_of_log) {
		open_in_spite_of_log(flags, &contents);
		return;
	}
	g_assert(scan(flags));
	g_assert(wb_sim_open(&sim, NULL));
	read_all(&found);
	expect_same(&contents, &found);
	g_assert(wb_sim_close(&sim) == 0);
}

int WB_FUZZ_TARGET(image)(const uint8_t *data, size_t size)
{
	struct wb_sim_params params = { .image_bytes = IMAGE_BYTES, .backing_fill = 0xb0 };
	bool is_log_sound;

	if (size == 0)
		return 0;
	params.no_writeback = !(data[0] & WRITEBACK);
	params.seed = data[0] & POWER_CUT ? size : 0;
	wb_sim_init(&sim, &params);
	lay_disk(data + 1, size - 1, data[0]);
	is_log_sound = scan(data[0]);
	if (data[0] & REPAIR)
		repair();
	/* (a backing that is larger than its image is no reason to refuse) */
	if (open_or_refuse() && wb_cache_image_bytes(sim.cache) >= IMAGE_BYTES)
		use(data[0], is_log_sound);
	wb_sim_clear(&sim);
	return 0;
}
