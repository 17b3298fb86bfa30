/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/progress_text.h"

#include <inttypes.h>
#include <string.h>

#include "cmd/size_parse.h"

#define SECOND_US INT64_C(1000000)
#define BAR_EVERY_US (SECOND_US / 5)
#define LINES_FIRST_US SECOND_US	/* what is over before is not worth a line */
#define LINES_EVERY_US (10 * SECOND_US)
#define RATE_WINDOW_US (5 * SECOND_US)
#define RATE_LEAST_US SECOND_US	/* what was queued at first says nothing yet */
#define BAR_WIDTH_MAX 30u
#define BAR_WIDTH_MIN 5u

void wb_progress_state_begin(struct wb_progress_state *state, const char *label,
			     enum wb_progress_form form, int64_t now_us)
{
	*state = (struct wb_progress_state){
		.label = label, .form = form, .begun_us = now_us, .measured_us = now_us,
	};
}

/* What went on long ago says little about what is to come: the average of the
 * last seconds, older ones counting less and less. */
static void measure(struct wb_progress_state *s, int64_t now_us)
{
	int64_t took_us = now_us - s->measured_us, all_us = now_us - s->begun_us;
	double rate, weight;

	if (took_us < RATE_LEAST_US)
		return;
	rate = s->done_bytes > s->measured_bytes ?
		(double)(s->done_bytes - s->measured_bytes) * SECOND_US / (double)took_us : 0;
	weight = (double)took_us / (double)MIN(all_us, RATE_WINDOW_US + took_us);
	s->rate += weight * (rate - s->rate);
	s->measured_us = now_us;
	s->measured_bytes = s->done_bytes;
}

bool wb_progress_state_take(struct wb_progress_state *state, uint64_t done_bytes,
			    uint64_t total_bytes, int64_t now_us)
{
	int64_t first = state->form == WB_PROGRESS_BAR ? 0 : LINES_FIRST_US;
	int64_t every = state->form == WB_PROGRESS_BAR ? BAR_EVERY_US : LINES_EVERY_US;

	state->total_bytes = total_bytes;
	state->done_bytes = MIN(done_bytes, total_bytes);
	measure(state, now_us);
	if (!total_bytes || now_us - state->begun_us < first ||
	    (state->shown && now_us - state->shown_us < every))
		return false;
	state->shown++;
	state->shown_us = now_us;
	return true;
}

/* --- words --------------------------------------------------------------------- */

static unsigned percent(const struct wb_progress_state *s)
{
	/* not rounded up: 100 % is when all is done */
	return s->total_bytes ? (unsigned)((double)s->done_bytes / (double)s->total_bytes * 100) :
				0;
}

static char *format_time(double seconds)
{
	uint64_t s = (uint64_t)seconds;

	if (s < 3600)
		return g_strdup_printf("%" PRIu64 ":%02" PRIu64, s / 60, s % 60);
	if (s < 100 * 3600)
		return g_strdup_printf("%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600,
				       s / 60 % 60, s % 60);
	return g_strdup_printf("%" PRIu64 " days", s / 86400);
}

static char *format_sizes(const struct wb_progress_state *s)
{
	char done[WB_SIZE_TEXT_BYTES], total[WB_SIZE_TEXT_BYTES];

	return g_strdup_printf("%s of %s", wb_size_format(s->done_bytes, done),
			       wb_size_format(s->total_bytes, total));
}

/* "" while it is not known. */
static char *format_rate(const struct wb_progress_state *s)
{
	char text[WB_SIZE_TEXT_BYTES];

	if (s->measured_us == s->begun_us)
		return g_strdup("");
	return g_strdup_printf(", %s/s", wb_size_format((uint64_t)s->rate, text));
}

static char *format_left(const struct wb_progress_state *s)
{
	g_autofree char *time = NULL;

	if (s->measured_us == s->begun_us || s->rate < 1)
		return g_strdup("");
	time = format_time((double)(s->total_bytes - s->done_bytes) / s->rate + 0.999);
	return g_strdup_printf(", %s left", time);
}

/* --- lines ---------------------------------------------------------------------- */

static char *draw(const struct wb_progress_state *s, size_t width, const char *behind)
{
	char bar[BAR_WIDTH_MAX + 1] = "";
	size_t full = 0;

	if (width < BAR_WIDTH_MIN)
		return g_strdup_printf("%s %s", s->label, behind);
	if (s->total_bytes)
		full = (size_t)((double)s->done_bytes / (double)s->total_bytes * (double)width);
	memset(bar, '.', width);
	memset(bar, '#', full);
	bar[width] = '\0';
	return g_strdup_printf("%s [%s] %s", s->label, bar, behind);
}

/* The bar has what the widest words so far have left: it does not jump about with
 * each digit. */
static size_t bar_width(struct wb_progress_state *s, size_t room, size_t words)
{
	if (s->widest > room)
		s->widest = 0;		/* the window was made smaller */
	s->widest = MAX(s->widest, words);
	return room > s->widest + 3 ? MIN(room - s->widest - 3, BAR_WIDTH_MAX) : 0;
}

char *wb_progress_state_bar(struct wb_progress_state *s, unsigned columns)
{
	g_autofree char *sizes = format_sizes(s), *rate = format_rate(s), *left = format_left(s);
	unsigned p = percent(s);
	char *texts[] = {
		g_strdup_printf("%3u %%  %s%s%s", p, sizes, rate, left),
		g_strdup_printf("%3u %%%s%s", p, rate, left),
		g_strdup_printf("%3u %%%s", p, left),
		g_strdup_printf("%3u %%", p),
	};
	/* The last column stays free: some terminals begin a new line in it. */
	size_t room = columns > 1 ? columns - 1 : 1, label = strlen(s->label);
	char *line = NULL;

	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
		size_t least = label + 1 + strlen(texts[i]);

		if (!line && (least <= room || i == G_N_ELEMENTS(texts) - 1))
			line = draw(s, bar_width(s, room, least), texts[i]);
		g_free(texts[i]);
	}
	if (strlen(line) > room)
		line[room] = '\0';
	return line;
}

char *wb_progress_state_line(const struct wb_progress_state *s)
{
	g_autofree char *sizes = format_sizes(s), *rate = format_rate(s), *left = format_left(s);

	return g_strdup_printf("%s: %u %%, %s%s%s", s->label, percent(s), sizes, rate, left);
}

char *wb_progress_state_end_line(const struct wb_progress_state *s, int64_t now_us)
{
	double seconds = (double)MAX(now_us - s->begun_us, 1) / SECOND_US;
	char total[WB_SIZE_TEXT_BYTES], rate[WB_SIZE_TEXT_BYTES];
	g_autofree char *sizes = format_sizes(s), *time = format_time(seconds);

	if (s->done_bytes < s->total_bytes)
		return g_strdup_printf("%s: ended at %u %%, %s, in %s", s->label, percent(s),
				       sizes, time);
	return g_strdup_printf("%s: %s in %s, %s/s", s->label,
			       wb_size_format(s->total_bytes, total), time,
			       wb_size_format((uint64_t)((double)s->total_bytes / seconds), rate));
}
