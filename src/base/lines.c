/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/lines.h"

#include <stdatomic.h>

_Thread_local unsigned wb_thread_stripe_chosen;

unsigned wb_thread_stripe_choose(void)
{
	static _Atomic unsigned next;

	wb_thread_stripe_chosen = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) %
				  WB_THREAD_STRIPES + 1;
	return wb_thread_stripe_chosen;
}
