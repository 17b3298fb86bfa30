/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "io/buffer_pool.h"

static struct wb_buffer_pool *small_pool(void)
{
	static const struct wb_buffer_class classes[] = { { 4096, 2 }, { 16384, 1 } };
	struct wb_buffer_pool *pool = wb_buffer_pool_new(classes, 2, NULL);

	cr_assert(pool);
	return pool;
}

Test(buffer_pool, buffers_are_aligned_distinct_and_large_enough)
{
	static const struct wb_buffer_class classes[] = WB_BUFFER_CLASSES_DEFAULT;
	struct wb_buffer_pool *pool = wb_buffer_pool_new(classes, 3, NULL);
	uint8_t *buffers[336];
	unsigned count = 0;

	cr_assert_eq(wb_buffer_pool_bytes(pool),
		     256 * 16384u + 64 * 131072u + 16 * (1048576u + 8192u));
	for (unsigned i = 0; i < 3; i++)
		for (unsigned k = 0; k < classes[i].count; k++) {
			buffers[count] = wb_buffer_get(pool, classes[i].buffer_bytes);
			cr_assert_eq((uintptr_t)buffers[count] % WB_BUFFER_ALIGNMENT, 0);
			cr_assert_eq(wb_buffer_room_bytes(pool, buffers[count]),
				     classes[i].buffer_bytes);
			memset(buffers[count], (int)count, classes[i].buffer_bytes);
			count++;
		}
	cr_assert_null(wb_buffer_get(pool, 1));
	for (unsigned i = 0; i < count; i++) {
		size_t room_bytes = wb_buffer_room_bytes(pool, buffers[i]);

		cr_assert_eq(buffers[i][0], (uint8_t)i);
		cr_assert_eq(buffers[i][room_bytes - 1], (uint8_t)i);
		wb_buffer_put(pool, buffers[i]);
	}
	wb_buffer_pool_free(pool);
}

Test(buffer_pool, a_larger_class_stands_in_and_then_there_is_none)
{
	struct wb_buffer_pool *pool = small_pool();
	void *one = wb_buffer_get(pool, 100), *two = wb_buffer_get(pool, 4096);
	void *three = wb_buffer_get(pool, 4096);

	cr_assert(one && two && three);
	cr_assert_eq(wb_buffer_room_bytes(pool, three), 16384);
	cr_assert_null(wb_buffer_get(pool, 1));
	wb_buffer_put(pool, one);
	cr_assert_null(wb_buffer_get(pool, 4097), "a smaller class must not stand in");
	cr_assert_eq(wb_buffer_get(pool, 1), one);
	wb_buffer_put(pool, one);
	wb_buffer_put(pool, two);
	wb_buffer_put(pool, three);
	wb_buffer_put(pool, NULL);
	wb_buffer_pool_free(pool);
}

Test(buffer_pool, more_than_the_largest_class_is_never_there)
{
	struct wb_buffer_pool *pool = small_pool();

	cr_assert_null(wb_buffer_get(pool, 16385));
	wb_buffer_pool_free(pool);
}

Test(buffer_pool, a_second_put_is_stopped, .signal = SIGABRT)
{
	struct wb_buffer_pool *pool = small_pool();
	void *buffer = wb_buffer_get(pool, 1);

	wb_buffer_put(pool, buffer);
	wb_buffer_put(pool, buffer);
}

Test(buffer_pool, a_pointer_into_a_buffer_is_stopped, .signal = SIGABRT)
{
	struct wb_buffer_pool *pool = small_pool();

	wb_buffer_put(pool, (uint8_t *)wb_buffer_get(pool, 1) + 512);
}

struct worker {
	struct wb_buffer_pool *pool;
	size_t bytes;
	uint8_t mark;
};

/* More threads than buffers: each waits for others, and none is forgotten. */
static void *use_buffers(void *arg)
{
	struct worker *self = arg;

	for (unsigned i = 0; i < 3000; i++) {
		uint8_t *buffer = wb_buffer_get_wait(self->pool, self->bytes);

		memset(buffer, self->mark, self->bytes);
		for (size_t k = 0; k < self->bytes; k += 512)
			if (buffer[k] != self->mark)
				return (void *)"two owners";
		wb_buffer_put(self->pool, buffer);
	}
	return NULL;
}

Test(buffer_pool, waiting_threads_all_get_their_turn_and_share_nothing)
{
	struct wb_buffer_pool *pool = small_pool();
	struct worker workers[8];
	GThread *threads[8];

	for (unsigned i = 0; i < 8; i++) {
		workers[i] = (struct worker){ pool, i % 2 ? 4096 : 16384, (uint8_t)i };
		threads[i] = g_thread_new("user", use_buffers, &workers[i]);
	}
	for (unsigned i = 0; i < 8; i++)
		cr_assert_null(g_thread_join(threads[i]));
	wb_buffer_pool_free(pool);
}

Test(buffer_pool, who_waits_until_a_time_gets_none_or_what_comes_back)
{
	struct wb_buffer_pool *pool = small_pool();
	void *all[64], *late;
	unsigned count = 0;

	while ((all[count] = wb_buffer_get(pool, 16384)) != NULL)
		count++;
	cr_assert_null(wb_buffer_get_until(pool, 16384, g_get_monotonic_time() + 2000));
	wb_buffer_put(pool, all[--count]);
	late = wb_buffer_get_until(pool, 16384, g_get_monotonic_time() + 2000);
	cr_assert_eq(late, all[count]);
	wb_buffer_put(pool, late);
	while (count > 0)
		wb_buffer_put(pool, all[--count]);
	wb_buffer_pool_free(pool);
}
