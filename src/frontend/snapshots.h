/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a control file showed when it was opened, by the number that the kernel has for
 * it. That may come from an earlier worker, of whose snapshots none is left: a number
 * says so, where a pointer would be anything. Any thread.
 */
#ifndef WB_FRONTEND_SNAPSHOTS_H
#define WB_FRONTEND_SNAPSHOTS_H

#include <glib.h>
#include <stdint.h>

struct wb_snapshots;

/* `worker`: which one of the mount's this is, from 1. */
struct wb_snapshots *wb_snapshots_new(uint32_t worker);
void wb_snapshots_free(struct wb_snapshots *snapshots);

/* Its number; takes over the reference. */
uint64_t wb_snapshots_add(struct wb_snapshots *snapshots, GBytes *text);
/* The same, under a number of an earlier worker. */
void wb_snapshots_renew(struct wb_snapshots *snapshots, uint64_t id, GBytes *text);
/* How long the text was that it was given for, also by an earlier worker. Texts of 16 MiB
 * and more count as that long. */
uint64_t wb_snapshots_length(uint64_t id);
/* A reference, or NULL: of another worker. */
GBytes *wb_snapshots_get(struct wb_snapshots *snapshots, uint64_t id);
void wb_snapshots_remove(struct wb_snapshots *snapshots, uint64_t id);

#endif
