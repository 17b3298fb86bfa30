/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The image grows while it is used: by hand, one step after the other, where what
 * was begun by the old size ends by the new one. Above all the block in which the
 * old image ended, when that is no multiple of 4096.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "cache/recovery.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SECTOR 512u
#define GARBAGE 0xa5			/* behind the image, on the backing */
#define OLD (64 * BLOCK + 3 * SECTOR)	/* block 64 has three sectors */
#define LAST 64u
#define LARGER (80 * BLOCK + SECTOR)

static struct wb_sim sim;

static void start(void)
{
	struct wb_sim_params params = {
		.seed = 7, .image_bytes = OLD, .backing_bytes = 100 * BLOCK, .backing_fill = 9, .behind_fill = GARBAGE,
		.segment_count = 16, .no_writeback = true,
	};

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(grow, .init = start, .fini = stop);

static void expect_size(uint64_t bytes)
{
	struct wb_stats_snapshot stats;

	wb_sim_stats(&sim, &stats);
	cr_expect_eq(wb_cache_image_bytes(sim.cache), bytes);
	cr_expect_eq(stats.image_bytes, bytes);
}

static void expect_error(const char *words)
{
	struct wb_stats_snapshot stats;

	wb_sim_stats(&sim, &stats);
	cr_expect(strstr(stats.last_error, words), "%s", stats.last_error);
}

static uint8_t byte_at(uint64_t offset)
{
	uint8_t byte;

	cr_assert_eq(wb_sim_read(&sim, offset, &byte, 1), 0);
	return byte;
}

/* One byte of each of so many sectors, as hexadecimal pairs. */
static void expect_sectors(uint64_t offset, unsigned count, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (unsigned i = 0; i < count; i++)
		g_string_append_printf(text, "%02x", byte_at(offset + i * SECTOR + 100));
	cr_expect_str_eq(text->str, expected, "%s", text->str);
}

static void reopen_after_power_cut(void)
{
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
}

/* The image now, after a power cut, and of the backing alone after a drain. */
static void expect_everywhere(uint64_t offset, unsigned count, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);

	expect_sectors(offset, count, expected);
	reopen_after_power_cut();
	expect_sectors(offset, count, expected);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect_sectors(offset, count, expected);
	cr_assert_eq(wb_sim_close(&sim), 0);
	for (unsigned i = 0; i < count; i++)
		g_string_append_printf(text, "%02x",
				       wb_sim_backing_bytes(&sim)[offset + i * SECTOR + 100]);
	cr_expect_str_eq(text->str, expected, "backing: %s", text->str);
}

/* --- asking ---------------------------------------------------------------------- */

Test(grow, it_shows_what_the_backing_holds_but_zeros_in_the_rest_of_the_old_last_block)
{
	cr_assert_eq(wb_sim_resize(&sim, LARGER), 0);
	expect_size(LARGER);
	expect_everywhere(LAST * BLOCK, 10, "0909090000000000a5a5");
}

Test(grow, it_is_an_event)
{
	g_autofree struct wb_event *events = g_new(struct wb_event, WB_EVENTS_MAX);
	unsigned count;

	cr_assert_eq(wb_sim_resize(&sim, LARGER), 0);
	count = wb_cache_get_events(sim.cache, events);
	cr_assert_gt(count, 0);
	cr_expect_str_eq(events[count - 1].text, "the image has grown from 263680 to 328192 bytes",
			 "%s", events[count - 1].text);
}

Test(grow, what_is_written_there_is_there_after_a_power_cut)
{
	cr_assert_eq(wb_sim_resize(&sim, LARGER), 0);
	cr_assert_eq(wb_sim_fill(&sim, 70 * BLOCK, 5, LARGER - 70 * BLOCK, 0), 0);
	reopen_after_power_cut();
	expect_size(LARGER);
	expect_sectors(69 * BLOCK + 7 * SECTOR, 3, "a50505");
	cr_expect_eq(byte_at(LARGER - 1), 5);
}

Test(grow, never_smaller_nor_to_what_no_image_can_have)
{
	cr_expect_eq(wb_sim_resize(&sim, OLD - SECTOR), -EIO);
	expect_error("the image stays as it is: it has 263680 bytes and is not made smaller");
	cr_expect_eq(wb_sim_resize(&sim, LARGER + 1), -EIO);
	expect_error("its size must be a multiple of 512 bytes and at most 1 EiB");
	cr_expect_eq(wb_sim_resize(&sim, UINT64_C(1) << 61), -EIO);
	cr_expect_eq(wb_sim_resize(&sim, 101 * BLOCK), -EIO);
	expect_error("backing memory: cannot be made 413696 bytes large: the disk is full");
	expect_size(OLD);
	cr_expect_eq(wb_sim_resize(&sim, OLD), 0);
	expect_size(OLD);
}

Test(grow, nothing_may_be_read_or_written_behind_the_end_before_and_all_of_it_afterwards)
{
	uint8_t byte;

	cr_expect_eq(wb_sim_read(&sim, OLD, &byte, 1), -EINVAL);
	cr_expect_eq(wb_sim_fill(&sim, OLD - 1, 1, 2, 0), -EINVAL);
	cr_assert_eq(wb_sim_resize(&sim, LARGER), 0);
	cr_expect_eq(wb_sim_fill(&sim, OLD - 1, 1, 2, 0), 0);
	cr_expect_eq(wb_sim_read(&sim, LARGER - 1, &byte, 2), -EINVAL);
	expect_everywhere(LAST * BLOCK + 2 * SECTOR, 2, "0900");
}

static unsigned wanted_count;

static void never_answer(void *arg, uint64_t bytes)
{
	wanted_count++;
	*(uint64_t *)arg = bytes;
}

Test(grow, one_at_a_time)
{
	uint64_t wanted = 0;
	struct wb_stats_snapshot stats;

	cr_assert_eq(wb_sim_close(&sim), 0);
	sim.growth = (struct wb_growth){ .wanted = never_answer, .arg = &wanted };
	cr_assert(wb_sim_open(&sim, NULL));
	wb_cache_start_resize(sim.cache, LARGER);
	wb_sim_settle(&sim);
	cr_expect_eq(wanted, LARGER);
	wb_cache_start_resize(sim.cache, LARGER + BLOCK);
	wb_sim_settle(&sim);
	expect_error("the image stays as it is: it is being made larger already");
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.resizes_asked, 2);
	cr_expect_eq(stats.resizes_failed, 1);
	cr_expect_eq(stats.resizes_done, 0);
	expect_size(OLD);
	wb_cache_backing_grown(sim.cache, NULL);
	wb_sim_settle(&sim);
	expect_size(LARGER);
	wb_cache_backing_grown(sim.cache, NULL);	/* nobody had asked */
	wb_sim_settle(&sim);
	expect_size(LARGER);
	cr_expect_eq(wanted_count, 1);
}

/* Another one ends between the look at the size and the beginning. */
Test(grow, what_has_become_too_small_meanwhile_is_not_begun)
{
	cr_assert_eq(wb_sim_resize(&sim, LARGER), 0);
	cr_expect_not(wb_grow_begin(sim.cache->grow, LARGER - BLOCK));
	cr_expect_not(wb_grow_begin(sim.cache->grow, LARGER));
	wb_sim_settle(&sim);
	expect_size(LARGER);
	cr_expect_eq(wb_sim_resize(&sim, LARGER + BLOCK), 0);
	expect_size(LARGER + BLOCK);
}

Test(grow, a_stop_ends_it_and_the_image_is_what_it_was)
{
	uint64_t wanted = 0;

	cr_assert_eq(wb_sim_close(&sim), 0);
	sim.growth = (struct wb_growth){ .wanted = never_answer, .arg = &wanted };
	cr_assert(wb_sim_open(&sim, NULL));
	wb_cache_start_resize(sim.cache, LARGER);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_size(OLD);
	wb_cache_start_resize(sim.cache, LARGER);
	wb_cache_backing_grown(sim.cache, NULL);	/* and no step after it */
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_size(OLD);
}

static unsigned kick_count, settled_count;

/* Another thread may be as quick as this. */
static void step_in_kick(void *arg)
{
	struct wb_cache *cache = arg;

	while (wb_grow_step(cache->grow))
		;
	kick_count++;
	settled_count += wb_grow_is_settled(cache->grow);
}

Test(grow, what_is_over_is_not_settled_while_somebody_still_tells_of_it)
{
	const struct wb_grow_callbacks callbacks = {
		wb_cache_on_growth_wanted, wb_cache_on_growth_shown, wb_cache_on_growth_ended,
		step_in_kick, sim.cache,
	};

	wb_grow_set_callbacks(sim.cache->grow, &callbacks);
	cr_assert_eq(wb_sim_resize(&sim, LARGER), 0);
	expect_size(LARGER);
	cr_expect_eq(kick_count, 4);	/* the owner, zeros, flush, superblocks */
	cr_expect_eq(settled_count, 0);
	cr_expect(wb_grow_is_settled(sim.cache->grow));
	cr_expect_eq(wb_sim_resize(&sim, 101 * BLOCK), -EIO);
	cr_expect_eq(kick_count, 5);
	cr_expect_eq(settled_count, 0);
}

/* --- the order ----------------------------------------------------------------------- */

/* Nothing is shown before it is recorded, and nothing recorded before the backing
 * has it: the n-th I/O fails, n growing until none does. */
Test(grow, whatever_fails_it_stays_as_it_is_and_a_second_try_succeeds)
{
	struct wb_fault fault = { .op = WB_FAULT_ANY, .io_class = WB_FAULT_ANY };
	unsigned failures[2] = { 0, 0 };

	for (unsigned disk = 0; disk < 2; disk++) {
		for (unsigned n = 1;; n++) {
			struct wb_store *faulty = disk ? sim.cache_disk.faulty :
							 sim.backing_disk.faulty;
			int error;

			stop();
			start();
			faulty = disk ? sim.cache_disk.faulty : sim.backing_disk.faulty;
			fault.first = n;
			wb_store_faulty_add(faulty, &fault);
			error = wb_sim_resize(&sim, LARGER);
			if (!error && wb_store_faulty_hit_count(faulty) == 0)
				break;
			wb_store_faulty_clear(faulty);
			if (error) {
				expect_size(OLD);
				failures[disk]++;
				cr_assert_eq(wb_sim_resize(&sim, LARGER), 0);
			}
			expect_size(LARGER);
			reopen_after_power_cut();
			expect_size(LARGER);
		}
	}
	cr_expect_eq(failures[0], 2);		/* the zeros, the flush */
	cr_expect_geq(failures[1], 2);		/* the superblocks */
}

Test(grow, the_power_may_go_at_any_point_of_it)
{
	unsigned old = 0, new = 0;
	bool is_over = false;

	for (uint64_t point = 1; !is_over; point++) {
		uint64_t size;

		stop();
		start();
		cr_assert_eq(wb_sim_fill(&sim, (LAST - 1) * BLOCK, 3, BLOCK + 2 * SECTOR,
					 WB_REQUEST_FUA), 0);
		sim.crash_clock.crash_at = sim.crash_clock.point_count + point;
		wb_cache_start_resize(sim.cache, LARGER);
		for (unsigned i = 0; i < 500 && !sim.crash_clock.has_crashed; i++)
			wb_sim_step(&sim);
		is_over = !sim.crash_clock.has_crashed;
		size = wb_cache_image_bytes(sim.cache);
		wb_sim_kill(&sim);
		wb_sim_cut_power(&sim);
		sim.crash_clock.crash_at = 0;
		cr_assert(wb_sim_open(&sim, NULL), "point %lu", point);
		/* what was shown stays */
		cr_expect_geq(wb_cache_image_bytes(sim.cache), size, "point %lu", point);
		if (wb_cache_image_bytes(sim.cache) == OLD) {
			old++;
			expect_sectors(LAST * BLOCK, 3, "030309");
		} else {
			new++;
			expect_size(LARGER);
			expect_sectors(LAST * BLOCK, 10, "0303090000000000a5a5");
		}
	}
	cr_expect_gt(old, 2);
	cr_expect_gt(new, 2);
}

/* --- the old last block -------------------------------------------------------------- */

Test(grow, a_version_with_all_that_the_old_last_block_had_shows_the_new_sectors_too)
{
	cr_assert_eq(wb_sim_fill(&sim, LAST * BLOCK, 4, 3 * SECTOR, 0), 0);
	cr_assert_eq(wb_sim_resize(&sim, LARGER), 0);
	cr_assert_eq(wb_sim_fill(&sim, LAST * BLOCK + 6 * SECTOR, 6, SECTOR, 0), 0);
	expect_everywhere(LAST * BLOCK, 9, "040404000000" "0600a5");
}

Test(grow, a_discard_up_to_the_old_end_leaves_what_is_written_behind_it)
{
	cr_assert_eq(wb_sim_zero(&sim, (LAST - 2) * BLOCK, 2 * BLOCK + 3 * SECTOR, 0), 0);
	cr_assert_eq(wb_sim_resize(&sim, LARGER), 0);
	cr_assert_eq(wb_sim_fill(&sim, LAST * BLOCK + 3 * SECTOR, 6, SECTOR, 0), 0);
	expect_everywhere(LAST * BLOCK - SECTOR, 10, "00000000" "0600000000" "a5");
}

Test(grow, a_discard_that_was_written_back_by_the_old_size_does_too)
{
	cr_assert_eq(wb_sim_fill(&sim, LAST * BLOCK, 4, 3 * SECTOR, 0), 0);
	cr_assert_eq(wb_sim_zero(&sim, (LAST - 2) * BLOCK, 2 * BLOCK + 3 * SECTOR, 0), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(wb_sim_resize(&sim, LARGER), 0);
	cr_assert_eq(wb_sim_fill(&sim, LAST * BLOCK + 3 * SECTOR, 6, SECTOR, 0), 0);
	expect_everywhere(LAST * BLOCK - SECTOR, 10, "00000000" "0600000000" "a5");
}

static void finish(struct wb_sim_op *op)
{
	cr_assert_eq(wb_sim_wait(op), 0);
	wb_sim_release(op);
}

/* Two blocks before the last one lies a dirty sector that only the SSD has, and the
 * SSD takes its time: who writes to another sector of that block keeps the block. */
static void make_block_slow(void)
{
	struct wb_fault slow = {
		.op = WB_IO_READ, .io_class = WB_IO_CLASS_USER_WRITE, .effect = WB_FAULT_DELAY,
		.delay_polls = 300,
	};

	cr_assert_eq(wb_sim_fill(&sim, (LAST - 2) * BLOCK, 4, SECTOR, 0), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_store_faulty_add(sim.cache_disk.faulty, &slow);
}

static struct wb_sim_op *begin(enum wb_request_op kind, uint64_t offset, uint64_t length,
			       uint8_t value)
{
	struct wb_sim_op *op = wb_sim_prepare(&sim, kind, 0, offset, length);

	if (kind == WB_WRITE)
		memset(op->data, value, length);
	wb_sim_submit(op);
	return op;
}

/* Not a step more than it takes. */
static void grow_meanwhile(void)
{
	wb_cache_start_resize(sim.cache, LARGER);
	while (wb_cache_image_bytes(sim.cache) == OLD)
		cr_assert(wb_sim_step(&sim));
}

/* A request up to the old end has begun, and waits; the image grows, and what was
 * written behind the old end then was acknowledged before it goes on. */
Test(grow, a_discard_that_waits_meanwhile_does_not_take_what_was_written_behind_its_end)
{
	struct wb_sim_op *holder, *discard, *behind;

	make_block_slow();
	holder = begin(WB_WRITE, (LAST - 2) * BLOCK + 10, 1, 8);
	discard = begin(WB_ZERO, (LAST - 2) * BLOCK, 2 * BLOCK + 3 * SECTOR, 0);
	grow_meanwhile();
	behind = begin(WB_WRITE, LAST * BLOCK + 4 * SECTOR, SECTOR, 6);
	while (!behind->is_finished)
		cr_assert(wb_sim_step(&sim));
	cr_assert_not(discard->is_finished);
	finish(holder);
	finish(discard);
	finish(behind);
	expect_everywhere((LAST - 1) * BLOCK + 7 * SECTOR, 10, "00" "0000000006000000" "a5");
}

/* It has looked at the old last block, and publishes it by the new size. */
Test(grow, a_write_that_is_under_way_meanwhile_does_not_either)
{
	struct wb_sim_op *write, *behind;

	make_block_slow();
	write = begin(WB_WRITE, (LAST - 2) * BLOCK + 10, 2 * BLOCK + 3 * SECTOR - 10, 7);
	grow_meanwhile();
	behind = begin(WB_WRITE, LAST * BLOCK + 4 * SECTOR, SECTOR, 6);
	cr_assert_not(write->is_finished);
	finish(write);
	finish(behind);
	expect_everywhere((LAST - 1) * BLOCK + 7 * SECTOR, 10, "07" "0707070006000000" "a5");
}

/* The last that growth does, in the middle of a fill, which asks what time it is between
 * its look at the size and the copy. */
static uint64_t (*sim_now_ns)(struct wb_clock *clock);

static uint64_t grow_in_a_fill(struct wb_clock *clock)
{
	struct wb_data_path *path = &sim.cache->path;

	if (g_atomic_pointer_get(&path->fill_gate.lock.owner) &&
	    wb_image_bytes(&path->image) == OLD) {
		memset(wb_sim_backing_bytes(&sim) + OLD, 0, BLOCK - OLD % BLOCK);
		atomic_store(&path->image.bytes, LARGER);
	}
	return sim_now_ns(clock);
}

/* The disk has given what the image had; what lies behind that in the reader's memory is
 * not the image's. */
Test(grow, a_fill_that_is_under_way_meanwhile_keeps_what_was_read)
{
	struct wb_sim_op *read;
	struct wb_mapping now;

	wb_sim_set(&sim, "read_cache", "on");
	wb_sim_set(&sim, "fill_budget", "100");
	read = begin(WB_READ, LAST * BLOCK, 3 * SECTOR, 0);
	cr_assert_eq(wb_sim_wait(read), 0);
	memset(read->memory + 3 * SECTOR, GARBAGE, BLOCK - 3 * SECTOR);
	sim_now_ns = sim.clock.clock.now_ns;
	sim.clock.clock.now_ns = grow_in_a_fill;
	wb_sim_release(read);
	sim.clock.clock.now_ns = sim_now_ns;
	cr_assert_eq(wb_image_bytes(&sim.cache->path.image), LARGER);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_FILLED_BLOCKS), 1);
	wb_lock_acquire(&wb_block_map_stripe(sim.cache->path.map, LAST)->lock);
	wb_block_map_lookup_locked(sim.cache->path.map, LAST, &now);
	wb_lock_release(&wb_block_map_stripe(sim.cache->path.map, LAST)->lock);
	cr_expect_eq(now.mask, 0x07);
	expect_sectors(LAST * BLOCK, 10, "0909090000000000a5a5");
}

/* --- writeback ------------------------------------------------------------------------- */

/* A batch that was made by the old size is carried out by the new one. */
Test(grow, in_the_middle_of_a_drain)
{
	for (unsigned steps = 0; steps < 80; steps++) {
		stop();
		start();
		cr_assert_eq(wb_sim_fill(&sim, (LAST - 3) * BLOCK, 4, 3 * BLOCK + 3 * SECTOR, 0), 0);
		cr_assert_eq(wb_sim_zero(&sim, 10 * BLOCK, 5 * BLOCK, 0), 0);
		wb_cache_start_drain(sim.cache);
		for (unsigned i = 0; i < steps; i++)
			wb_sim_step(&sim);
		cr_assert_eq(wb_sim_resize(&sim, LARGER), 0);
		cr_assert_eq(wb_sim_fill(&sim, LAST * BLOCK + 5 * SECTOR, 6, SECTOR, 0), 0);
		cr_assert_eq(wb_sim_fill(&sim, (LAST + 1) * BLOCK, 5, SECTOR, 0), 0);
		expect_everywhere((LAST - 1) * BLOCK + 7 * SECTOR, 11,
				  "04" "0404040000060000" "05a5");
	}
}

/* --- the mark ---------------------------------------------------------------------------- */

static GString *marks;

static void want_mark(void *arg)
{
	*(bool *)arg = true;
}

static bool describe(void *arg, struct wb_backing_facts *facts)
{
	(void)arg;
	*facts = (struct wb_backing_facts){ .size_bytes = 100 * BLOCK };
	return true;
}

static void obey(void)
{
	enum wb_mark_wish wish = wb_cache_mark_wish(sim.cache);

	if (wish == WB_MARK_WISH_NONE)
		return;
	g_string_append(marks, wish == WB_MARK_WISH_DIRTY ? "d" : "c");
	wb_cache_mark_written(sim.cache, wish, 0);
}

static void note_wanted(void *arg, uint64_t bytes)
{
	(void)arg;
	(void)bytes;
	g_string_append(marks, "G");
	wb_cache_backing_grown(sim.cache, NULL);
}

/* Asked for while the mark says "complete"; `is_due`: another mark is wanted. */
static void ask_under_a_mark(bool *is_due)
{
	marks = g_string_new(NULL);
	cr_assert_eq(wb_sim_close(&sim), 0);
	sim.watch = (struct wb_backing_watch){ .describe = describe, .mark_wanted = want_mark,
					       .arg = is_due };
	sim.growth = (struct wb_growth){ .wanted = note_wanted };
	cr_assert(wb_sim_open(&sim, NULL));
	obey();
	wb_cache_start_resize(sim.cache, LARGER);
	wb_sim_settle(&sim);
}

/* The backing changes: after a death it must not look as if somebody else had. */
Test(grow, the_backing_is_not_touched_while_its_mark_says_complete)
{
	bool is_due = false;

	ask_under_a_mark(&is_due);
	cr_expect_str_eq(marks->str, "c", "%s", marks->str);
	cr_expect(is_due);
	obey();
	wb_sim_settle(&sim);
	expect_size(LARGER);
	cr_expect_str_eq(marks->str, "cdG", "%s", marks->str);
	/* and may say so again afterwards */
	wb_cache_start_drain(sim.cache);
	wb_sim_settle(&sim);
	obey();
	cr_expect_str_eq(marks->str, "cdGc", "%s", marks->str);
	wb_cache_end_marking(sim.cache);
	g_string_free(marks, TRUE);
}

Test(grow, an_owner_of_the_mark_that_goes_away_ends_it)
{
	bool is_due = false;

	ask_under_a_mark(&is_due);
	wb_cache_end_marking(sim.cache);
	wb_sim_settle(&sim);
	expect_error("the image was not made larger: the volume is being stopped");
	cr_expect_str_eq(marks->str, "c", "%s", marks->str);
	expect_size(OLD);
	g_string_free(marks, TRUE);
}

/* --- who cannot ----------------------------------------------------------------------------- */

Test(grow, not_when_nobody_can_make_the_backing_larger)
{
	cr_assert_eq(wb_sim_close(&sim), 0);
	sim.growth.arg = &sim;
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect_eq(wb_sim_resize(&sim, LARGER), -EIO);
	expect_error("nobody can make the backing larger");
}

Test(grow, not_without_a_cache_nor_read_only)
{
	struct wb_cache_config config = {
		.backing_store = sim.backing_disk.counting, .clock = &sim.clock.clock,
		.worker_mode = WB_WORKER_MANUAL, .request_count = 1,
		.tunables = WB_TUNABLES_DEFAULT,
	};
	struct wb_stats_snapshot stats;
	struct wb_cache *bare;

	cr_assert_eq(wb_sim_close(&sim), 0);
	bare = wb_cache_open_bare(&config, WB_BARE_READ_WRITE, (const uint8_t *)"0123456789abcdef",
				  NULL);
	cr_assert(bare);
	wb_cache_start_resize(bare, 200 * BLOCK);
	wb_cache_get_stats(bare, &stats);
	cr_expect_eq(stats.resizes_failed, 1);
	cr_expect(strstr(stats.last_error, "without its cache it is as large as the backing"));
	wb_cache_close(bare, WB_CLOSE_CLEAN);
	sim.access = WB_CACHE_READ_ONLY;
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect_eq(wb_sim_resize(&sim, LARGER), -EIO);
	expect_error("the volume is mounted read-only: the image keeps its size");
}
