/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "frontend/receive_pool.h"

Test(receive_pool, gives_every_buffer_once_and_none_overlaps_another)
{
	struct wb_receive_pool *pool = wb_receive_pool_new(3, 2);
	struct wb_receive_buffer *large[3], *small[2];

	for (unsigned i = 0; i < 3; i++) {
		large[i] = wb_receive_pool_take(pool);
		cr_assert_eq(large[i]->class, WB_RECEIVE_LARGE);
		memset(large[i]->memory, 'a' + (int)i, WB_RECEIVE_LARGE_BYTES);
	}
	for (unsigned i = 0; i < 2; i++) {
		small[i] = wb_receive_pool_try_short(pool, 4096);
		cr_assert(small[i] && small[i]->class == WB_RECEIVE_SMALL);
		memset(small[i]->memory, 'x' + (int)i, WB_RECEIVE_SMALL_BYTES);
	}
	cr_assert_null(wb_receive_pool_try_short(pool, 4096));
	for (unsigned i = 0; i < 3; i++) {
		const char *memory = large[i]->memory;

		cr_assert(memory[0] == 'a' + (char)i && !memcmp(memory, memory + 1,
							WB_RECEIVE_LARGE_BYTES - 1));
		wb_receive_pool_put(pool, large[i]);
	}
	wb_receive_pool_put(pool, small[0]);
	wb_receive_pool_put(pool, small[1]);
	wb_receive_pool_free(pool);
}

Test(receive_pool, gives_the_one_that_came_back_last)
{
	struct wb_receive_pool *pool = wb_receive_pool_new(3, 0);
	struct wb_receive_buffer *first = wb_receive_pool_take(pool);
	struct wb_receive_buffer *second = wb_receive_pool_take(pool);

	wb_receive_pool_put(pool, first);
	wb_receive_pool_put(pool, second);
	cr_assert_eq(wb_receive_pool_take(pool), second);
	wb_receive_pool_put(pool, second);
	wb_receive_pool_free(pool);
}

Test(receive_pool, is_low_when_less_than_a_third_is_left)
{
	struct wb_receive_pool *pool = wb_receive_pool_new(3, 0);
	struct wb_receive_buffer *taken[3];

	for (unsigned i = 0; i < 3; i++) {
		cr_assert_not(wb_receive_pool_is_low(pool));
		taken[i] = wb_receive_pool_take(pool);
	}
	cr_assert(wb_receive_pool_is_low(pool));
	for (unsigned i = 0; i < 3; i++)
		wb_receive_pool_put(pool, taken[i]);
	wb_receive_pool_free(pool);
}

static gpointer take_one(gpointer arg)
{
	return wb_receive_pool_take(arg);
}

Test(receive_pool, makes_a_taker_wait_until_one_comes_back)
{
	struct wb_receive_pool *pool = wb_receive_pool_new(1, 0);
	struct wb_receive_buffer *only = wb_receive_pool_take(pool);
	GThread *waiter = g_thread_new("taker", take_one, pool);

	wb_receive_pool_put(pool, only);
	cr_assert_eq(g_thread_join(waiter), only);
	wb_receive_pool_put(pool, only);
	wb_receive_pool_free(pool);
}

Test(receive_pool, gives_the_smallest_that_fits_and_then_a_larger_one)
{
	struct wb_receive_pool *pool = wb_receive_pool_new(1, 4);
	struct wb_receive_buffer *buffers[5], *medium;

	for (unsigned i = 0; i < 4; i++) {
		buffers[i] = wb_receive_pool_try_short(pool, WB_RECEIVE_SMALL_BYTES);
		cr_assert_eq(buffers[i]->class, WB_RECEIVE_SMALL);
	}
	medium = wb_receive_pool_try_short(pool, 1);
	cr_assert_eq(medium->class, WB_RECEIVE_MEDIUM);
	cr_assert_null(wb_receive_pool_try_short(pool, 1));
	wb_receive_pool_put(pool, medium);
	cr_assert_null(wb_receive_pool_try_short(pool, WB_RECEIVE_MEDIUM_BYTES + 1));
	buffers[4] = wb_receive_pool_try_short(pool, WB_RECEIVE_SMALL_BYTES + 1);
	cr_assert_eq(buffers[4]->class, WB_RECEIVE_MEDIUM);
	for (unsigned i = 0; i < 5; i++)
		wb_receive_pool_put(pool, buffers[i]);
	wb_receive_pool_free(pool);
}

Test(receive_pool, lets_a_taker_go_without_one_when_nobody_is_to_wait)
{
	struct wb_receive_pool *pool = wb_receive_pool_new(1, 0);
	struct wb_receive_buffer *only = wb_receive_pool_take(pool);
	GThread *waiter = g_thread_new("taker", take_one, pool);

	wb_receive_pool_end_waits(pool);
	cr_assert_null(g_thread_join(waiter));
	cr_assert_null(wb_receive_pool_take(pool));
	wb_receive_pool_allow_waits(pool);
	wb_receive_pool_put(pool, only);
	cr_assert_eq(wb_receive_pool_take(pool), only);
	wb_receive_pool_put(pool, only);
	wb_receive_pool_free(pool);
}

Test(receive_pool, borrows_as_long_as_there_are_places_and_gives_all_back)
{
	struct wb_receive_pool *pool = wb_receive_pool_new(1, 0);
	struct wb_receive_buffer *borrowed[WB_RECEIVE_BORROWED_MAX];

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < WB_RECEIVE_BORROWED_MAX; i++) {
			borrowed[i] = wb_receive_pool_borrow(pool, 5000);
			cr_assert(borrowed[i] && borrowed[i]->class == WB_RECEIVE_BORROWED);
			cr_assert_eq((uintptr_t)borrowed[i]->memory % 4096, 0);
			memset(borrowed[i]->memory, (int)i, 5000);
		}
		cr_assert_null(wb_receive_pool_borrow(pool, 5000));
		for (unsigned i = 0; i < WB_RECEIVE_BORROWED_MAX; i++) {
			cr_assert_eq(((uint8_t *)borrowed[i]->memory)[4999], (uint8_t)i);
			wb_receive_pool_put(pool, borrowed[i]);
		}
	}
	wb_receive_pool_free(pool);
}

Test(receive_pool, borrows_nothing_that_the_machine_cannot_spare)
{
	struct wb_receive_pool *pool = wb_receive_pool_new(1, 0);
	struct wb_receive_buffer *buffer;

	cr_assert_null(wb_receive_pool_borrow(pool, (size_t)1 << 46));
	buffer = wb_receive_pool_borrow(pool, 4096);
	cr_assert_not_null(buffer);
	wb_receive_pool_put(pool, buffer);
	wb_receive_pool_free(pool);
}

/* A process that is killed while the kernel, copying a request, waits for a page of a
 * buffer loses that request: its user gets EIO. */
Test(receive_pool, large_ones_are_there_though_memory_is_brought_in_late)
{
	struct wb_receive_pool *pool;
	struct wb_receive_buffer *taken[3];

	wb_memory_bring_in_late();
	pool = wb_receive_pool_new(3, 128);
	for (unsigned i = 0; i < 3; i++) {
		unsigned char is_there[WB_RECEIVE_LARGE_BYTES / 4096];

		taken[i] = wb_receive_pool_take(pool);
		cr_assert_eq(mincore(taken[i]->memory, WB_RECEIVE_LARGE_BYTES, is_there), 0);
		for (unsigned page = 0; page < sizeof is_there; page++)
			cr_assert(is_there[page] & 1, "page %u of %u", page, i);
	}
	for (unsigned i = 0; i < 3; i++)
		wb_receive_pool_put(pool, taken[i]);
	wb_receive_pool_free(pool);
}

/* After a fork the first write to each page would be a page fault again. */
Test(receive_pool, none_is_shared_with_a_child)
{
	struct wb_receive_pool *pool = wb_receive_pool_new(1, 0);
	struct wb_receive_buffer *taken = wb_receive_pool_take(pool);
	unsigned char is_there[WB_RECEIVE_LARGE_BYTES / 4096];
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(mincore(taken->memory, WB_RECEIVE_LARGE_BYTES, is_there) < 0 ? errno : 0);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(WEXITSTATUS(status), ENOMEM);
	wb_receive_pool_put(pool, taken);
	wb_receive_pool_free(pool);
}
