/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/verb.h"

#include "cmd/client.h"
#include "cmd/interrupt.h"
#include "cmd/mount_table.h"
#include "cmd/progress.h"
#include "cmd/report.h"

#define POLL_FIRST_US 500u
#define POLL_MAX_US (100u * 1000u)

/* Every verb written is answered once, in order: ours is over when as many are
 * answered as had been asked for just after it was written. Waiting for "one
 * more" would take the end of somebody else's for ours. */
static bool is_over(const struct wb_verb *verb, JsonNode *stats, uint64_t ticket)
{
	return wb_client_number(stats, verb->done_key) +
		       wb_client_number(stats, verb->failed_key) >= ticket;
}

static void show(const struct wb_verb *verb, JsonNode *stats, struct wb_verb_work *work,
		 struct wb_progress *progress)
{
	if (!verb->measure)
		return;
	verb->measure(stats, work);
	wb_progress_update(progress, work->done_bytes, work->total_bytes);
}

/* A keeper may have started another daemon, which knows nothing of what was asked. */
static bool is_by_another(JsonNode *before, JsonNode *now)
{
	return wb_client_number(now, "worker_pid") != wb_client_number(before, "worker_pid");
}

/* The last statistics, or NULL and an error; of another daemon than `before`: it has to
 * be asked as well. */
static JsonNode *wait_for(const char *mount_point, const struct wb_verb *verb, JsonNode *before,
			  GError **error)
{
	JsonNode *stats = wb_client_get_stats(mount_point, error);
	uint64_t ticket = stats ? wb_client_number(stats, verb->asked_key) : 0;
	struct wb_verb_work work = { 0 };
	struct wb_progress progress;
	gulong pause_us = POLL_FIRST_US;

	wb_progress_begin(&progress, verb->name);
	while (stats && !is_by_another(before, stats) && !is_over(verb, stats, ticket) &&
	       !wb_interrupt_is_asked()) {
		show(verb, stats, &work, &progress);
		g_usleep(pause_us);
		pause_us = MIN(pause_us * 2, POLL_MAX_US);
		json_node_unref(stats);
		stats = wb_client_get_stats(mount_point, error);
	}
	if (stats)
		show(verb, stats, &work, &progress);
	wb_progress_end(&progress);
	return stats;
}

static bool start_and_wait(const char *mount_point, const struct wb_verb *verb, GError **error)
{
	g_autoptr(JsonNode) before = wb_client_get_stats(mount_point, error);
	g_autoptr(JsonNode) after = NULL;

	if (!before || !wb_client_write_verb(mount_point, verb->request ? verb->request :
					     verb->name, error))
		return false;
	after = wait_for(mount_point, verb, before, error);
	if (!after || wb_interrupt_is_asked())
		return after != NULL;
	/* What the one before had done of it is done. */
	if (is_by_another(before, after))
		return start_and_wait(mount_point, verb, error);
	if (wb_client_number(after, verb->failed_key) ==
	    wb_client_number(before, verb->failed_key))
		return true;
	return wb_fail(error, "%s of %s failed: %s", verb->name, mount_point,
		       wb_client_text(after, "last_error"));
}

int wb_verb_run(const char *mount_point, const struct wb_verb *verb)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *resolved = wb_mount_table_resolve(mount_point, &error);
	bool ok;

	wb_interrupt_listen();
	ok = resolved && start_and_wait(resolved, verb, &error);
	if (ok && wb_interrupt_is_asked())
		return verb->request ?
			wb_interrupt_report("the %s of %s goes on in the daemon", verb->name,
					    resolved) :
			wb_interrupt_report("the %s of %s goes on in the daemon; 'wbfs %s %s' "
					    "waits for it again", verb->name, resolved,
					    verb->name, resolved);
	return ok ? WB_EXIT_DONE : wb_report(error);
}
