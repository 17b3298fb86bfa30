/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "race/race_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
#define BLOCK 4096u
#define LENGTH_MAX (192u << 10)
#define TRIES_MAX 2000u		/* of what fails while a disk is out of order */

static bool has_problem(const struct race_client *client)
{
	return client->problem[0] != '\0';
}

/* Only the first one counts. */
void race_report(struct race_client *client, const char *format, ...)
{
	va_list args;

	if (has_problem(client))
		return;
	va_start(args, format);
	g_vsnprintf(client->problem, sizeof client->problem, format, args);
	va_end(args);
}

uint64_t race_below(struct race_client *client, uint64_t limit)
{
	return wb_prng_below(&client->prng, limit);
}

/* --- one request --------------------------------------------------------------- */

static void done(struct wb_request *request, int error)
{
	struct race_client *client = wb_request_public(request)->user;

	wb_lock_acquire(&client->lock);
	client->error = error;
	client->is_finished = true;
	wb_cond_signal(&client->cond);
	wb_lock_release(&client->lock);
}

static int wait_for_end(struct race_client *client)
{
	int error;

	wb_lock_acquire(&client->lock);
	while (!client->is_finished)
		wb_cond_wait(&client->cond, &client->lock);
	error = client->error;
	wb_lock_release(&client->lock);
	return error;
}

int race_run(struct race_client *client, enum wb_request_op op, unsigned flags,
	     uint64_t offset, uint64_t length)
{
	struct wb_cache *cache = client->world->cache;
	struct wb_request_public *pub;
	struct wb_request *request;
	int error = 0;

	/* There are fewer than clients. */
	while (!(request = wb_request_get(cache)))
		g_thread_yield();
	pub = wb_request_public(request);
	*pub = (struct wb_request_public){
		.op = op, .flags = flags, .offset_bytes = offset, .length_bytes = length,
		.buffer = client->buffer, .done = done, .user = client,
	};
	client->is_finished = false;
	if (wb_cache_submit(cache, request, &error) == WB_SUBMIT_PENDING)
		error = wait_for_end(client);
	if (op == WB_READ && !error)
		wb_cache_read_answered(cache, request);
	wb_request_put(cache, request);
	if (error && (error != -EIO || !client->world->may_fail))
		race_report(client, "request %d at " U64 " ended with %d", op, offset, error);
	/* What is out of order needs time, not more requests. */
	if (error)
		g_usleep(1000);
	client->failed_count += error != 0;
	return error;
}

/* Where the data of a READ begins. */
uint8_t *race_data(struct race_client *client, uint64_t offset)
{
	return client->buffer + offset % BLOCK;
}

static bool may_try_again(struct race_client *client, unsigned tries)
{
	if (has_problem(client) || tries >= TRIES_MAX)
		return false;
	g_usleep(500);
	return true;
}

/* A disk that fails at times answers at last. */
static int read_stubbornly(struct race_client *client, uint64_t offset, uint64_t length)
{
	unsigned tries = client->world->may_lose ? TRIES_MAX - 4 : 0;
	int error;

	do
		error = race_run(client, WB_READ, 0, offset, length);
	while (error && may_try_again(client, tries++));
	return error;
}

/* --- versions of the own range ---------------------------------------------------- */

/* Bytes of unit `index`. */
static struct race_span unit_span(const struct race_client *client, uint64_t index)
{
	uint64_t sector = client->from / SECTOR + index;

	return (struct race_span){ MAX(client->from, sector * SECTOR),
				   MIN(client->to, (sector + 1) * SECTOR) };
}

static uint64_t unit_of(const struct race_client *client, uint64_t offset)
{
	return offset / SECTOR - client->from / SECTOR;
}

static uint64_t hash_of(const uint8_t *bytes, uint64_t count)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ count, word;

	for (; count >= sizeof word; bytes += sizeof word, count -= sizeof word) {
		memcpy(&word, bytes, sizeof word);
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	for (; count > 0; bytes++, count--)
		hash = (hash ^ *bytes) * UINT64_C(0x100000001b3);
	return hash;
}

static const uint8_t *own_bytes(const struct race_client *client, uint64_t offset)
{
	return client->now + (offset - client->from);
}

static void push_version(struct race_client *client, uint64_t index, uint64_t hash)
{
	struct race_unit *unit = &client->units[index];

	g_assert(unit->count < RACE_VERSIONS);
	unit->versions[unit->count].hash = hash;
	unit->versions[unit->count++].operation = client->operation;
}

static void push_current(struct race_client *client, uint64_t index)
{
	struct race_span span = unit_span(client, index);

	push_version(client, index, hash_of(own_bytes(client, span.from), span.to - span.from));
}

/* The newest version of everything is durable, if this is said before the power
 * went. */
void race_synced(struct race_client *client)
{
	if (*client->world->is_cut)
		return;
	for (uint64_t i = 0; i < client->unit_count; i++) {
		struct race_unit *unit = &client->units[i];

		unit->versions[0] = unit->versions[unit->count - 1];
		unit->count = 1;
		if (unit->is_rewritten)
			unit->is_unknown = unit->is_rewritten = false;
	}
}

static int sync_all(struct race_client *client)
{
	int error = race_run(client, WB_SYNC, 0, 0, 0);

	if (!error)
		race_synced(client);
	return error;
}

/* Room for one more version of the units; FALSE when no sync is to be had. */
static bool make_room(struct race_client *client, uint64_t from, uint64_t to)
{
	bool is_full = false;
	unsigned tries = 0;

	for (uint64_t i = unit_of(client, from); i <= unit_of(client, to - 1); i++)
		is_full |= client->units[i].count == RACE_VERSIONS;
	while (is_full && sync_all(client) != 0) {
		if (!may_try_again(client, tries++))
			return false;
	}
	return !has_problem(client) && !(is_full && *client->world->is_cut);
}

/* --- the own range ------------------------------------------------------------------ */

/* The new bytes are in `wanted`. */
static void note_written(struct race_client *client, uint64_t from, uint64_t to)
{
	memcpy(client->now + (from - client->from), client->wanted, to - from);
	for (uint64_t i = unit_of(client, from); i <= unit_of(client, to - 1); i++) {
		struct race_span span = unit_span(client, i);

		push_current(client, i);
		if (from <= span.from && span.to <= to)
			client->units[i].is_rewritten = client->units[i].is_unknown;
	}
}

/* Nobody can say what it is: possible both ways, after a crash too. */
static void note_unknown(struct race_client *client, uint64_t index)
{
	client->units[index].is_unknown = true;
	client->units[index].is_rewritten = false;
	client->lost_count++;
}

/* A sector of a write that failed holds what it was or what it was to be:
 * `wanted` and `found` from `at` on. */
static void settle_unit(struct race_client *client, uint64_t index, uint64_t at, uint64_t end,
			const uint8_t *wanted, const uint8_t *found)
{
	if (client->units[index].is_unknown) {
		client->units[index].is_rewritten = false;
		return;
	}
	if (memcmp(found, wanted, end - at) == 0) {
		memcpy(client->now + (at - client->from), wanted, end - at);
		push_current(client, index);
	} else if (memcmp(found, own_bytes(client, at), end - at) != 0) {
		race_report(client, "bytes " U64 " to " U64 " hold neither the old nor the new "
			    "data of a write that failed", at, end);
	}
}

static void settle_piece(struct race_client *client, uint64_t from, uint64_t to,
			 const uint8_t *wanted)
{
	int error = read_stubbornly(client, from, to - from);

	for (uint64_t i = unit_of(client, from); i <= unit_of(client, to - 1); i++) {
		struct race_span span = unit_span(client, i);
		uint64_t at = MAX(from, span.from), end = MIN(to, span.to);

		if (error)
			note_unknown(client, i);
		else
			settle_unit(client, i, at, end, wanted + (at - from),
				    race_data(client, from) + (at - from));
	}
	if (error && !client->world->may_lose)
		race_report(client, "bytes at " U64 " stay unreadable", from);
}

/* Block by block where some may be unreadable. */
static uint64_t piece_end(const struct race_client *client, uint64_t from, uint64_t to)
{
	uint64_t step = client->world->may_lose ? BLOCK : LENGTH_MAX;

	return MIN(to, from / BLOCK * BLOCK + step);
}

static void settle_failed(struct race_client *client, uint64_t from, uint64_t to)
{
	for (uint64_t at = from, end; at < to; at = end) {
		end = piece_end(client, at, to);
		settle_piece(client, at, end, client->wanted + (at - from));
	}
}

static void fill(struct race_client *client, uint8_t *bytes, uint64_t count)
{
	uint64_t word;

	for (; count >= sizeof word; bytes += sizeof word, count -= sizeof word) {
		word = wb_prng_next(&client->prng);
		memcpy(bytes, &word, sizeof word);
	}
	word = wb_prng_next(&client->prng);
	memcpy(bytes, &word, count);
}

/* Small and odd, whole blocks, or long; often near the neighbours. */
static struct race_span choose_own(struct race_client *client)
{
	uint64_t size = client->to - client->from, length, from;

	switch (race_below(client, 8)) {
	case 0: case 1: case 2: length = 1 + race_below(client, 3000); break;
	case 3: case 4: length = BLOCK * (1 + race_below(client, 4)); break;
	case 5: length = SECTOR * (1 + race_below(client, 20)); break;
	case 6: length = 1 + race_below(client, 40000); break;
	default: length = 1 + race_below(client, LENGTH_MAX); break;
	}
	length = MIN(length, size);
	switch (race_below(client, 4)) {
	case 0: from = client->from + race_below(client, 64); break;
	case 1: from = client->to - length - race_below(client, 64); break;
	default: from = client->from + race_below(client, size - length + 1); break;
	}
	from = CLAMP(from, client->from, client->to - length);
	if (race_below(client, 3) == 0 && from / BLOCK * BLOCK >= client->from)
		from = from / BLOCK * BLOCK;
	return (struct race_span){ from, from + length };
}

static void change_own(struct race_client *client, enum wb_request_op op)
{
	struct race_span span = choose_own(client);
	unsigned flags = race_below(client, 8) == 0 ? WB_REQUEST_FUA : 0;
	int error;

	if (!make_room(client, span.from, span.to))
		return;
	if (op == WB_WRITE)
		fill(client, client->wanted, span.to - span.from);
	else
		memset(client->wanted, 0, span.to - span.from);
	memcpy(client->buffer, client->wanted, span.to - span.from);
	client->operation++;
	error = race_run(client, op, flags, span.from, span.to - span.from);
	if (error) {
		settle_failed(client, span.from, span.to);
		return;
	}
	note_written(client, span.from, span.to);
	if (flags & WB_REQUEST_FUA)
		race_synced(client);
}

/* Compares what was read of [from, to) with what it has to be. */
static void check_own(struct race_client *client, uint64_t from, uint64_t to)
{
	const uint8_t *found = race_data(client, from);

	for (uint64_t i = unit_of(client, from); i <= unit_of(client, to - 1); i++) {
		struct race_span span = unit_span(client, i);
		uint64_t at = MAX(from, span.from), end = MIN(to, span.to);

		if (!client->units[i].is_unknown &&
		    memcmp(found + (at - from), own_bytes(client, at), end - at) != 0)
			race_report(client, "client %u, operation " U64 ": a read of " U64 " to "
				    U64 " gives other data at " U64, client->id, client->operation,
				    from, to, at);
	}
}

static void read_own(struct race_client *client)
{
	struct race_span span = choose_own(client);

	if (race_run(client, WB_READ, 0, span.from, span.to - span.from) == 0)
		check_own(client, span.from, span.to);
}

/* --- a run ----------------------------------------------------------------------------- */

static void operate(struct race_client *client)
{
	switch (race_below(client, 20)) {
	case 0: case 1: case 2: case 3: case 4: case 5: case 6: case 7:
		change_own(client, WB_WRITE);
		break;
	case 8: change_own(client, WB_ZERO); break;
	case 9: case 10: case 11: case 12: read_own(client); break;
	case 13: sync_all(client); break;
	case 14: case 15: case 16: race_shared_write(client); break;
	case 17: case 18: race_shared_read(client, race_shared_choose(client)); break;
	default:
		if (race_below(client, 2) == 0)
			race_shared_zero(client);
		else
			race_shared_read(client, race_shared_choose(client));
		break;
	}
}

static gpointer client_main(gpointer data)
{
	struct race_client *client = data;

	for (unsigned i = 0; i < client->world->operations && !has_problem(client) &&
	     !*client->world->is_cut; i++) {
		operate(client);
		atomic_fetch_add_explicit(&client->world->progress, 1, memory_order_relaxed);
	}
	return NULL;
}

void race_client_start(struct race_client *client)
{
	client->thread = g_thread_new("client", client_main, client);
}

void race_client_join(struct race_client *client)
{
	g_thread_join(client->thread);
	client->thread = NULL;
}

/* --- a volume that was opened again ------------------------------------------------- */

/* Calls `check` for all of the own range, piece by piece, and looks at the
 * shared one. */
static void read_all(struct race_client *client,
		     void (*check)(struct race_client *, uint64_t, uint64_t))
{
	struct race_world *world = client->world;

	for (uint64_t from = client->from, to; from < client->to; from = to) {
		to = piece_end(client, from, client->to);
		if (race_run(client, WB_READ, 0, from, to - from) == 0)
			check(client, from, to);
		else if (!world->may_lose)
			race_report(client, "bytes at " U64 " cannot be read", from);
		else
			client->lost_count++;
	}
	for (uint64_t at = world->shared_from; at < world->shared_to; at += BLOCK)
		race_shared_read(client, (struct race_span){ at, at + BLOCK });
}

void race_client_verify(struct race_client *client)
{
	read_all(client, check_own);
	race_synced(client);
}

static void adopt(struct race_client *client, uint64_t from, uint64_t to)
{
	memcpy(client->now + (from - client->from), race_data(client, from), to - from);
}

/* A prefix of the operations: what a sector shows must have happened before
 * what another one does not show yet. An operation itself may be cut off. */
void race_client_verify_prefix(struct race_client *client)
{
	uint64_t happened = 0, missing = UINT64_MAX;

	/* Their order does not outlive a crash. */
	memset(client->seen, 0, RACE_CLIENTS * race_shared_sectors(client->world) *
	       sizeof *client->seen);
	read_all(client, adopt);
	for (uint64_t i = 0; i < client->unit_count && !has_problem(client); i++) {
		struct race_unit *unit = &client->units[i];
		struct race_span span = unit_span(client, i);
		uint64_t hash = hash_of(own_bytes(client, span.from), span.to - span.from);
		int first = -1, last = -1;

		for (int v = 0; v < unit->count; v++) {
			if (unit->versions[v].hash != hash)
				continue;
			last = v;
			first = first < 0 ? v : first;
		}
		if (first < 0 && !unit->is_unknown)
			race_report(client, "client %u: after the crash bytes " U64 " to " U64
				    " hold neither what was synced nor one of %u later versions",
				    client->id, span.from, span.to, unit->count - 1);
		if (first >= 0 && !unit->is_unknown) {
			happened = MAX(happened, unit->versions[first].operation);
			if (last + 1 < unit->count)
				missing = MIN(missing, unit->versions[last + 1].operation);
		}
		unit->count = 0;
		unit->is_unknown = unit->is_rewritten = false;
		push_version(client, i, hash);
	}
	if (happened > missing)
		race_report(client, "client %u: operation " U64 " is there after the crash, "
			    "and " U64 " before it is not", client->id, happened, missing);
}

void race_client_init(struct race_client *client, struct race_world *world, unsigned id,
		      uint64_t from, uint64_t to, uint64_t seed)
{
	memset(client, 0, sizeof *client);
	client->world = world;
	client->id = id;
	client->from = from;
	client->to = to;
	wb_prng_init(&client->prng, seed);
	client->now = g_malloc0(to - from);
	client->unit_count = unit_of(client, to - 1) + 1;
	client->units = g_new0(struct race_unit, client->unit_count);
	client->seen = g_new0(uint64_t, RACE_CLIENTS * race_shared_sectors(world));
	client->buffer = aligned_alloc(BLOCK, WB_REQUEST_BYTES_MAX + BLOCK);
	client->wanted = g_malloc(LENGTH_MAX);
	wb_lock_init(&client->lock, WB_RANK_FRONTEND);
	wb_cond_init(&client->cond);
	for (uint64_t i = 0; i < client->unit_count; i++)
		push_current(client, i);
}

void race_client_clear(struct race_client *client)
{
	wb_cond_clear(&client->cond);
	wb_lock_clear(&client->lock);
	g_free(client->now);
	g_free(client->units);
	g_free(client->seen);
	free(client->buffer);
	g_free(client->wanted);
}
