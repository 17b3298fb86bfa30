/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the modulator makes of a disk's seconds, and how those are measured. */
#include <criterion/criterion.h>
#include <stdbool.h>

#include "cache/busy_meter.h"
#include "cache/modulator.h"

#define SECOND_NS UINT64_C(1000000000)
#define PERCENT_NS (SECOND_NS / 100)

static struct wb_modulator modulator;

/* A second of it, in percent. */
static enum wb_modulator_verdict second(unsigned busy, unsigned reads, unsigned own)
{
	struct wb_modulator_sample sample = {
		.interval_ns = SECOND_NS, .busy_ns = busy * PERCENT_NS,
		.reads_ns = reads * PERCENT_NS, .own_ns = own * PERCENT_NS,
	};

	wb_modulator_add(&modulator, &sample, 70);
	return modulator.verdict;
}

Test(modulator, others_above_the_threshold_stop_it_and_below_it_goes_on)
{
	cr_assert_eq(modulator.verdict, WB_MODULATOR_GO);
	cr_assert_eq(second(0, 0, 0), WB_MODULATOR_GO);
	cr_assert_eq(second(70, 70, 0), WB_MODULATOR_GO);
	cr_assert_eq(second(71, 0, 0), WB_MODULATOR_BUSY);
	cr_assert_eq(modulator.others_percent, 71);
	cr_assert_eq(second(100, 400, 0), WB_MODULATOR_BUSY);
	cr_assert_eq(modulator.others_percent, 100);
	cr_assert_eq(second(69, 69, 0), WB_MODULATOR_GO);
}

Test(modulator, its_own_part_is_taken_out)
{
	/* others leave 30 % idle, and it uses them */
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(second(70, 30, 60), WB_MODULATOR_GO);
	cr_assert_eq(modulator.busy_percent, 70);
	cr_assert_eq(modulator.others_percent, 30);
	/* what is left when it is taken out is too much */
	cr_assert_eq(second(100, 0, 25), WB_MODULATOR_BUSY);
	cr_assert_eq(modulator.others_percent, 75);
}

Test(modulator, reads_of_others_count_though_it_keeps_the_disk_busy_itself)
{
	cr_assert_eq(second(100, 40, 100), WB_MODULATOR_GO);
	cr_assert_eq(second(100, 95, 100), WB_MODULATOR_BUSY);
	cr_assert_eq(modulator.others_percent, 95);
	/* Of the batch that is ending nothing can be said about others. */
	cr_assert_eq(second(90, 0, 90), WB_MODULATOR_BUSY);
	cr_assert_eq(second(20, 20, 0), WB_MODULATOR_GO);
}

Test(modulator, its_own_reads_are_not_those_of_others)
{
	struct wb_modulator_sample sample = {
		.interval_ns = SECOND_NS, .busy_ns = SECOND_NS, .reads_ns = 30 * SECOND_NS,
		.own_ns = SECOND_NS, .own_reads_ns = 30 * SECOND_NS,
	};

	wb_modulator_add(&modulator, &sample, 70);
	cr_assert_eq(modulator.verdict, WB_MODULATOR_GO);
}

Test(modulator, a_disk_that_it_keeps_busy_is_looked_at_without_it_now_and_then)
{
	unsigned goes = 0;

	while (second(100, 0, 100) == WB_MODULATOR_GO)
		goes++;
	cr_assert_eq(goes, 15);
	cr_assert_eq(modulator.verdict, WB_MODULATOR_LOOK);
	/* not before its I/O has ended */
	cr_assert_eq(second(100, 0, 60), WB_MODULATOR_LOOK);
	cr_assert_eq(second(30, 0, 1), WB_MODULATOR_GO);
	/* others write */
	while (second(100, 0, 100) == WB_MODULATOR_GO)
		;
	cr_assert_eq(second(90, 0, 0), WB_MODULATOR_BUSY);
	cr_assert_eq(second(20, 0, 0), WB_MODULATOR_GO);
}

Test(modulator, a_disk_that_is_not_busy_needs_no_look)
{
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_eq(second(60, 0, 60), WB_MODULATOR_GO);
}

Test(modulator, a_threshold_of_100_never_stops_it_and_of_0_any_io_does)
{
	struct wb_modulator_sample sample = { .interval_ns = SECOND_NS, .busy_ns = SECOND_NS };

	wb_modulator_add(&modulator, &sample, 100);
	cr_assert_eq(modulator.verdict, WB_MODULATOR_GO);
	sample.busy_ns = PERCENT_NS;
	wb_modulator_add(&modulator, &sample, 0);
	cr_assert_eq(modulator.verdict, WB_MODULATOR_BUSY);
	sample.busy_ns = 0;
	wb_modulator_add(&modulator, &sample, 0);
	cr_assert_eq(modulator.verdict, WB_MODULATOR_GO);
}

Test(modulator, a_sample_of_no_time_says_nothing)
{
	struct wb_modulator_sample sample = { .busy_ns = SECOND_NS };

	wb_modulator_add(&modulator, &sample, 70);
	cr_assert_eq(modulator.verdict, WB_MODULATOR_GO);
	cr_assert_eq(modulator.busy_percent, 0);
}

/* --- the meter ----------------------------------------------------------------------- */

static void expect_times(struct wb_busy_meter *meter, uint64_t busy_ns, uint64_t sum_ns)
{
	struct wb_busy_times times = wb_busy_meter_read(meter);

	cr_assert_eq(times.busy_ns, busy_ns);
	cr_assert_eq(times.sum_ns, sum_ns);
}

Test(busy_meter, counts_the_time_with_any_io_once_and_that_of_each)
{
	struct wb_clock_manual clock;
	struct wb_busy_meter meter;

	wb_clock_manual_init(&clock);
	wb_busy_meter_init(&meter, &clock.clock);
	wb_clock_manual_advance(&clock, 5);
	expect_times(&meter, 0, 0);
	wb_busy_meter_begin(&meter);
	wb_clock_manual_advance(&clock, 10);
	wb_busy_meter_begin(&meter);
	wb_clock_manual_advance(&clock, 10);
	expect_times(&meter, 20, 30);
	wb_busy_meter_end(&meter);
	wb_clock_manual_advance(&clock, 3);
	wb_busy_meter_end(&meter);
	wb_clock_manual_advance(&clock, 100);
	expect_times(&meter, 23, 33);
	wb_busy_meter_clear(&meter);
}

Test(busy_meter, goes_on_counting_what_is_under_way)
{
	struct wb_clock_manual clock;
	struct wb_busy_meter meter;

	wb_clock_manual_init(&clock);
	wb_busy_meter_init(&meter, &clock.clock);
	wb_busy_meter_begin(&meter);
	for (uint64_t i = 1; i < 5; i++) {
		wb_clock_manual_advance(&clock, SECOND_NS);
		expect_times(&meter, i * SECOND_NS, i * SECOND_NS);
	}
	wb_busy_meter_end(&meter);
	wb_busy_meter_clear(&meter);
}
