/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When data becomes durable by the clock: the periodic sync, and how long a
 * write that has to be durable waits for company. No test sleeps: the clock is
 * moved by hand, and by a millisecond with each look at it.
 */
#include <criterion/criterion.h>

#include "cache/cache_private.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define MS_NS UINT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)
#define TICK_NS (250 * MS_NS)	/* the daemon's */

static struct wb_sim sim;

static void start(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .no_writeback = true,
					.segment_bytes = 1 << 20, .image_bytes = 16 << 20 };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void stop(void)
{
	if (sim.ops)
		wb_sim_clear(&sim);
	sim.ops = NULL;
}

TestSuite(sync_timing, .fini = stop);

static void set(const char *name, const char *value)
{
	cr_assert(wb_cache_set_tunable(sim.cache, wb_tunable_find(name), value, NULL));
}

static uint64_t durable(void)
{
	return wb_log_durable(sim.cache->path.log);
}

static uint64_t newest(void)
{
	return wb_log_last_sequence(sim.cache->path.log);
}

static void tick(void)
{
	wb_sim_pass_time(&sim, TICK_NS);
	wb_sim_settle(&sim);
}

/* --- the periodic sync -------------------------------------------------------- */

/* Writes at all times; the age at which one becomes durable, at most. */
static uint64_t oldest_age_ns(uint64_t seed, uint64_t seconds)
{
	uint64_t written_ns[512] = { 0 };	/* by record: its first write */
	uint64_t checked = durable(), oldest_ns = 0, end_ns = sim.clock.now_ns +
		seconds * SECOND_NS;
	struct wb_prng prng;

	wb_prng_init(&prng, seed);
	while (sim.clock.now_ns < end_ns) {
		if (wb_prng_below(&prng, 3) == 0) {
			cr_assert_eq(wb_sim_fill(&sim, wb_prng_below(&prng, 4000) * BLOCK, 1,
						 BLOCK, 0), 0);
			cr_assert_lt(newest(), 512);
			if (!written_ns[newest()])
				written_ns[newest()] = sim.clock.now_ns;
		}
		tick();
		for (; checked < durable(); checked++)
			oldest_ns = MAX(oldest_ns, sim.clock.now_ns - written_ns[checked + 1]);
		/* What is not durable yet counts too. */
		if (checked < newest())
			oldest_ns = MAX(oldest_ns, sim.clock.now_ns - written_ns[checked + 1]);
	}
	return oldest_ns;
}

Test(sync_timing, unsynced_data_is_never_older_than_the_interval_and_a_tick)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		uint64_t oldest_ns;

		start(seed);
		set("sync_interval_s", "3");
		oldest_ns = oldest_age_ns(seed, 120);
		cr_expect_leq(oldest_ns, 3 * SECOND_NS + TICK_NS + 50 * MS_NS, "%lu ms",
			      oldest_ns / MS_NS);
		cr_expect_geq(oldest_ns, 2 * SECOND_NS, "%lu ms", oldest_ns / MS_NS);
		stop();
	}
}

Test(sync_timing, the_interval_can_be_made_shorter_and_longer_at_any_time)
{
	uint64_t began_ns;

	start(0);
	set("sync_interval_s", "86400");
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	for (unsigned i = 0; i < 400; i++)
		tick();
	cr_assert_lt(durable(), newest());
	/* What was set before is no appointment. */
	set("sync_interval_s", "2");
	tick();
	cr_assert_eq(durable(), newest());
	cr_assert_eq(wb_sim_fill(&sim, 0, 2, BLOCK, 0), 0);
	began_ns = sim.clock.now_ns;
	while (durable() < newest())
		tick();
	cr_assert_leq(sim.clock.now_ns - began_ns, 2 * SECOND_NS + TICK_NS + 50 * MS_NS);
	set("sync_interval_s", "100");
	cr_assert_eq(wb_sim_fill(&sim, 0, 3, BLOCK, 0), 0);
	for (unsigned i = 0; i < 40; i++)
		tick();
	cr_assert_lt(durable(), newest());
}

Test(sync_timing, an_interval_of_0_syncs_nothing)
{
	start(0);
	set("sync_interval_s", "0");
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	wb_sim_pass_time(&sim, UINT64_C(1000000) * SECOND_NS);
	wb_sim_settle(&sim);
	cr_assert_lt(durable(), newest());
}

Test(sync_timing, a_periodic_sync_with_nothing_new_costs_no_io)
{
	struct wb_store_counts before, after;

	start(0);
	set("sync_interval_s", "1");
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	for (unsigned i = 0; i < 10; i++)
		tick();
	wb_store_counting_get(sim.cache_disk.counting, &before);
	for (unsigned i = 0; i < 40; i++)
		tick();
	wb_store_counting_get(sim.cache_disk.counting, &after);
	cr_assert_eq(after.answered, before.answered);
}
