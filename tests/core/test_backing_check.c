/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is it the right backing, as the cache left it? A foreign change is noticed and
 * our own writes never are, whatever crashes; no change is acknowledged while the
 * mark says that the backing is complete.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "support/volume_sim.h"

#define BLOCK 4096u
#define IMAGE_BYTES (1u << 20)
#define SECOND_NS UINT64_C(1000000000)

static struct wb_sim sim;

/* The backing's file and its mark. The owner of the mark writes it at once. */
static struct owner {
	uint64_t size_bytes, mtime_ns;
	uint64_t epoch;
	bool is_dirty;
	bool is_rescued;	/* a rescue has begun to write to the backing */
	uint64_t time_s;
	bool was_stopped, was_complete;
	unsigned written;
	int error;		/* of writing it */
	bool is_away;		/* does not answer */
} owner;

static bool describe(void *arg, struct wb_backing_facts *facts)
{
	(void)arg;
	facts->size_bytes = owner.size_bytes;
	facts->mtime_ns = owner.mtime_ns;
	return true;
}

static void write_mark(void)
{
	enum wb_mark_wish wish = wb_cache_mark_wish(sim.cache);
	struct wb_stats_snapshot stats;

	if (wish == WB_MARK_WISH_NONE)
		return;
	wb_sim_stats(&sim, &stats);
	if (!owner.error) {
		owner.written++;
		owner.epoch = stats.epoch;
		owner.is_dirty = wish == WB_MARK_WISH_DIRTY;
		owner.time_s = owner.mtime_ns / SECOND_NS;
	}
	wb_cache_mark_written(sim.cache, wish, owner.error);
}

static void mark_wanted(void *arg)
{
	(void)arg;
	if (!owner.is_away && !owner.error)
		write_mark();
}

static void stopped(void *arg, bool is_complete)
{
	(void)arg;
	owner.was_stopped = true;
	owner.was_complete = is_complete;
}

static void make(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .segment_count = 12, .backing_fill = 0x11,
					.image_bytes = IMAGE_BYTES };

	wb_sim_init(&sim, &params);
	owner = (struct owner){ .size_bytes = IMAGE_BYTES, .mtime_ns = 1000 * SECOND_NS };
}

/* Opening with what the mark says; the mark of the new epoch is not written. */
static bool try_open(bool is_forced, GError **error)
{
	sim.watch = (struct wb_backing_watch){
		.describe = describe, .mark_wanted = mark_wanted, .stopped = stopped,
		.mark_epoch = owner.epoch, .mark_is_complete = owner.epoch && !owner.is_dirty,
		.mark_time_s = (int64_t)owner.time_s, .is_forced = is_forced,
		.is_rescued = owner.is_rescued,
	};
	return wb_sim_open(&sim, error);
}

static const char *open_note(void)
{
	g_autoptr(GError) error = NULL;

	cr_assert(try_open(false, &error), "%s", error ? error->message : "");
	write_mark();
	return wb_cache_opening_note(sim.cache);
}

static void open_as_left(void)
{
	const char *note = open_note();

	cr_assert_null(note, "%s", note);
}

static void open_forced(void)
{
	g_autoptr(GError) error = NULL;

	cr_assert(try_open(true, &error), "%s", error ? error->message : "");
	write_mark();
}

/* Refused, and the message has both words. */
static void open_refused(const char *word, const char *other)
{
	g_autoptr(GError) error = NULL;

	cr_assert_not(try_open(false, &error), "it was opened");
	cr_assert(g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_CHANGED), "%s",
		  error->message);
	cr_assert(strstr(error->message, word) && strstr(error->message, other), "%s",
		  error->message);
	cr_assert(strstr(error->message, "--force") &&
		  strstr(error->message, "Nothing was changed"), "%s", error->message);
}

static void close_clean(void)
{
	owner.was_stopped = false;
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(owner.was_stopped);
	if (owner.was_complete)
		owner.is_dirty = false;
	owner.time_s = owner.mtime_ns / SECOND_NS;
}

static void crash(void)
{
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
}

static void fill(unsigned first, unsigned count, uint8_t value)
{
	cr_assert_eq(wb_sim_fill(&sim, (uint64_t)first * BLOCK, value, (uint64_t)count * BLOCK,
				 0), 0);
}

static uint8_t first_byte(unsigned block)
{
	uint8_t byte;

	cr_assert_eq(wb_sim_read(&sim, (uint64_t)block * BLOCK, &byte, 1), 0);
	return byte;
}

/* Blocks 0..63 are on the backing and in the cache, clean and before the tail. */
static void make_warm(uint64_t seed)
{
	make(seed);
	open_as_left();
	fill(0, 32, 0x22);
	fill(32, 32, 0x33);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	/* the tail's durable place moves with a record */
	fill(200, 16, 0x44);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
}

static void write_dirty(void)
{
	struct wb_tunables tunables = WB_TUNABLES_DEFAULT;

	tunables.allow_writeback = false;
	wb_cache_set_tunables(sim.cache, &tunables);
	fill(100, 4, 0x55);
	cr_assert_eq(wb_sim_sync(&sim), 0);
}

static void change_backing(void)
{
	memset(wb_sim_backing_bytes(&sim), 0x77, IMAGE_BYTES);
}

/* --- after a clean stop -------------------------------------------------------------- */

Test(backing_check, after_a_clean_stop_nothing_is_said_of_what_nobody_changed)
{
	make_warm(1);
	close_clean();
	open_as_left();
	write_dirty();
	close_clean();
	cr_assert_not(owner.was_complete);
	open_as_left();
	cr_assert_eq(first_byte(100), 0x55);
	wb_sim_clear(&sim);
}

Test(backing_check, changed_contents_after_a_clean_stop_with_dirty_data_are_refused)
{
	make_warm(1);
	write_dirty();
	close_clean();
	wb_sim_backing_bytes(&sim)[IMAGE_BYTES - 1] ^= 1;
	open_refused("its contents are not those of the last clean stop", "4 dirty blocks and ranges");
	wb_sim_backing_bytes(&sim)[IMAGE_BYTES - 1] ^= 1;
	open_as_left();
	wb_sim_clear(&sim);
}

Test(backing_check, a_changed_time_after_a_clean_stop_with_dirty_data_is_refused)
{
	make_warm(1);
	write_dirty();
	close_clean();
	owner.mtime_ns += 5 * SECOND_NS;
	open_refused("it was written to after the last clean stop", "5 s apart");
	owner.mtime_ns -= 8 * SECOND_NS;
	open_refused("it was written to before the last clean stop", "3 s apart");
	wb_sim_clear(&sim);
}

Test(backing_check, a_changed_size_after_a_clean_stop_with_dirty_data_is_refused)
{
	make_warm(1);
	write_dirty();
	close_clean();
	owner.size_bytes += 512;
	open_refused("its size was 1048576 bytes at the last clean stop", "is 1049088");
	wb_sim_clear(&sim);
}

/* Not by the next opening either, to which it is a clean stop like any other. */
Test(backing_check, a_changed_backing_with_nothing_dirty_is_attached_and_no_old_copy_is_read)
{
	make_warm(1);
	close_clean();
	cr_assert(owner.was_complete);
	change_backing();
	cr_assert(strstr(open_note(), "all clean copies in the cache were dropped"));
	cr_assert_eq(first_byte(0), 0x77);
	close_clean();
	open_as_left();
	cr_assert_eq(first_byte(0), 0x77);
	cr_assert_eq(first_byte(63), 0x77);
	crash();
	open_as_left();
	cr_assert_eq(first_byte(33), 0x77);
	wb_sim_clear(&sim);
}

Test(backing_check, force_lays_dirty_data_over_a_changed_backing)
{
	make_warm(1);
	write_dirty();
	close_clean();
	change_backing();
	open_forced();
	cr_assert(strstr(wb_cache_opening_note(sim.cache), "--force"));
	cr_assert_eq(first_byte(0), 0x77);
	cr_assert_eq(first_byte(100), 0x55);
	close_clean();
	open_as_left();
	cr_assert_eq(first_byte(0), 0x77);
	wb_sim_clear(&sim);
}

/* --- after a crash --------------------------------------------------------------------- */

Test(backing_check, after_a_crash_changed_copies_with_dirty_data_are_refused)
{
	make_warm(1);
	write_dirty();
	crash();
	owner.mtime_ns += SECOND_NS;	/* that is no wonder */
	change_backing();
	open_refused("unchanged blocks that were looked at differ", "4 dirty blocks");
	open_forced();
	cr_assert_eq(first_byte(100), 0x55);
	cr_assert_eq(first_byte(1), 0x77);
	wb_sim_clear(&sim);
}

Test(backing_check, after_a_crash_with_nothing_dirty_a_change_drops_all_copies)
{
	make_warm(1);
	close_clean();
	open_as_left();
	crash();
	change_backing();
	cr_assert(strstr(open_note(), "Nothing was dirty"));
	cr_assert_eq(first_byte(0), 0x77);
	wb_sim_clear(&sim);
}

Test(backing_check, what_cannot_be_read_is_no_evidence)
{
	struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
				  .length_bytes = IMAGE_BYTES, .count = WB_FAULT_FOR_EVER };

	make_warm(1);
	write_dirty();
	close_clean();
	wb_store_faulty_add(sim.backing_disk.faulty, &fault);
	open_as_left();
	crash();
	wb_store_faulty_add(sim.backing_disk.faulty, &fault);
	open_as_left();
	wb_sim_clear(&sim);
}

/* --- epochs and marks --------------------------------------------------------------------- */

Test(backing_check, an_older_copy_of_the_cache_is_refused)
{
	g_autofree uint8_t *copy = NULL;
	size_t bytes;

	make_warm(1);
	close_clean();
	bytes = sim.cache_disk.memory->size_bytes;
	copy = g_memdup2(wb_sim_cache_bytes(&sim), bytes);
	open_as_left();
	write_dirty();
	close_clean();
	memcpy(wb_sim_cache_bytes(&sim), copy, bytes);
	open_refused("is an older copy: it ends at epoch 1", "at epoch 2");
	open_forced();
	cr_assert_eq(owner.epoch, 3, "or the newer copy would be taken for this one's");
	cr_assert_eq(first_byte(100), 0x11);
	wb_sim_clear(&sim);
}

Test(backing_check, an_older_copy_of_the_backing_is_refused)
{
	struct owner then;

	make_warm(1);
	then = owner;
	close_clean();
	open_as_left();
	write_dirty();
	crash();
	open_as_left();
	crash();
	owner.epoch = then.epoch;
	open_refused("it is an older copy: its mark is of epoch 1", "the cache has seen 2");
	wb_sim_clear(&sim);
}

/* A clean stop knows of the mark of its own session too. */
Test(backing_check, a_backing_from_before_the_last_session_is_refused)
{
	make_warm(1);
	close_clean();
	open_as_left();
	write_dirty();
	close_clean();
	owner.epoch = 1;
	open_refused("it is an older copy: its mark is of epoch 1", "the cache has seen 2");
	wb_sim_clear(&sim);
}

Test(backing_check, a_mark_that_does_not_know_its_epoch_is_taken)
{
	make_warm(1);
	write_dirty();
	close_clean();
	owner.epoch = 0;
	open_as_left();
	wb_sim_clear(&sim);
}

/* As after `wbfs rescue --in-place`: the cache still has it all. */
Test(backing_check, dirty_data_that_the_backing_has_got_meanwhile_is_no_change)
{
	make_warm(1);
	write_dirty();
	close_clean();
	memset(wb_sim_backing_bytes(&sim) + 100 * BLOCK, 0x55, 4 * BLOCK);
	owner.mtime_ns += SECOND_NS;
	owner.is_dirty = false;
	owner.time_s++;
	open_as_left();
	wb_sim_clear(&sim);
}

Test(backing_check, a_backing_that_was_completed_and_then_used_alone_is_refused)
{
	make_warm(1);
	write_dirty();
	close_clean();
	owner.is_dirty = false;
	memset(wb_sim_backing_bytes(&sim) + 100 * BLOCK, 0x56, 4 * BLOCK);
	open_refused("written back blocks that were looked at differ", "4 dirty blocks");
	memset(wb_sim_backing_bytes(&sim) + 100 * BLOCK, 0x55, 4 * BLOCK);
	owner.mtime_ns += SECOND_NS;
	open_refused("complete without the cache, and it was written to after that", "4 dirty blocks");
	wb_sim_clear(&sim);
}

/* Or one that could not apply it all: the mark still says "dirty". */
Test(backing_check, a_rescue_that_was_cut_off_is_no_change)
{
	make_warm(1);
	write_dirty();
	close_clean();
	memset(wb_sim_backing_bytes(&sim) + 100 * BLOCK, 0x55, 2 * BLOCK);
	wb_sim_backing_bytes(&sim)[IMAGE_BYTES - 1] ^= 1;
	owner.mtime_ns += 5 * SECOND_NS;
	open_refused("it was written to after the last clean stop", "5 s apart");
	owner.is_rescued = true;
	open_as_left();
	cr_assert_eq(first_byte(103), 0x55);
	wb_sim_clear(&sim);
}

Test(backing_check, what_a_rescue_does_not_write_must_still_be_there_after_it)
{
	make_warm(1);
	write_dirty();
	close_clean();
	change_backing();
	owner.is_rescued = true;
	open_refused("unchanged blocks that were looked at differ", "4 dirty blocks");
	wb_sim_clear(&sim);
}

/* --- the gate --------------------------------------------------------------------------------- */

static struct wb_sim_op *begin_write(unsigned block)
{
	struct wb_sim_op *op = wb_sim_prepare(&sim, WB_WRITE, 0, (uint64_t)block * BLOCK, BLOCK);

	memset(op->data, 0x66, BLOCK);
	wb_sim_submit(op);
	return op;
}

Test(backing_check, no_write_is_done_after_a_drain_before_the_mark_says_dirty)
{
	struct wb_sim_op *op, *zero;

	make_warm(1);
	cr_assert_not(owner.is_dirty);
	owner.is_away = true;
	op = begin_write(7);
	zero = wb_sim_prepare(&sim, WB_ZERO, 0, 0, BLOCK);
	wb_sim_submit(zero);
	wb_sim_settle(&sim);
	wb_sim_pass_time(&sim, 60 * SECOND_NS);
	wb_sim_settle(&sim);
	cr_assert_not(op->is_finished || zero->is_finished);
	cr_assert_eq(first_byte(7), 0x22, "reads go on, and see nothing of it");
	cr_assert_eq(wb_sim_sync(&sim), 0);
	write_mark();
	cr_assert(owner.is_dirty);
	cr_assert_eq(wb_sim_wait(op), 0);
	cr_assert_eq(wb_sim_wait(zero), 0);
	wb_sim_release(op);
	wb_sim_release(zero);
	cr_assert_eq(first_byte(7), 0x66);
	wb_sim_clear(&sim);
}

/* Killed before the mark says so, our own writes would be later than what it says. */
Test(backing_check, nothing_is_written_back_while_the_mark_still_says_complete)
{
	make_warm(1);
	write_dirty();
	close_clean();
	memset(wb_sim_backing_bytes(&sim) + 100 * BLOCK, 0x55, 4 * BLOCK);
	owner.is_dirty = false;		/* as after `wbfs rescue --in-place` */
	cr_assert(try_open(false, NULL));
	wb_cache_start_drain(sim.cache);
	wb_sim_settle(&sim);
	wb_sim_pass_time(&sim, 60 * SECOND_NS);
	wb_sim_settle(&sim);
	cr_assert_eq(wb_sim_counter(&sim, WB_STAT_BACKING_WRITES), 0);
	crash();
	open_as_left();
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_geq(wb_sim_counter(&sim, WB_STAT_BACKING_WRITES), 1);
	wb_sim_clear(&sim);
}

Test(backing_check, writes_wait_while_the_mark_cannot_be_written)
{
	struct wb_stats_snapshot stats;
	struct wb_sim_op *op;

	make_warm(1);
	owner.error = -ENOSPC;
	op = begin_write(7);
	for (unsigned i = 0; i < 3; i++) {
		write_mark();
		wb_sim_settle(&sim);
		cr_assert_not(op->is_finished);
	}
	wb_sim_stats(&sim, &stats);
	cr_assert(strstr(stats.last_error, "its mark cannot be written: No space"), "%s",
		  stats.last_error);
	owner.error = 0;
	write_mark();
	cr_assert_eq(wb_sim_wait(op), 0);
	wb_sim_release(op);
	wb_sim_clear(&sim);
}

/* A "complete" that failed may be on the disk all the same. */
Test(backing_check, a_drain_ends_although_the_mark_cannot_be_written_and_writes_wait_then)
{
	struct wb_stats_snapshot stats;
	struct wb_sim_op *op;

	make_warm(1);
	fill(3, 1, 0x23);
	cr_assert(owner.is_dirty);
	owner.is_away = true;
	wb_cache_start_drain(sim.cache);
	for (unsigned i = 0; wb_cache_mark_wish(sim.cache) == WB_MARK_WISH_NONE; i++) {
		wb_sim_settle(&sim);
		wb_sim_pass_time(&sim, SECOND_NS);
		cr_assert_lt(i, 1000);
	}
	wb_sim_stats(&sim, &stats);
	cr_assert(stats.draining, "it ends with the mark");
	owner.error = -EROFS;
	write_mark();
	wb_sim_settle(&sim);
	wb_sim_stats(&sim, &stats);
	cr_assert_not(stats.draining);
	cr_assert_eq(stats.drains_failed, 0);
	op = begin_write(7);
	wb_sim_settle(&sim);
	cr_assert_not(op->is_finished);
	owner.error = 0;
	owner.is_away = false;
	write_mark();
	cr_assert(owner.is_dirty);
	cr_assert_eq(wb_sim_wait(op), 0);
	wb_sim_release(op);
	wb_sim_clear(&sim);
}

Test(backing_check, a_write_that_comes_while_complete_is_being_written_waits_for_dirty)
{
	struct wb_sim_op *op;

	make_warm(1);
	fill(3, 1, 0x23);
	owner.is_away = true;
	wb_cache_start_drain(sim.cache);
	for (unsigned i = 0; wb_cache_mark_wish(sim.cache) == WB_MARK_WISH_NONE; i++) {
		wb_sim_settle(&sim);
		wb_sim_pass_time(&sim, SECOND_NS);
		cr_assert_lt(i, 1000);
	}
	op = begin_write(7);
	wb_sim_settle(&sim);
	cr_assert_not(op->is_finished);
	write_mark();	/* complete */
	cr_assert_not(owner.is_dirty);
	wb_sim_settle(&sim);
	cr_assert_not(op->is_finished);
	cr_assert_eq(wb_cache_mark_wish(sim.cache), WB_MARK_WISH_DIRTY);
	write_mark();
	cr_assert_eq(wb_sim_wait(op), 0);
	wb_sim_release(op);
	wb_sim_clear(&sim);
}

/* It has gone through the gate, and is in nobody's count of what is dirty. */
Test(backing_check, a_drain_does_not_complete_the_mark_while_a_write_is_on_its_way)
{
	struct wb_fault slow = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY, .length_bytes = BLOCK,
				 .effect = WB_FAULT_DELAY, .delay_polls = 2000,
				 .offset_bytes = 250 * BLOCK };
	struct wb_stats_snapshot stats;
	struct wb_sim_op *op;

	make_warm(1);
	fill(3, 1, 0x23);
	cr_assert(owner.is_dirty);
	/* the rest of the sector is on the backing alone */
	wb_store_faulty_add(sim.backing_disk.faulty, &slow);
	op = wb_sim_prepare(&sim, WB_WRITE, 0, 250 * BLOCK + 100, 5);
	memset(op->data, 0x66, 5);
	wb_sim_submit(op);
	wb_cache_start_drain(sim.cache);
	do {
		cr_assert(wb_sim_step(&sim));
		wb_sim_stats(&sim, &stats);
	} while (stats.draining);
	cr_assert_eq(stats.drains_failed, 0);
	cr_assert_not(op->is_finished);
	cr_assert(owner.is_dirty);
	cr_assert_eq(wb_sim_wait(op), 0);
	wb_sim_release(op);
	cr_assert(owner.is_dirty);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_not(owner.is_dirty);
	wb_sim_clear(&sim);
}

Test(backing_check, who_waits_for_the_mark_at_the_end_gets_an_error)
{
	struct wb_sim_op *op;

	make_warm(1);
	owner.is_away = true;
	op = begin_write(7);
	wb_cache_end_marking(sim.cache);
	cr_assert_eq(wb_sim_wait(op), -EIO);
	wb_sim_release(op);
	op = begin_write(8);
	cr_assert_eq(wb_sim_wait(op), -EIO);
	wb_sim_release(op);
	close_clean();
	cr_assert(owner.was_complete);
	wb_sim_clear(&sim);
}

/* --- our own writes never look foreign ------------------------------------------------------------ */

/* A place of the ring that takes no more writes: the log goes on elsewhere. */
static void break_a_place(struct wb_prng *prng)
{
	uint64_t place = wb_prng_below(prng, sim.geometry.segment_count);
	struct wb_fault fault = {
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .count = WB_FAULT_FOR_EVER,
		.offset_bytes = wb_geometry_segment_offset(&sim.geometry, place) +
				wb_prng_below(prng, 16) * BLOCK,
		.length_bytes = BLOCK,
	};

	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
}

static void do_something(struct wb_prng *prng)
{
	uint64_t offset = wb_prng_below(prng, IMAGE_BYTES / 512) * 512;
	uint64_t length = 512 * (1 + wb_prng_below(prng, wb_prng_below(prng, 2) ? 12 : 200));
	uint8_t value = (uint8_t)wb_prng_next(prng);

	length = MIN(length, IMAGE_BYTES - offset);
	switch (wb_prng_below(prng, 12)) {
	case 0:
		cr_assert_eq(wb_sim_sync(&sim), 0);
		break;
	case 1:
		cr_assert_eq(wb_sim_zero(&sim, offset, length, 0), 0);
		break;
	case 2:
		cr_assert_eq(wb_sim_drain(&sim), 0);
		break;
	case 3:
		wb_sim_pass_time(&sim, 6 * SECOND_NS);
		wb_sim_settle(&sim);
		break;
	default:
		cr_assert_eq(wb_sim_fill(&sim, offset, value, length,
					 wb_prng_below(prng, 4) ? 0 : WB_REQUEST_FUA), 0);
	}
	/* Our own writes to the backing, at any time while it may be dirty. */
	if (owner.is_dirty)
		owner.mtime_ns += SECOND_NS / 2;
}

static void end_somehow(struct wb_prng *prng)
{
	unsigned steps = (unsigned)wb_prng_below(prng, 200);

	switch (wb_prng_below(prng, 4)) {
	case 0:
		close_clean();
		break;
	case 1:
		wb_sim_kill(&sim);
		break;
	default:
		/* in the middle of writeback */
		while (steps-- && wb_sim_step(&sim))
			;
		crash();
	}
}

Test(backing_check, whatever_crashes_our_own_writes_never_look_foreign)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct wb_prng prng;

		wb_prng_init(&prng, seed);
		make(seed);
		for (unsigned life = 0; life < 12; life++) {
			g_autoptr(GError) error = NULL;

			cr_assert(try_open(false, &error), "seed %u, life %u: %s",
				  (unsigned)seed, life, error ? error->message : "");
			cr_assert_null(wb_cache_opening_note(sim.cache), "seed %u, life %u: %s",
				       (unsigned)seed, life, wb_cache_opening_note(sim.cache));
			/* dead before its mark is written */
			if (!wb_prng_below(&prng, 6)) {
				crash();
				continue;
			}
			write_mark();
			if (life % 4 == 1 && seed % 3 == 0)
				break_a_place(&prng);
			for (uint64_t n = wb_prng_below(&prng, 40); n > 0; n--)
				do_something(&prng);
			end_somehow(&prng);
		}
		wb_sim_clear(&sim);
	}
}

/* --- forced: what the log has ------------------------------------------------------------ */

/* Blocks 100..103 are dirty in the oldest segment, which the tail stays at; what lies behind
 * it, in 150..153, is on the backing, and its writeback may be told by a checkpoint alone. */
static void stop_with_some_written_back(bool is_zeros)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .offset_bytes = 100 * BLOCK, .length_bytes = 4 * BLOCK,
				  .count = WB_FAULT_FOR_EVER, .error = -EIO };

	make_warm(1);
	write_dirty();
	if (is_zeros)
		cr_assert_eq(wb_sim_zero(&sim, 150 * BLOCK, 4 * BLOCK, 0), 0);
	else
		fill(150, 4, 0x66);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_store_faulty_add(sim.backing_disk.faulty, &fault);
	wb_sim_drain(&sim);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	cr_assert_eq(wb_sim_backing_bytes(&sim)[150 * BLOCK], is_zeros ? 0 : 0x66);
	close_clean();
	cr_assert_not(owner.was_complete);
}

/* A session that was forced, up to a crash: `after` is what it showed all the while. */
static void expect_forced_lasts(bool is_zeros)
{
	uint8_t after = is_zeros ? 0 : 0x66;
	struct wb_stats_snapshot stats;
	g_autofree char *count = NULL;

	stop_with_some_written_back(is_zeros);
	change_backing();
	count = g_strdup_printf(" %u dirty blocks and ranges", is_zeros ? 5 : 8);
	open_refused(count, "was changed without cache");
	open_forced();
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.dirty_blocks + stats.pending_discards, is_zeros ? 5 : 8);
	cr_expect_eq(first_byte(100), 0x55);
	cr_expect_eq(first_byte(150), after, "%#x", first_byte(150));
	cr_expect_eq(first_byte(20), 0x77);
	crash();
	open_as_left();
	cr_expect_eq(first_byte(100), 0x55);
	cr_expect_eq(first_byte(150), after, "%#x", first_byte(150));
	cr_expect_eq(first_byte(20), 0x77);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[150 * BLOCK], after);
	wb_sim_clear(&sim);
}

Test(backing_check, what_force_lays_over_the_backing_is_what_was_said_and_a_crash_adds_nothing)
{
	expect_forced_lasts(false);
	expect_forced_lasts(true);
}
