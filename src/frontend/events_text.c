/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/events_text.h"

#include <inttypes.h>

#define SECOND_NS UINT64_C(1000000000)
#define MS_NS UINT64_C(1000000)

static void append_time(GString *text, uint64_t ns)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_local((gint64)(ns / SECOND_NS));
	g_autofree char *day = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%S") : NULL;
	g_autofree char *zone = time ? g_date_time_format(time, "%:z") : NULL;

	g_string_append_printf(text, "%s.%03u%s", day ? day : "?",
			       (unsigned)(ns % SECOND_NS / MS_NS), zone ? zone : "");
}

void wb_events_text_append(GString *text, const struct wb_event *event)
{
	g_autofree char *valid = g_utf8_make_valid(event->text, -1);

	append_time(text, event->first_ns);
	g_string_append_printf(text, " %-7s %s", wb_event_kind_name(event->kind), valid);
	if (event->times > 1) {
		g_string_append_printf(text, " (%" PRIu64 " times, last at ", event->times);
		append_time(text, event->last_ns);
		g_string_append_c(text, ')');
	}
	g_string_append_c(text, '\n');
}
