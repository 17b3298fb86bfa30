/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/message.h"
#include "frontend/events_text.h"

#define SECOND_NS UINT64_C(1000000000)

static struct wb_message *message;
static struct wb_event events[WB_EVENTS_MAX];
static struct wb_clock_manual clock_;

static void start(void)
{
	/* The text of the events is in local time. */
	g_setenv("TZ", "UTC", TRUE);
	wb_clock_manual_init(&clock_);
	message = g_new0(struct wb_message, 1);
	wb_message_init(message, &clock_.clock);
}

static void stop(void)
{
	wb_message_clear(message);
	g_free(message);
}

TestSuite(message, .init = start, .fini = stop);

static void expect_last_error(const char *wanted)
{
	char text[WB_MESSAGE_BYTES];

	wb_message_get(message, text);
	cr_expect_str_eq(text, wanted);
}

Test(message, nothing_happened_at_first)
{
	expect_last_error("");
	cr_expect_eq(wb_message_get_events(message, events), 0);
}

Test(message, an_error_is_the_last_one_and_an_event_a_note_is_only_an_event)
{
	wb_clock_manual_advance(&clock_, 5 * SECOND_NS);
	wb_message_set(message, "disk %d failed", 7);
	wb_clock_manual_advance(&clock_, SECOND_NS);
	wb_message_note(message, "drain begun");
	expect_last_error("disk 7 failed");
	cr_assert_eq(wb_message_get_events(message, events), 2);
	cr_expect_str_eq(events[0].text, "disk 7 failed");
	cr_expect_eq(events[0].kind, WB_EVENT_ERROR);
	cr_expect_eq(events[0].number, 1);
	cr_expect_eq(events[0].first_ns, 5 * SECOND_NS);
	cr_expect_str_eq(events[1].text, "drain begun");
	cr_expect_eq(events[1].kind, WB_EVENT_NOTE);
	cr_expect_eq(events[1].number, 2);
	cr_expect_eq(events[1].last_ns, 6 * SECOND_NS);
}

Test(message, the_same_again_and_again_is_one_event)
{
	for (unsigned i = 0; i < 1000; i++) {
		wb_message_set(message, "no answer");
		wb_clock_manual_advance(&clock_, SECOND_NS);
	}
	wb_message_note(message, "no answer");
	wb_message_set(message, "no answer");
	cr_assert_eq(wb_message_get_events(message, events), 3);
	cr_expect_eq(events[0].times, 1000);
	cr_expect_eq(events[0].first_ns, 0);
	cr_expect_eq(events[0].last_ns, 999 * SECOND_NS);
	cr_expect_eq(events[1].times, 1, "a note is no error");
	cr_expect_eq(events[2].times, 1, "something else lies between");
}

Test(message, the_newest_are_kept_in_order)
{
	for (unsigned i = 1; i <= WB_EVENTS_MAX + 50; i++)
		wb_message_note(message, "event %u", i);
	cr_assert_eq(wb_message_get_events(message, events), WB_EVENTS_MAX);
	for (unsigned i = 0; i < WB_EVENTS_MAX; i++) {
		char text[32];

		g_snprintf(text, sizeof text, "event %u", i + 51);
		cr_assert_str_eq(events[i].text, text);
		cr_assert_eq(events[i].number, i + 51);
	}
}

Test(message, one_event_is_one_line_whatever_a_path_is_made_of)
{
	GString *text = g_string_new(NULL);

	wb_message_set(message, "cache /a\nb\x01\x7f\xff: gone");
	expect_last_error("cache /a?b??\xff: gone");
	cr_assert_eq(wb_message_get_events(message, events), 1);
	wb_events_text_append(text, &events[0]);
	cr_assert(g_utf8_validate(text->str, -1, NULL));
	cr_assert_eq(strchr(text->str, '\n'), text->str + text->len - 1);
	g_string_free(text, TRUE);
}

Test(message, a_long_one_is_cut_not_run_over)
{
	char *longer = g_strnfill(5000, 'x');

	wb_message_set(message, "%s", longer);
	cr_assert_eq(wb_message_get_events(message, events), 1);
	cr_expect_eq(strlen(events[0].text), WB_EVENT_BYTES - 1);
	/* Cut it is still the same one. */
	wb_message_set(message, "%s", longer);
	cr_assert_eq(wb_message_get_events(message, events), 1);
	cr_expect_eq(events[0].times, 2);
	g_free(longer);
}

Test(message, a_line_has_the_time_the_kind_and_how_often)
{
	struct wb_event event = {
		.number = 1, .first_ns = UINT64_C(1790000000) * SECOND_NS + 7000000,
		.last_ns = UINT64_C(1790000061) * SECOND_NS, .times = 3,
		.kind = WB_EVENT_REFUSED, .text = "no",
	};
	GString *text = g_string_new(NULL);

	wb_events_text_append(text, &event);
	event.times = 1;
	event.kind = WB_EVENT_NOTE;
	wb_events_text_append(text, &event);
	cr_expect_str_eq(text->str,
			 "2026-09-21T14:13:20.007+00:00 refused no (3 times, last at "
			 "2026-09-21T14:14:21.000+00:00)\n"
			 "2026-09-21T14:13:20.007+00:00 note    no\n");
	g_string_free(text, TRUE);
}
