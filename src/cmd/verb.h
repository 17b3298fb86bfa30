/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A verb of MOUNTPOINT/.wbfs/control: written, then watched in stats.json
 * until it is done. */
#ifndef WB_CMD_VERB_H
#define WB_CMD_VERB_H

#include <json-glib/json-glib.h>

struct wb_verb {
	const char *name;
	const char *asked_key, *done_key, *failed_key;	/* counters */
	/* How far it is, to be freed, for a terminal; or NULL. */
	char *(*progress)(JsonNode *stats);
};

/* Prints what went wrong; returns the exit status. */
int wb_verb_run(const char *mount_point, const struct wb_verb *verb);

#endif
