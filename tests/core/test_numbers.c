/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Epochs, generations, sequences and ids have an end. A disk may say that it is near:
 * then nothing is written, for the numbers that an opening writes into both superblocks
 * would be the first that no later one takes.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/cache.h"
#include "cache/limits.h"
#include "cache/move.h"
#include "cache/recovery.h"
#include "format/block.h"
#include "support/log_builder.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u

static struct wb_sim sim;

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(numbers, .fini = stop);

/* Some durable data in a log that nobody stopped, or whose clean stop left a checkpoint. */
static void start(bool is_clean)
{
	struct wb_sim_params params = { .backing_fill = 9, .no_writeback = true };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 3 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	if (is_clean)
		cr_assert_eq(wb_sim_close(&sim), 0);
	else
		wb_sim_kill(&sim);
}

static struct wb_recovery *look(void)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(sim.cache_disk.counting, NULL, &error);

	cr_assert(r, "%s", error ? error->message : "");
	return r;
}

static void write_copy(const struct wb_superblock *superblock, unsigned copy)
{
	wb_superblock_encode(superblock, (void *)(wb_sim_cache_bytes(&sim) +
						  wb_superblock_offset(copy)));
}

/* --- what is at its end ------------------------------------------------------------- */

static void end_generation(struct wb_superblock *s, uint64_t number)
{
	s->generation = number;
}

static void end_epoch(struct wb_superblock *s, uint64_t number)
{
	s->epoch = number;
}

static void end_mark(struct wb_superblock *s, uint64_t number)
{
	(void)s;
	sim.watch.mark_epoch = number;
}

/* Logs with nothing in them that is needed. */
static void end_cut_segment(struct wb_superblock *s, uint64_t number)
{
	s->tail_sequence = s->warm_sequence = s->cut_sequence + 1;
	s->tail_segment = s->cut_segment = number;
}

static void end_sequence(struct wb_superblock *s, uint64_t number)
{
	s->epoch_start = s->tail_sequence = number;
	s->tail_segment = s->cut_segment + 1;
	s->cut_sequence = s->durable = number - 1;
}

static void end_tail_segment(struct wb_superblock *s, uint64_t number)
{
	s->tail_sequence = s->warm_sequence = s->cut_sequence + 1;
	s->tail_segment = number;
}

static const struct {
	const char *what;
	void (*set)(struct wb_superblock *s, uint64_t number);
	bool is_empty;			/* the backing has everything */
	bool is_clean;
} cases[] = {
	{ "generation", end_generation, false, false },
	{ "generation, with a checkpoint", end_generation, false, true },
	{ "epoch", end_epoch, false, false },
	{ "epoch of the mark", end_mark, false, false },
	{ "epoch of the mark, with a checkpoint", end_mark, false, true },
	{ "segment of the cut", end_cut_segment, true, false },
	{ "sequence", end_sequence, true, false },
	{ "segment of the tail", end_tail_segment, true, false },
};

/* As an opening would write them, but for the number. */
static void make(unsigned i, uint64_t number)
{
	struct wb_superblock s;
	struct wb_recovery *r;

	start(cases[i].is_clean);
	r = look();
	s = r->superblock;
	if (!cases[i].is_clean) {
		s.epoch++;
		s.epoch_start = r->cut_sequence + 1;
		s.cut_sequence = s.durable = r->cut_sequence;
		s.cut_segment = r->last_segment;
		s.cut_crc = r->cut_crc;
	}
	wb_recovery_free(r);
	s.generation++;
	cases[i].set(&s, number);
	write_copy(&s, 0);
	s.generation--;
	write_copy(&s, 1);
}

/* --- opening ------------------------------------------------------------------------- */

static bool says_so(const GError *error)
{
	return g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_DAMAGED) &&
	       strstr(error->message, "memory: the numbers in its superblocks and headers, or in "
				      "the mark of its backing, are at their end (") &&
	       strstr(error->message, "nothing was changed. `wbfs rescue` saves what can be read");
}

static void refuse(const char *what)
{
	size_t bytes = sim.cache_disk.memory->size_bytes;
	g_autofree uint8_t *before = g_memdup2(wb_sim_cache_bytes(&sim), bytes);
	g_autoptr(GError) error = NULL;

	cr_assert_not(wb_sim_open(&sim, &error), "%s", what);
	cr_expect(says_so(error), "%s: %s", what, error->message);
	cr_expect_eq(memcmp(before, wb_sim_cache_bytes(&sim), bytes), 0, "%s", what);
}

static void expect_data(const char *what, uint8_t value)
{
	g_autoptr(GError) error = NULL;
	uint8_t data[3 * BLOCK];

	sim.access = WB_CACHE_READ_ONLY;
	cr_assert(wb_sim_open(&sim, &error), "%s: %s", what, error ? error->message : "");
	cr_assert_eq(wb_sim_read(&sim, 0, data, sizeof data), 0);
	cr_expect(data[0] == value &&
		  memcmp(data, data + 1, sizeof data - 1) == 0, "%s: %u", what, data[0]);
	wb_sim_close(&sim);
	sim.access = WB_CACHE_READ_WRITE;
}

Test(numbers, at_their_end_keep_from_opening_for_writing_and_nothing_is_changed)
{
	static const uint64_t numbers[] = { WB_NUMBER_LIVING_MAX + 1, WB_NUMBER_MAX - 1,
					    WB_NUMBER_MAX };

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		for (unsigned j = 0; j < G_N_ELEMENTS(numbers); j++) {
			make(i, numbers[j]);
			refuse(cases[i].what);
			expect_data(cases[i].what, cases[i].is_empty ? 9 : 1);
			wb_sim_clear(&sim);
			sim.watch = (struct wb_backing_watch){ 0 };
		}
	}
}

/* Whatever an opening that is let in writes, the next one can read. */
Test(numbers, just_below_leave_the_volume_readable_for_ever)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;

		make(i, WB_NUMBER_LIVING_MAX);
		cr_assert(wb_sim_open(&sim, &error), "%s: %s", cases[i].what,
			  error ? error->message : "");
		sim.watch = (struct wb_backing_watch){ 0 };
		for (unsigned times = 0; times < 5; times++) {
			cr_assert_eq(wb_sim_fill(&sim, 0, 2, 3 * BLOCK, 0), 0);
			cr_assert_eq(wb_sim_sync(&sim), 0);
		}
		wb_sim_kill(&sim);
		refuse(cases[i].what);
		expect_data(cases[i].what, 2);
		wb_sim_clear(&sim);
	}
}

Test(numbers, at_their_end_keep_from_moving_the_cache)
{
	struct wb_recovery *r;
	struct wb_store *to;
	struct wb_move_plan plan;
	struct wb_move move = { .plan = &plan };
	g_autoptr(GError) error = NULL;

	make(0, WB_NUMBER_MAX);
	r = look();
	to = wb_store_memory_new(sim.cache_disk.memory->size_bytes, 512, 512);
	cr_assert(wb_move_make_plan(&plan, r, "memory", to->size_bytes, NULL));
	move.recovery = r;
	move.from = sim.cache_disk.counting;
	move.to = to;
	cr_assert_not(wb_move_run(&move, &error));
	cr_expect(says_so(error), "%s", error->message);
	cr_expect(wb_block_is_zero(wb_store_memory_bytes(to), to->size_bytes));
	wb_store_close(to);
	wb_recovery_free(r);
}

/* --- what may be user data ------------------------------------------------------------- */

/* Behind a break, in a place where no header has to be. */
Test(numbers, of_a_header_among_user_data_do_not_use_up_the_epochs)
{
	static const struct { uint64_t said, believed; } epochs[] = {
		{ 7, 7 }, { WB_NUMBER_BELIEVED_MAX, WB_NUMBER_BELIEVED_MAX },
		{ WB_NUMBER_BELIEVED_MAX + 1, 1 }, { WB_NUMBER_MAX, 1 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(epochs); i++) {
		struct wb_log_builder b;
		struct wb_recovery *r;

		wb_log_builder_init(&b, 8);
		wb_log_builder_add(&b, 2);
		b.is_each_synced = false;
		b.sequence = 1;
		b.durable = 0;
		b.block = 6;
		b.epoch = epochs[i].said;
		wb_log_builder_add(&b, 2);
		r = wb_recovery_scan(b.store, NULL, NULL);
		cr_assert(r);
		cr_expect_eq(r->cut_sequence, 1);
		cr_expect_eq(r->highest_epoch, epochs[i].believed, "%lu of %lu", r->highest_epoch,
			     epochs[i].said);
		cr_expect(wb_recovery_check_numbers(r, b.store, 0, NULL));
		wb_recovery_free(r);
		wb_log_builder_clear(&b);
	}
}
