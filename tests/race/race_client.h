/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One user of a volume, with a thread of its own and one request at a time. It
 * owns a range of bytes, of which it knows every version that it wrote, and it
 * writes to a range that all share. Ranges begin and end anywhere, so that
 * neighbours meet in a block and in a sector.
 */
#ifndef WB_TESTS_RACE_CLIENT_H
#define WB_TESTS_RACE_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "cache/cache.h"
#include "support/prng.h"

#define RACE_CLIENTS 5u
#define RACE_VERSIONS 10u	/* of a sector between two syncs */

/* What all clients of a run know. */
struct race_world {
	/* constant while clients run */
	struct wb_cache *cache;
	uint64_t shared_from, shared_to;	/* whole blocks */
	unsigned operations;		/* of each client */
	bool may_fail;			/* a request may end with EIO */
	bool may_lose;			/* data may become unreadable for good */
	const atomic_bool *is_cut;	/* nothing counts any more; no new operation */
	/* atomic */
	_Atomic uint64_t issued[RACE_CLIENTS];	/* writes to the shared range */
	_Atomic uint64_t progress;	/* operations of all */
};

/* One sector's part of the client's own range. */
struct race_unit {
	/* What it may hold after a crash, oldest first: what the last sync
	 * covered, and each one since. */
	struct { uint64_t hash, operation; } versions[RACE_VERSIONS];
	uint8_t count;
	bool is_unknown;		/* a write failed and cannot be looked at */
	bool is_rewritten;		/* but another one did not, since */
};

struct race_client {
	struct race_world *world;
	unsigned id;
	struct wb_prng prng;
	uint64_t from, to;		/* its own bytes */
	uint8_t *now;			/* what they are */
	struct race_unit *units;
	uint64_t unit_count;
	uint64_t operation;		/* number of the last one */
	uint64_t *seen;			/* [writer][sector] of the shared range */
	uint8_t *buffer;		/* of a request */
	uint8_t *wanted;
	GThread *thread;
	/* for a look afterwards */
	uint64_t failed_count, lost_count;
	char problem[256];		/* "" while all is right */

	struct wb_lock lock;
	struct wb_cond cond;
	/* under lock */
	bool is_finished;
	int error;
};

void race_client_init(struct race_client *client, struct race_world *world, unsigned id,
		      uint64_t from, uint64_t to, uint64_t seed);
void race_client_clear(struct race_client *client);

/* world->operations of them, or until the first problem. */
void race_client_start(struct race_client *client);
void race_client_join(struct race_client *client);

/* Of a cache that was opened again. Everything acknowledged must be there ... */
void race_client_verify(struct race_client *client);
/* ... or everything synced, and of the rest what a prefix of the log leaves;
 * what is found is the truth from then on. */
void race_client_verify_prefix(struct race_client *client);

/* --- between race_client.c and race_shared.c --------------------------------- */

#define U64 "%" G_GUINT64_FORMAT

struct race_span {
	uint64_t from, to;
};

/* Only the first one counts. */
void race_report(struct race_client *client, const char *format, ...) G_GNUC_PRINTF(2, 3);
uint64_t race_below(struct race_client *client, uint64_t limit);
/* A request with client->buffer, to its end: 0 or -EIO, where that may be. */
int race_run(struct race_client *client, enum wb_request_op op, unsigned flags,
	     uint64_t offset, uint64_t length);
/* Where the data of a READ begins. */
uint8_t *race_data(struct race_client *client, uint64_t offset);
/* The newest version of everything is durable, if this is said before the power
 * went. */
void race_synced(struct race_client *client);

uint64_t race_shared_sectors(const struct race_world *world);
struct race_span race_shared_choose(struct race_client *client);
void race_shared_write(struct race_client *client);
void race_shared_zero(struct race_client *client);
void race_shared_read(struct race_client *client, struct race_span span);

#endif
