/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/client.h"
#include "cmd/mount_table.h"
#include "cmd/report.h"

#define POLL_FIRST_US 500u
#define POLL_MAX_US (100u * 1000u)

static void show_left(const struct wb_verb *verb, JsonNode *stats)
{
	if (verb->left_key && isatty(STDERR_FILENO))
		fprintf(stderr, "\r%s: %" PRIu64 " dirty blocks left \033[K", verb->name,
			wb_client_number(stats, verb->left_key));
}

static void end_left(const struct wb_verb *verb)
{
	if (verb->left_key && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* One that was under way when ours was written says nothing about what was
 * acknowledged in between: as long as one runs, it is not over. */
static bool is_over(const struct wb_verb *verb, JsonNode *stats, uint64_t done, uint64_t failed)
{
	if (verb->running_key && wb_client_bool(stats, verb->running_key))
		return false;
	return wb_client_number(stats, verb->done_key) > done ||
	       wb_client_number(stats, verb->failed_key) > failed;
}

static bool watch(const char *mount_point, const struct wb_verb *verb, GError **error)
{
	g_autoptr(JsonNode) stats = wb_client_get_stats(mount_point, error);
	uint64_t done, failed;
	gulong pause_us = POLL_FIRST_US;

	if (!stats)
		return false;
	done = wb_client_number(stats, verb->done_key);
	failed = wb_client_number(stats, verb->failed_key);
	if (!wb_client_write_verb(mount_point, verb->name, error))
		return false;
	for (;;) {
		g_clear_pointer(&stats, json_node_unref);
		stats = wb_client_get_stats(mount_point, error);
		if (!stats)
			return false;
		if (is_over(verb, stats, done, failed))
			break;
		show_left(verb, stats);
		g_usleep(pause_us);
		pause_us = MIN(pause_us * 2, POLL_MAX_US);
	}
	if (wb_client_number(stats, verb->failed_key) == failed)
		return true;
	return wb_fail(error, "%s of %s failed: %s", verb->name, mount_point,
		       wb_client_text(stats, "last_error"));
}

int wb_verb_run(const char *mount_point, const struct wb_verb *verb)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *resolved = wb_mount_table_resolve(mount_point, &error);
	bool ok = resolved && watch(resolved, verb, &error);

	end_left(verb);
	return ok ? WB_EXIT_DONE : wb_report(error);
}
