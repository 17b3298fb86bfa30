/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/lone_sync.h"

void wb_lone_sync_note_other(struct wb_lone_sync *lone)
{
	lone->requests++;
}

bool wb_lone_sync_note(struct wb_lone_sync *lone, bool is_alone)
{
	if (is_alone && lone->requests <= WB_LONE_SYNC_REQUESTS_MAX)
		lone->regular++;
	else
		lone->regular = 0;
	lone->requests = 0;
	return lone->regular >= WB_LONE_SYNC_REGULAR;
}
