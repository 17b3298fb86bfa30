/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The disk that fails on demand, and the one that keeps book. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "support/store_counting.h"
#include "support/store_crashy.h"
#include "support/store_faulty.h"
#include "support/store_memory.h"

#define SIZE_BYTES (256u << 10)

static _Alignas(4096) uint8_t buffer[8192];
static struct wb_store *memory;

static struct wb_store *faulty_disk(void)
{
	memory = wb_store_memory_new(SIZE_BYTES, 512, 512);
	return wb_store_faulty_new(memory);
}

static int write_block(struct wb_store *store, uint64_t block, int fill)
{
	memset(buffer, fill, 4096);
	return wb_store_write_sync(store, block * 4096, buffer, 4096);
}

static uint8_t byte_at(uint64_t offset_bytes)
{
	return wb_store_memory_bytes(memory)[offset_bytes];
}

Test(store_faulty, the_nth_write_fails_once_and_leaves_no_trace)
{
	struct wb_store *store = faulty_disk();

	wb_store_faulty_add(store, &(struct wb_fault){
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .first = 3, .error = -ENOSPC });
	for (unsigned i = 1; i <= 5; i++)
		cr_assert_eq(write_block(store, i, 'a'), i == 3 ? -ENOSPC : 0);
	cr_assert_eq(byte_at(3 * 4096), 0);
	cr_assert_eq(byte_at(4 * 4096), 'a');
	cr_assert_eq(wb_store_faulty_hit_count(store), 1);
	wb_store_close(store);
}

Test(store_faulty, a_range_fails_for_ever_until_it_is_repaired)
{
	struct wb_store *store = faulty_disk();

	wb_store_faulty_add(store, &(struct wb_fault){
		.op = WB_FAULT_ANY, .io_class = WB_FAULT_ANY, .offset_bytes = 8192 + 512,
		.length_bytes = 512, .count = WB_FAULT_FOR_EVER });
	cr_assert_eq(write_block(store, 1, 'a'), 0);
	cr_assert_eq(write_block(store, 2, 'a'), -EIO);
	cr_assert_eq(write_block(store, 3, 'a'), 0);
	cr_assert_eq(wb_store_read_sync(store, 8192 + 512, buffer, 512), -EIO);
	cr_assert_eq(wb_store_read_sync(store, 8192 + 1024, buffer, 512), 0);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	wb_store_faulty_clear(store);
	cr_assert_eq(write_block(store, 2, 'a'), 0);
	wb_store_close(store);
}

Test(store_faulty, a_late_failure_leaves_the_data_and_a_short_one_half_of_it)
{
	struct wb_store *store = faulty_disk();
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .effect = WB_FAULT_FAIL_LATE };

	wb_store_faulty_add(store, &fault);
	fault.effect = WB_FAULT_FAIL_SHORT;
	fault.first = 2;
	wb_store_faulty_add(store, &fault);
	cr_assert_eq(write_block(store, 1, 'a'), -EIO);
	cr_assert_eq(byte_at(4096 + 4095), 'a');
	cr_assert_eq(write_block(store, 2, 'b'), -EIO);
	cr_assert_eq(byte_at(2 * 4096 + 2047), 'b');
	cr_assert_eq(byte_at(2 * 4096 + 2048), 0);
	cr_assert_eq(wb_store_faulty_hit_count(store), 2);
	wb_store_close(store);
}

struct recorded {
	struct wb_io io;
	int error;
	bool is_answered;
};

static void record(struct wb_io *io, int error)
{
	((struct recorded *)io)->error = error;
	((struct recorded *)io)->is_answered = true;
}

static void start(struct wb_store *store, struct recorded *own, enum wb_io_op op,
		  unsigned flags, uint64_t block)
{
	*own = (struct recorded){ .error = 1 };
	wb_io_prepare(&own->io, op, WB_IO_CLASS_USER_READ, block * 4096, buffer,
		      op == WB_IO_FLUSH ? 0 : 4096, record);
	own->io.flags = flags;
	wb_store_submit(store, &own->io);
}

Test(store_faulty, a_vectored_transfer_is_cut_in_the_middle_of_its_pieces)
{
	struct wb_store *store = faulty_disk();
	struct iovec iov[2] = { { buffer, 1024 }, { buffer + 4096, 3072 } };
	struct recorded own = { .error = 1 };

	memset(buffer, 'x', sizeof(buffer));
	wb_store_faulty_add(store, &(struct wb_fault){
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .effect = WB_FAULT_FAIL_SHORT });
	wb_io_prepare(&own.io, WB_IO_WRITE, WB_IO_CLASS_LOG, 0, NULL, 4096, record);
	own.io.iov = iov;
	own.io.iov_count = 2;
	wb_store_submit(store, &own.io);
	wb_store_poll_all(store);
	cr_assert_eq(own.error, -EIO);
	cr_assert_eq(byte_at(2047), 'x');
	cr_assert_eq(byte_at(2048), 0);
	cr_assert_eq(iov[1].iov_len, 3072);
	wb_store_close(store);
}

Test(store_faulty, a_delayed_io_is_overtaken_but_not_lost)
{
	struct wb_store *store = faulty_disk();
	struct recorded slow, quick;

	wb_store_faulty_add(store, &(struct wb_fault){
		.op = WB_IO_READ, .io_class = WB_FAULT_ANY, .effect = WB_FAULT_DELAY,
		.delay_polls = 10 });
	start(store, &slow, WB_IO_READ, 0, 1);
	start(store, &quick, WB_IO_READ, 0, 2);
	store->ops->poll(store);
	cr_assert(quick.is_answered && !slow.is_answered);
	wb_store_poll_all(store);
	cr_assert(slow.is_answered && slow.error == 0);
	wb_store_close(store);
}

Test(store_faulty, class_and_operation_select)
{
	struct wb_store *store = faulty_disk();
	struct recorded own;

	wb_store_faulty_add(store, &(struct wb_fault){
		.op = WB_IO_READ, .io_class = WB_IO_CLASS_LOG, .first = 2,
		.count = WB_FAULT_FOR_EVER });
	start(store, &own, WB_IO_READ, 0, 1);
	wb_store_poll_all(store);
	cr_assert_eq(own.error, 0);
	cr_assert_eq(wb_store_read_sync(store, 0, buffer, 512), 0);
	cr_assert_eq(wb_store_read_sync(store, 0, buffer, 512), -EIO);
	cr_assert_eq(wb_store_read_sync(store, 0, buffer, 512), -EIO);
	cr_assert_eq(write_block(store, 1, 'a'), 0);
	wb_store_close(store);
}

Test(store_faulty, failing_is_not_answered_from_inside_submit)
{
	struct wb_store *store = faulty_disk();
	struct recorded own;

	wb_store_faulty_add(store, &(struct wb_fault){
		.op = WB_FAULT_ANY, .io_class = WB_FAULT_ANY });
	start(store, &own, WB_IO_FLUSH, 0, 0);
	cr_assert_not(own.is_answered);
	wb_store_poll_all(store);
	cr_assert_eq(own.error, -EIO);
	wb_store_close(store);
}

Test(store_faulty, test_disks_nest)
{
	struct wb_store *crashy, *store, *image;

	memory = wb_store_memory_new(SIZE_BYTES, 512, 512);
	crashy = wb_store_crashy_new(memory, NULL);
	store = wb_store_counting_new(wb_store_faulty_new(crashy));
	cr_assert_eq(write_block(store, 1, 'a'), 0);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	image = wb_store_crashy_crash_losing_all(crashy);
	cr_assert_eq(wb_store_memory_bytes(image)[4096], 'a');
	wb_store_close(image);
	wb_store_close(store);
}

/* --- the counting store -------------------------------------------------- */

static struct wb_store *counting_disk(struct wb_store **faulty)
{
	*faulty = faulty_disk();
	return wb_store_counting_new(*faulty);
}

Test(store_counting, what_goes_through_is_counted_by_class_and_operation)
{
	struct wb_store *faulty, *store = counting_disk(&faulty);
	struct wb_store_counts counts;
	struct recorded own;

	cr_assert_eq(write_block(store, 1, 'a'), 0);
	start(store, &own, WB_IO_WRITE, WB_IO_FUA, 2);
	wb_store_poll_all(store);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	wb_store_counting_get(store, &counts);
	cr_assert_eq(counts.ios[WB_IO_CLASS_LOG][WB_IO_WRITE], 1);
	cr_assert_eq(counts.bytes[WB_IO_CLASS_USER_READ][WB_IO_WRITE], 4096);
	cr_assert_eq(counts.fua_writes, 1);
	cr_assert_eq(counts.answered, 3);
	cr_assert_eq(counts.failed, 0);
	cr_assert_eq(wb_store_counting_ios(store, WB_IO_WRITE), 2);
	cr_assert_eq(wb_store_counting_bytes(store, WB_IO_WRITE), 8192);
	wb_store_close(store);
}

Test(store_counting, a_write_is_covered_by_a_flush_that_came_after_it)
{
	struct wb_store *faulty, *store = counting_disk(&faulty);

	cr_assert(wb_store_counting_is_covered(store, 0, SIZE_BYTES));
	cr_assert_eq(write_block(store, 1, 'a'), 0);
	cr_assert_not(wb_store_counting_is_covered(store, 4096, 512));
	cr_assert_not(wb_store_counting_is_covered(store, 0, SIZE_BYTES));
	cr_assert(wb_store_counting_is_covered(store, 8192, 4096));
	cr_assert_eq(wb_store_flush_sync(store), 0);
	cr_assert(wb_store_counting_is_covered(store, 0, SIZE_BYTES));
	cr_assert_eq(wb_store_zero_sync(store, 4096, 4096), 0);
	cr_assert_not(wb_store_counting_is_covered(store, 4096, 4096));
	wb_store_close(store);
}

Test(store_counting, a_flush_submitted_before_the_write_was_done_does_not_cover_it)
{
	struct wb_store *faulty, *store = counting_disk(&faulty);
	struct recorded write, flush;

	start(store, &write, WB_IO_WRITE, 0, 1);
	start(store, &flush, WB_IO_FLUSH, 0, 0);
	wb_store_poll_all(store);
	cr_assert_eq(flush.error, 0);
	cr_assert_not(wb_store_counting_is_covered(store, 4096, 4096));
	wb_store_close(store);
}

Test(store_counting, what_is_in_flight_or_failed_is_not_covered)
{
	struct wb_store *faulty, *store = counting_disk(&faulty);
	struct recorded one, two;

	start(store, &one, WB_IO_WRITE, WB_IO_FUA, 1);
	start(store, &two, WB_IO_WRITE, WB_IO_FUA, 1);
	store->ops->poll(store);
	cr_assert(one.is_answered && !two.is_answered);
	cr_assert_not(wb_store_counting_is_covered(store, 4096, 4096));
	wb_store_poll_all(store);
	cr_assert(wb_store_counting_is_covered(store, 4096, 4096));
	wb_store_faulty_add(faulty, &(struct wb_fault){
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY });
	cr_assert_eq(write_block(store, 1, 'b'), -EIO);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	cr_assert_not(wb_store_counting_is_covered(store, 4096, 4096));
	cr_assert_eq(write_block(store, 1, 'b'), 0);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	cr_assert(wb_store_counting_is_covered(store, 4096, 4096));
	wb_store_close(store);
}

Test(store_counting, a_failed_flush_covers_nothing)
{
	struct wb_store *faulty, *store = counting_disk(&faulty);

	cr_assert_eq(write_block(store, 1, 'a'), 0);
	wb_store_faulty_add(faulty, &(struct wb_fault){
		.op = WB_IO_FLUSH, .io_class = WB_FAULT_ANY });
	cr_assert_eq(wb_store_flush_sync(store), -EIO);
	cr_assert_not(wb_store_counting_is_covered(store, 4096, 4096));
	wb_store_close(store);
}
