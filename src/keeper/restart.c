/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keeper/restart.h"

static bool has_progress(const struct wb_restart_life *life)
{
	return life->served_ns >= WB_RESTART_QUIET_NS ||
	       (life->has_answered && life->served_ns >= WB_RESTART_BUSY_NS);
}

int wb_restart_pause_ms(unsigned tries)
{
	int pause_ms = WB_RESTART_PAUSE_FIRST_MS;

	while (tries-- > 0 && pause_ms < WB_RESTART_PAUSE_LAST_MS)
		pause_ms *= 2;
	return pause_ms < WB_RESTART_PAUSE_LAST_MS ? pause_ms : WB_RESTART_PAUSE_LAST_MS;
}

int wb_restart_next(struct wb_restart *restart, const struct wb_restart_life *life)
{
	restart->fruitless = has_progress(life) ? 0 : restart->fruitless + 1;
	if (restart->fruitless >= WB_RESTART_FRUITLESS_MAX)
		return -1;
	if (restart->fruitless <= WB_RESTART_FREE_MAX)
		return 0;
	return wb_restart_pause_ms(restart->fruitless - WB_RESTART_FREE_MAX - 1);
}
