/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/tunables.h"

static struct wb_tunables tunables = WB_TUNABLES_DEFAULT;
static GError *error;

static const struct wb_tunable *find(const char *name)
{
	const struct wb_tunable *tunable = wb_tunable_find(name);

	cr_assert(tunable, "no tunable %s", name);
	return tunable;
}

static void refuse(const char *name, const char *text, const char *words)
{
	struct wb_tunables before = tunables;

	cr_assert_not(wb_tunable_parse(find(name), text, &tunables, &error));
	cr_assert(g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE));
	cr_assert(strstr(error->message, words), "no \"%s\" in: %s", words, error->message);
	cr_assert_arr_eq(&before, &tunables, sizeof before);
	g_clear_error(&error);
}

static size_t size_of(const struct wb_tunable *tunable)
{
	switch (tunable->type) {
	case WB_TUNABLE_ON_OFF: return sizeof(bool);
	case WB_TUNABLE_SCHEDULE: return sizeof(struct wb_schedule);
	default: return sizeof(uint32_t);
	}
}

Test(tunables, what_is_shown_is_taken_back_and_means_the_same)
{
	const struct wb_tunables defaults = WB_TUNABLES_DEFAULT;

	for (unsigned i = 0; i < wb_tunables_count; i++) {
		struct wb_tunables copy;
		GString *text = g_string_new(NULL);

		/* From any other state, byte by byte the same but for padding. */
		memset(&copy, 0, sizeof copy);
		wb_tunable_append(&wb_tunables_table[i], &defaults, text);
		cr_assert(wb_tunable_parse(&wb_tunables_table[i], text->str, &copy, &error));
		cr_assert_arr_eq((char *)&copy + wb_tunables_table[i].offset,
				 (const char *)&defaults + wb_tunables_table[i].offset,
				 size_of(&wb_tunables_table[i]));
		g_string_free(text, TRUE);
	}
}

Test(tunables, a_range_has_a_start_and_an_end)
{
	const char *words = "'pin' takes START-END, multiples of 4096 as in 0-256M, or none, not ";
	g_autoptr(GString) text = g_string_new(NULL);

	cr_assert(wb_tunable_parse(find("pin"), "4K-1g", &tunables, &error));
	cr_expect_eq(tunables.pin.start_bytes, 4096);
	cr_expect_eq(tunables.pin.end_bytes, 1u << 30);
	wb_tunable_append(find("pin"), &tunables, text);
	cr_expect_str_eq(text->str, "4096-1073741824");
	refuse("pin", "1M", words);
	refuse("pin", "-1M", words);
	refuse("pin", "2M-1M", words);
	refuse("pin", "1M-1M", words);
	refuse("pin", "100-1M", words);
	refuse("pin", "0-1Mx", words);
	refuse("pin", "0-99999999T", words);
	cr_assert(wb_tunable_parse(find("pin"), "none", &tunables, &error));
	cr_expect_eq(tunables.pin.end_bytes, 0);
}

Test(tunables, a_switch_takes_on_and_off_only)
{
	cr_assert(wb_tunable_parse(find("allow_writeback"), "off", &tunables, &error));
	cr_assert_not(tunables.allow_writeback);
	refuse("allow_writeback", "1", "'allow_writeback' takes 'on' or 'off', not '1'");
	refuse("allow_writeback", "ON", "takes 'on' or 'off'");
}

Test(tunables, a_number_has_a_range_and_a_unit)
{
	cr_assert(wb_tunable_parse(find("sync_interval_s"), "86400", &tunables, &error));
	cr_assert_eq(tunables.sync_interval_s, 86400);
	refuse("sync_interval_s", "86401", "a whole number of seconds from 0 to 86400");
	refuse("sync_interval_s", "-1", "not '-1'");
	refuse("sync_interval_s", "5s", "not '5s'");
	refuse("sync_interval_s", "", "not ''");
}

Test(tunables, a_schedule_says_what_it_takes)
{
	cr_assert(wb_tunable_parse(find("writeback_schedule"), "02:00-05:00", &tunables, &error));
	cr_assert_eq(tunables.writeback_schedule.window_count, 1);
	refuse("writeback_schedule", "at night", "'writeback_schedule' takes 'always', 'never', or "
	       "windows like '02:00-05:00', 'every 4h' (m, h, d), or both with '+' between, not "
	       "'at night'");
}

Test(tunables, a_name_that_there_is_not_is_not_found)
{
	cr_assert_null(wb_tunable_find("allow_writebac"));
	cr_assert_null(wb_tunable_find(""));
}
