/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/lone_user.h"

static uint32_t get(const struct wb_lone_users *users)
{
	return atomic_load_explicit(&users->pid, memory_order_relaxed);
}

static void set(struct wb_lone_users *users, uint32_t pid)
{
	atomic_store_explicit(&users->pid, pid, memory_order_relaxed);
}

void wb_lone_user_came(struct wb_lone_users *users, struct wb_lone_user *lone, uint32_t pid,
		       bool is_long)
{
	uint32_t known = get(users);

	if (known && (known != pid || is_long))
		set(users, 0);
	if (lone->pid != pid || is_long)
		lone->regular = 0;
	lone->pid = pid;
	lone->requests++;
}

/* Half-way `users` says whom this thread holds for the only one: what any other thread sees
 * of company from then on is seen here, and it begins anew. */
bool wb_lone_user_waits(struct wb_lone_users *users, struct wb_lone_user *lone,
			enum wb_lone_user_wait kind, bool is_alone)
{
	const unsigned half = WB_LONE_USER_REGULAR / 2;
	bool is_lone = is_alone && lone->pid && lone->requests <= (unsigned)kind;

	lone->requests = 0;
	if (!is_lone || (lone->regular >= half && get(users) != lone->pid)) {
		lone->regular = 0;
		return false;
	}
	if (lone->regular < WB_LONE_USER_REGULAR && ++lone->regular == half)
		set(users, lone->pid);
	return lone->regular == WB_LONE_USER_REGULAR;
}
