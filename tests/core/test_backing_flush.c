/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flushes of the backing: who shares one, and who hears of one that failed. */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/clock.h"
#include "cache/backing_flush.h"
#include "support/store_counting.h"
#include "support/store_faulty.h"
#include "support/store_memory.h"

#define WAITERS 8u

static struct wb_store *faulty, *disk;
static struct wb_stats stats;
static struct wb_message message;
static struct wb_backing_flush *flush;

static struct waiter {
	struct wb_backing_waiter waiter;
	bool is_answered;
	int error;
} waiters[WAITERS];
static unsigned used;

static void make_flush(enum wb_flush_failure failure)
{
	flush = wb_backing_flush_new(&(struct wb_backing_flush_deps){
		.store = disk, .stats = &stats, .message = &message, .failure = failure,
	});
}

static void start(void)
{
	faulty = wb_store_faulty_new(wb_store_memory_new(1 << 20, 512, 512));
	disk = wb_store_counting_new(faulty);
	wb_message_init(&message, wb_clock_real());
	make_flush(WB_FLUSH_FAILURE_IS_TOLD);
}

static void stop(void)
{
	while (disk->ops->poll(disk))
		;
	cr_expect(wb_backing_flush_is_idle(flush));
	wb_backing_flush_free(flush);
	wb_message_clear(&message);
	wb_store_close(disk);
}

TestSuite(backing_flush, .init = start, .fini = stop);

static void done(struct wb_backing_waiter *waiter, int error)
{
	struct waiter *it = (struct waiter *)waiter;

	cr_assert(!it->is_answered);
	it->is_answered = true;
	it->error = error;
}

static struct waiter *ask(enum wb_flush_for purpose)
{
	struct waiter *it = &waiters[used++];
	int result = 1;

	it->waiter.purpose = purpose;
	it->waiter.done = done;
	if (purpose == WB_FLUSH_FOR_BATCH)
		wb_backing_flush_batch(flush, &it->waiter);
	else
		result = wb_backing_flush_sync(flush, &it->waiter);
	if (result != 1)
		done(&it->waiter, result);
	return it;
}

static void expect(const struct waiter *it, bool is_answered, int error)
{
	cr_expect_eq(it->is_answered, is_answered, "waiter %td", it - waiters);
	cr_expect_eq(it->error, error, "waiter %td: %d", it - waiters, it->error);
}

static void note(void)
{
	cr_expect(wb_backing_flush_note_change(flush, wb_backing_flush_failures(flush)));
}

static uint64_t flushes(void)
{
	return wb_store_counting_ios(disk, WB_IO_FLUSH);
}

static void fail_next(void)
{
	wb_store_faulty_add(faulty, &(struct wb_fault){
		.op = WB_IO_FLUSH, .io_class = WB_FAULT_ANY, .count = 1,
		.effect = WB_FAULT_FAIL, .error = -EIO });
}

Test(backing_flush, a_sync_with_nothing_new_needs_none)
{
	expect(ask(WB_FLUSH_FOR_SYNC), true, 0);
	note();
	cr_expect(wb_backing_flush_has_changes(flush));
	ask(WB_FLUSH_FOR_WRITE);
	cr_expect(disk->ops->poll(disk));
	expect(&waiters[1], true, 0);
	cr_expect_not(wb_backing_flush_has_changes(flush));
	expect(ask(WB_FLUSH_FOR_SYNC), true, 0);
	wb_backing_flush_want(flush);
	cr_expect_eq(flushes(), 1);
}

Test(backing_flush, who_comes_during_one_shares_it_only_if_it_covers_everything)
{
	note();
	ask(WB_FLUSH_FOR_SYNC);
	ask(WB_FLUSH_FOR_SYNC);
	note();
	ask(WB_FLUSH_FOR_WRITE);
	ask(WB_FLUSH_FOR_BATCH);
	cr_expect_eq(flushes(), 1);
	cr_expect(disk->ops->poll(disk));
	expect(&waiters[0], true, 0);
	expect(&waiters[1], true, 0);
	expect(&waiters[2], false, 0);
	expect(&waiters[3], false, 0);
	cr_expect(disk->ops->poll(disk));
	expect(&waiters[2], true, 0);
	expect(&waiters[3], true, 0);
	cr_expect_eq(flushes(), 2);
}

Test(backing_flush, a_batch_is_never_covered_by_one_under_way)
{
	ask(WB_FLUSH_FOR_BATCH);
	expect(ask(WB_FLUSH_FOR_SYNC), true, 0);
	ask(WB_FLUSH_FOR_BATCH);
	cr_expect(disk->ops->poll(disk));
	expect(&waiters[2], false, 0);
	cr_expect(disk->ops->poll(disk));
	expect(&waiters[2], true, 0);
	cr_expect_eq(flushes(), 2);
}

Test(backing_flush, one_that_fails_is_told_to_all_who_wait)
{
	char text[WB_MESSAGE_BYTES];
	uint64_t before = wb_backing_flush_failures(flush);

	fail_next();
	note();
	ask(WB_FLUSH_FOR_SYNC);
	ask(WB_FLUSH_FOR_BATCH);
	cr_expect(disk->ops->poll(disk));
	expect(&waiters[0], true, -EIO);
	expect(&waiters[1], true, -EIO);
	cr_expect_eq(wb_backing_flush_failures(flush), before + 1);
	wb_message_get(&message, text);
	cr_expect(strstr(text, "written around the cache since the last sync may be lost"));
	/* Told once; what is new may succeed. */
	expect(ask(WB_FLUSH_FOR_SYNC), true, 0);
	note();
	ask(WB_FLUSH_FOR_SYNC);
	cr_expect(disk->ops->poll(disk));
	expect(&waiters[3], true, 0);
}

Test(backing_flush, one_that_fails_while_no_sync_waits_is_told_to_the_next)
{
	fail_next();
	note();
	ask(WB_FLUSH_FOR_BATCH);
	cr_expect(disk->ops->poll(disk));
	expect(&waiters[0], true, -EIO);
	expect(ask(WB_FLUSH_FOR_WRITE), true, 0);
	expect(ask(WB_FLUSH_FOR_SYNC), true, -EIO);
	expect(ask(WB_FLUSH_FOR_SYNC), true, 0);
}

Test(backing_flush, a_failure_that_only_the_cache_itself_was_told_of_is_owed)
{
	fail_next();
	note();
	ask(WB_FLUSH_FOR_OWN);
	cr_expect(disk->ops->poll(disk));
	expect(&waiters[0], true, -EIO);
	expect(ask(WB_FLUSH_FOR_OWN), true, -EIO);	/* and leaves it */
	expect(ask(WB_FLUSH_FOR_SYNC), true, -EIO);
	expect(ask(WB_FLUSH_FOR_OWN), true, 0);
	expect(ask(WB_FLUSH_FOR_SYNC), true, 0);
}

Test(backing_flush, what_was_written_during_one_that_fails_is_told_to_the_next)
{
	fail_next();
	note();
	ask(WB_FLUSH_FOR_SYNC);
	note();
	cr_expect(disk->ops->poll(disk));
	expect(&waiters[0], true, -EIO);
	expect(ask(WB_FLUSH_FOR_SYNC), true, -EIO);
}

Test(backing_flush, a_batch_that_fails_alone_is_nobody_elses_concern)
{
	fail_next();
	ask(WB_FLUSH_FOR_BATCH);
	cr_expect(disk->ops->poll(disk));
	expect(&waiters[0], true, -EIO);
	expect(ask(WB_FLUSH_FOR_SYNC), true, 0);
}

Test(backing_flush, a_write_that_ends_while_one_fails_is_not_taken_for_safe)
{
	uint64_t failures = wb_backing_flush_failures(flush);

	fail_next();
	ask(WB_FLUSH_FOR_BATCH);
	cr_expect(disk->ops->poll(disk));
	cr_expect_not(wb_backing_flush_note_change(flush, failures));
	cr_expect(wb_backing_flush_has_changes(flush));
}

Test(backing_flush, after_one_that_fails_nothing_shown_is_sure_to_stay)
{
	uint64_t failures = wb_backing_flush_begin_change(flush);

	cr_expect(wb_backing_flush_shows_what_stays(flush));
	fail_next();
	ask(WB_FLUSH_FOR_BATCH);
	cr_expect(disk->ops->poll(disk));
	cr_expect_not(wb_backing_flush_end_change(flush, failures));
	ask(WB_FLUSH_FOR_SYNC);
	cr_expect(disk->ops->poll(disk));
	cr_expect_not(wb_backing_flush_has_changes(flush));
	cr_expect_not(wb_backing_flush_shows_what_stays(flush));
}

Test(backing_flush, without_a_cache_one_that_fails_is_the_last)
{
	wb_backing_flush_free(flush);
	make_flush(WB_FLUSH_FAILURE_IS_FINAL);
	fail_next();
	note();
	ask(WB_FLUSH_FOR_SYNC);
	cr_assert(disk->ops->poll(disk));
	expect(&waiters[0], true, -EIO);
	note();
	expect(ask(WB_FLUSH_FOR_SYNC), true, -EIO);
	expect(ask(WB_FLUSH_FOR_WRITE), true, -EIO);
	wb_backing_flush_want(flush);
	cr_expect_eq(flushes(), 1);
}
