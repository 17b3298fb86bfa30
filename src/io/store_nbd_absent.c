/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The doors of store_nbd.h in a program that was built without libnbd. */
#include "io/store_nbd.h"

struct wb_nbd_export *wb_nbd_export_open(const char *uri, unsigned timeout_ms, GError **error)
{
	(void)timeout_ms;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
		    "%s: this wbfs was built without NBD (configure --without-nbd)", uri);
	return NULL;
}

void wb_nbd_export_get_facts(const struct wb_nbd_export *peer,
			     struct wb_nbd_export_facts *facts)
{
	(void)peer;
	*facts = (struct wb_nbd_export_facts){ 0 };
}

void wb_nbd_export_close(struct wb_nbd_export *peer)
{
	g_assert(!peer);
}

struct wb_store *wb_store_nbd_open(struct wb_nbd_export *peer, const char *uri,
				   enum wb_nbd_last_user last_user, bool *leaves_ghosts,
				   GError **error)
{
	(void)peer;
	(void)last_user;
	(void)leaves_ghosts;
	return (struct wb_store *)wb_nbd_export_open(uri, 0, error);
}

bool wb_store_nbd_is(const struct wb_store *store)
{
	(void)store;
	return false;
}

bool wb_store_nbd_get_line(struct wb_store *store, struct wb_store_nbd_line *line)
{
	(void)store;
	*line = (struct wb_store_nbd_line){ 0 };
	return false;
}

char *wb_store_nbd_problem(struct wb_store *store)
{
	(void)store;
	return NULL;
}

void wb_store_nbd_set_timeout(struct wb_store *store, unsigned timeout_s)
{
	(void)store;
	(void)timeout_s;
}

void wb_store_nbd_doubt(struct wb_store *store)
{
	(void)store;
}

void wb_store_nbd_hurry(struct wb_store *store)
{
	(void)store;
}

bool wb_store_nbd_find(struct wb_store *store, enum wb_store_nbd_find what,
		       uint64_t from_bytes, uint64_t *found_bytes)
{
	(void)store;
	(void)what;
	(void)from_bytes;
	(void)found_bytes;
	return false;
}

bool wb_store_nbd_look_again(struct wb_store *store, GError **error)
{
	wb_nbd_export_open(store->label, 0, error);
	return false;
}
