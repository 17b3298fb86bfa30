/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is refused, and what fails, says what, where, and what to do: messages by
 * their own words, where no test of the thing itself looks at them.
 * tests/tidy/refusals.sh finds those that no test looks for. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cache/recovery.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "format/block.h"
#include "format/endian.h"
#include "io/store_uring.h"
#include "support/golden.h"
#include "support/log_builder.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u

static void expect_words(const char *text, const char *words)
{
	cr_expect(strstr(text, words), "\"%s\" does not say: %s", text, words);
}

/* --- the command line ------------------------------------------------------------- */

static void refuse_line(const char *line, const char *words)
{
	g_auto(GStrv) argv = g_strsplit(line, "|", -1);
	struct wb_options options;
	enum wb_command_id command;
	g_autoptr(GError) error = NULL;

	cr_assert_not(wb_options_parse(&options, &command, (int)g_strv_length(argv), argv,
				       &error));
	cr_expect_str_eq(error->message, words, "%s: %s", line, error->message);
	wb_options_clear(&options);
}

Test(refusals, a_word_that_is_not_understood_is_named_with_what_was_expected)
{
	static const char *const lines[][2] = {
		{ "wbfs", "no command was given" },
		{ "wbfs|check|--yes=1|c", "option '--yes' takes no value" },
		{ "wbfs|check|c|--backing", "option '--backing' needs a PATH" },
		{ "wbfs|rescue|c|--output=", "option '--output' needs a IMAGE" },
		{ "wbfs|format|--size|many", "option '--size' takes a size such as 512M or 20G "
		  "(K, M, G, T; or plain bytes), not 'many'" },
		{ "wbfs|format|--size|1000",
		  "option '--size' takes a multiple of 512 bytes above zero, not '1000'" },
		{ "wbfs|umount|", "'wbfs umount' needs a MOUNTPOINT that is not empty" },
		{ "wbfs|umount|-x|m", "unknown option '-x' of 'wbfs umount'" },
		{ "wbfs|check|a|b", "'wbfs check' does not know what to do with 'b'" },
		{ "wbfs|mount|m|-o|allow_writeback=1",
		  "mount option 'allow_writeback' takes 'on' or 'off', not '1'" },
		{ "wbfs|mount|m|-o|sync_interval_s=-1",
		  "mount option 'sync_interval_s' takes a whole number of seconds from 0 to 86400, "
		  "not '-1'" },
		{ "wbfs|mount|m|-o|allow_other=1", "mount option 'allow_other' takes 'on' or 'off', not '1'" },
		{ "wbfs|mount|m|-o|ram_buffer", "mount option 'ram_buffer' needs a value: "
		  "ram_buffer=SIZE" },
		{ "wbfs|mount|m|-o|fast", "unknown mount option 'fast'" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++)
		refuse_line(lines[i][0], lines[i][1]);
}

/* --- superblocks and headers --------------------------------------------------------- */

static struct wb_log_builder b;

static void refuse_scan(struct wb_store *store, const char *words)
{
	g_autoptr(GError) error = NULL;

	cr_assert_null(wb_recovery_scan(store, NULL, &error));
	expect_words(error->message, words);
	expect_words(error->message, "memory: ");
	expect_words(error->message, "nothing was changed");
}

static struct wb_store *with_bad_superblocks(unsigned first, unsigned last)
{
	size_t bytes = b.store->size_bytes;
	struct wb_store *memory = wb_store_memory_new(bytes, 512, 512), *faulty;

	memcpy(wb_store_memory_bytes(memory), wb_store_memory_bytes(b.store), bytes);
	faulty = wb_store_faulty_new(memory);
	for (unsigned copy = first; copy <= last; copy++) {
		struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
					  .offset_bytes = wb_superblock_offset(copy),
					  .length_bytes = BLOCK, .count = WB_FAULT_FOR_EVER };

		wb_store_faulty_add(faulty, &fault);
	}
	return faulty;
}

Test(refusals, superblocks_that_cannot_be_read_are_told_with_their_places)
{
	struct wb_store *store;

	wb_log_builder_init(&b, 8);
	store = with_bad_superblocks(0, 1);
	refuse_scan(store, "the superblocks cannot be read (superblock copy 0 at byte 0: cannot "
		    "be read: Input/output error; copy 1 at byte 524288: cannot be read");
	wb_store_close(store);
	((uint8_t *)wb_store_memory_bytes(b.store))[100]++;
	store = with_bad_superblocks(1, 1);
	refuse_scan(store, "one superblock cannot be read and the other is no good");
	wb_store_close(store);
	((uint8_t *)wb_store_memory_bytes(b.store))[wb_superblock_offset(1) + 100]++;
	refuse_scan(b.store, "no superblock is whole; if `wbfs format` was cut off here, run it "
		    "again; if not, `wbfs check --backing PATH` finds the layout again");
	wb_log_builder_clear(&b);
}

Test(refusals, a_newer_superblock_with_an_impossible_field_is_told)
{
	struct wb_superblock_disk *disk;

	wb_log_builder_init(&b, 8);
	disk = (void *)(wb_store_memory_bytes(b.store) + wb_superblock_offset(1));
	disk->state_flags = wb_put_le32(0x80);
	disk->crc = wb_put_le32(wb_block_compute_crc(disk));
	refuse_scan(b.store, "the newer superblock has a field that cannot be (superblock copy 0 ");
	wb_log_builder_clear(&b);
}

/* Each newest segment says that its own first record, and so the segment itself,
 * is of a timeline that was cut off. */
Test(refusals, headers_that_contradict_each_other_about_epochs_are_told)
{
	wb_log_builder_init(&b, 24);
	b.is_each_synced = false;
	for (unsigned i = 1; i <= 20; i++) {
		b.epoch = b.epoch_start = 1;
		wb_log_builder_add(&b, 3);
		b.epoch = 100 - i;
		b.epoch_start = b.sequence - 1;
		wb_log_builder_add(&b, 3);
		wb_log_builder_next_segment(&b);
	}
	refuse_scan(b.store, "the headers of the log contradict each other about its epochs");
	wb_log_builder_clear(&b);
}

/* --- opening ----------------------------------------------------------------------------- */

static struct wb_sim sim;

static void refuse_open(const char *words)
{
	g_autoptr(GError) error = NULL;

	cr_assert_not(wb_sim_open(&sim, &error));
	expect_words(error->message, words);
}

static void start_volume(void)
{
	struct wb_sim_params params = { .no_writeback = true };

	wb_sim_init(&sim, &params);
}

static void fail_always(struct wb_store *faulty, int op, uint64_t offset, uint64_t length)
{
	struct wb_fault fault = { .op = op, .io_class = WB_FAULT_ANY, .offset_bytes = offset,
				  .length_bytes = length, .count = WB_FAULT_FOR_EVER };

	wb_store_faulty_add(faulty, &fault);
}

Test(refusals, a_backing_that_is_too_small_is_told_with_both_sizes)
{
	start_volume();
	sim.backing_disk.counting->size_bytes -= BLOCK;
	refuse_open("has 1044480 bytes, but the cache memory was formatted for 1048576; is it the "
		    "right backing?");
	sim.backing_disk.counting->size_bytes += BLOCK;
	wb_sim_clear(&sim);
}

Test(refusals, what_fails_in_opening_is_named)
{
	start_volume();
	fail_always(sim.cache_disk.faulty, WB_IO_FLUSH, 0, 0);
	refuse_open("cache memory: flushing failed: Input/output error");
	wb_store_faulty_clear(sim.cache_disk.faulty);
	fail_always(sim.cache_disk.faulty, WB_IO_WRITE, 0, WB_SUPERBLOCK_AREA_BYTES);
	refuse_open("cache memory: writing the superblocks failed: Input/output error");
	wb_store_faulty_clear(sim.cache_disk.faulty);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	/* Not the fault of the place, which would be given up. */
	wb_store_faulty_add(sim.cache_disk.faulty, &(struct wb_fault){
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .error = -ENOSPC,
		.offset_bytes = sim.geometry.ring_offset,
		.length_bytes = sim.geometry.segment_bytes, .count = WB_FAULT_FOR_EVER });
	refuse_open("cache memory: writing the end of the log again failed: No space left");
	wb_sim_clear(&sim);
}

Test(refusals, a_path_that_cannot_be_opened_is_named)
{
	struct wb_store_uring_options options = { .path = "/nonexistent/cache", .fd = -1 };
	g_autoptr(GError) error = NULL;

	cr_assert_null(wb_store_uring_open(&options, &error));
	expect_words(error->message, "/nonexistent/cache: cannot be opened: No such file");
}

/* --- errors of a running volume, as status shows them --------------------------------------- */

static void expect_last_error(const char *words)
{
	struct wb_stats_snapshot snapshot;

	wb_sim_stats(&sim, &snapshot);
	expect_words(snapshot.last_error, words);
}

static void write_block_0(void)
{
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	/* out of the RAM buffers */
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
}

Test(refusals, a_write_that_needs_what_cannot_be_read_says_which_block)
{
	start_volume();
	write_block_0();
	fail_always(sim.cache_disk.faulty, WB_IO_READ, sim.geometry.ring_offset,
		    sim.geometry.segment_bytes);
	cr_expect_eq(wb_sim_fill(&sim, 100, 2, 1000, 0), -EIO);
	expect_last_error("cache memory: the newest data of image block 0 cannot be read back");
	wb_store_faulty_clear(sim.cache_disk.faulty);
	wb_sim_clear(&sim);
}

Test(refusals, writeback_of_what_cannot_be_read_says_why)
{
	start_volume();
	write_block_0();
	fail_always(sim.cache_disk.faulty, WB_IO_READ, sim.geometry.ring_offset,
		    sim.geometry.segment_bytes);
	wb_sim_drain(&sim);
	expect_last_error("cache memory: reading the log failed: Input/output error");
	wb_store_faulty_clear(sim.cache_disk.faulty);
	wb_sim_clear(&sim);
}

Test(refusals, writeback_of_what_has_rotted_says_which_block)
{
	bool is_dirty;

	start_volume();
	write_block_0();
	wb_sim_cached_block(&sim, 0, &is_dirty)[7] ^= 1;
	wb_sim_drain(&sim);
	expect_last_error("the newest data of image block 0 failed its checksum and stays in "
			  "the cache");
	wb_sim_clear(&sim);
}

Test(refusals, a_superblock_that_cannot_be_written_is_told)
{
	struct wb_sim_params params = { .image_bytes = 1u << 20 };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	fail_always(sim.cache_disk.faulty, WB_IO_WRITE, 0, WB_SUPERBLOCK_AREA_BYTES);
	for (unsigned i = 0; i < 6; i++) {
		cr_assert_eq(wb_sim_fill(&sim, 0, (uint8_t)i, 60 * BLOCK, 0), 0);
		cr_assert_eq(wb_sim_sync(&sim), 0);
		cr_assert_eq(wb_sim_drain(&sim), 0);
		wb_sim_pass_time(&sim, UINT64_C(10000000000));
	}
	expect_last_error("cache memory: writing superblock ");
	wb_store_faulty_clear(sim.cache_disk.faulty);
	wb_sim_clear(&sim);
}

/* --- check ---------------------------------------------------------------------------------- */

/* What wbfs check prints about a cache that lies in a file. */
static char *check_file(const char *path, int status)
{
	struct wb_options options = { .argument = (char *)path };
	g_autofree char *out = g_strconcat(path, ".out", NULL);
	char *text = NULL;
	int kept = dup(STDOUT_FILENO), fd = open(out, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	fflush(stdout);
	cr_assert(fd >= 0 && kept >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
	cr_expect_eq(wb_cmd_check(&options), status);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	close(fd);
	cr_assert(g_file_get_contents(out, &text, NULL, NULL));
	unlink(out);
	return text;
}

Test(refusals, data_that_the_log_has_noted_as_lost_is_listed_by_check)
{
	g_autofree char *path = g_strdup_printf("%s/wbfs-refusals-%d", g_get_tmp_dir(),
						(int)getpid());
	const char *top = g_getenv("top_srcdir");
	g_autofree char *golden = g_build_filename(top ? top : ".", "tests", "golden", NULL);
	g_autofree char *said = NULL;

	wb_golden_init(&sim);
	wb_golden_load(&sim, golden, "bypass_and_bad");
	cr_assert(g_file_set_contents(path, (const char *)wb_sim_cache_bytes(&sim),
				      (gssize)sim.cache_disk.memory->size_bytes, NULL));
	wb_sim_clear(&sim);
	said = check_file(path, WB_EXIT_FAILED);
	unlink(path);
	expect_words(said, "BAD: bytes ");
	expect_words(said, " of the image: lost before, and noted so in the log");
	expect_words(said, "Reads of these give an I/O error until they are written as a whole");
}
