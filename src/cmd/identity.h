/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mark on a backing: the UUID of the volume it belongs to, where its cache
 * was, and whether that cache holds data which the backing lacks. Kept, in this
 * order, in extended attributes (user.wbfs.uuid, user.wbfs.cache,
 * user.wbfs.state), in a file beside it (PATH.wbfs-id), or, for devices, exports of an
 * NBD server and where neither can be made, in the state directory: /var/lib/wbfs for root,
 * $XDG_STATE_HOME/wbfs for others.
 *
 * The state changes with every mount and drain, the rest only with a format.
 * It is one attribute, so that a crash leaves the old state or the new one.
 */
#ifndef WB_CMD_IDENTITY_H
#define WB_CMD_IDENTITY_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/disk.h"
#include "format/superblock_codec.h"

/* An epoch that no cache reaches: the backing was used without its cache, which
 * would write old data over newer and is refused for ever. */
#define WB_EPOCH_GIVEN_UP WB_NUMBER_MAX

struct wb_identity {
	enum wb_mark_kind kind;		/* WB_MARK_NONE: there is no mark */
	uint8_t uuid[16];
	char *cache_path;		/* a hint, or NULL */
	uint64_t epoch;			/* of the cache's newest mount; 0: not known */
	bool is_dirty;			/* the cache may hold newer data */
	bool is_rescued;		/* a rescue began to write to the backing, and the
					 * cache does not know */
	int64_t complete_time_s;	/* when the backing alone was complete the last
					 * time, since 1970; 0: not known */
};

/* The first mark found. FALSE and an error when one is there that cannot be
 * read. */
bool wb_identity_read(const struct wb_disk *backing, struct wb_identity *identity,
		      GError **error);
/* Writes it at the first place that takes it, durably, and removes marks from
 * the other places; sets identity->kind. */
bool wb_identity_write(const struct wb_disk *backing, struct wb_identity *identity,
		       GError **error);
/* Where wb_identity_write() will probably put it; changes nothing. */
enum wb_mark_kind wb_identity_probe(const struct wb_disk *backing);
/* Removes all marks, durably; FALSE (and errno) when one may be left. */
bool wb_identity_remove(const struct wb_disk *backing);
void wb_identity_clear(struct wb_identity *identity);

/* Text of a sidecar or state file: the UUID, and on the next lines the path
 * (perhaps empty) and the state. Pure. */
char *wb_identity_format(const struct wb_identity *identity);
bool wb_identity_parse(const char *text, struct wb_identity *identity);
/* "epoch=12 dirty=yes complete=1790000000"; words that are not known are passed
 * over. FALSE: it is none, and nothing was set. Pure. */
char *wb_identity_format_state(const struct wb_identity *identity);
bool wb_identity_parse_state(const char *text, struct wb_identity *identity);
bool wb_uuid_parse(const char *text, uint8_t uuid[16]);

/* How the place is called in messages: "in extended attributes". */
const char *wb_identity_kind_text(enum wb_mark_kind kind);

#endif
