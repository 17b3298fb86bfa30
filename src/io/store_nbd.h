/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store for an export of an NBD server, over libnbd. It keeps the contract of
 * store.h while the server goes away and comes back: what was asked for waits, and is
 * done when it can be. How, and why nothing old lands on anything new, is told in
 * nbd_lane.h.
 *
 * libnbd allocates some bytes for every request; all that holds data is allocated at
 * open. Threads are started by open(): fork before, not after.
 *
 * In a program that is built without libnbd (store_nbd_absent.c) nothing can be connected.
 */
#ifndef WB_IO_STORE_NBD_H
#define WB_IO_STORE_NBD_H

#include <glib.h>
#include <stdbool.h>

#include "io/store.h"

/* An export that was connected to, before a store is made of it. */
struct wb_nbd_export;

struct wb_nbd_export_facts {
	uint64_t size_bytes;
	bool is_read_only;
	bool can_flush;
};

#define WB_NBD_CONNECT_MS 10000u	/* the usual patience */

/* NULL and an error (G_FILE_ERROR) that names the server. Waits. */
struct wb_nbd_export *wb_nbd_export_open(const char *uri, unsigned timeout_ms, GError **error);
void wb_nbd_export_get_facts(const struct wb_nbd_export *peer,
			     struct wb_nbd_export_facts *facts);
void wb_nbd_export_close(struct wb_nbd_export *peer);	/* NULL is fine */

enum wb_nbd_last_user {
	WB_NBD_SAID_GOODBYE,
	WB_NBD_WAS_KILLED,	/* what it sent may still be landing: see nbd_lane.h */
};

/* `peer` belongs to the store from then on; without one (NULL and an error) it is closed.
 * `leaves_ghosts`: set at the store's end if what it sent may still be landing then, however
 * late; NULL is fine. */
struct wb_store *wb_store_nbd_open(struct wb_nbd_export *peer, const char *uri,
				   enum wb_nbd_last_user last_user, bool *leaves_ghosts,
				   GError **error);

/* --- of a store that is one; FALSE, or nothing, for every other ------------------------ */

bool wb_store_nbd_is(const struct wb_store *store);

struct wb_store_nbd_line {
	bool is_away;			/* it cannot be reached */
	int64_t away_since_us;		/* since 1970 */
	uint64_t break_count;		/* connections that broke */
	unsigned connection_count;
	bool is_rotational;		/* the server says so */
};
bool wb_store_nbd_get_line(struct wb_store *store, struct wb_store_nbd_line *line);
/* Why it cannot be reached, to be freed; or NULL. */
char *wb_store_nbd_problem(struct wb_store *store);
/* How long users wait for a server that is away, until they get -EIO. */
void wb_store_nbd_set_timeout(struct wb_store *store, unsigned timeout_s);
/* The one before us was killed, and owed a flush of what it had been answered: whether the
 * server still has that, which may have died since, can nobody know, but where each write
 * is durable when it is answered. So the next flush fails. Before the first one. */
void wb_store_nbd_doubt(struct wb_store *store);
/* A stop has begun: writeback does not wait longer than that from now on either, and all
 * that follows not beyond that moment. */
void wb_store_nbd_hurry(struct wb_store *store);

/* Asks the server how large the export is now; a store that was smaller grows. FALSE and an
 * error when it does not say. Waits. */
bool wb_store_nbd_look_again(struct wb_store *store, GError **error);

enum wb_store_nbd_find { WB_STORE_NBD_DATA, WB_STORE_NBD_HOLE };
/* The first byte at or behind `from_bytes` that is in data, or in a hole; size_bytes: there
 * is none. FALSE: the server does not tell. Over a connection of its own; waits. */
bool wb_store_nbd_find(struct wb_store *store, enum wb_store_nbd_find what,
		       uint64_t from_bytes, uint64_t *found_bytes);

#endif
