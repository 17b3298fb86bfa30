/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `wbfs upgrade`: this program in place of the one that serves a mounted volume. */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/mount_table.h"
#include "cmd/report.h"
#include "keeper/state.h"

#define POLL_US (20 * 1000)

static uint64_t ended(JsonNode *stats)
{
	return wb_client_number_in(stats, "keeper", "upgrades_done") +
	       wb_client_number_in(stats, "keeper", "upgrades_failed");
}

static bool has_keeper(JsonNode *stats)
{
	return wb_client_number_in(stats, "keeper", "pid") != 0;
}

/* What cannot work is refused before anybody waits for it. */
static bool may_take_over(const char *mount_point, JsonNode *stats, GError **error)
{
	uint64_t version = wb_client_number_in(stats, "keeper", "version");

	if (!has_keeper(stats))
		return wb_fail(error, "%s has no keeper, which could start another program: it "
			       "was mounted without one, or that has died. Unmount it and mount "
			       "it again", mount_point);
	if (version == WB_KEEPER_VERSION)
		return true;
	return wb_fail(error, "the keeper of %s is of version %" PRIu64 ", and this program is "
		       "for version %u: unmount it and mount it again", mount_point, version,
		       WB_KEEPER_VERSION);
}

static bool ask(const char *mount_point, GError **error)
{
	g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *verb = g_strconcat("upgrade ", program, NULL);

	return wb_client_write_verb(mount_point, verb, error);
}

/* Reading the statistics waits as long as there is no worker. A keeper that has died after
 * it took the request counts nothing any more. */
static JsonNode *wait_for(const char *mount_point, uint64_t ended_before, GError **error)
{
	JsonNode *stats = wb_client_get_stats(mount_point, error);

	while (stats && ended(stats) == ended_before && has_keeper(stats)) {
		g_usleep(POLL_US);
		json_node_unref(stats);
		stats = wb_client_get_stats(mount_point, error);
	}
	return stats;
}

static bool upgrade(const char *mount_point, GError **error)
{
	g_autoptr(JsonNode) before = wb_client_get_stats(mount_point, error);
	g_autoptr(JsonNode) after = NULL;
	const char *problem;

	if (!before || !may_take_over(mount_point, before, error) || !ask(mount_point, error))
		return false;
	after = wait_for(mount_point, ended(before), error);
	if (!after)
		return false;
	if (ended(after) == ended(before))
		return wb_fail(error, "the keeper of %s has died meanwhile: wbfs %s serves it on, and "
			       "no other program can take over until it is unmounted and mounted "
			       "again", mount_point, wb_client_text(after, "version"));
	problem = wb_client_text_in(after, "keeper", "upgrade_problem");
	if (wb_client_number_in(after, "keeper", "upgrades_failed") !=
	    wb_client_number_in(before, "keeper", "upgrades_failed"))
		return wb_fail(error, "%s is still served by wbfs %s: %s", mount_point,
			       wb_client_text(after, "version"), problem);
	printf("%s is served by wbfs %s now, after a pause of %.0f ms; it was %s\n", mount_point,
	       wb_client_text(after, "version"),
	       wb_client_double_in(after, "keeper", "last_pause_ms"),
	       wb_client_text(before, "version"));
	return true;
}

int wb_cmd_upgrade(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *mount_point = wb_mount_table_resolve(options->argument, &error);

	if (mount_point && upgrade(mount_point, &error))
		return WB_EXIT_DONE;
	return wb_report(error);
}
