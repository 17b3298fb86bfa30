/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory store, and with it the sync helpers on a store without thread. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "io/store.h"
#include "support/store_memory.h"

#define SIZE_BYTES (1u << 20)

struct recorded {
	struct wb_io io;
	int error;
	unsigned answer_count;
	unsigned place;			/* in the order of answers */
};

static unsigned answered_count;

static void record(struct wb_io *io, int error)
{
	struct recorded *own = (struct recorded *)io;

	own->error = error;
	own->answer_count++;
	own->place = answered_count++;
}

static _Alignas(4096) uint8_t buffers[64][4096];

static void submit_writes(struct wb_store *store, struct recorded *ios, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		memset(buffers[i], (int)i + 1, 4096);
		ios[i].answer_count = 0;
		wb_io_prepare(&ios[i].io, WB_IO_WRITE, WB_IO_CLASS_LOG, i * 4096u,
			      buffers[i], 4096, record);
		wb_store_submit(store, &ios[i].io);
	}
}

Test(store_memory, nothing_happens_until_it_is_polled)
{
	struct wb_store *store = wb_store_memory_new(SIZE_BYTES, 512, 512);
	struct recorded io;

	cr_assert_not(store->ops->poll(store));
	submit_writes(store, &io, 1);
	cr_assert_eq(io.answer_count, 0);
	cr_assert_eq(wb_store_memory_bytes(store)[0], 0);
	cr_assert_eq(wb_store_memory_in_flight(store), 1);
	cr_assert(store->ops->poll(store));
	cr_assert_eq(io.answer_count, 1);
	cr_assert_eq(wb_store_memory_bytes(store)[0], 1);
	cr_assert_not(store->ops->poll(store));
	wb_store_close(store);
}

static void run_order(uint64_t seed, unsigned places[64])
{
	struct wb_store *store = wb_store_memory_new(SIZE_BYTES, 512, 512);
	struct recorded ios[64];

	answered_count = 0;
	wb_store_memory_set_order(store, WB_STORE_MEMORY_RANDOM, seed);
	submit_writes(store, ios, 64);
	wb_store_poll_all(store);
	for (unsigned i = 0; i < 64; i++) {
		cr_assert_eq(ios[i].answer_count, 1);
		places[i] = ios[i].place;
	}
	wb_store_close(store);
}

Test(store_memory, a_seed_repeats_the_order_and_another_one_does_not)
{
	unsigned first[64], again[64], other[64];

	run_order(1, first);
	run_order(1, again);
	run_order(2, other);
	cr_assert_arr_eq(first, again, sizeof(first));
	cr_assert_arr_neq(first, other, sizeof(first));
}

Test(store_memory, fifo_answers_in_the_order_of_submission)
{
	struct wb_store *store = wb_store_memory_new(SIZE_BYTES, 512, 512);
	struct recorded ios[8];

	answered_count = 0;
	submit_writes(store, ios, 8);
	wb_store_poll_all(store);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_eq(ios[i].place, i);
	wb_store_close(store);
}

Test(store_memory, sync_helpers_drive_a_store_that_has_no_thread)
{
	struct wb_store *store = wb_store_memory_new(SIZE_BYTES, 512, 512);

	memset(buffers[0], 'a', 4096);
	cr_assert_eq(wb_store_write_sync(store, 4096, buffers[0], 4096), 0);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	cr_assert_eq(wb_store_zero_sync(store, 4096, 4096), 0);
	cr_assert_eq(wb_store_write_sync(store, 4096 + 512, buffers[0], 512), 0);
	cr_assert_eq(wb_store_read_sync(store, 4096, buffers[1], 4096), 0);
	cr_assert_eq(buffers[1][511], 0);
	cr_assert_eq(buffers[1][512], 'a');
	cr_assert_eq(buffers[1][1023], 'a');
	cr_assert_eq(buffers[1][1024], 0);
	wb_store_close(store);
}

Test(store_memory, many_reads_work_in_any_order_of_completion)
{
	struct wb_store *store = wb_store_memory_new(SIZE_BYTES, 4096, 4096);
	uint64_t offsets[64];
	int errors[64];

	wb_store_memory_set_order(store, WB_STORE_MEMORY_RANDOM, 7);
	for (unsigned i = 0; i < 64; i++) {
		offsets[i] = (uint64_t)(63 - i) * 4096;
		memset(wb_store_memory_bytes(store) + offsets[i], (int)i, 4096);
		errors[i] = 1;
	}
	wb_store_read_many_sync(store, offsets, 64, 4096, buffers, errors, 5);
	for (unsigned i = 0; i < 64; i++) {
		cr_assert_eq(errors[i], 0);
		cr_assert_eq(buffers[i][0], i);
		cr_assert_eq(buffers[i][4095], i);
	}
	wb_store_read_many_sync(store, offsets, 0, 4096, buffers, errors, 5);
	wb_store_close(store);
}

Test(store_memory, io_that_breaks_the_contract_is_stopped, .signal = SIGABRT)
{
	struct wb_store *store = wb_store_memory_new(SIZE_BYTES, 4096, 4096);

	wb_store_read_sync(store, 512, buffers[0], 4096);
}

Test(store_memory, a_buffer_changed_in_flight_is_caught, .signal = SIGABRT)
{
	struct wb_store *store = wb_store_memory_new(SIZE_BYTES, 512, 512);
	struct recorded io;

	wb_store_memory_check_buffers(store);
	submit_writes(store, &io, 1);
	buffers[0][100] ^= 1;
	wb_store_poll_all(store);
}
