/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/interrupt.h"
#include "cmd/mount_table.h"
#include "cmd/report.h"
#include "cmd/size_parse.h"
#include "cmd/status_text.h"

#define BLOCK_BYTES 4096u

static bool is_terminal(void)
{
	const char *terminal = g_getenv("TERM");

	return isatty(STDOUT_FILENO) && terminal && *terminal && strcmp(terminal, "dumb");
}

/* https://no-color.org: set and not empty. */
static enum wb_status_style choose_style(void)
{
	const char *no_color = g_getenv("NO_COLOR");

	return is_terminal() && !(no_color && *no_color) ? WB_STATUS_COLOURED : WB_STATUS_PLAIN;
}

/* --- one volume -------------------------------------------------------------------- */

static bool append_one(const struct wb_options *options, GString *text, GError **error)
{
	g_autofree char *mount_point = wb_mount_table_resolve(options->argument, error);
	g_autofree char *json = mount_point ? wb_client_read_stats(mount_point, error) : NULL;
	g_autoptr(JsonNode) stats = NULL;

	if (!json)
		return false;
	if (options->json) {
		g_string_append(text, json);
		return true;
	}
	stats = wb_client_get_stats(mount_point, error);
	if (!stats)
		return false;
	if (options->table) {
		wb_status_table_append_names(text);
		wb_status_table_append(text, mount_point, stats);
	} else {
		wb_status_text_append(text, mount_point, stats, choose_style());
	}
	return true;
}

/* --- all volumes ----------------------------------------------------------------------- */

static void append_short(GString *text, const char *mount_point)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) stats = wb_client_get_stats(mount_point, &error);
	char dirty[WB_SIZE_TEXT_BYTES];

	if (!stats) {
		bool is_dead = g_error_matches(error, WB_COMMAND_ERROR,
					       WB_COMMAND_ERROR_DEAD_MOUNT);

		g_string_append_printf(text, "%s  %s\n", mount_point, is_dead ?
				       "dead ('wbfs umount' it, then mount it again)" :
				       error->message);
		return;
	}
	if (!*wb_client_text_in(stats, "cache", "path")) {
		g_string_append_printf(text, "%s  %s, backing %s\n", mount_point,
				       wb_client_text(stats, "state"),
				       wb_client_text_in(stats, "backing", "path"));
		return;
	}
	g_string_append_printf(text, "%s  %s, %s dirty, cache %s, backing %s\n", mount_point,
			       wb_client_text(stats, "state"),
			       wb_size_format(wb_client_number(stats, "dirty_blocks") *
					      BLOCK_BYTES, dirty),
			       wb_client_text_in(stats, "cache", "path"),
			       wb_client_text_in(stats, "backing", "path"));
}

/* A mount that gives no answer is an object with its place and state "dead". */
static JsonNode *stats_or_dead(const char *mount_point)
{
	JsonNode *stats = wb_client_get_stats(mount_point, NULL);
	JsonObject *object;

	if (stats)
		return stats;
	object = json_object_new();
	json_object_set_string_member(object, "state", "dead");
	json_object_set_string_member(object, "mount_point", mount_point);
	stats = json_node_init_object(json_node_alloc(), object);
	json_object_unref(object);
	return stats;
}

static void append_json_list(GString *text, const GPtrArray *list)
{
	g_autoptr(JsonArray) array = json_array_new();
	g_autoptr(JsonNode) node = json_node_init_array(json_node_alloc(), array);
	g_autofree char *json = NULL;

	for (unsigned i = 0; i < list->len; i++)
		json_array_add_element(array, stats_or_dead(list->pdata[i]));
	json = json_to_string(node, TRUE);
	g_string_append_printf(text, "%s\n", json);
}

static void append_table(GString *text, const GPtrArray *list)
{
	wb_status_table_append_names(text);
	for (unsigned i = 0; i < list->len; i++) {
		g_autoptr(JsonNode) stats = stats_or_dead(list->pdata[i]);

		wb_status_table_append(text, list->pdata[i], stats);
	}
}

static void append_all(const struct wb_options *options, GString *text)
{
	g_autoptr(GPtrArray) list = wb_mount_table_list();

	if (options->json)
		append_json_list(text, list);
	else if (options->table)
		append_table(text, list);
	else if (!list->len)
		g_string_append(text, "no wbfs volume is mounted\n");
	else
		for (unsigned i = 0; i < list->len; i++)
			append_short(text, list->pdata[i]);
}

/* --- once, and again and again ---------------------------------------------------------- */

static bool append(const struct wb_options *options, GString *text, GError **error)
{
	if (options->argument)
		return append_one(options, text, error);
	append_all(options, text);
	return true;
}

#define BEGIN_SCREEN "\033[?7l\033[2J"	/* long lines are cut, not wrapped */
#define END_SCREEN "\033[?7h\n"

/* Over what was there, line by line: a screen that is emptied first flickers. As
 * much as fits: what scrolls would be drawn over at the wrong place. */
static void redraw(const GString *text)
{
	g_auto(GStrv) lines = g_strsplit(text->str, "\n", -1);
	struct winsize size;
	unsigned rows = G_MAXUINT;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row)
		rows = size.ws_row;
	fputs("\033[H", stdout);
	for (unsigned i = 0; lines[i] && i < rows; i++)
		printf("%s%s\033[K", i ? "\n" : "", lines[i]);
	fputs("\033[J", stdout);
}

static bool show(const struct wb_options *options, bool is_screen, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);

	if (!append(options, text, error))
		return false;
	if (is_screen)
		redraw(text);
	else
		fputs(text->str, stdout);
	return true;
}

static int watch(const struct wb_options *options)
{
	bool is_screen = is_terminal();
	g_autoptr(GError) error = NULL;

	wb_interrupt_listen();
	if (is_screen)
		fputs(BEGIN_SCREEN, stdout);
	while (!wb_interrupt_is_asked() && show(options, is_screen, &error)) {
		/* Whoever reads it may have gone. */
		if (fflush(stdout))
			return WB_EXIT_FAILED;
		poll(NULL, 0, (int)options->watch_s * 1000);	/* a signal ends it */
		if (!is_screen && !options->json && !options->table &&
		    !wb_interrupt_is_asked())
			putchar('\n');
	}
	if (is_screen)
		fputs(END_SCREEN, stdout);
	return error ? wb_report(error) : WB_EXIT_DONE;
}

int wb_cmd_status(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;

	if (options->watch_s > 0)
		return watch(options);
	return show(options, false, &error) ? WB_EXIT_DONE : wb_report(error);
}
