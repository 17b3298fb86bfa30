/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/interrupt.h"
#include "cmd/mount_table.h"
#include "cmd/report.h"
#include "cmd/top_screen.h"

#define INTERVAL_US G_USEC_PER_SEC
#define SLICE_MS 100		/* how late a signal is noticed */

/* The volumes to look at: the one that was named, or all that are mounted. */
static GPtrArray *list_volumes(const char *mount_point, GError **error)
{
	GPtrArray *list;
	char *resolved;

	if (!mount_point) {
		list = wb_mount_table_list();
		if (list->len > 0)
			return list;
		g_ptr_array_unref(list);
		wb_fail(error, "no volume is mounted: 'wbfs mount' mounts one");
		return NULL;
	}
	resolved = wb_mount_table_resolve(mount_point, error);
	if (!resolved)
		return NULL;
	list = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(list, resolved);
	return list;
}

/* FALSE: somebody wants to leave. */
static bool wait_for_turn(struct wb_top_view *view, bool *is_other)
{
	int64_t until_us = g_get_monotonic_time() + INTERVAL_US;

	while (g_get_monotonic_time() < until_us) {
		switch (wb_top_screen_wait(SLICE_MS)) {
		case WB_TOP_KEY_QUIT:
			return false;
		case WB_TOP_KEY_NEXT:
			view->index = (view->index + 1) % view->count;
			*is_other = true;
			return true;
		case WB_TOP_KEY_REDRAW:
			wb_top_screen_draw(view);
			break;
		case WB_TOP_KEY_NONE:
			break;
		}
		if (wb_interrupt_is_asked())
			return false;
	}
	return true;
}

static void look(struct wb_top_view *view, struct wb_top_model *model, GPtrArray *volumes)
{
	g_autoptr(GError) error = NULL;

	view->mount_point = g_ptr_array_index(volumes, view->index);
	view->stats = wb_client_get_stats(view->mount_point, &error);
	view->problem = error ? error->message : NULL;
	if (view->stats)
		wb_top_model_add(model, view->stats, g_get_monotonic_time());
	wb_top_screen_draw(view);
	view->problem = NULL;
}

static void watch(GPtrArray *volumes)
{
	struct wb_top_model model = { 0 };
	struct wb_top_view view = { .count = volumes->len, .model = &model };
	bool is_other = false, goes_on = true;

	while (goes_on) {
		if (is_other)
			model = (struct wb_top_model){ 0 };
		is_other = false;
		look(&view, &model, volumes);
		goes_on = wait_for_turn(&view, &is_other);
		g_clear_pointer(&view.stats, json_node_unref);
	}
}

int wb_cmd_top(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) volumes = list_volumes(options->argument, &error);

	if (!volumes || !wb_top_screen_begin(&error))
		return wb_report(error);
	wb_interrupt_listen();
	watch(volumes);
	wb_top_screen_end();
	return WB_EXIT_DONE;
}
