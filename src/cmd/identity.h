/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mark on a backing: the UUID of the volume it belongs to, and where its
 * cache was. Kept, in this order, in extended attributes (user.wbfs.uuid,
 * user.wbfs.cache), in a file beside it (PATH.wbfs-id), or, for devices and
 * where neither can be made, in the state directory: /var/lib/wbfs for root,
 * $XDG_STATE_HOME/wbfs for others.
 */
#ifndef WB_CMD_IDENTITY_H
#define WB_CMD_IDENTITY_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/disk.h"
#include "format/superblock_codec.h"

struct wb_identity {
	enum wb_mark_kind kind;		/* WB_MARK_NONE: there is no mark */
	uint8_t uuid[16];
	char *cache_path;		/* a hint, or NULL */
};

/* The first mark found. FALSE and an error when one is there that cannot be
 * read. */
bool wb_identity_read(const struct wb_disk *backing, struct wb_identity *identity,
		      GError **error);
/* Writes uuid and cache_path at the first place that takes them, durably, and
 * removes marks from the other places; sets identity->kind. */
bool wb_identity_write(const struct wb_disk *backing, struct wb_identity *identity,
		       GError **error);
/* Where wb_identity_write() will probably put it; changes nothing. */
enum wb_mark_kind wb_identity_probe(const struct wb_disk *backing);
/* Removes all marks, as far as possible. */
void wb_identity_remove(const struct wb_disk *backing);
void wb_identity_clear(struct wb_identity *identity);

/* Text of a sidecar or state file: the UUID and, on the second line, the path.
 * Pure. */
char *wb_identity_format(const struct wb_identity *identity);
bool wb_identity_parse(const char *text, struct wb_identity *identity);
bool wb_uuid_parse(const char *text, uint8_t uuid[16]);
/* "/dev/mapper/a b" -> "dev-mapper-a b". Pure. */
char *wb_identity_file_name(const char *path);

/* How the place is called in messages: "in extended attributes". */
const char *wb_identity_kind_text(enum wb_mark_kind kind);

#endif
