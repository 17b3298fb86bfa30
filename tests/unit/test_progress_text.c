/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Time and width are given, so that every second and column can be looked at. */
#include <criterion/criterion.h>
#include <string.h>

#include "cmd/progress_text.h"

#define SECOND INT64_C(1000000)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static struct wb_progress_state begun(enum wb_progress_form form)
{
	struct wb_progress_state state;

	wb_progress_state_begin(&state, "drain", form, 7 * SECOND);
	return state;
}

/* A second of work at a time. */
static void work(struct wb_progress_state *state, uint64_t from, uint64_t a_second,
		 unsigned seconds, uint64_t total)
{
	for (unsigned i = 1; i <= seconds; i++)
		wb_progress_state_take(state, from + i * a_second, total,
				       state->measured_us + SECOND);
}

static void expect_bar(struct wb_progress_state *state, unsigned columns, const char *expected)
{
	g_autofree char *bar = wb_progress_state_bar(state, columns);

	cr_expect_str_eq(bar, expected, "%s", bar);
}

static void expect_line(const struct wb_progress_state *state, const char *expected)
{
	g_autofree char *line = wb_progress_state_line(state);

	cr_expect_str_eq(line, expected, "%s", line);
}

Test(progress_text, a_bar_is_drawn_at_once_and_then_at_most_five_times_a_second)
{
	struct wb_progress_state state = begun(WB_PROGRESS_BAR);
	unsigned drawn = 0;

	for (int64_t ms = 0; ms < 2000; ms++)
		drawn += wb_progress_state_take(&state, (uint64_t)ms, 5000, 7 * SECOND + ms * 1000);
	cr_expect_eq(drawn, 10);
}

Test(progress_text, lines_begin_after_a_second_and_come_every_ten)
{
	struct wb_progress_state state = begun(WB_PROGRESS_LINES);
	GString *at = g_string_new(NULL);

	for (int64_t ms = 0; ms < 60000; ms += 50)
		if (wb_progress_state_take(&state, (uint64_t)ms, 60000, 7 * SECOND + ms * 1000))
			g_string_append_printf(at, "%d ", (int)(ms / 1000));
	cr_expect_str_eq(at->str, "1 11 21 31 41 51 ");
	g_string_free(at, TRUE);
}

Test(progress_text, nothing_is_shown_while_it_is_not_known_how_much_there_is)
{
	struct wb_progress_state state = begun(WB_PROGRESS_BAR);

	cr_expect_not(wb_progress_state_take(&state, 0, 0, 8 * SECOND));
	cr_expect(wb_progress_state_take(&state, 0, 1, 8 * SECOND));
}

Test(progress_text, a_wide_terminal_gets_all_of_it)
{
	struct wb_progress_state state = begun(WB_PROGRESS_BAR);

	work(&state, 0, 128 * MIB, 4, GIB);
	expect_bar(&state, 100, "drain [###############...............]  50 %  "
				"512 MiB of 1 GiB, 128 MiB/s, 0:04 left");
	expect_bar(&state, 80, "drain [############.............]  50 %  "
			       "512 MiB of 1 GiB, 128 MiB/s, 0:04 left");
}

Test(progress_text, in_a_narrow_one_the_bar_shrinks_and_then_words_go)
{
	struct wb_progress_state state = begun(WB_PROGRESS_BAR);

	work(&state, 0, 128 * MIB, 4, GIB);
	expect_bar(&state, 60, "drain [##...]  50 %  512 MiB of 1 GiB, 128 MiB/s, 0:04 left");
	expect_bar(&state, 52, "drain  50 %  512 MiB of 1 GiB, 128 MiB/s, 0:04 left");
	expect_bar(&state, 45, "drain [####....]  50 %, 128 MiB/s, 0:04 left");
	expect_bar(&state, 25, "drain  50 %, 0:04 left");
	expect_bar(&state, 12, "drain  50 %");
	expect_bar(&state, 6, "drain");
	expect_bar(&state, 0, "d");
}

Test(progress_text, no_line_is_as_wide_as_the_terminal)
{
	for (unsigned columns = 2; columns < 200; columns++) {
		struct wb_progress_state state = begun(WB_PROGRESS_BAR);

		for (unsigned i = 0; i < 400; i++) {
			g_autofree char *bar = NULL;

			work(&state, i * 300 * MIB, 300 * MIB, 1, 400 * 300 * MIB);
			bar = wb_progress_state_bar(&state, columns);
			cr_assert_lt(strlen(bar), columns);
		}
	}
}

Test(progress_text, the_bar_does_not_jump_with_the_digits)
{
	struct wb_progress_state state = begun(WB_PROGRESS_BAR);
	size_t at = G_MAXSIZE;

	for (unsigned i = 0; i < 1000; i++) {
		g_autofree char *bar = NULL;
		size_t end;

		work(&state, i * MIB, MIB, 1, 1000 * MIB);
		bar = wb_progress_state_bar(&state, 70);
		end = (size_t)(strchr(bar, ']') - bar);
		cr_assert_leq(end, at, "after %u: %s", i, bar);
		at = end;
	}
}

Test(progress_text, the_rate_is_that_of_the_last_seconds)
{
	struct wb_progress_state state = begun(WB_PROGRESS_LINES);

	work(&state, 0, 100 * MIB, 60, 100 * GIB);
	cr_expect_float_eq(state.rate, 100 * MIB, MIB);
	work(&state, 6000 * MIB, 10 * MIB, 30, 100 * GIB);
	cr_expect_float_eq(state.rate, 10 * MIB, MIB);
}

Test(progress_text, without_a_step_forward_no_time_left_is_promised)
{
	struct wb_progress_state state = begun(WB_PROGRESS_LINES);

	expect_line(&state, "drain: 0 %, 0 B of 0 B");
	work(&state, 0, 0, 5, GIB);
	expect_line(&state, "drain: 0 %, 0 B of 1 GiB, 0 B/s");
}

Test(progress_text, what_becomes_more_is_no_step_back_below_nothing)
{
	struct wb_progress_state state = begun(WB_PROGRESS_LINES);

	work(&state, 0, 100 * MIB, 5, GIB);
	wb_progress_state_take(&state, 100 * MIB, 2 * GIB, state.measured_us + SECOND);
	cr_expect_geq(state.rate, 0);
	cr_expect_lt(state.rate, 100 * MIB);
	wb_progress_state_take(&state, 3 * GIB, 2 * GIB, state.measured_us + SECOND);
	cr_expect_eq(state.done_bytes, 2 * GIB);
}

Test(progress_text, hours_and_days_are_said_as_such)
{
	struct wb_progress_state state = begun(WB_PROGRESS_LINES);

	work(&state, 0, MIB, 10, MIB * (3661 + 10));
	expect_line(&state, "drain: 0 %, 10 MiB of 3.5 GiB, 1 MiB/s, 1:01:01 left");
	state = begun(WB_PROGRESS_LINES);
	work(&state, 0, MIB, 10, MIB * 86400 * 12);
	expect_line(&state, "drain: 0 %, 10 MiB of 1012.5 GiB, 1 MiB/s, 11 days left");
}

Test(progress_text, the_last_line_says_how_long_it_took_or_where_it_ended)
{
	struct wb_progress_state state = begun(WB_PROGRESS_LINES);
	g_autofree char *stopped = NULL, *done = NULL;

	work(&state, 0, 128 * MIB, 4, GIB);
	stopped = wb_progress_state_end_line(&state, 17 * SECOND);
	cr_expect_str_eq(stopped, "drain: ended at 50 %, 512 MiB of 1 GiB, in 0:10", "%s", stopped);
	work(&state, 512 * MIB, 128 * MIB, 4, GIB);
	done = wb_progress_state_end_line(&state, 15 * SECOND);
	cr_expect_str_eq(done, "drain: 1 GiB in 0:08, 128 MiB/s", "%s", done);
}
