/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "oracle.h"

#include <string.h>

#define SECTOR 512u
#define CHUNK_BYTES (1u << 18)

struct op_fate {
	uint64_t finish_step;		/* 0: not acknowledged (yet) */
	bool was_fua;
	bool is_through;		/* that, and on the backing */
};

struct version {
	const uint8_t *data;		/* a sector, in a chunk or in `base` */
	uint64_t low, high;		/* of its record's sequence; 0, UINT64_MAX: none */
	uint64_t step;			/* when it was published, or could be there */
	uint64_t settled_step;		/* from then on older ones are out of date */
	uint64_t op_id;			/* 0: the base */
	bool is_doubtful;		/* its flush has failed */
	/* For each byte whether it is known; of the others nobody knows what lay below,
	 * when a part of the sector was written. NULL: all are. */
	const uint8_t *known;
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
	uint64_t through_step;		/* likewise, of the backing alone; 0: nothing is */
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

/* What began to go around the cache has ended there. */
static void settle(struct wb_oracle *oracle, const struct wb_sim_op *op,
		   const struct wb_sim_progress *progress)
{
	for (uint64_t at = progress->from_bytes; at < progress->to_bytes; at += SECTOR) {
		struct version *last = version_at(oracle, at / SECTOR,
						  version_count(oracle, at / SECTOR) - 1);

		g_assert(last->op_id == op->id && last->settled_step == UINT64_MAX);
		last->settled_step = op->sim->step_count;
	}
}

/* Which bytes of a version are known that writes [from, to) of a sector over `below`.
 * What is on its way around the cache, or was there when a flush failed, may be what
 * the rest was read from, or not; and what was not known of an older version is not
 * known of one that was made from it either. */
static const uint8_t *known_bytes(struct wb_oracle *oracle, const struct version *below,
				  uint64_t from, uint64_t to)
{
	bool is_sure = below->settled_step != UINT64_MAX;
	uint8_t *known;

	if (to - from == SECTOR || (is_sure && !below->known))
		return NULL;
	known = new_data(oracle);
	if (is_sure)
		memcpy(known, below->known, SECTOR);
	else
		memset(known, 0, SECTOR);
	memset(known + from, 1, to - from);
	return known;
}

void wb_oracle_progress(struct wb_oracle *oracle, const struct wb_sim_op *op,
			const struct wb_sim_progress *progress)
{
	bool is_in_log = progress->kind == WB_SIM_IN_LOG;
	uint64_t at = progress->from_bytes;

	fate_of(oracle, op->id);
	if (progress->kind == WB_SIM_AROUND_ENDS) {
		settle(oracle, op, progress);
		return;
	}
	while (at < progress->to_bytes) {
		uint64_t sector = at / SECTOR, in = at % SECTOR;
		uint64_t bytes = MIN(SECTOR - in, progress->to_bytes - at);
		const struct version *below = version_at(oracle, sector,
							 version_count(oracle, sector) - 1);
		const uint8_t *known = known_bytes(oracle, below, in, in + bytes);
		uint8_t *data = new_data(oracle);

		if (bytes < SECTOR)
			memcpy(data, below->data, SECTOR);
		if (op->op == WB_WRITE)
			memcpy(data + in, op->data + (at - op->offset_bytes), bytes);
		else
			memset(data + in, 0, bytes);
		*add_version(oracle, sector) = (struct version){
			.data = data, .low = is_in_log ? progress->low : 0,
			.high = is_in_log ? progress->high : UINT64_MAX,
			.step = op->sim->step_count, .op_id = op->id,
			.settled_step = is_in_log && progress->high != UINT64_MAX ?
					op->sim->step_count : UINT64_MAX,
			.known = known,
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

void wb_oracle_written_through(struct wb_oracle *oracle, const struct wb_sim_op *op)
{
	if (op->op != WB_SYNC && !(op->flags & WB_REQUEST_FUA))
		return;
	if (op->op != WB_SYNC)
		fate_of(oracle, op->id)->is_through = true;
	oracle->through_step = MAX(oracle->through_step, op->submit_step);
}

static bool is_through(const struct wb_oracle *oracle, const struct version *version)
{
	const struct op_fate *fate = &g_array_index(oracle->fates, struct op_fate,
						    version->op_id);

	if (version->op_id == 0)
		return oracle->through_step > 0;
	return fate->finish_step && !version->is_doubtful &&
	       (fate->is_through || fate->finish_step < oracle->through_step);
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
	       (fate->finish_step && !version->is_doubtful &&
		(fate->was_fua || fate->finish_step < oracle->promised_step));
}

void wb_oracle_doubt(struct wb_oracle *oracle)
{
	for (uint64_t s = 0; s < oracle->sector_count; s++) {
		for (guint i = 1; i < version_count(oracle, s); i++) {
			struct version *version = version_at(oracle, s, i);

			if (version->high != UINT64_MAX || is_promised(oracle, version))
				continue;
			version->is_doubtful = true;
			version->settled_step = UINT64_MAX;
		}
	}
}

/* Is what was found in bytes [from, to) of the sector what this version says? */
static bool matches(const struct version *version, const uint8_t *found, uint64_t from,
		    uint64_t to)
{
	if (!version->known)
		return memcmp(version->data + from, found + from, to - from) == 0;
	for (; from < to; from++) {
		if (version->known[from] && version->data[from] != found[from])
			return false;
	}
	return true;
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
				       "%s%s%s%s", i, v->op_id, v->step, v->low, v->high,
				       v->high == UINT64_MAX ? " around" : "",
				       v->settled_step == UINT64_MAX ? " unsettled" : "",
				       v->is_doubtful ? " doubtful" : "",
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
	for (guint later = i + 1; later < version_count(oracle, sector); later++) {
		if (version_at(oracle, sector, later)->settled_step < from)
			return false;
	}
	return version_at(oracle, sector, i)->step <= to;
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
				   matches(version_at(oracle, sector, i), found - in, in,
					   in + bytes);
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
		if (matches(version_at(oracle, sector, i), found, 0, SECTOR))
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

static bool is_any_from(const struct wb_oracle *oracle, uint64_t sector, guint first,
			const uint8_t *found)
{
	for (guint i = first; i < version_count(oracle, sector); i++) {
		if (matches(version_at(oracle, sector, i), found, 0, SECTOR))
			return true;
	}
	return false;
}

char *wb_oracle_check_taken_over(const struct wb_oracle *oracle, const uint8_t *image)
{
	for (uint64_t s = 0; s < oracle->sector_count; s++) {
		guint least = version_count(oracle, s) - 1;

		while (least > 0 && version_at(oracle, s, least)->settled_step == UINT64_MAX)
			least--;
		if (!is_any_from(oracle, s, least, image + s * SECTOR))
			return object(oracle, s, image + s * SECTOR, "P4: lost by a death: "
				      "version", least);
	}
	return NULL;
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
	oracle->through_step = 0;
}

char *wb_oracle_check_backing(const struct wb_oracle *oracle, const uint8_t *backing)
{
	for (uint64_t s = 0; oracle->through_step && s < oracle->sector_count; s++) {
		guint least = 0;

		for (guint i = 1; i < version_count(oracle, s); i++) {
			if (is_through(oracle, version_at(oracle, s, i)))
				least = i;
		}
		if (!is_any_from(oracle, s, least, backing + s * SECTOR))
			return object(oracle, s, backing + s * SECTOR, "the backing alone lacks "
				      "what it was promised: version", least);
	}
	return NULL;
}

char *wb_oracle_check_newest(const struct wb_oracle *oracle, const uint8_t *image)
{
	for (uint64_t s = 0; s < oracle->sector_count; s++) {
		guint newest = version_count(oracle, s) - 1;

		/* What failed on its way around the cache, and in the log. */
		while (newest > 0 && version_at(oracle, s, newest)->settled_step == UINT64_MAX)
			newest--;
		if (!is_any_from(oracle, s, newest, image + s * SECTOR))
			return object(oracle, s, image + s * SECTOR,
				      "P5: not the newest data on the backing; version wanted:",
				      version_count(oracle, s) - 1);
	}
	return NULL;
}
