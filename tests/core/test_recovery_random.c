/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recovery against chance, from fixed seeds: histories of many crashes over one
 * volume, checked against a model of what was synced; and rot anywhere.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/cache.h"
#include "format/endian.h"
#include "support/log_builder.h"
#include "support/prng.h"
#include "support/store_memory.h"

#define SEGMENTS 12u

static struct wb_log_builder b;

/* --- histories -------------------------------------------------------------- */

/* What the log must hold: the timeline that won, by sequence. */
struct truth {
	uint64_t segment_id;
	uint32_t first_crc;		/* of the first entry; no two records share it */
};

struct history {
	struct wb_prng prng;
	GArray *truth;			/* [sequence] */
	GPtrArray *pending;		/* not flushed */
	uint64_t durable, durable_tail;	/* what a device flush has covered */
	uint64_t seed;
	unsigned cut_records, live_records, warm_records;
};

static struct truth *truth_of(struct history *h, uint64_t sequence)
{
	cr_assert_lt(sequence, h->truth->len);
	return &g_array_index(h->truth, struct truth, sequence);
}

static bool chance(struct history *h, unsigned percent)
{
	return wb_prng_below(&h->prng, 100) < percent;
}

static void flush(struct history *h)
{
	g_ptr_array_set_size(h->pending, 0);
	h->durable = b.sequence - 1;
	h->durable_tail = b.tail_segment;
	b.durable = h->durable;
}

/* To the segment of some durable record, or behind everything. */
static void move_tail(struct history *h, bool far)
{
	uint64_t low = b.tail_sequence, sequence;
	uint64_t segment;

	if (h->durable == b.sequence - 1 && b.block > 0 && b.block < 14 && chance(h, 20)) {
		b.tail_segment = b.segment_id;
		b.tail_sequence = b.sequence;
		return;
	}
	if (h->durable <= low)
		return;
	sequence = far ? h->durable : low + wb_prng_below(&h->prng, h->durable - low + 1);
	segment = truth_of(h, sequence)->segment_id;
	while (sequence > low && truth_of(h, sequence - 1)->segment_id == segment)
		sequence--;
	if (segment <= b.tail_segment)
		return;
	b.tail_segment = segment;
	b.tail_sequence = sequence;
}

static void add(struct history *h, unsigned blocks)
{
	struct wb_log_built *built = wb_log_builder_add(&b, blocks);
	const struct wb_record_disk *disk =
		(const void *)(wb_store_memory_bytes(b.store) + built->offset_bytes);
	struct truth truth = { .segment_id = built->segment_id,
			       .first_crc = wb_get_le32(disk->entries[0].crc_or_length) };

	g_array_set_size(h->truth, (guint)built->sequence);
	g_array_append_val(h->truth, truth);
	g_ptr_array_add(h->pending, built);
	/* no place may be used again before its old id is behind a durable tail */
	cr_assert(built->segment_id <= SEGMENTS ||
		  built->segment_id - SEGMENTS < h->durable_tail);
}

static void write_some(struct history *h)
{
	for (uint64_t n = wb_prng_below(&h->prng, 40); n > 0; n--) {
		if (b.segment_id + 4 >= h->durable_tail + SEGMENTS) {
			flush(h);
			move_tail(h, true);
			add(h, 1);
			flush(h);
		}
		if (chance(h, 10))
			move_tail(h, false);
		if (chance(h, 3))
			wb_log_builder_next_segment(&b);	/* an id without records */
		add(h, 1 + (unsigned)wb_prng_below(&h->prng, chance(h, 50) ? 3 : 15));
		if (chance(h, 15))
			flush(h);
	}
}

static void crash(struct history *h)
{
	for (guint i = 0; i < h->pending->len; i++) {
		const struct wb_log_built *built = g_ptr_array_index(h->pending, i);
		uint64_t sectors = built->length_bytes / 512;

		if (chance(h, 40))
			continue;
		if (chance(h, 50))
			wb_log_builder_lose(&b, built);
		else if (chance(h, 50))
			wb_log_builder_tear(&b, built,
					    512 * wb_prng_below(&h->prng, sectors));
		else
			wb_log_builder_lose_sector(&b, built, (unsigned)
						   wb_prng_below(&h->prng, sectors));
	}
	g_ptr_array_set_size(h->pending, 0);
}

static void check_records(struct history *h, const struct wb_recovery *r)
{
	for (guint i = 0; i < r->records->len; i++) {
		const struct wb_recovery_record *record =
			&g_array_index(r->records, struct wb_recovery_record, i);
		uint32_t crc = wb_get_le32(g_array_index(r->entries, struct wb_entry_disk,
					   record->first_entry).crc_or_length);

		cr_assert_eq(record->sequence, r->cut_sequence + 1 - r->records->len + i);
		cr_assert_eq(crc, truth_of(h, record->sequence)->first_crc,
			     "seed %lu: record %lu is of a timeline that was cut off",
			     h->seed, record->sequence);
		cr_assert_eq(record->segment_id, truth_of(h, record->sequence)->segment_id);
	}
}

static struct wb_recovery *scan_and_check(struct history *h)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(b.store, NULL, &error);

	cr_assert(r, "seed %lu: %s", h->seed, error ? error->message : "");
	cr_assert_geq(r->cut_sequence, h->durable, "seed %lu: synced record lost", h->seed);
	cr_assert_lt(r->cut_sequence, b.sequence);
	cr_assert_geq(r->tail_segment, h->durable_tail);
	cr_assert_leq(r->durable, r->cut_sequence);
	cr_assert_leq(r->durable, h->durable);
	cr_assert(r->last_segment + 1 <= SEGMENTS ||
		  r->last_segment + 1 - SEGMENTS < r->tail_segment);
	if (r->cut_sequence > 0)
		cr_assert_geq(r->last_segment, truth_of(h, r->cut_sequence)->segment_id);
	check_records(h, r);
	h->live_records += r->record_count;
	h->warm_records += r->records->len - r->record_count;
	h->cut_records += b.sequence - 1 - r->cut_sequence;
	return r;
}

/* Only the first of the new superblocks was written, whole or in part. */
static void crash_while_opening(struct history *h, const struct wb_recovery *r)
{
	uint8_t before[4096], *at;
	unsigned older = 1 - r->newest_copy;
	struct wb_log_builder saved = b;
	size_t kept = 512 * wb_prng_below(&h->prng, 9);

	wb_log_builder_prepare(&b, r);
	at = wb_store_memory_bytes(b.store) + wb_superblock_offset(older);
	memcpy(before, at, sizeof before);
	wb_log_builder_write_superblock(&b, older);
	memcpy(at + kept, before + kept, sizeof before - kept);
	b = saved;
}

static void open_again(struct history *h)
{
	struct wb_recovery *r = scan_and_check(h);
	uint64_t cut = r->cut_sequence;

	while (chance(h, 30)) {
		crash_while_opening(h, r);
		h->durable = cut;	/* opening flushed before it wrote that */
		wb_recovery_free(r);
		r = scan_and_check(h);
		cr_assert_eq(r->cut_sequence, cut, "seed %lu", h->seed);
	}
	wb_log_builder_recover(&b, r);
	g_array_set_size(h->truth, (guint)cut + 1);
	h->durable = cut;
	h->durable_tail = b.tail_segment;
	wb_recovery_free(r);
}

static void live_through(uint64_t seed, struct history *sums)
{
	struct history h = { .seed = seed, .durable_tail = 1 };
	struct truth none = { 0 };

	wb_prng_init(&h.prng, seed);
	wb_log_builder_init(&b, SEGMENTS);
	cr_assert_eq(b.geometry->segment_count, SEGMENTS);
	b.is_each_synced = false;
	h.truth = g_array_new(FALSE, TRUE, sizeof(struct truth));
	g_array_append_val(h.truth, none);
	h.pending = g_ptr_array_new();
	for (unsigned session = 0; session < 15; session++) {
		write_some(&h);
		crash(&h);
		open_again(&h);
	}
	sums->live_records += h.live_records;
	sums->warm_records += h.warm_records;
	sums->cut_records += h.cut_records;
	g_array_unref(h.truth);
	g_ptr_array_unref(h.pending);
	wb_log_builder_clear(&b);
}

Test(recovery_random, no_history_of_crashes_loses_a_synced_record_or_revives_a_dead_one)
{
	struct history sums = { 0 };

	for (uint64_t seed = 1; seed <= 150; seed++)
		live_through(seed, &sums);
	/* the test means something only if all of this happened */
	cr_assert_gt(sums.cut_records, 1000);
	cr_assert_gt(sums.live_records, 10000);
	cr_assert_gt(sums.warm_records, 10000);
}

/* --- rot --------------------------------------------------------------------- */

struct image {
	uint8_t *bytes;
	struct wb_recovery *sound;	/* the scan of the undamaged image */
	uint64_t claimed;		/* durable, as far as the image says */
};

/* Several rounds of the ring, three epochs, leftovers of two timelines. */
static void make_image(struct image *image)
{
	struct wb_prng prng;

	wb_prng_init(&prng, 4711);
	wb_log_builder_init(&b, SEGMENTS);
	for (unsigned session = 0; session < 3; session++) {
		struct wb_log_built *lost;
		struct wb_recovery *r;

		b.is_each_synced = true;
		for (unsigned i = 0; i < 25; i++) {
			wb_log_builder_add(&b, (unsigned)wb_prng_below(&prng, 15) + 1);
			if (b.segment_id > b.tail_segment + 7)
				wb_log_builder_move_tail(&b, b.segment_id - 4);
		}
		b.is_each_synced = false;
		lost = wb_log_builder_add(&b, 5);
		wb_log_builder_add(&b, 4);
		wb_log_builder_add(&b, 3);
		if (session < 2) {
			wb_log_builder_lose(&b, lost);
			r = wb_recovery_scan(b.store, NULL, NULL);
			wb_log_builder_recover(&b, r);
			wb_recovery_free(r);
		}
	}
	image->bytes = g_memdup2(wb_store_memory_bytes(b.store), b.store->size_bytes);
	image->sound = wb_recovery_scan(b.store, NULL, NULL);
	cr_assert(image->sound);
	image->claimed = image->sound->durable;
	cr_assert_eq(image->claimed, b.durable);
	cr_assert_eq(image->sound->cut_sequence, b.sequence - 1);
	cr_assert_gt(image->sound->records->len, image->sound->record_count);
}

/* What is found is found alike in the sound image, and covers all claims. */
static void check_against(const struct image *image, const struct wb_recovery *r)
{
	const struct wb_recovery *sound = image->sound;
	guint skipped = sound->records->len - r->records->len;

	cr_assert_geq(r->cut_sequence, image->claimed);
	cr_assert_leq(r->cut_sequence, sound->cut_sequence);
	/* When the only header rots that told of the last move of the tail, more
	 * of the log is live: written back twice, in the same order. */
	cr_assert_leq(r->tail_sequence, sound->tail_sequence);
	cr_assert_leq(r->records->len, sound->records->len);
	skipped -= (guint)(sound->cut_sequence - r->cut_sequence);
	for (guint i = 0; i < r->records->len; i++) {
		const struct wb_recovery_record *x =
			&g_array_index(r->records, struct wb_recovery_record, i);
		const struct wb_recovery_record *y = &g_array_index(sound->records,
				struct wb_recovery_record, skipped + i);

		cr_assert_eq(x->sequence, y->sequence);
		cr_assert_eq(x->segment_id, y->segment_id);
		cr_assert_eq(x->block_offset, y->block_offset);
		cr_assert_eq(x->is_live, x->sequence >= r->tail_sequence);
		cr_assert_eq(x->entry_count, y->entry_count);
		cr_assert_arr_eq(&g_array_index(r->entries, struct wb_entry_disk, x->first_entry),
				 &g_array_index(sound->entries, struct wb_entry_disk,
						y->first_entry),
				 x->entry_count * sizeof(struct wb_entry_disk));
	}
}

static void try_image(const struct image *image, unsigned *refused, unsigned *shorter)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(b.store, NULL, &error);

	if (!r) {
		cr_assert(error);
		++*refused;
		return;
	}
	check_against(image, r);
	*shorter += r->cut_sequence < image->sound->cut_sequence;
	wb_recovery_free(r);
}

static void free_image(struct image *image)
{
	g_free(image->bytes);
	wb_recovery_free(image->sound);
	wb_log_builder_clear(&b);
}

/* Half of the flips hit headers and superblocks: they are few among the data. */
static uint64_t choose_offset(struct wb_prng *prng)
{
	const struct wb_log_built *built;

	if (wb_prng_below(prng, 2))
		return wb_prng_below(prng, b.store->size_bytes);
	if (!wb_prng_below(prng, 10))
		return wb_superblock_offset((unsigned)wb_prng_below(prng, 2)) +
		       wb_prng_below(prng, 4096);
	built = g_ptr_array_index(b.records, wb_prng_below(prng, b.records->len));
	return built->offset_bytes + wb_prng_below(prng, 200);
}

Test(recovery_random, a_flipped_bit_never_shortens_what_was_durable_nor_changes_it)
{
	unsigned refused = 0, shorter = 0;
	struct image image;
	struct wb_prng prng;

	make_image(&image);
	wb_prng_init(&prng, 1);
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t offset = choose_offset(&prng);

		wb_log_builder_flip(&b, offset, i % 8);
		try_image(&image, &refused, &shorter);
		wb_log_builder_flip(&b, offset, i % 8);
	}
	cr_assert_arr_eq(image.bytes, wb_store_memory_bytes(b.store), b.store->size_bytes);
	cr_expect_gt(refused, 100);
	cr_expect_gt(shorter, 5);
	free_image(&image);
}

Test(recovery_random, a_block_of_rubbish_never_shortens_what_was_durable)
{
	unsigned refused = 0, shorter = 0;
	struct image image;
	struct wb_prng prng;

	make_image(&image);
	wb_prng_init(&prng, 2);
	for (uint64_t offset = 0; offset < b.store->size_bytes; offset += 4096) {
		uint8_t *at = wb_store_memory_bytes(b.store) + offset;
		unsigned byte = (unsigned)wb_prng_below(&prng, 2) * 0x55;

		memset(at, (int)byte, 4096);
		try_image(&image, &refused, &shorter);
		memcpy(at, image.bytes + offset, 4096);
	}
	cr_expect_gt(refused, 10);
	free_image(&image);
}

Test(recovery_random, rubbish_in_many_places_is_refused_or_read_but_never_a_crash)
{
	struct image image;
	struct wb_prng prng;

	make_image(&image);
	wb_prng_init(&prng, 3);
	for (unsigned i = 0; i < 500; i++) {
		uint8_t *bytes = wb_store_memory_bytes(b.store);
		struct wb_recovery *r;

		memcpy(bytes, image.bytes, b.store->size_bytes);
		for (uint64_t n = wb_prng_below(&prng, 30); n > 0; n--) {
			uint64_t from = wb_prng_below(&prng, b.store->size_bytes / 4096);
			uint64_t to = wb_prng_below(&prng, b.store->size_bytes / 4096);

			if (n % 2)
				memcpy(bytes + to * 4096, image.bytes + from * 4096, 4096);
			else
				bytes[choose_offset(&prng)] = (uint8_t)n;
		}
		r = wb_recovery_scan(b.store, NULL, NULL);
		wb_recovery_free(r);
	}
	free_image(&image);
}
