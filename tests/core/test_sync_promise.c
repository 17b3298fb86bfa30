/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * No sync and no FUA write is ever answered without a completed device flush
 * (or FUA write) that covers every record that it promises: the disk keeps the
 * book, not the cache.
 */
#include <criterion/criterion.h>

#include "cache/cache_private.h"
#include "support/volume_sim.h"

#define BLOCK 4096u

struct book {
	struct wb_sim sim;
	uint64_t checked;		/* records up to here were covered once */
	GHashTable *targets;		/* SYNC in flight: id -> last record at submit */
	uint64_t syncs, fuas;
};

static void expect_covered(struct book *book, uint64_t target)
{
	struct wb_log *log = book->sim.cache->path.log;

	for (; book->checked < target; book->checked++) {
		struct wb_record *record = wb_log_record(log, book->checked + 1);

		cr_assert_eq(record->sequence, book->checked + 1);
		cr_assert(wb_store_counting_is_covered(book->sim.cache_disk.counting,
				wb_log_record_offset(log, record),
				(1 + record->block_count) * (uint64_t)BLOCK),
			  "seed %lu: record %lu of %lu promised ones is not covered",
			  book->sim.params.seed, book->checked + 1, target);
	}
}

static void on_finish(void *arg, struct wb_sim_op *op)
{
	struct book *book = arg;
	uint64_t *target = g_hash_table_lookup(book->targets, &op->id);

	cr_assert_eq(op->error, 0);
	if (op->op == WB_SYNC) {
		/* One that is answered in its submit is asked for at once. */
		expect_covered(book, target ? *target :
			       wb_log_last_sequence(book->sim.cache->path.log));
		book->syncs++;
	} else if (op->flags & WB_REQUEST_FUA) {
		expect_covered(book, op->request->sync_target);
		book->fuas++;
	}
}

static void submit_one(struct book *book)
{
	struct wb_prng *prng = &book->sim.prng;
	uint64_t kind = wb_prng_below(prng, 10), target;
	uint64_t at = wb_prng_below(prng, book->sim.params.image_bytes - 20000);
	unsigned flags = wb_prng_below(prng, 4) == 0 ? WB_REQUEST_FUA : 0;
	struct wb_sim_op *op;

	op = wb_sim_prepare(&book->sim, kind < 6 ? WB_WRITE : kind < 9 ? WB_SYNC : WB_ZERO,
			    kind < 6 || kind == 9 ? flags : 0, at, 1 + wb_prng_below(prng, 20000));
	if (!op)
		return;
	target = wb_log_last_sequence(book->sim.cache->path.log);
	if (op->op == WB_SYNC)
		g_hash_table_insert(book->targets, g_memdup2(&op->id, 8),
				    g_memdup2(&target, 8));
	wb_sim_submit(op);
}

static void release_finished(struct book *book)
{
	for (unsigned i = 0; i < book->sim.params.request_count; i++) {
		if (book->sim.ops[i].request && book->sim.ops[i].is_finished)
			wb_sim_release(&book->sim.ops[i]);
	}
}

static void run(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .segment_count = 8 + seed % 3 };
	struct book book = { 0 };

	wb_sim_init(&book.sim, &params);
	cr_assert(wb_sim_open(&book.sim, NULL));
	book.targets = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	book.sim.arg = &book;
	book.sim.on_finish = on_finish;
	for (unsigned i = 0; i < 4000; i++) {
		release_finished(&book);
		if (wb_prng_below(&book.sim.prng, 2) == 0)
			submit_one(&book);
		for (uint64_t n = wb_prng_below(&book.sim.prng, 16); n > 0; n--)
			wb_sim_step(&book.sim);
		/* A disk that fails a flush, now and then. */
		if (seed % 2 && wb_prng_below(&book.sim.prng, 100) == 0) {
			struct wb_fault fault = { .op = WB_IO_FLUSH, .io_class = WB_FAULT_ANY };

			wb_store_faulty_clear(book.sim.cache_disk.faulty);
			wb_store_faulty_add(book.sim.cache_disk.faulty, &fault);
		}
		if (wb_prng_below(&book.sim.prng, 20) == 0)
			wb_sim_pass_time(&book.sim, 200000000);
	}
	cr_expect_gt(book.syncs, 100, "%lu", book.syncs);
	cr_expect_gt(book.fuas, 50, "%lu", book.fuas);
	wb_sim_clear(&book.sim);
	g_hash_table_unref(book.targets);
}

Test(sync_promise, every_answer_is_covered_by_a_completed_flush)
{
	for (uint64_t seed = 2; seed <= 12; seed += 2)
		run(seed);
}

Test(sync_promise, every_answer_is_covered_on_a_disk_that_fails_flushes)
{
	for (uint64_t seed = 1; seed <= 11; seed += 2)
		run(seed);
}

static uint64_t flushes(struct wb_sim *sim)
{
	return wb_store_counting_ios(sim->cache_disk.counting, WB_IO_FLUSH);
}

Test(sync_promise, syncs_that_wait_share_flushes)
{
	struct wb_sim sim;
	struct wb_sim_op *ops[12];
	uint64_t before;

	wb_sim_init(&sim, NULL);
	cr_assert(wb_sim_open(&sim, NULL));
	before = flushes(&sim);
	for (unsigned i = 0; i < 12; i++) {
		cr_assert_eq(wb_sim_fill(&sim, i * BLOCK, 1, BLOCK, 0), 0);
		ops[i] = wb_sim_prepare(&sim, WB_SYNC, 0, 0, 0);
		wb_sim_submit(ops[i]);
	}
	for (unsigned i = 0; i < 12; i++) {
		cr_assert_eq(wb_sim_wait(ops[i]), 0);
		wb_sim_release(ops[i]);
	}
	cr_expect_leq(flushes(&sim) - before, 4);
	wb_sim_clear(&sim);
}
