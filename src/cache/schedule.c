/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/schedule.h"

#include <stdio.h>
#include <string.h>

#define MINUTE_S 60u
#define DAY_MINUTES (24 * 60u)
#define EVERY_MAX_S (366 * WB_DAY_S)

const char wb_schedule_grammar[] =
	"'always', 'never', or windows like '02:00-05:00', 'every 4h' (m, h, d), or both with "
	"'+' between";

/* --- reading ------------------------------------------------------------------------ */

/* "HH:MM" at *text, which moves behind it. */
static bool read_time(const char **text, unsigned minutes_max, uint16_t *minutes)
{
	const char *t = *text;
	unsigned hour, minute;

	for (unsigned i = 0; i < 5; i++) {
		if (i == 2 ? t[i] != ':' : !g_ascii_isdigit(t[i]))
			return false;
	}
	hour = (unsigned)(10 * (t[0] - '0') + t[1] - '0');
	minute = (unsigned)(10 * (t[3] - '0') + t[4] - '0');
	if (minute > 59 || hour * 60 + minute > minutes_max)
		return false;
	*minutes = (uint16_t)(hour * 60 + minute);
	*text += 5;
	return true;
}

static bool read_window(const char *text, struct wb_schedule *schedule)
{
	struct wb_schedule_window window;

	if (schedule->window_count == WB_SCHEDULE_WINDOWS_MAX ||
	    !read_time(&text, DAY_MINUTES - 1, &window.from) || *text++ != '-' ||
	    !read_time(&text, DAY_MINUTES, &window.to) || *text || window.from == window.to)
		return false;
	schedule->window[schedule->window_count++] = window;
	return true;
}

static bool read_duration(const char *text, struct wb_schedule *schedule)
{
	static const struct { char letter; uint32_t seconds; } units[] = {
		{ 'm', MINUTE_S }, { 'h', 60 * MINUTE_S }, { 'd', WB_DAY_S },
	};
	uint64_t number = 0;

	for (; g_ascii_isdigit(*text) && number <= EVERY_MAX_S; text++)
		number = number * 10 + (uint64_t)(*text - '0');
	for (unsigned i = 0; i < G_N_ELEMENTS(units); i++) {
		if (text[0] != units[i].letter || text[1] || number == 0 || schedule->every_s ||
		    number > EVERY_MAX_S / units[i].seconds)
			continue;
		schedule->every_s = (uint32_t)number * units[i].seconds;
		return true;
	}
	return false;
}

static bool read_words(char **words, struct wb_schedule *schedule)
{
	unsigned count = 0;
	bool is_every = false, is_word = false;

	for (; *words; words++) {
		const char *word = *words;

		if (!*word)
			continue;
		count++;
		if (is_every) {
			is_every = false;
			if (!read_duration(word, schedule))
				return false;
		} else if (!strcmp(word, "always") || !strcmp(word, "never")) {
			is_word = true;
			schedule->is_never = !strcmp(word, "never");
		} else if (!strcmp(word, "every")) {
			is_every = true;
		} else if (!read_window(word, schedule)) {
			return false;
		}
	}
	return count > 0 && !is_every && (!is_word || count == 1);
}

bool wb_schedule_parse(const char *text, struct wb_schedule *schedule)
{
	g_auto(GStrv) words = g_strsplit_set(text, " \t+", -1);
	struct wb_schedule found = { 0 };

	if (!read_words(words, &found))
		return false;
	*schedule = found;
	return true;
}

/* --- writing ------------------------------------------------------------------------- */

static void append_duration(GString *text, uint32_t seconds)
{
	if (seconds % WB_DAY_S == 0)
		g_string_append_printf(text, "%ud", seconds / WB_DAY_S);
	else if (seconds % (60 * MINUTE_S) == 0)
		g_string_append_printf(text, "%uh", seconds / (60 * MINUTE_S));
	else
		g_string_append_printf(text, "%um", seconds / MINUTE_S);
}

void wb_schedule_append(const struct wb_schedule *schedule, GString *text)
{
	if (schedule->is_never || wb_schedule_is_always(schedule)) {
		g_string_append(text, schedule->is_never ? "never" : "always");
		return;
	}
	for (unsigned i = 0; i < schedule->window_count; i++) {
		const struct wb_schedule_window *w = &schedule->window[i];

		g_string_append_printf(text, "%s%02u:%02u-%02u:%02u", i ? "+" : "", w->from / 60u,
				       w->from % 60u, w->to / 60u, w->to % 60u);
	}
	if (!schedule->every_s)
		return;
	g_string_append(text, schedule->window_count ? "+every+" : "every+");
	append_duration(text, schedule->every_s);
}

/* --- the day -------------------------------------------------------------------------- */

bool wb_schedule_is_always(const struct wb_schedule *schedule)
{
	return !schedule->is_never && !schedule->window_count && !schedule->every_s;
}

bool wb_schedule_is_open(const struct wb_schedule *schedule, uint32_t second)
{
	for (unsigned i = 0; i < schedule->window_count; i++) {
		uint32_t from = schedule->window[i].from * MINUTE_S;
		uint32_t to = schedule->window[i].to * MINUTE_S;

		if (from < to ? second >= from && second < to : second >= from || second < to)
			return true;
	}
	return false;
}

uint32_t wb_schedule_opens_in_s(const struct wb_schedule *schedule, uint32_t second)
{
	uint32_t least = UINT32_MAX;

	for (unsigned i = 0; i < schedule->window_count; i++) {
		uint32_t from = schedule->window[i].from * MINUTE_S;

		least = MIN(least, (from + WB_DAY_S - second) % WB_DAY_S);
	}
	return least;
}
