/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens to a volume is told in its events. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "frontend/control_files.h"
#include "support/store_faulty.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SECOND_NS UINT64_C(1000000000)

static struct wb_sim sim;

static void start(void)
{
	struct wb_sim_params params = { .no_writeback = true };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(events, .init = start, .fini = stop);

/* Which of the words come in which events, as "kind text" lines. */
static char *all(void)
{
	struct wb_event *events = g_new(struct wb_event, WB_EVENTS_MAX);
	GString *text = g_string_new(NULL);
	unsigned count = wb_cache_get_events(sim.cache, events);

	for (unsigned i = 0; i < count; i++)
		g_string_append_printf(text, "%s %s\n", wb_event_kind_name(events[i].kind),
				       events[i].text);
	g_free(events);
	return g_string_free(text, FALSE);
}

static void expect(const char *words)
{
	g_autofree char *text = all();

	cr_expect(strstr(text, words), "no \"%s\" in:\n%s", words, text);
}

static void expect_not(const char *words)
{
	g_autofree char *text = all();

	cr_expect_null(strstr(text, words), "\"%s\" in:\n%s", words, text);
}

static void wait(uint64_t ns)
{
	wb_sim_pass_time(&sim, ns);
	wb_sim_settle(&sim);
}

static void fail(struct wb_store *faulty, int op)
{
	wb_store_faulty_add(faulty, &(struct wb_fault){
		.op = op, .io_class = WB_FAULT_ANY, .count = WB_FAULT_FOR_EVER,
	});
}

Test(events, begin_with_what_opening_found)
{
	expect("note opened: epoch ");
	expect(" 0 records found in the log, 0 blocks dirty");
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 3 * BLOCK, WB_REQUEST_FUA), 0);
	wb_sim_kill(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	expect(" 1 records found in the log, 3 blocks dirty");
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	expect(", what the clean stop left, 3 blocks dirty");
}

Test(events, have_the_time_of_the_wall)
{
	struct wb_event *events = g_new(struct wb_event, WB_EVENTS_MAX);

	cr_assert_eq(wb_cache_get_events(sim.cache, events), 1);
	cr_expect_geq(events[0].first_ns, WB_SIM_WALL_NS);
	cr_expect_lt(events[0].first_ns, WB_SIM_WALL_NS + 10 * SECOND_NS);
	g_free(events);
}

Test(events, tell_begin_and_end_of_a_drain)
{
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 2 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect("note drain begun: 2 blocks dirty");
	expect("note drain done: 0 blocks dirty");
	expect_not("drain failed");
}

Test(events, tell_a_drain_that_failed_and_why_and_that_writeback_goes_on)
{
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	fail(sim.backing_disk.faulty, WB_IO_WRITE);
	cr_assert_eq(wb_sim_drain(&sim), -EIO);
	expect("note drain failed: 1 blocks dirty");
	expect("error backing ");
	wait(SECOND_NS);
	expect("note writeback pauses after errors");
	wb_store_faulty_clear(sim.backing_disk.faulty);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wait(SECOND_NS);
	expect("note writeback goes on");
}

Test(events, name_the_cache_when_a_drain_failed_for_it_though_the_backing_failed_later)
{
	char data[BLOCK];
	struct wb_stats_snapshot stats;

	fail(sim.cache_disk.faulty, WB_IO_WRITE);
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, WB_REQUEST_FUA), -EIO);
	wait(SECOND_NS);
	fail(sim.backing_disk.faulty, WB_IO_READ);
	cr_assert_eq(wb_sim_read(&sim, 100 * BLOCK, data, BLOCK), -EIO);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	wb_sim_stats(&sim, &stats);
	cr_assert(strstr(stats.last_error, "backing "), "%s", stats.last_error);
	cr_assert_eq(wb_sim_drain(&sim), -EIO);
	wb_sim_stats(&sim, &stats);
	cr_expect(strstr(stats.last_error, ": it cannot be written, so"), "%s", stats.last_error);
	expect("note drain failed: 1 blocks dirty");
}

Test(events, tell_what_a_scrub_found)
{
	struct wb_stats_snapshot stats;

	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 5 * BLOCK, WB_REQUEST_FUA), 0);
	wb_cache_start_scrub(sim.cache);
	for (unsigned i = 0; i < 100; i++)
		wait(SECOND_NS / 4);
	wb_sim_stats(&sim, &stats);
	cr_assert_eq(stats.scrubs_done + stats.scrubs_failed, 1);
	expect("note scrub begun");
	expect("note scrub done: ");
	expect(" blocks checked, 0 repaired, 0 lost, 0 damaged headers");
}

Test(events, tell_when_the_cache_takes_no_more_and_when_it_does_again)
{
	struct wb_stats_snapshot stats;

	fail(sim.cache_disk.faulty, WB_FAULT_ANY);
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, WB_REQUEST_FUA), -EIO);
	wait(SECOND_NS);
	wb_sim_stats(&sim, &stats);
	cr_assert_eq(stats.state, WB_CACHE_FAILED);
	expect("note state is cache-failed now");
	wb_store_faulty_clear(sim.cache_disk.faulty);
	for (unsigned i = 0; i < 100; i++)
		wait(SECOND_NS);
	wb_sim_stats(&sim, &stats);
	cr_assert_eq(stats.state, WB_CACHE_RUNNING);
	expect("note state is running now");
}

Test(events, tell_what_space_the_backing_has)
{
	struct wb_backing_space space = { WB_SPACE_OK, 500, 100 };

	wb_cache_set_backing_space(sim.cache, &space);
	expect_not("space for the backing");
	space = (struct wb_backing_space){ WB_SPACE_LOW, 50, 100 };
	wb_cache_set_backing_space(sim.cache, &space);
	expect("space for the backing is low now: 50 bytes free, dirty data may need 100");
	space.state = WB_SPACE_OK;
	wb_cache_set_backing_space(sim.cache, &space);
	expect("space for the backing is ok now");
}

/* --- tunables, and control files on a cache ------------------------------------------ */

static struct wb_control control;

static int store(const struct wb_control_node *node, const char *text, size_t length)
{
	control.cache = sim.cache;
	return wb_control_node_store(node, &control, text, length);
}

static char *show(const struct wb_control_node *node)
{
	GString *text = g_string_new(NULL);

	control.cache = sim.cache;
	wb_control_node_show(node, &control, text);
	return g_string_free(text, FALSE);
}

static const struct wb_control_node *tunable(const char *name)
{
	static struct wb_control_node node;

	node.tunable = wb_tunable_find(name);
	cr_assert(node.tunable);
	return &node;
}

static const struct wb_control_node *file(const char *name)
{
	static struct wb_control_node node;

	for (unsigned i = 0; i < wb_control_file_count; i++)
		if (!strcmp(wb_control_files[i].name, name))
			node.file = &wb_control_files[i];
	cr_assert(node.file);
	return &node;
}

Test(events, a_tunable_is_set_by_its_file_and_told)
{
	struct wb_tunables now;
	g_autofree char *text = NULL;

	cr_assert_eq(store(tunable("sync_interval_s"), " 77\n", 4), 0);
	wb_cache_get_tunables(sim.cache, &now);
	cr_expect_eq(now.sync_interval_s, 77);
	expect("note sync_interval_s set to 77");
	text = show(tunable("sync_interval_s"));
	cr_expect_str_eq(text, "77\n");
}

Test(events, a_wrong_value_changes_nothing_and_the_reason_is_told)
{
	static const char *const bad[] = { "", "\n", "x", "-1", "86401", "5 6", "5\0" "6", "\0" };
	struct wb_tunables before, now;

	wb_cache_get_tunables(sim.cache, &before);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		cr_expect_eq(store(tunable("sync_interval_s"), bad[i],
				   i < 6 ? strlen(bad[i]) : i == 6 ? 3 : 1), -EINVAL, "%u", i);
	wb_cache_get_tunables(sim.cache, &now);
	cr_expect_arr_eq(&now, &before, sizeof now);
	expect("refused 'sync_interval_s' takes a whole number of seconds from 0 to 86400, "
	       "not '86401'");
	expect("refused 'sync_interval_s' takes no NUL bytes");
	expect_not("sync_interval_s set to");
}

Test(events, an_unknown_verb_is_told)
{
	g_autofree char *text = NULL;

	cr_assert_eq(store(file("control"), "darin\n", 6), -EINVAL);
	expect("refused control: there is no verb 'darin'");
	text = show(file("events"));
	cr_expect(strstr(text, " refused control: there is no verb 'darin'\n"), "%s", text);
	cr_assert_eq(store(file("events"), "x", 1), -EPERM);
}

Test(events, clear_stats_lets_counters_begin_at_zero_and_changes_no_state)
{
	struct wb_stats_snapshot stats;

	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 3 * BLOCK, 0), 0);
	wb_sim_stats(&sim, &stats);
	cr_assert_eq(stats.counter[WB_STAT_WRITTEN_BYTES], 3 * BLOCK);
	cr_assert_eq(store(file("control"), "clear_stats", 11), 0);
	wb_sim_stats(&sim, &stats);
	for (unsigned i = 0; i < WB_STAT_COUNT; i++)
		cr_expect_eq(stats.counter[i], 0, "%s", wb_stat_name(i));
	cr_expect_eq(stats.dirty_blocks, 3);
	expect("note statistics cleared");
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.counter[WB_STAT_WRITTEN_BYTES], BLOCK);
}
