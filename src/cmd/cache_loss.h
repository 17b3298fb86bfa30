/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume whose cache is dead or missing: what its backing then holds, and how
 * it is used alone.
 */
#ifndef WB_CMD_CACHE_LOSS_H
#define WB_CMD_CACHE_LOSS_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/identity.h"
#include "cmd/options.h"

/* After a mount that failed with *error, and has let go of both disks: when the
 * cache is missing, cannot be read or is no cache any more, adds what the backing
 * holds, how old that is, and the commands that go on. */
void wb_cache_loss_explain(const struct wb_options *options, GError **error);

/* The backing is about to be used alone: says what it lacks (g_warning). When it
 * is open for writing, its mark is changed first, durably, so that the cache can
 * never come back and write its old data over newer. FALSE and an error: not. */
bool wb_cache_loss_accept(const struct wb_disk *backing, uint8_t uuid[16], GError **error);

/* "The backing B holds ...": what is known by its mark. To be freed. Pure. */
char *wb_cache_loss_describe(const char *backing, const struct wb_identity *identity);

#endif
