/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The screen of `wbfs top`, with ncurses: from 80x24 on it shows everything, below
 * that what fits, from the top. Without colours it says the same with letters, and
 * where the terminal is not UTF-8 the curves are made of ASCII. One thread.
 */
#ifndef WB_CMD_TOP_SCREEN_H
#define WB_CMD_TOP_SCREEN_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/top_model.h"

/* FALSE and an error: there is no terminal, or none that ncurses knows. */
bool wb_top_screen_begin(GError **error);
void wb_top_screen_end(void);

struct wb_top_view {
	const char *mount_point;
	unsigned index, count;		/* which of the volumes that can be looked at */
	JsonNode *stats;		/* NULL: see problem */
	const char *problem;		/* "the daemon of ... is gone", or NULL */
	const struct wb_top_model *model;
};
void wb_top_screen_draw(const struct wb_top_view *view);

enum wb_top_key { WB_TOP_KEY_NONE, WB_TOP_KEY_QUIT, WB_TOP_KEY_NEXT, WB_TOP_KEY_REDRAW };
/* Waits for a key, at most `ms`. */
enum wb_top_key wb_top_screen_wait(int ms);

#endif
