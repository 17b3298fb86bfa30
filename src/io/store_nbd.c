/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/store_nbd.h"

#include <errno.h>
#include <string.h>

#include "base/lock.h"
#include "io/nbd_connect.h"
#include "io/nbd_lane.h"


struct wb_nbd_export {
	char *uri;
	struct wb_nbd_peer peer;
};

struct store_nbd {
	struct wb_store store;		/* first: ops cast */
	/* constant after open */
	char *label;
	struct wb_nbd_lane *lane;
	bool is_rotational;

	struct wb_lock find_lock;
	/* under find_lock */
	struct wb_nbd_peer finder;	/* no handle: none was needed yet */
};

/* --- the export ------------------------------------------------------------------ */

struct wb_nbd_export *wb_nbd_export_open(const char *uri, unsigned timeout_ms, GError **error)
{
	struct wb_nbd_export *peer = g_new0(struct wb_nbd_export, 1);

	peer->uri = g_strdup(uri);
	if (wb_nbd_connect(uri, timeout_ms, &peer->peer, error))
		return peer;
	wb_nbd_export_close(peer);
	return NULL;
}

void wb_nbd_export_get_facts(const struct wb_nbd_export *peer,
			     struct wb_nbd_export_facts *facts)
{
	*facts = (struct wb_nbd_export_facts){
		.size_bytes = peer->peer.size_bytes,
		.is_read_only = peer->peer.is_read_only,
		.can_flush = peer->peer.can_flush,
	};
}

void wb_nbd_export_close(struct wb_nbd_export *peer)
{
	if (!peer)
		return;
	wb_nbd_disconnect(&peer->peer);
	g_free(peer->uri);
	g_free(peer);
}

/* --- the store --------------------------------------------------------------------- */

static struct store_nbd *to_nbd(struct wb_store *store)
{
	return (struct store_nbd *)store;
}

static void submit(struct wb_store *store, struct wb_io *io)
{
	wb_store_assert_io(store, io);
	wb_nbd_lane_submit(to_nbd(store)->lane, io);
}

static uint64_t busy_ns(struct wb_store *store)
{
	(void)store;
	return 0;
}

static void free_store(struct store_nbd *self)
{
	wb_nbd_disconnect(&self->finder);
	wb_lock_clear(&self->find_lock);
	g_free(self->label);
	g_free(self);
}

static void close_store(struct wb_store *store)
{
	wb_nbd_lane_free(to_nbd(store)->lane);
	free_store(to_nbd(store));
}

static const struct wb_store_ops ops = {
	.name = "nbd",
	.submit = submit,
	.busy_ns = busy_ns,
	.close = close_store,
};

struct wb_store *wb_store_nbd_open(struct wb_nbd_export *peer, const char *uri,
				   enum wb_nbd_last_user last_user, bool *leaves_ghosts,
				   GError **error)
{
	struct store_nbd *self = g_new0(struct store_nbd, 1);
	struct wb_nbd_lane_options options = {
		.uri = peer->uri,
		.first = peer->peer,
		.writes_from_us = last_user == WB_NBD_WAS_KILLED ?
					  g_get_monotonic_time() + WB_NBD_HOLD_US : 0,
		.leaves_ghosts = leaves_ghosts,
	};

	self->label = g_strdup(uri);
	self->is_rotational = peer->peer.is_rotational;
	wb_lock_init(&self->find_lock, WB_RANK_STORE);
	self->store = (struct wb_store){
		.ops = &ops,
		.label = self->label,
		.size_bytes = peer->peer.size_bytes,
		.alignment_bytes = peer->peer.alignment_bytes,
		/* Nothing is promised; a sector is the least that a disk writes. */
		.atomic_write_bytes = 512,
	};
	self->lane = wb_nbd_lane_new(&options, &self->store.size_bytes, error);
	if (self->lane)
		peer->peer.handle = NULL;
	wb_nbd_export_close(peer);
	if (self->lane)
		return &self->store;
	free_store(self);
	return NULL;
}

/* --- what only this one has -------------------------------------------------------------- */

bool wb_store_nbd_is(const struct wb_store *store)
{
	return store && store->ops == &ops;
}

bool wb_store_nbd_get_line(struct wb_store *store, struct wb_store_nbd_line *line)
{
	struct wb_nbd_line now;

	*line = (struct wb_store_nbd_line){ 0 };
	if (!wb_store_nbd_is(store))
		return false;
	wb_nbd_lane_get_line(to_nbd(store)->lane, &now);
	*line = (struct wb_store_nbd_line){
		.is_away = now.is_away,
		.away_since_us = now.away_since_us,
		.break_count = now.break_count,
		.connection_count = now.connection_count,
		.is_rotational = to_nbd(store)->is_rotational,
	};
	return true;
}

char *wb_store_nbd_problem(struct wb_store *store)
{
	return wb_store_nbd_is(store) ? wb_nbd_lane_problem(to_nbd(store)->lane) : NULL;
}

void wb_store_nbd_set_timeout(struct wb_store *store, unsigned timeout_s)
{
	if (wb_store_nbd_is(store))
		wb_nbd_lane_set_timeout(to_nbd(store)->lane,
					(uint64_t)timeout_s * G_USEC_PER_SEC);
}

void wb_store_nbd_doubt(struct wb_store *store)
{
	if (wb_store_nbd_is(store))
		wb_nbd_lane_doubt(to_nbd(store)->lane);
}

void wb_store_nbd_hurry(struct wb_store *store)
{
	if (wb_store_nbd_is(store))
		wb_nbd_lane_hurry(to_nbd(store)->lane);
}

bool wb_store_nbd_find(struct wb_store *store, enum wb_store_nbd_find what,
		       uint64_t from_bytes, uint64_t *found_bytes)
{
	struct store_nbd *self = to_nbd(store);
	bool ok;

	if (!wb_store_nbd_is(store))
		return false;
	wb_lock_acquire(&self->find_lock);
	ok = self->finder.handle ||
	     wb_nbd_connect(self->label, WB_NBD_CONNECT_MS, &self->finder, NULL);
	ok = ok && wb_nbd_find(&self->finder, what == WB_STORE_NBD_DATA ? WB_NBD_FIND_DATA :
			       WB_NBD_FIND_HOLE, from_bytes, found_bytes);
	wb_lock_release(&self->find_lock);
	return ok;
}

bool wb_store_nbd_look_again(struct wb_store *store, GError **error)
{
	struct wb_nbd_peer peer;

	g_assert(wb_store_nbd_is(store));
	if (!wb_nbd_connect(store->label, WB_NBD_CONNECT_MS, &peer, error))
		return false;
	/* The lane connects again wherever the old size is the limit. */
	if (peer.size_bytes > store->size_bytes)
		store->size_bytes = peer.size_bytes;
	wb_nbd_disconnect(&peer);
	return true;
}
