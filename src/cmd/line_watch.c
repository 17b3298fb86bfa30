/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/line_watch.h"

#include "io/store_nbd.h"

static bool look(struct wb_line_watch *watch, struct wb_backing_line *line)
{
	g_autofree char *problem = NULL;
	struct wb_store_nbd_line now;

	*line = (struct wb_backing_line){ .state = WB_LINE_NONE };
	if (!wb_store_nbd_get_line(watch->store, &now))
		return false;
	line->state = now.is_away ? WB_LINE_AWAY : WB_LINE_UP;
	line->away_since_s = (uint64_t)(now.away_since_us / G_USEC_PER_SEC);
	line->breaks = now.break_count;
	line->connections = now.connection_count;
	if (now.is_away)
		problem = wb_store_nbd_problem(watch->store);
	g_strlcpy(line->problem, problem ? problem : "", sizeof line->problem);
	return true;
}

static void tell(const struct wb_line_watch *watch, const struct wb_backing_line *line)
{
	if (line->state == WB_LINE_AWAY && watch->line.state != WB_LINE_AWAY)
		g_warning("backing %s cannot be reached%s%s; writes go on until the cache is full, "
			  "and what only the backing has waits", watch->store->label,
			  *line->problem ? ": " : "", line->problem);
	if (line->state == WB_LINE_UP && watch->line.state == WB_LINE_AWAY)
		g_message("backing %s can be reached again", watch->store->label);
}

void wb_line_watch_tick(struct wb_line_watch *watch)
{
	struct wb_tunables tunables;
	struct wb_backing_line line;

	if (!watch->cache || !look(watch, &line))
		return;
	wb_cache_get_tunables(watch->cache, &tunables);
	wb_store_nbd_set_timeout(watch->store, tunables.backing_timeout_s);
	tell(watch, &line);
	wb_cache_set_backing_line(watch->cache, &line);
	watch->line = line;
}

bool wb_line_watch_is_away(const struct wb_line_watch *watch)
{
	struct wb_store_nbd_line now;

	return watch->cache && wb_store_nbd_get_line(watch->store, &now) && now.is_away;
}

void wb_line_watch_hurry(struct wb_line_watch *watch)
{
	if (watch->cache)
		wb_store_nbd_hurry(watch->store);
}
