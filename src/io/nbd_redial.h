/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connects to an NBD server again, as often as it takes, with growing pauses: a thread
 * of its own, because looking up a name and shaking hands may take their time, and the
 * connections that are left shall not wait for it.
 */
#ifndef WB_IO_NBD_REDIAL_H
#define WB_IO_NBD_REDIAL_H

#include <glib.h>
#include <stdbool.h>

#include "io/nbd_connect.h"

struct wb_nbd_redial_deps {
	const char *uri;
	/* Is this still the export that it was? NULL, or why not, to be freed. Its thread. */
	char *(*judge)(void *arg, const struct wb_nbd_peer *peer);
	/* Takes the peer over. Its thread. */
	void (*connected)(void *arg, const struct wb_nbd_peer *peer);
	void *arg;
};

struct wb_nbd_redial;

/* NULL and an error (G_FILE_ERROR): no thread. */
struct wb_nbd_redial *wb_nbd_redial_new(const struct wb_nbd_redial_deps *deps,
					GError **error);
/* An attempt under way is waited for. NULL is fine. */
void wb_nbd_redial_free(struct wb_nbd_redial *redial);

enum wb_nbd_urgency {
	WB_NBD_URGENT,		/* it was the last one: pauses of seconds */
	WB_NBD_SPARE,		/* others serve: of a minute, a server may not want more */
};
/* One more connection is wanted, for one that lived so long, or G_MAXINT64 if there was
 * none: after a short life there is a pause first, and it grows from one to the next. Any
 * thread, no lock held. */
void wb_nbd_redial_want(struct wb_nbd_redial *redial, enum wb_nbd_urgency urgency,
			gint64 lived_us);
/* Why it did not work the last time, to be freed; NULL: it did. */
char *wb_nbd_redial_problem(struct wb_nbd_redial *redial);

#endif
