/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A verb of MOUNTPOINT/.wbfs/control: written, then watched in stats.json
 * until it is done. */
#ifndef WB_CMD_VERB_H
#define WB_CMD_VERB_H

#include <json-glib/json-glib.h>
#include <stdint.h>

/* How far it is; zeros at the beginning. */
struct wb_verb_work {
	uint64_t done_bytes, total_bytes;
};

struct wb_verb {
	const char *name;
	const char *request;		/* what is written; NULL: the name */
	const char *asked_key, *done_key, *failed_key;	/* counters */
	/* Brings it up to date; or NULL: it is soon over. */
	void (*measure)(JsonNode *stats, struct wb_verb_work *work);
};

/* Prints what went wrong; returns the exit status. An interrupt ends the waiting,
 * not what the daemon does. */
int wb_verb_run(const char *mount_point, const struct wb_verb *verb);

#endif
