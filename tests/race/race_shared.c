/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The range that all clients write to: each sector says by itself whether it is right. */
#include <string.h>

#include "race/race_client.h"

#define SECTOR 512u

/* A sector says who wrote it when, and where; a torn one does not fit together. */
static void make_shared_sector(uint64_t words[SECTOR / 8], unsigned writer, uint64_t serial,
			       uint64_t sector)
{
	struct wb_prng prng;

	words[0] = (uint64_t)(writer + 1) << 48 | serial;
	wb_prng_init(&prng, words[0] ^ sector << 24);
	for (unsigned i = 1; i < SECTOR / 8; i++)
		words[i] = wb_prng_next(&prng);
}

uint64_t race_shared_sectors(const struct race_world *world)
{
	return (world->shared_to - world->shared_from) / SECTOR;
}

static uint64_t *seen_of(struct race_client *client, unsigned writer, uint64_t sector)
{
	uint64_t first = client->world->shared_from / SECTOR;

	return &client->seen[writer * race_shared_sectors(client->world) + (sector - first)];
}

static void check_shared_sector(struct race_client *client, const uint8_t *bytes,
				uint64_t sector)
{
	static const uint64_t zeros[SECTOR / 8];
	uint64_t found[SECTOR / 8], right[SECTOR / 8], serial, *seen;
	uint64_t writer;

	memcpy(found, bytes, SECTOR);
	if (memcmp(found, zeros, SECTOR) == 0)
		return;
	writer = (found[0] >> 48) - 1;
	serial = found[0] & ((UINT64_C(1) << 48) - 1);
	if (writer >= RACE_CLIENTS ||
	    serial > atomic_load_explicit(&client->world->issued[writer], memory_order_relaxed)) {
		race_report(client, "shared sector " U64 ": nobody wrote this", sector);
		return;
	}
	make_shared_sector(right, (unsigned)writer, serial, sector);
	if (memcmp(found, right, SECTOR) != 0)
		race_report(client, "shared sector " U64 " is torn", sector);
	/* Each writer writes one after the other. */
	seen = seen_of(client, (unsigned)writer, sector);
	if (serial < *seen)
		race_report(client, "shared sector " U64 ": write " U64 " of client %u is back "
			    "after its write " U64, sector, serial, (unsigned)writer, *seen);
	*seen = MAX(*seen, serial);
}

struct race_span race_shared_choose(struct race_client *client)
{
	const struct race_world *world = client->world;
	uint64_t count = race_shared_sectors(world);
	uint64_t length = 1 + race_below(client, race_below(client, 3) == 0 ? count : 12);
	uint64_t first = world->shared_from / SECTOR + race_below(client, count - length + 1);

	if (race_below(client, 3) == 0 && first / 8 * 8 * SECTOR >= world->shared_from)
		first = first / 8 * 8;
	return (struct race_span){ first * SECTOR, (first + length) * SECTOR };
}

void race_shared_write(struct race_client *client)
{
	struct race_span span = race_shared_choose(client);
	unsigned flags = race_below(client, 8) == 0 ? WB_REQUEST_FUA : 0;
	uint64_t serial = 1 + atomic_fetch_add_explicit(&client->world->issued[client->id], 1,
							memory_order_relaxed);
	int error;

	for (uint64_t at = span.from; at < span.to; at += SECTOR) {
		uint64_t words[SECTOR / 8];

		make_shared_sector(words, client->id, serial, at / SECTOR);
		memcpy(client->buffer + (at - span.from), words, SECTOR);
	}
	error = race_run(client, WB_WRITE, flags, span.from, span.to - span.from);
	for (uint64_t at = span.from; !error && at < span.to; at += SECTOR)
		*seen_of(client, client->id, at / SECTOR) = serial;
	if (!error && flags & WB_REQUEST_FUA)
		race_synced(client);
}

void race_shared_zero(struct race_client *client)
{
	struct race_span span = race_shared_choose(client);

	race_run(client, WB_ZERO, 0, span.from, span.to - span.from);
}

void race_shared_read(struct race_client *client, struct race_span span)
{
	if (race_run(client, WB_READ, 0, span.from, span.to - span.from) != 0)
		return;
	for (uint64_t at = span.from; at < span.to; at += SECTOR)
		check_shared_sector(client, race_data(client, span.from) + (at - span.from),
				    at / SECTOR);
}
