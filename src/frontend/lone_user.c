/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/lone_user.h"

void wb_lone_user_came(struct wb_lone_user *lone)
{
	lone->requests++;
}

bool wb_lone_user_waits(struct wb_lone_user *lone, enum wb_lone_user_wait kind,
			bool is_alone)
{
	if (is_alone && lone->requests <= (unsigned)kind)
		lone->regular++;
	else
		lone->regular = 0;
	lone->requests = 0;
	return lone->regular >= WB_LONE_USER_REGULAR;
}
