/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <glib.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "frontend/affine_pool.h"

#define ITEMS 20u
#define THREADS 4u
#define TURNS 20000u

struct thing {
	struct wb_affine_item item;	/* first */
	atomic_bool is_taken;
};

static struct thing things[ITEMS];
static struct wb_affine_pool *pool;

static void make(unsigned count)
{
	pool = wb_affine_pool_new();
	for (unsigned i = 0; i < count; i++)
		wb_affine_pool_add(pool, &things[i].item);
}

static struct thing *take(struct wb_affine_item *item)
{
	struct thing *thing = (struct thing *)item;

	cr_assert(thing);
	cr_assert_not(atomic_exchange(&thing->is_taken, true), "two have it");
	return thing;
}

static void give(struct thing *thing)
{
	atomic_store(&thing->is_taken, false);
	wb_affine_pool_put(pool, &thing->item);
}

/* One that has come back soon: nobody waits for this moment. */
static bool is_whole(void)
{
	return wb_affine_pool_wait_whole_until(pool, g_get_monotonic_time());
}

Test(affine_pool, gives_every_item_to_one_thread_and_then_none)
{
	struct thing *taken[ITEMS];

	make(ITEMS);
	cr_expect(is_whole());
	for (unsigned i = 0; i < ITEMS; i++)
		taken[i] = take(wb_affine_pool_try_get(pool));
	cr_expect_null(wb_affine_pool_try_get(pool));
	cr_expect_not(is_whole());
	for (unsigned i = 0; i < ITEMS; i++)
		give(taken[i]);
	cr_expect(is_whole());
	wb_affine_pool_free(pool);
}

static gpointer take_one(gpointer arg)
{
	(void)arg;
	return take(wb_affine_pool_try_get(pool));
}

/* Though another one has come back since, which another thread had. */
Test(affine_pool, a_thread_gets_back_what_it_had_last)
{
	struct thing *first, *others;

	make(ITEMS);
	first = take(wb_affine_pool_try_get(pool));
	others = g_thread_join(g_thread_new("other", take_one, NULL));
	give(first);
	give(others);
	cr_expect_eq(take(wb_affine_pool_try_get(pool)), first);
	give(first);
	wb_affine_pool_free(pool);
}

Test(affine_pool, waits_end_when_they_are_ended)
{
	struct thing *thing;

	make(1);
	thing = take(wb_affine_pool_get(pool));
	wb_affine_pool_end_waits(pool);
	cr_expect_null(wb_affine_pool_get(pool));
	give(thing);
	thing = take(wb_affine_pool_get(pool));		/* no need to wait */
	give(thing);
	wb_affine_pool_free(pool);
}

static gpointer turn(gpointer arg)
{
	for (unsigned i = 0; i < TURNS; i++) {
		struct thing *thing = take(wb_affine_pool_get(pool));

		sched_yield();	/* so that others find nothing */
		give(thing);
	}
	return arg;
}

/* Fewer items than threads: a wake-up that is lost keeps one of them for ever. */
Test(affine_pool, who_waits_is_woken, .timeout = 120)
{
	GThread *threads[THREADS];

	make(THREADS / 2);
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = g_thread_new("turn", turn, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
	cr_expect(is_whole());
	wb_affine_pool_free(pool);
}

static atomic_uint turn_of;

static gpointer take_over(gpointer arg)
{
	for (unsigned i = GPOINTER_TO_UINT(arg); i < TURNS; i += 2) {
		struct thing *thing;

		while (atomic_load(&turn_of) != i)
			sched_yield();
		thing = take(wb_affine_pool_get(pool));
		atomic_store(&turn_of, i + 1);	/* the other one begins to wait */
		give(thing);
	}
	return NULL;
}

/* Each put is the only one that can wake the other: none makes good for one before. */
Test(affine_pool, no_put_is_missed, .timeout = 120)
{
	GThread *threads[2];

	make(1);
	for (unsigned i = 0; i < 2; i++)
		threads[i] = g_thread_new("over", take_over, GUINT_TO_POINTER(i));
	for (unsigned i = 0; i < 2; i++)
		g_thread_join(threads[i]);
	cr_expect(is_whole());
	wb_affine_pool_free(pool);
}

static atomic_int getter;	/* the thread that is about to wait */

static gpointer get_nothing(gpointer arg)
{
	(void)arg;
	atomic_store(&getter, gettid());
	return wb_affine_pool_get(pool);
}

static bool sleeps(int thread)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%d/stat", thread);
	g_autofree char *text = NULL;

	cr_assert(g_file_get_contents(path, &text, NULL, NULL));
	return strstr(text, ") S ");
}

Test(affine_pool, a_wait_that_has_begun_ends_too, .timeout = 120)
{
	struct thing *thing;
	GThread *other;

	make(1);
	thing = take(wb_affine_pool_get(pool));
	other = g_thread_new("get", get_nothing, NULL);
	while (!atomic_load(&getter) || !sleeps(atomic_load(&getter)))
		sched_yield();
	wb_affine_pool_end_waits(pool);
	cr_expect_null(g_thread_join(other));
	give(thing);
	wb_affine_pool_free(pool);
}

static gpointer give_back(gpointer thing)
{
	give(thing);
	return NULL;
}

/* The pool is freed as soon as it is whole, whoever has just made it so. */
Test(affine_pool, may_be_freed_once_it_is_whole, .timeout = 120)
{
	for (unsigned i = 0; i < 2000; i++) {
		GThread *other;

		make(2);
		other = g_thread_new("give", give_back, take(wb_affine_pool_try_get(pool)));
		cr_assert(wb_affine_pool_wait_whole_until(pool, G_MAXINT64));
		wb_affine_pool_free(pool);
		g_thread_join(other);
	}
}
