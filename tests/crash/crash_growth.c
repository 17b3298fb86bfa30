/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crash_growth.h"

#include <string.h>

#include "format/ondisk.h"

#define BEHIND 0xa5			/* what the backing holds behind the image */

static uint64_t below(struct crash_growth *growth, uint64_t limit)
{
	return wb_prng_below(&growth->prng, limit);
}

static void wanted(void *arg, uint64_t bytes)
{
	struct crash_growth *growth = arg;

	growth->wanted_bytes = bytes;
}

/* From inside a step, before anybody is told that it has ended. */
static void shown(void *arg, uint64_t bytes)
{
	struct crash_growth *growth = arg;

	wb_oracle_grow(growth->oracle, bytes, BEHIND);
	growth->image_bytes = bytes;
	growth->asked_bytes = 0;
	growth->count++;
}

void crash_growth_init(struct crash_growth *growth, uint64_t seed, struct wb_sim_params *params)
{
	*growth = (struct crash_growth){ .image_bytes = params->image_bytes };
	wb_prng_init(&growth->prng, seed * 104729);
	growth->is_on = below(growth, 3) == 0;
	params->behind_fill = BEHIND;
	if (growth->is_on)
		params->backing_bytes = (params->image_bytes + 8191) / 4096 * 4096 +
					below(growth, 64) * 4096;
	growth->zeroed_bytes = params->image_bytes;
}

void crash_growth_attach(struct crash_growth *growth, struct wb_sim *sim)
{
	growth->sim = sim;
	if (growth->is_on)
		sim->growth = (struct wb_growth){ .wanted = wanted, .shown = shown,
						  .arg = growth };
}

static void ask(struct crash_growth *growth)
{
	uint64_t room = growth->sim->params.backing_bytes - growth->image_bytes;
	uint32_t unit = growth->sim->params.backing_alignment_bytes;
	uint64_t bytes = growth->image_bytes + unit * (1 + below(growth, MAX(room / unit, 1)));

	/* Mostly a little: where the last block was cut off is where things meet. */
	if (below(growth, 2))
		bytes = growth->image_bytes + unit * (1 + below(growth, 20));
	bytes = MIN(bytes, growth->sim->params.backing_bytes);
	if (bytes == growth->image_bytes || growth->asked_bytes)
		return;
	growth->asked_bytes = bytes;
	growth->zeroed_bytes = MAX(growth->zeroed_bytes,
				   (growth->image_bytes + 4095) / 4096 * 4096);
	wb_cache_start_resize(growth->sim->cache, bytes);
}

void crash_growth_answer(struct crash_growth *growth)
{
	if (growth->wanted_bytes && growth->sim->cache)
		wb_cache_backing_grown(growth->sim->cache,
				       below(growth, 10) ? NULL : "it may not today");
	growth->wanted_bytes = 0;
}

/* One that failed leaves the size to the next try, or to the next opening. */
static void notice_end(struct crash_growth *growth)
{
	struct wb_stats_snapshot stats;

	wb_sim_stats(growth->sim, &stats);
	if (stats.resizes_asked == stats.resizes_done + stats.resizes_failed &&
	    below(growth, 2))
		growth->asked_bytes = 0;
}

void crash_growth_step(struct crash_growth *growth)
{
	if (!growth->is_on)
		return;
	if (growth->wanted_bytes && below(growth, 4) == 0)
		crash_growth_answer(growth);
	if (growth->asked_bytes && below(growth, 20) == 0)
		notice_end(growth);
	if (below(growth, 25) == 0)
		ask(growth);
}

char *crash_growth_check_opened(struct crash_growth *growth)
{
	uint64_t bytes = wb_cache_image_bytes(growth->sim->cache);

	growth->wanted_bytes = 0;
	/* A size that was asked for may show up at any later opening: the superblocks
	 * keep it after a failure. One that was shown never goes away. */
	if (bytes < growth->image_bytes)
		return g_strdup_printf("the image has %lu bytes, and had %lu before", bytes,
				       growth->image_bytes);
	if (bytes > growth->sim->params.backing_bytes)
		return g_strdup_printf("the image has %lu bytes, which nobody had asked for", bytes);
	if (bytes > growth->image_bytes)
		shown(growth, bytes);
	growth->asked_bytes = 0;
	return NULL;
}

char *crash_growth_check_behind(struct crash_growth *growth, const uint8_t *backing)
{
	for (uint64_t at = MAX(growth->zeroed_bytes, growth->image_bytes);
	     growth->is_on && at < growth->sim->params.backing_bytes; at++)
		if (backing[at] != BEHIND)
			return g_strdup_printf("byte %lu of the backing was changed, and lies "
					       "behind the image of %lu bytes", at,
					       growth->image_bytes);
	return NULL;
}
