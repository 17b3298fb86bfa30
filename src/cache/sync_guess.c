/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/sync_guess.h"

static uint32_t get(_Atomic uint32_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static void set(_Atomic uint32_t *value, uint32_t to)
{
	atomic_store_explicit(value, to, memory_order_relaxed);
}

void wb_sync_guess_wrote(struct wb_sync_guess *guess)
{
	uint32_t writes;

	/* Those who never sync do not fight for the counter either. */
	if (get(&guess->writes) >= WB_SYNC_GUESS_WRITES_MAX)
		return;
	writes = atomic_fetch_add_explicit(&guess->writes, 1, memory_order_relaxed) + 1;
	if (get(&guess->regular) < WB_SYNC_GUESS_REGULAR)
		return;
	if (writes == get(&guess->interval))
		atomic_store_explicit(&guess->is_due, true, memory_order_relaxed);
	else if (writes > get(&guess->interval))
		set(&guess->regular, 0);
}

void wb_sync_guess_synced(struct wb_sync_guess *guess)
{
	uint32_t writes = atomic_exchange_explicit(&guess->writes, 0, memory_order_relaxed);

	/* Nothing new to make durable: says nothing. */
	if (writes == 0)
		return;
	if (writes == get(&guess->interval) && writes < WB_SYNC_GUESS_WRITES_MAX) {
		set(&guess->regular, get(&guess->regular) + 1);
	} else {
		set(&guess->regular, 0);
		set(&guess->interval, writes);
	}
}

bool wb_sync_guess_take(struct wb_sync_guess *guess)
{
	return atomic_load_explicit(&guess->is_due, memory_order_relaxed) &&
	       atomic_exchange_explicit(&guess->is_due, false, memory_order_relaxed);
}
