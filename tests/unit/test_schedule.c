/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a schedule is written, and which times of a day are in it. */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/schedule.h"

#define AT(hour, minute) ((uint32_t)((hour) * 3600 + (minute) * 60))

static struct wb_schedule parsed(const char *text)
{
	struct wb_schedule schedule;

	cr_assert(wb_schedule_parse(text, &schedule), "%s", text);
	return schedule;
}

static void expect_shown(const char *text, const char *shown)
{
	struct wb_schedule schedule = parsed(text), again;
	g_autoptr(GString) out = g_string_new(NULL);

	wb_schedule_append(&schedule, out);
	cr_expect_str_eq(out->str, shown);
	again = parsed(out->str);
	cr_expect_eq(memcmp(&schedule, &again, sizeof again), 0, "%s", text);
}

Test(schedule, what_is_shown_is_taken_back_and_means_the_same)
{
	expect_shown("always", "always");
	expect_shown(" never ", "never");
	expect_shown("02:00-05:00", "02:00-05:00");
	expect_shown("02:00-05:00 22:30-24:00", "02:00-05:00+22:30-24:00");
	expect_shown("every 4h", "every+4h");
	expect_shown("every 90m", "every+90m");
	expect_shown("every+1440m", "every+1d");
	expect_shown("every 36h 23:00-01:00", "23:00-01:00+every+36h");
}

Test(schedule, nonsense_is_none_and_changes_nothing)
{
	static const char *const wrong[] = {
		"", " ", "+", "sometimes", "always never", "always 02:00-05:00", "never every 1h",
		"02:00", "02:00-", "2:00-5:00", "02:00-05:00x", "02:00 - 05:00", "24:00-05:00",
		"02:60-05:00", "02:00-24:01", "-1:00-05:00", "02:00-02:00", "every", "every 4",
		"every 0h", "every h", "every 4w", "every 4hh", "every 367d", "every -4h",
		"every 99999999999999999999h", "every 1h every 2h", "every 4h every", "4h",
		"01:00-02:00 03:00-04:00 05:00-06:00 07:00-08:00 09:00-10:00",
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
		struct wb_schedule schedule = { .every_s = 77 };

		cr_expect_not(wb_schedule_parse(wrong[i], &schedule), "\"%s\"", wrong[i]);
		cr_expect_eq(schedule.every_s, 77);
	}
}

Test(schedule, a_window_is_open_from_its_first_second_to_before_its_last_minute)
{
	struct wb_schedule s = parsed("02:00-05:00");

	cr_expect_not(wb_schedule_is_open(&s, AT(2, 0) - 1));
	cr_expect(wb_schedule_is_open(&s, AT(2, 0)));
	cr_expect(wb_schedule_is_open(&s, AT(5, 0) - 1));
	cr_expect_not(wb_schedule_is_open(&s, AT(5, 0)));
	cr_expect_eq(wb_schedule_opens_in_s(&s, AT(1, 0)), 3600);
	cr_expect_eq(wb_schedule_opens_in_s(&s, AT(5, 0)), 21 * 3600);
}

Test(schedule, a_window_goes_on_over_midnight)
{
	struct wb_schedule s = parsed("22:30-01:15"), day = parsed("00:00-24:00");

	cr_expect(wb_schedule_is_open(&s, AT(22, 30)));
	cr_expect(wb_schedule_is_open(&s, AT(0, 0)));
	cr_expect(wb_schedule_is_open(&s, AT(1, 14)));
	cr_expect_not(wb_schedule_is_open(&s, AT(1, 15)));
	cr_expect_not(wb_schedule_is_open(&s, AT(12, 0)));
	for (uint32_t second = 0; second < WB_DAY_S; second += 59)
		cr_assert(wb_schedule_is_open(&day, second));
}

Test(schedule, the_next_window_is_the_first_that_comes_and_it_is_open_then)
{
	struct wb_schedule s = parsed("22:30-01:15 02:00-05:00 13:00-13:01");

	for (uint32_t second = 0; second < WB_DAY_S; second += 17) {
		uint32_t in_s = wb_schedule_opens_in_s(&s, second);

		cr_assert_lt(in_s, WB_DAY_S);
		cr_assert(wb_schedule_is_open(&s, (second + in_s) % WB_DAY_S));
		for (uint32_t at = 0; at < in_s && !wb_schedule_is_open(&s, second); at += 60)
			cr_assert_not(wb_schedule_is_open(&s, (second + at) % WB_DAY_S));
	}
	s = parsed("every 1h");
	cr_expect_eq(wb_schedule_opens_in_s(&s, 0), UINT32_MAX);
}
