/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <signal.h>

#include "base/lock.h"

static struct wb_lock outer, inner;
static struct wb_cond cond;

static void set_up(void)
{
	wb_lock_init(&outer, WB_RANK_CACHE);
	wb_lock_init(&inner, WB_RANK_LOG);
	wb_cond_init(&cond);
}

static void tear_down(void)
{
	wb_cond_clear(&cond);
	wb_lock_clear(&inner);
	wb_lock_clear(&outer);
}

TestSuite(lock, .init = set_up, .fini = tear_down);

Test(lock, is_held_between_acquire_and_release)
{
	wb_lock_acquire(&outer);
	wb_lock_assert_held(&outer);
	wb_lock_release(&outer);
	wb_lock_acquire(&outer);
	wb_lock_release(&outer);
}

Test(lock, ranks_may_grow_and_end_in_any_order)
{
	wb_lock_acquire(&outer);
	wb_lock_acquire(&inner);
	wb_lock_release(&outer);
	wb_lock_assert_held(&inner);
	wb_lock_release(&inner);
	wb_lock_acquire(&outer);
	wb_lock_release(&outer);
}

Test(lock, assert_held_aborts_when_nobody_holds_it, .signal = SIGABRT)
{
	wb_lock_assert_held(&outer);
}

Test(lock, release_of_what_is_not_held_aborts, .signal = SIGABRT)
{
	wb_lock_release(&outer);
}

Test(lock, clear_of_a_held_lock_aborts, .signal = SIGABRT)
{
	wb_lock_acquire(&outer);
	wb_lock_clear(&outer);
}

Test(lock, init_without_a_rank_aborts, .signal = SIGABRT)
{
	struct wb_lock lock;

	wb_lock_init(&lock, WB_RANK_NONE);
}

static gpointer assert_held_main(gpointer data)
{
	wb_lock_assert_held(data);
	return NULL;
}

Test(lock, assert_held_aborts_in_another_thread, .signal = SIGABRT)
{
	wb_lock_acquire(&outer);
	g_thread_join(g_thread_new("other", assert_held_main, &outer));
}

static gpointer try_main(gpointer data)
{
	struct wb_lock *lock = data;

	if (!wb_lock_try(lock))
		return GINT_TO_POINTER(0);
	wb_lock_assert_held(lock);
	wb_lock_release(lock);
	return GINT_TO_POINTER(1);
}

static int try_elsewhere(void)
{
	return GPOINTER_TO_INT(g_thread_join(g_thread_new("try", try_main, &outer)));
}

Test(lock, try_gets_a_free_lock_and_not_a_held_one)
{
	cr_assert_eq(try_elsewhere(), 1);
	wb_lock_acquire(&outer);
	cr_assert_eq(try_elsewhere(), 0);
	wb_lock_release(&outer);
	cr_assert(wb_lock_try(&outer));
	cr_assert_eq(try_elsewhere(), 0);
	wb_lock_release(&outer);
	cr_assert_eq(try_elsewhere(), 1);
}

#define ROUNDS 100000
static unsigned sum;	/* under outer */

static gpointer add_main(gpointer data)
{
	for (int i = 0; i < ROUNDS; i++) {
		wb_lock_acquire(&outer);
		sum++;
		wb_lock_release(&outer);
	}
	return data;
}

Test(lock, excludes_other_threads)
{
	GThread *threads[4];

	for (int i = 0; i < 4; i++)
		threads[i] = g_thread_new("add", add_main, NULL);
	for (int i = 0; i < 4; i++)
		g_thread_join(threads[i]);
	cr_assert_eq(sum, 4 * ROUNDS);
}

static gpointer acquire_main(gpointer data)
{
	wb_lock_acquire(data);
	wb_lock_release(data);
	return NULL;
}

static struct wb_lock_waits waits_of(enum wb_lock_rank rank)
{
	struct wb_lock_waits waits;

	wb_lock_get_waits(rank, &waits);
	return waits;
}

Test(lock, counts_who_has_to_wait_for_it_under_its_rank)
{
	GThread *other;

	wb_lock_acquire(&outer);
	cr_assert_eq(waits_of(WB_RANK_CACHE).count, 0);
	other = g_thread_new("acquire", acquire_main, &outer);
	while (waits_of(WB_RANK_CACHE).count == 0)
		g_thread_yield();
	wb_lock_release(&outer);
	g_thread_join(other);
	cr_assert_eq(waits_of(WB_RANK_CACHE).count, 1);
	cr_assert_gt(waits_of(WB_RANK_CACHE).ns, 0);
	wb_lock_acquire(&inner);
	wb_lock_release(&inner);
	cr_assert_eq(waits_of(WB_RANK_LOG).count, 0);
}

Test(lock, every_rank_has_a_name)
{
	for (int rank = WB_RANK_NONE; rank < WB_RANK_COUNT; rank++)
		cr_assert_not_null(wb_lock_rank_name(rank));
	cr_assert_str_eq(wb_lock_rank_name(WB_RANK_STRIPE), "stripe");
}

/* Two threads that hand a turn to each other: one lost wake-up hangs. */
static unsigned turn;	/* under outer */

static void take_turns(unsigned me)
{
	for (int i = 0; i < 2000; i++) {
		wb_lock_acquire(&outer);
		while (turn % 2 != me)
			wb_cond_wait(&cond, &outer);
		wb_lock_assert_held(&outer);
		turn++;
		wb_cond_broadcast(&cond);
		wb_lock_release(&outer);
	}
}

static gpointer turn_main(gpointer data)
{
	(void)data;
	take_turns(1);
	return NULL;
}

Test(lock, wait_releases_the_lock_and_takes_it_again)
{
	GThread *other = g_thread_new("turn", turn_main, NULL);

	take_turns(0);
	g_thread_join(other);
	cr_assert_eq(turn, 4000);
}

Test(lock, wait_until_a_time_that_is_past_says_so_and_holds_the_lock)
{
	wb_lock_acquire(&outer);
	cr_assert_not(wb_cond_wait_until(&cond, &outer, g_get_monotonic_time() - 1));
	wb_lock_assert_held(&outer);
	wb_lock_release(&outer);
}

static gpointer signal_main(gpointer data)
{
	(void)data;
	wb_lock_acquire(&outer);
	turn = 1;
	wb_cond_signal(&cond);
	wb_lock_release(&outer);
	return NULL;
}

Test(lock, wait_until_is_woken_by_a_signal)
{
	GThread *other;

	wb_lock_acquire(&outer);
	other = g_thread_new("signal", signal_main, NULL);
	/* the deadline is out of reach */
	while (turn == 0)
		cr_assert(wb_cond_wait_until(&cond, &outer, G_MAXINT64));
	wb_lock_assert_held(&outer);
	wb_lock_release(&outer);
	g_thread_join(other);
}

Test(lock, waiting_without_the_lock_aborts, .signal = SIGABRT)
{
	wb_cond_wait(&cond, &outer);
}

#ifdef WB_CHECKS
Test(lock, a_smaller_rank_inside_a_larger_one_aborts, .signal = SIGABRT)
{
	wb_lock_acquire(&inner);
	wb_lock_acquire(&outer);
}

Test(lock, two_locks_of_one_rank_abort, .signal = SIGABRT)
{
	struct wb_lock twin;

	wb_lock_init(&twin, WB_RANK_LOG);
	wb_lock_acquire(&inner);
	wb_lock_acquire(&twin);
}

Test(lock, taking_it_twice_aborts, .signal = SIGABRT)
{
	wb_lock_acquire(&outer);
	wb_lock_acquire(&outer);
}

Test(lock, trying_against_the_order_aborts, .signal = SIGABRT)
{
	wb_lock_acquire(&inner);
	wb_lock_try(&outer);
}

Test(lock, waiting_while_another_lock_is_held_aborts, .signal = SIGABRT)
{
	wb_lock_acquire(&outer);
	wb_lock_acquire(&inner);
	wb_cond_wait(&cond, &inner);
}

Test(lock, waiting_on_the_outer_of_two_locks_aborts, .signal = SIGABRT)
{
	wb_lock_acquire(&outer);
	wb_lock_acquire(&inner);
	wb_cond_wait(&cond, &outer);
}
#endif
