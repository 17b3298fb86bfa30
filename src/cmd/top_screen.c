/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/top_screen.h"

#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/client.h"
#include "cmd/report.h"
#include "cmd/size_parse.h"

#define BLOCK_BYTES 4096u
#define LABEL_WIDTH 10
#define SPARK_FROM 40		/* column where the curves begin */

enum { PAIR_GOOD = 1, PAIR_BUSY, PAIR_BAD, PAIR_DIM, PAIR_HEAD };

static bool has_utf8;

bool wb_top_screen_begin(GError **error)
{
	const char *no_color = getenv("NO_COLOR");

	setlocale(LC_CTYPE, "");
	has_utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return wb_fail(error, "'wbfs top' needs a terminal; 'wbfs status --watch' goes "
			       "anywhere");
	if (!newterm(NULL, stdout, stdin))
		return wb_fail(error, "the terminal '%s' is not known: set TERM",
			       getenv("TERM") ? getenv("TERM") : "");
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	if (has_colors() && (!no_color || !*no_color)) {
		start_color();
		use_default_colors();
		init_pair(PAIR_GOOD, COLOR_GREEN, -1);
		init_pair(PAIR_BUSY, COLOR_YELLOW, -1);
		init_pair(PAIR_BAD, COLOR_RED, -1);
		init_pair(PAIR_DIM, COLOR_BLUE, -1);
		init_pair(PAIR_HEAD, COLOR_CYAN, -1);
	}
	return true;
}

void wb_top_screen_end(void)
{
	endwin();
}

/* --- pieces ------------------------------------------------------------------------ */

/* On a terminal without colours a pair that was never made looks like all else. */
static void put(int y, int x, int pair, const char *text)
{
	if (y >= LINES || x >= COLS)
		return;
	attron(COLOR_PAIR(pair));
	mvaddnstr(y, x, text, COLS - x);
	attroff(COLOR_PAIR(pair));
}

static void G_GNUC_PRINTF(4, 5) putf(int y, int x, int pair, const char *format, ...)
{
	va_list args;
	char text[512];

	va_start(args, format);
	g_vsnprintf(text, sizeof text, format, args);
	va_end(args);
	put(y, x, pair, text);
}

static void put_spark(int y, int x, int width, const struct wb_top_model *model,
		      enum wb_top_flow flow)
{
	static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char *const ascii[] = { " ", ".", ":", "-", "=", "+", "*", "#", "@" };
	int8_t levels[WB_TOP_HISTORY];

	width = MIN(width, (int)WB_TOP_HISTORY);
	if (width <= 0 || y >= LINES)
		return;
	wb_top_model_spark(model, flow, levels, (unsigned)width, 8);
	attron(COLOR_PAIR(PAIR_HEAD));
	for (int i = 0; i < width; i++)
		mvaddstr(y, x + i, (has_utf8 ? blocks : ascii)[MAX(levels[i], 0)]);
	attroff(COLOR_PAIR(PAIR_HEAD));
}

static void put_bar(int y, int x, int width, double share, int pair)
{
	int full = (int)(CLAMP(share, 0.0, 1.0) * width + 0.5);

	if (y >= LINES || width <= 0 || x + width + 2 > COLS)
		return;
	mvaddch(y, x, '[');
	attron(COLOR_PAIR(pair));
	for (int i = 0; i < width; i++)
		mvaddch(y, x + 1 + i, i < full ? '#' : '.');
	attroff(COLOR_PAIR(pair));
	mvaddch(y, x + 1 + width, ']');
}

/* --- lines ------------------------------------------------------------------------- */

static char *describe_away(JsonNode *stats)
{
	uint64_t since = wb_client_number_in(stats, "backing_line", "unreachable_since");
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_local((gint64)since);
	g_autofree char *text = time ? g_date_time_format(time, "%T") : g_strdup("?");

	return g_strdup_printf("backing unreachable since %s", text);
}

static int draw_title(const struct wb_top_view *view, int y)
{
	const char *state = view->stats ? wb_client_text(view->stats, "state") : "gone";
	bool is_away = view->stats && !strcmp(wb_client_text_in(view->stats, "backing_line", "state"),
					      "unreachable");
	bool is_fine = !is_away && (!strcmp(state, "running") || !strcmp(state, "read-only"));
	g_autofree char *shown = is_away ? describe_away(view->stats) : g_strdup(state);
	const char *error = view->stats ? wb_client_text(view->stats, "last_error") : "";
	const char *mode = view->stats ? wb_client_text(view->stats, "cache_mode") : "";

	attron(A_BOLD);
	putf(y, 0, 0, "wbfs top  %s  %s", view->mount_point, mode);
	attroff(A_BOLD);
	if (view->count > 1)
		putf(y, COLS - 30, PAIR_DIM, "%u of %u, Tab: next", view->index + 1, view->count);
	put(y, COLS - 2 - (int)strlen(shown), is_fine ? PAIR_GOOD : PAIR_BAD, shown);
	if (*error)
		putf(y + 1, 0, PAIR_BAD, "last error: %s", error);
	return y + 2;
}

static int draw_flow(const struct wb_top_view *view, int y, enum wb_top_flow flow,
		     const char *label)
{
	const struct wb_top_model *model = view->model;
	char size[WB_SIZE_TEXT_BYTES];
	uint64_t rate = 0;

	if (model->history_count > 0)
		rate = (uint64_t)model->rate[flow][model->history_count - 1];
	putf(y, 0, 0, "%-*s %10s/s %9.0f IOPS", LABEL_WIDTH, label,
	     wb_size_format(rate, size), model->requests_per_s[flow]);
	put_spark(y, SPARK_FROM, COLS - SPARK_FROM - 1, model, flow);
	return y + 1;
}

static int draw_hits(const struct wb_top_view *view, int y)
{
	double hits = view->model->hit_percent;
	double half = wb_client_percent_in(view->stats, "read_cache", "hit_percent_half");

	if (hits < 0)
		putf(y, 0, 0, "%-*s %s", LABEL_WIDTH, "hits", "nothing is read");
	else
		putf(y, 0, 0, "%-*s %5.1f %% of what is read", LABEL_WIDTH, "hits", hits);
	if (half >= 0)
		putf(y, SPARK_FROM, 0, "half the cache %.0f %%, twice %.0f %%, four times %.0f %%",
		     half, wb_client_percent_in(view->stats, "read_cache", "hit_percent_double"),
		     wb_client_percent_in(view->stats, "read_cache", "hit_percent_fourfold"));
	else if (hits >= 0)
		put_bar(y, SPARK_FROM, COLS - SPARK_FROM - 3, hits / 100, PAIR_GOOD);
	return y + 1;
}

static int draw_dirty(const struct wb_top_view *view, int y)
{
	uint64_t dirty = wb_client_number(view->stats, "dirty_blocks");
	uint64_t blocks = MAX(wb_client_number(view->stats, "cache_blocks"), 1);
	double share = (double)dirty / (double)blocks;
	char size[WB_SIZE_TEXT_BYTES];

	putf(y, 0, 0, "%-*s %5.1f %% %10s, %" G_GUINT64_FORMAT " s old", LABEL_WIDTH, "dirty",
	     100 * share, wb_size_format(dirty * BLOCK_BYTES, size),
	     wb_client_number(view->stats, "oldest_dirty_s"));
	put_bar(y, SPARK_FROM, COLS - SPARK_FROM - 3, share,
		share > 0.9 ? PAIR_BAD : share > 0.6 ? PAIR_BUSY : PAIR_GOOD);
	return y + 1;
}

static int draw_writeback(const struct wb_top_view *view, int y)
{
	const char *state = wb_client_text(view->stats, "writeback_state");
	const char *reason = wb_client_text(view->stats, "writeback_reason");
	uint64_t seconds = wb_client_number(view->stats, "clean_in_s");
	uint64_t waiting = wb_client_number(view->stats, "waiting_requests");
	uint64_t limit = wb_client_number(view->stats, "write_limit_bytes_per_s");
	char size[WB_SIZE_TEXT_BYTES];
	/* It ends before what stands at the right. */
	int room = MAX(COLS - LABEL_WIDTH - (int)strlen(state) - 3 - (seconds > 0 ? 25 : 0), 0);

	putf(y, 0, 0, "%-*s %s%s%.*s", LABEL_WIDTH, "writeback", state, *reason ? ": " : "",
	     room, reason);
	if (seconds > 0)
		putf(y, COLS - 24, 0, "clean in %" G_GUINT64_FORMAT ":%02u", seconds / 60,
		     (unsigned)(seconds % 60));
	if (limit > 0)
		putf(y + 1, LABEL_WIDTH + 1, PAIR_BUSY, "writers are slowed down to %s/s",
		     wb_size_format(limit, size));
	if (waiting > 0)
		putf(y + 1, LABEL_WIDTH + 1, PAIR_BAD, "%" G_GUINT64_FORMAT " requests wait for room",
		     waiting);
	return y + 2;
}

static int pair_of_cell(char cell)
{
	switch (cell) {
	case 'h': return PAIR_HEAD;
	case 'd': return PAIR_BUSY;
	case 'c': return PAIR_GOOD;
	case 'b': return PAIR_BAD;
	default: return PAIR_DIM;
	}
}

/* "h" is the head: it is being filled. */
static int draw_ring(const struct wb_top_view *view, int y, int rows)
{
	static const char shown[] = "f.ccddbXhH";	/* pairs: in stats.json, here */
	int width = COLS - 2;
	char cells[2048];

	putf(y, 0, 0, "segments   %" G_GUINT64_FORMAT " in all, %" G_GUINT64_FORMAT " dirty   "
	     ". free  c clean  d dirty  H filling  X bad",
	     wb_client_number_in(view->stats, "segments", "total"),
	     wb_client_number_in(view->stats, "segments", "dirty"));
	if (width <= 0 || rows <= 0)
		return y + 1;
	wb_top_ring_fold(wb_client_text(view->stats, "ring"), cells,
			 (unsigned)MIN((size_t)width * (size_t)rows, sizeof cells - 1));
	for (int i = 0; cells[i]; i++) {
		const char *pair = strchr(shown, cells[i]);
		int row = y + 1 + i / width;

		if (row >= LINES)
			break;
		attron(COLOR_PAIR(pair_of_cell(cells[i])));
		mvaddch(row, 1 + i % width, (chtype)(pair ? pair[1] : '?'));
		attroff(COLOR_PAIR(pair_of_cell(cells[i])));
	}
	return y + 1 + ((int)strlen(cells) + width - 1) / width;
}

static JsonNode *latency_of(JsonNode *stats, const char *path)
{
	JsonObject *root = json_node_get_object(stats);
	JsonNode *all = json_object_get_member(root, "latency");

	return all && JSON_NODE_HOLDS_OBJECT(all) ?
		       json_object_get_member(json_node_get_object(all), path) : NULL;
}

static int draw_latencies(const struct wb_top_view *view, int y)
{
	static const struct { const char *key, *label; } paths[] = {
		{ "write", "write" }, { "sync", "sync" }, { "read_ram", "read RAM" },
		{ "read_cache", "read SSD" }, { "read_backing", "read HDD" },
		{ "writeback", "writeback" },
	};
	static const char *const keys[] = { "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns" };

	putf(y, 0, 0, "%-*s %10s %10s %10s %10s %10s", LABEL_WIDTH, "latency", "p50", "p90", "p99",
	     "p99.9", "max");
	for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
		JsonNode *latency = latency_of(view->stats, paths[i].key);

		y++;
		putf(y, 0, 0, "%-*s", LABEL_WIDTH, paths[i].label);
		for (unsigned k = 0; latency && JSON_NODE_HOLDS_OBJECT(latency) &&
		     k < G_N_ELEMENTS(keys); k++) {
			char text[16];

			putf(y, LABEL_WIDTH + 1 + (int)k * 11, 0, "%10s",
			     wb_top_format_ns(wb_client_number(latency, keys[k]), text));
		}
	}
	return y + 1;
}

/* Only where there is something to say. */
static int draw_restarts(const struct wb_top_view *view, int y)
{
	guint64 restarts = wb_client_number_in(view->stats, "keeper", "worker_restarts");

	if (!restarts)
		return y;
	putf(y, 0, PAIR_BAD, "%-*s %" G_GUINT64_FORMAT ", the last after the daemon %s; away for "
	     "%.0f ms", LABEL_WIDTH, "restarts", restarts,
	     wb_client_text_in(view->stats, "keeper", "last_cause"),
	     wb_client_double_in(view->stats, "keeper", "last_pause_ms"));
	return y + 1;
}

void wb_top_screen_draw(const struct wb_top_view *view)
{
	int y;

	erase();
	y = draw_title(view, 0);
	if (!view->stats) {
		put(y, 0, PAIR_BAD, view->problem ? view->problem : "");
	} else {
		y = draw_flow(view, y, WB_TOP_READ, "read");
		y = draw_flow(view, y, WB_TOP_WRITE, "write");
		y = draw_flow(view, y, WB_TOP_SSD, "to SSD");
		y = draw_flow(view, y, WB_TOP_BACKING, "to HDD");
		y = draw_hits(view, y);
		y = draw_dirty(view, y);
		y = draw_writeback(view, y);
		y = draw_restarts(view, y);
		y = draw_latencies(view, y);
		draw_ring(view, y, LINES - y - 2);
	}
	put(LINES - 1, 0, PAIR_DIM, view->count > 1 ? "q quit  Tab next volume" : "q quit");
	refresh();
}

enum wb_top_key wb_top_screen_wait(int ms)
{
	timeout(ms);
	switch (getch()) {
	case 'q': case 'Q': case 27:
		return WB_TOP_KEY_QUIT;
	case '\t': case 'n':
		return WB_TOP_KEY_NEXT;
	case KEY_RESIZE: case 12:
		clearok(curscr, TRUE);
		return WB_TOP_KEY_REDRAW;
	default:
		return WB_TOP_KEY_NONE;
	}
}
