/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ring of one thread, with the store that uses it, on a real file. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/store_uring.h"
#include "io/thread_ring.h"

#define BLOCK_BYTES 4096u
#define BLOCKS 128u

static char test_path[128];
static struct wb_store *store;

static void make_store(void)
{
	struct wb_store_uring_options options = { .fd = -1, .path = test_path };
	const char *folder = getenv("TMPDIR");
	static char block[BLOCK_BYTES];
	GError *error = NULL;
	int fd;

	snprintf(test_path, sizeof(test_path), "%s/wb-test-XXXXXX",
		 folder ? folder : "/var/tmp");
	fd = mkstemp(test_path);
	cr_assert(fd >= 0);
	for (unsigned i = 0; i < BLOCKS; i++) {
		memset(block, (int)i, sizeof(block));
		cr_assert_eq(write(fd, block, sizeof(block)), sizeof(block));
	}
	close(fd);
	store = wb_store_uring_open(&options, &error);
	if (!store && strstr(error->message, "io_uring"))
		cr_skip("no io_uring here: %s", error->message);
	cr_assert(store, "%s", error ? error->message : "no error");
	if (!wb_thread_ring_open())
		cr_skip("no ring of a thread here (Linux 6.1)");
}

static void remove_store(void)
{
	wb_thread_ring_close();
	wb_store_close(store);
	unlink(test_path);
}

TestSuite(thread_ring, .init = make_store, .fini = remove_store, .timeout = 60);

/* Block `index` into memory of its own; done() may run in this thread alone. */
struct reading {
	struct wb_io io;
	char *buffer;
	unsigned index;
	int error;
	bool is_done;
};

static pthread_t tester;
static unsigned elsewhere_count;	/* on the lane's thread: what did not fit */

static void read_done(struct wb_io *io, int error)
{
	struct reading *reading = (struct reading *)io;

	reading->error = error;
	if (!pthread_equal(pthread_self(), tester))
		__atomic_fetch_add(&elsewhere_count, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&reading->is_done, true, __ATOMIC_RELEASE);
}

static void begin(struct reading *reading, unsigned index, enum wb_io_class io_class)
{
	void *memory = NULL;

	tester = pthread_self();
	cr_assert_eq(posix_memalign(&memory, BLOCK_BYTES, BLOCK_BYTES), 0);
	*reading = (struct reading){ .buffer = memory, .index = index };
	wb_io_prepare(&reading->io, WB_IO_READ, io_class, (uint64_t)index * BLOCK_BYTES,
		      reading->buffer, BLOCK_BYTES, read_done);
	wb_store_submit(store, &reading->io);
}

static bool is_done(struct reading *reading)
{
	return __atomic_load_n(&reading->is_done, __ATOMIC_ACQUIRE);
}

static void check_and_free(struct reading *reading)
{
	cr_assert(is_done(reading));
	cr_assert_eq(reading->error, 0);
	for (unsigned i = 0; i < BLOCK_BYTES; i++)
		cr_assert_eq(reading->buffer[i], (char)reading->index);
	free(reading->buffer);
}

Test(thread_ring, ends_reads_only_where_the_thread_comes_for_them)
{
	struct reading readings[8];

	for (unsigned i = 0; i < G_N_ELEMENTS(readings); i++)
		begin(&readings[i], 3 * i, WB_IO_CLASS_USER_READ);
	cr_assert_eq(wb_thread_ring_in_flight(), 8);
	for (unsigned i = 0; i < G_N_ELEMENTS(readings); i++)
		cr_assert_not(is_done(&readings[i]));
	while (wb_thread_ring_in_flight())
		wb_thread_ring_run(WB_RING_WAIT, -1);
	for (unsigned i = 0; i < G_N_ELEMENTS(readings); i++)
		check_and_free(&readings[i]);
	cr_assert_eq(elsewhere_count, 0);
}

Test(thread_ring, leaves_what_does_not_fit_to_the_lane)
{
	static struct reading readings[BLOCKS];
	unsigned in_ring;

	for (unsigned i = 0; i < BLOCKS; i++)
		begin(&readings[i], i, WB_IO_CLASS_USER_READ);
	in_ring = wb_thread_ring_in_flight();
	cr_assert_gt(in_ring, 0);
	cr_assert_lt(in_ring, BLOCKS);
	wb_thread_ring_drain();
	for (unsigned i = 0; i < BLOCKS; i++) {
		while (!is_done(&readings[i]))
			g_thread_yield();
		check_and_free(&readings[i]);
	}
	cr_assert_eq(__atomic_load_n(&elsewhere_count, __ATOMIC_ACQUIRE), BLOCKS - in_ring);
}

/* Others have no thread that would come for it. */
Test(thread_ring, takes_no_other_class)
{
	struct reading reading;

	begin(&reading, 5, WB_IO_CLASS_USER_WRITE);
	cr_assert_eq(wb_thread_ring_in_flight(), 0);
	while (!is_done(&reading))
		g_thread_yield();
	check_and_free(&reading);
}

Test(thread_ring, reports_a_file_that_has_become_shorter)
{
	struct reading reading;

	cr_assert_eq(truncate(test_path, BLOCK_BYTES), 0);
	begin(&reading, 9, WB_IO_CLASS_USER_READ);
	wb_thread_ring_drain();
	cr_assert(is_done(&reading));
	cr_assert_eq(reading.error, -EIO);
	free(reading.buffer);
}

/* Each time with both in the ring: what ends the wait is the byte or the reading. */
Test(thread_ring, waits_for_a_descriptor_as_well)
{
	struct reading reading;
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	for (unsigned i = 0; i < 100; i++) {
		char byte = (char)i;

		begin(&reading, i % BLOCKS, WB_IO_CLASS_USER_READ);
		cr_assert_eq(write(ends[1], &byte, 1), 1);
		while (wb_thread_ring_in_flight())
			wb_thread_ring_run(WB_RING_WAIT_OR_FD, ends[0]);
		check_and_free(&reading);
		cr_assert_eq(read(ends[0], &byte, 1), 1);
		cr_assert_eq(byte, (char)i);
	}
	close(ends[0]);
	close(ends[1]);
}

Test(thread_ring, closes_only_when_all_has_ended)
{
	struct reading reading;

	begin(&reading, 7, WB_IO_CLASS_USER_READ);
	wb_thread_ring_close();
	check_and_free(&reading);
	cr_assert_eq(wb_thread_ring_in_flight(), 0);
	begin(&reading, 8, WB_IO_CLASS_USER_READ);
	while (!is_done(&reading))
		g_thread_yield();
	check_and_free(&reading);
}
