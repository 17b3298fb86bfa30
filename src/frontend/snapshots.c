/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/snapshots.h"

#include "base/lock.h"

/* A number: the worker, which of its texts, and the length of that. */
#define LENGTH_BITS 24u
#define LENGTH_MAX ((UINT64_C(1) << LENGTH_BITS) - 1)
#define COUNT_BITS 24u

struct wb_snapshots {
	uint64_t worker;		/* constant after new */

	struct wb_lock lock;
	/* under lock */
	uint64_t count;
	GHashTable *texts;		/* by id */
};

static void free_text(gpointer text)
{
	g_bytes_unref(text);
}

struct wb_snapshots *wb_snapshots_new(uint32_t worker)
{
	struct wb_snapshots *snapshots = g_new0(struct wb_snapshots, 1);

	wb_lock_init(&snapshots->lock, WB_RANK_FRONTEND);
	snapshots->worker = (uint64_t)worker << (COUNT_BITS + LENGTH_BITS);
	snapshots->texts = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, free_text);
	return snapshots;
}

void wb_snapshots_free(struct wb_snapshots *snapshots)
{
	if (!snapshots)
		return;
	g_hash_table_unref(snapshots->texts);
	wb_lock_clear(&snapshots->lock);
	g_free(snapshots);
}

static void store_locked(struct wb_snapshots *snapshots, uint64_t id, GBytes *text)
{
	uint64_t *key = g_new(uint64_t, 1);

	wb_lock_assert_held(&snapshots->lock);
	*key = id;
	g_hash_table_replace(snapshots->texts, key, text);
}

uint64_t wb_snapshots_add(struct wb_snapshots *snapshots, GBytes *text)
{
	uint64_t id;

	wb_lock_acquire(&snapshots->lock);
	id = snapshots->worker |
	     snapshots->count++ % (UINT64_C(1) << COUNT_BITS) << LENGTH_BITS |
	     MIN(g_bytes_get_size(text), LENGTH_MAX);
	store_locked(snapshots, id, text);
	wb_lock_release(&snapshots->lock);
	return id;
}

void wb_snapshots_renew(struct wb_snapshots *snapshots, uint64_t id, GBytes *text)
{
	wb_lock_acquire(&snapshots->lock);
	store_locked(snapshots, id, text);
	wb_lock_release(&snapshots->lock);
}

uint64_t wb_snapshots_length(uint64_t id)
{
	return id & LENGTH_MAX;
}

GBytes *wb_snapshots_get(struct wb_snapshots *snapshots, uint64_t id)
{
	GBytes *text;

	wb_lock_acquire(&snapshots->lock);
	text = g_hash_table_lookup(snapshots->texts, &id);
	if (text)
		g_bytes_ref(text);
	wb_lock_release(&snapshots->lock);
	return text;
}

void wb_snapshots_remove(struct wb_snapshots *snapshots, uint64_t id)
{
	wb_lock_acquire(&snapshots->lock);
	g_hash_table_remove(snapshots->texts, &id);
	wb_lock_release(&snapshots->lock);
}
