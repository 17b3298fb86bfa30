/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crash_deaths.h"

#include <stdlib.h>
#include <string.h>

#include "base/death.h"
#include "cache/cache_private.h"

#if defined WB_CHECKS || defined WB_MUTANTS
static struct wb_crash_clock *hooked;

static void death_point(void)
{
	wb_crash_clock_pass(hooked);
}
#endif

static void free_op(gpointer data)
{
	struct wb_sim_op *op = data;

	free(op->memory);
	g_free(op);
}

void crash_deaths_init(struct crash_deaths *deaths, const struct crash_options *options,
		       struct wb_sim *sim)
{
	*deaths = (struct crash_deaths){ .sim = sim, .are_on = options->deaths,
					 .ghosts_are_late = options->ghosts_are_late };
	wb_prng_init(&deaths->prng, options->seed * 15485863);
	deaths->pending = g_ptr_array_new_with_free_func(free_op);
	if (!deaths->are_on)
		return;
	deaths->snapshot = g_malloc(sim->memory.bytes);
#if defined WB_CHECKS || defined WB_MUTANTS
	hooked = &sim->crash_clock;
	wb_death_hook = death_point;
#endif
}

void crash_deaths_clear(struct crash_deaths *deaths)
{
#if defined WB_CHECKS || defined WB_MUTANTS
	wb_death_hook = NULL;
#endif
	g_free(deaths->snapshot);
	g_ptr_array_unref(deaths->pending);
}

void crash_deaths_choose(struct crash_deaths *deaths)
{
	/* (it may have been already: of a process that was killed with its memory) */
	deaths->is_next = deaths->are_on && !deaths->sim->crash_clock.has_crashed && wb_prng_below(&deaths->prng, 4) > 0;
}

void crash_deaths_note(struct crash_deaths *deaths, bool is_in_step)
{
	if (!deaths->is_next)
		return;
	memcpy(deaths->snapshot, deaths->sim->memory.base, deaths->sim->memory.bytes);
	deaths->step = deaths->sim->step_count + !is_in_step;
}

bool crash_deaths_is_over(const struct crash_deaths *deaths)
{
	return deaths->is_next && deaths->sim->crash_clock.has_crashed;
}

/* Whoever was answered before that step does not come again. */
static bool comes_again(const struct crash_deaths *deaths, const struct wb_sim_op *op)
{
	return op->request && op->submit_step && (op->op == WB_WRITE || op->op == WB_ZERO) &&
	       (op->finish_step == 0 || op->finish_step >= deaths->step);
}

static gint compare(gconstpointer a, gconstpointer b)
{
	const struct wb_sim_op *const *x = a, *const *y = b;

	return (*x)->id < (*y)->id ? -1 : 1;
}

void crash_deaths_collect(struct crash_deaths *deaths)
{
	if (!deaths->is_next)
		return;
	for (unsigned i = 0; i < deaths->sim->params.request_count; i++) {
		struct wb_sim_op *op = &deaths->sim->ops[i], *copy;

		if (!comes_again(deaths, op))
			continue;
		copy = g_memdup2(op, sizeof *op);
		op->memory = NULL;
		g_ptr_array_add(deaths->pending, copy);
	}
	g_ptr_array_sort(deaths->pending, compare);
}

void crash_deaths_survive(struct crash_deaths *deaths)
{
	struct wb_sim *sim = deaths->sim;
	struct wb_sim_disk *disks[] = { &sim->cache_disk, &sim->backing_disk };

	g_assert(!sim->cache);
	memcpy(sim->memory.base, deaths->snapshot, sim->memory.bytes);
	sim->memory.is_left = true;
	for (unsigned i = 0; i < G_N_ELEMENTS(disks); i++) {
		if (deaths->ghosts_are_late)
			wb_store_crashy_leave_ghosts(disks[i]->crashy, sim->memory.base,
						     sim->memory.bytes);
		else
			wb_store_crashy_survive(disks[i]->crashy, &deaths->prng);
		wb_store_faulty_clear(disks[i]->faulty);
	}
	sim->crash_clock.has_crashed = false;
	sim->crash_clock.crash_at = 0;
	deaths->count++;
	/* The backing lets the next one wait. It may fail, and then it is all still there. */
	if (!deaths->ghosts_are_late && wb_prng_below(&deaths->prng, 4) == 0)
		(void)wb_sim_save_memory(sim, NULL);
}

void crash_deaths_forget(struct crash_deaths *deaths)
{
	if (!deaths->are_on)
		return;
	/* Nobody is to count on zeros. */
	memset(deaths->sim->memory.base, 0xee, deaths->sim->memory.bytes);
	deaths->sim->memory.is_left = false;
	deaths->is_strict = false;
	g_ptr_array_set_size(deaths->pending, 0);
}

/* Bytes [from, to) of the image are what the request makes them. */
static bool is_there(const struct wb_sim_op *op, const uint8_t *image, uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to; at++) {
		if (image[at] != (op->op == WB_WRITE ? op->data[at - op->offset_bytes] : 0))
			return false;
	}
	return true;
}

/* Up to sure_bytes it was executed, for certain; what is said beyond that was in the
 * very step of the death, after which nothing came. */
static char *check_op(struct wb_sim_op *op, const uint8_t *image, uint64_t done)
{
	if (done < op->sure_bytes)
		return g_strdup_printf("request %lu (operation %d at %lu) would be executed again: "
				       "it had come to %lu, and %lu is known", op->id, op->op,
				       op->offset_bytes, op->sure_bytes, done);
	if (!is_there(op, image, op->sure_bytes, done))
		return g_strdup_printf("request %lu (operation %d at %lu) counts as executed up to "
				       "%lu, but what is behind %lu is not there", op->id, op->op,
				       op->offset_bytes, done, op->sure_bytes);
	op->cursor_bytes = op->sure_bytes = done;
	return NULL;
}

char *crash_deaths_check(struct crash_deaths *deaths, const uint8_t *image)
{
	const struct wb_region *region = wb_rambuf_region(deaths->sim->cache->path.rambuf);
	char *objection = NULL;

	for (guint i = 0; i < deaths->pending->len && !objection; i++) {
		struct wb_sim_op *op = g_ptr_array_index(deaths->pending, i);
		uint64_t done = MAX(op->offset_bytes, wb_region_find_left(region, op->id));

		objection = check_op(op, image, done);
	}
	return objection;
}

bool crash_deaths_resend(struct crash_deaths *deaths)
{
	struct wb_sim_op *old, *op;

	if (deaths->pending->len == 0)
		return false;
	old = g_ptr_array_index(deaths->pending, 0);
	op = wb_sim_prepare(deaths->sim, old->op, old->flags, old->offset_bytes,
			    old->length_bytes);
	if (!op)
		return false;
	op->id = old->id;
	op->is_resent = true;
	op->cursor_bytes = old->cursor_bytes;
	if (op->op == WB_WRITE)
		memcpy(op->data, old->data, op->length_bytes);
	deaths->resent++;
	deaths->skipped += op->cursor_bytes == op->offset_bytes + op->length_bytes;
	g_ptr_array_remove_index(deaths->pending, 0);
	wb_sim_submit(op);
	return true;
}

void crash_deaths_step(struct crash_deaths *deaths)
{
	struct wb_sim *sim = deaths->sim;

	if (!deaths->are_on)
		return;
	if (deaths->ghosts_are_late && wb_prng_below(&deaths->prng, 10) == 0) {
		wb_store_crashy_land(sim->cache_disk.crashy, &deaths->prng);
		wb_store_crashy_land(sim->backing_disk.crashy, &deaths->prng);
	}
	if (wb_prng_below(&deaths->prng, 3) == 0)
		crash_deaths_resend(deaths);
}
