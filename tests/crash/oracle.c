/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "oracle.h"

#include <string.h>

#define SECTOR 512u
#define CHUNK_BYTES (1u << 18)

struct op_fate {
	uint64_t finish_step;		/* 0: not acknowledged (yet) */
	bool was_fua;
};

struct version {
	const uint8_t *data;		/* a sector, in a chunk or in `base` */
	uint64_t low, high;		/* of its record's sequence */
	uint64_t step;			/* when it was published */
	uint64_t op_id;			/* 0: the base */
};

/* What came after the base; most sectors have nothing. */
struct sector {
	struct version *versions;	/* the first one is the base */
	guint count, room;
};

struct wb_oracle {
	uint64_t sector_count;
	struct sector *sectors;
	uint8_t *base;			/* the image at the last rebase */
	GPtrArray *added;		/* more of it: what the image has grown by */
	GPtrArray *chunks;		/* the data of versions; used again after a rebase */
	guint chunk_index, chunk_used;
	GArray *fates;			/* of struct op_fate, by id */
	uint64_t promised_step;		/* acknowledged before it: promised */
};

static struct version *version_at(const struct wb_oracle *oracle, uint64_t sector, guint i)
{
	return &oracle->sectors[sector].versions[i];
}

static guint version_count(const struct wb_oracle *oracle, uint64_t sector)
{
	return oracle->sectors[sector].count;
}

static struct version *add_version(struct wb_oracle *oracle, uint64_t index)
{
	struct sector *sector = &oracle->sectors[index];

	if (sector->count == sector->room) {
		sector->room = sector->room ? 2 * sector->room : 1;
		sector->versions = g_renew(struct version, sector->versions, sector->room);
	}
	return &sector->versions[sector->count++];
}

static uint8_t *new_data(struct wb_oracle *oracle)
{
	uint8_t *data;

	if (oracle->chunk_used == CHUNK_BYTES) {
		oracle->chunk_index++;
		oracle->chunk_used = 0;
	}
	if (oracle->chunk_index == oracle->chunks->len)
		g_ptr_array_add(oracle->chunks, g_malloc(CHUNK_BYTES));
	data = (uint8_t *)g_ptr_array_index(oracle->chunks, oracle->chunk_index) +
	       oracle->chunk_used;
	oracle->chunk_used += SECTOR;
	return data;
}

struct wb_oracle *wb_oracle_new(uint64_t image_bytes)
{
	struct wb_oracle *oracle = g_new0(struct wb_oracle, 1);

	oracle->sector_count = image_bytes / SECTOR;
	oracle->sectors = g_new0(struct sector, oracle->sector_count);
	oracle->base = g_malloc0(image_bytes);
	for (uint64_t s = 0; s < oracle->sector_count; s++)
		*add_version(oracle, s) = (struct version){ .data = oracle->base + s * SECTOR };
	oracle->added = g_ptr_array_new_with_free_func(g_free);
	oracle->chunks = g_ptr_array_new_with_free_func(g_free);
	oracle->fates = g_array_new(FALSE, TRUE, sizeof(struct op_fate));
	return oracle;
}

/* The old base stays where it is: versions point into it. */
void wb_oracle_grow(struct wb_oracle *oracle, uint64_t image_bytes, uint8_t fill)
{
	uint64_t old = oracle->sector_count, count = image_bytes / SECTOR;
	uint8_t *added = g_malloc(image_bytes - old * SECTOR);

	memset(added, fill, image_bytes - old * SECTOR);
	g_ptr_array_add(oracle->added, added);
	oracle->sectors = g_renew(struct sector, oracle->sectors, count);
	memset(&oracle->sectors[old], 0, (count - old) * sizeof *oracle->sectors);
	oracle->sector_count = count;
	for (uint64_t s = old; s < count; s++) {
		uint8_t *data = added + (s - old) * SECTOR;

		if (old % 8 && s / 8 == old / 8)
			memset(data, 0, SECTOR);
		*add_version(oracle, s) = (struct version){ .data = data };
	}
}

void wb_oracle_free(struct wb_oracle *oracle)
{
	for (uint64_t s = 0; s < oracle->sector_count; s++)
		g_free(oracle->sectors[s].versions);
	g_free(oracle->sectors);
	g_free(oracle->base);
	g_ptr_array_unref(oracle->added);
	g_ptr_array_unref(oracle->chunks);
	g_array_unref(oracle->fates);
	g_free(oracle);
}

/* --- what happens ------------------------------------------------------------------ */

static struct op_fate *fate_of(struct wb_oracle *oracle, uint64_t id)
{
	if (id >= oracle->fates->len)
		g_array_set_size(oracle->fates, (guint)id + 1);
	return &g_array_index(oracle->fates, struct op_fate, id);
}

void wb_oracle_progress(struct wb_oracle *oracle, const struct wb_sim_op *op,
			const struct wb_sim_progress *progress)
{
	uint64_t at = progress->from_bytes;

	fate_of(oracle, op->id);
	while (at < progress->to_bytes) {
		uint64_t sector = at / SECTOR, in = at % SECTOR;
		uint64_t bytes = MIN(SECTOR - in, progress->to_bytes - at);
		const uint8_t *old = version_at(oracle, sector,
						version_count(oracle, sector) - 1)->data;
		uint8_t *data = new_data(oracle);

		if (bytes < SECTOR)
			memcpy(data, old, SECTOR);
		if (op->op == WB_WRITE)
			memcpy(data + in, op->data + (at - op->offset_bytes), bytes);
		else
			memset(data + in, 0, bytes);
		*add_version(oracle, sector) = (struct version){
			.data = data, .low = progress->low, .high = progress->high,
			.step = op->sim->step_count, .op_id = op->id,
		};
		at += bytes;
	}
}

void wb_oracle_acknowledged(struct wb_oracle *oracle, const struct wb_sim_op *op)
{
	bool is_fua = op->flags & WB_REQUEST_FUA;

	if (op->op == WB_READ)
		return;
	if (op->op != WB_SYNC) {
		struct op_fate *fate = fate_of(oracle, op->id);

		fate->finish_step = op->finish_step;
		fate->was_fua = is_fua;
	}
	if (op->op == WB_SYNC || is_fua)
		oracle->promised_step = MAX(oracle->promised_step, op->submit_step);
}

void wb_oracle_promise_all(struct wb_oracle *oracle, uint64_t step)
{
	oracle->promised_step = MAX(oracle->promised_step, step + 1);
}

static bool is_promised(const struct wb_oracle *oracle, const struct version *version)
{
	const struct op_fate *fate = &g_array_index(oracle->fates, struct op_fate,
						    version->op_id);

	return version->op_id == 0 ||
	       (fate->finish_step &&
		(fate->was_fua || fate->finish_step < oracle->promised_step));
}

/* --- judging ------------------------------------------------------------------------- */

static const char *name_of(const struct wb_oracle *oracle, uint64_t sector,
			   const uint8_t *data, char *buffer, size_t size)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < version_count(oracle, sector); i++) {
		struct version *v = version_at(oracle, sector, i);

		if (memcmp(v->data, data, SECTOR) == 0)
			g_string_append_printf(text, " %u", i);
	}
	if (text->len == 0)
		g_string_append(text, " none (never written)");
	g_strlcpy(buffer, text->str, size);
	g_string_free(text, TRUE);
	return buffer;
}

static char *history_of(const struct wb_oracle *oracle, uint64_t sector)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < version_count(oracle, sector); i++) {
		struct version *v = version_at(oracle, sector, i);

		g_string_append_printf(text, "\n#   version %u: op %lu step %lu records %lu..%lu"
				       "%s", i, v->op_id, v->step, v->low, v->high,
				       is_promised(oracle, v) ? " promised" : "");
	}
	return g_string_free(text, FALSE);
}

static char *object(const struct wb_oracle *oracle, uint64_t sector, const uint8_t *found,
		    const char *what, uint64_t detail)
{
	g_autofree char *history = history_of(oracle, sector);
	char versions[256];

	return g_strdup_printf("sector %lu (block %lu): %s %lu; it holds version%s%s", sector,
			       sector / 8, what, detail,
			       name_of(oracle, sector, found, versions, sizeof versions),
			       history);
}

/* Was version i the newest at any moment from `from` to `to`? */
static bool was_newest(const struct wb_oracle *oracle, uint64_t sector, guint i,
		       uint64_t from, uint64_t to)
{
	bool is_last = i + 1 == version_count(oracle, sector);

	return version_at(oracle, sector, i)->step <= to &&
	       (is_last || version_at(oracle, sector, i + 1)->step >= from);
}

char *wb_oracle_check_read(const struct wb_oracle *oracle, const struct wb_sim_op *op)
{
	uint64_t end = op->offset_bytes + op->length_bytes, at = op->offset_bytes;

	while (at < end) {
		uint64_t sector = at / SECTOR, in = at % SECTOR;
		uint64_t bytes = MIN(SECTOR - in, end - at);
		const uint8_t *found = op->data + (at - op->offset_bytes);
		bool is_legal = false;

		for (guint i = version_count(oracle, sector); i-- > 0 && !is_legal;)
			is_legal = was_newest(oracle, sector, i, op->submit_step,
					      op->finish_step) &&
				   memcmp(version_at(oracle, sector, i)->data + in, found,
					  bytes) == 0;
		if (!is_legal) {
			uint8_t whole[SECTOR] = { 0 };

			memcpy(whole + in, found, bytes);
			return object(oracle, sector, whole,
				      "P1: a read returned what was not newest; it was submitted "
				      "in step", op->submit_step);
		}
		at += bytes;
	}
	return NULL;
}

static char *check_sector(const struct wb_oracle *oracle, uint64_t sector,
			  const uint8_t *found, uint64_t cut)
{
	guint least = 0, most = 0;

	for (guint i = 1; i < version_count(oracle, sector); i++) {
		struct version *v = version_at(oracle, sector, i);

		if (is_promised(oracle, v) && v->low > cut)
			return object(oracle, sector, found,
				      "P2: promised data lies beyond the cut at", cut);
		if (v->high <= cut || is_promised(oracle, v))
			least = i;
		if (v->low <= cut)
			most = i;
	}
	for (guint i = least; i <= most; i++) {
		if (memcmp(version_at(oracle, sector, i)->data, found, SECTOR) == 0)
			return NULL;
	}
	return object(oracle, sector, found, "P3: not the prefix of the log up to", cut);
}

char *wb_oracle_check_recovered(const struct wb_oracle *oracle, const uint8_t *image,
				uint64_t cut)
{
	char *objection = NULL;

	for (uint64_t s = 0; s < oracle->sector_count && !objection; s++)
		objection = check_sector(oracle, s, image + s * SECTOR, cut);
	return objection;
}

void wb_oracle_rebase(struct wb_oracle *oracle, const uint8_t *image)
{
	for (uint64_t s = 0; s < oracle->sector_count; s++) {
		struct version *base = version_at(oracle, s, 0);

		if (version_count(oracle, s) == 1)
			continue;
		/* (its first version is in the base, of whichever part it is) */
		memcpy((uint8_t *)base->data, image + s * SECTOR, SECTOR);
		oracle->sectors[s].count = 1;
	}
	oracle->chunk_index = oracle->chunk_used = 0;
}

char *wb_oracle_check_newest(const struct wb_oracle *oracle, const uint8_t *image)
{
	for (uint64_t s = 0; s < oracle->sector_count; s++) {
		struct version *v = version_at(oracle, s, version_count(oracle, s) - 1);

		if (memcmp(v->data, image + s * SECTOR, SECTOR) != 0)
			return object(oracle, s, image + s * SECTOR,
				      "P5: not the newest data on the backing; version wanted:",
				      version_count(oracle, s) - 1);
	}
	return NULL;
}
