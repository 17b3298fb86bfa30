/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store over NBD, against nbdkit: what it moves, and what happens when the server
 * dies and comes back. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/store_nbd.h"
#include "support/nbd_server.h"

#define IMAGE_BYTES (UINT64_C(64) << 20)
#define BLOCK 4096u
#define HOLD_US (2 * G_USEC_PER_SEC)

static struct nbd_server server;
static bool leaves_ghosts;

static struct wb_store *open_as(enum wb_nbd_last_user last_user)
{
	GError *error = NULL;
	struct wb_nbd_export *peer = wb_nbd_export_open(server.uri, WB_NBD_CONNECT_MS, &error);
	struct wb_store *store;

	if (!peer && strstr(error->message, "built without NBD")) {
		nbd_server_end(&server);
		cr_skip_test("no NBD in this build");
	}
	cr_assert(peer, "%s", error ? error->message : "");
	store = wb_store_nbd_open(peer, server.uri, last_user, &leaves_ghosts, &error);
	cr_assert(store, "%s", error ? error->message : "");
	return store;
}

static struct wb_store *start(const char *arguments)
{
	if (!nbd_server_is_there())
		cr_skip_test("no nbdkit here");
	nbd_server_start(&server, IMAGE_BYTES, arguments);
	return open_as(WB_NBD_SAID_GOODBYE);
}

static void end(struct wb_store *store)
{
	wb_store_close(store);
	nbd_server_end(&server);
}

static char *random_bytes(size_t bytes, unsigned seed)
{
	char *memory = NULL;

	cr_assert_eq(posix_memalign((void **)&memory, BLOCK, bytes), 0);
	for (size_t i = 0; i < bytes; i += 4) {
		seed = seed * 1664525u + 1013904223u;
		memcpy(memory + i, &seed, 4);
	}
	return memory;
}

static void image_has(uint64_t offset, const char *data, size_t bytes)
{
	int fd = open(server.image, O_RDONLY);
	char *found = malloc(bytes);

	cr_assert(fd >= 0);
	cr_assert_eq(pread(fd, found, bytes, (off_t)offset), (ssize_t)bytes);
	cr_assert_eq(memcmp(found, data, bytes), 0);
	close(fd);
	free(found);
}

/* --- I/O with somebody who waits --------------------------------------------------- */

struct task {
	struct wb_io io;	/* first: done() casts */
	sem_t ended;
	int error;
	gint64 ended_us;
};

static void task_done(struct wb_io *io, int error)
{
	struct task *task = (struct task *)io;

	task->error = error;
	task->ended_us = g_get_monotonic_time();
	sem_post(&task->ended);
}

static void begin(struct wb_store *store, struct task *task, enum wb_io_op op,
		  enum wb_io_class io_class, uint64_t offset, char *data, uint64_t bytes)
{
	sem_init(&task->ended, 0, 0);
	wb_io_prepare(&task->io, op, io_class, offset, data, bytes, task_done);
	wb_store_submit(store, &task->io);
}

static int wait_for(struct task *task)
{
	while (sem_wait(&task->ended))
		;
	sem_destroy(&task->ended);
	return task->error;
}

static int run_task(struct wb_store *store, enum wb_io_op op, enum wb_io_class io_class,
		    uint64_t offset, char *data, uint64_t bytes)
{
	struct task task;

	begin(store, &task, op, io_class, offset, data, bytes);
	return wait_for(&task);
}

static bool is_away(struct wb_store *store)
{
	struct wb_store_nbd_line line;

	cr_assert(wb_store_nbd_get_line(store, &line));
	return line.is_away;
}

/* The limit is the harness's. */
static void wait_until_away(struct wb_store *store, bool wanted)
{
	while (is_away(store) != wanted)
		g_usleep(1000);
}

static void wait_for_connections(struct wb_store *store, unsigned wanted)
{
	struct wb_store_nbd_line line;

	do
		wb_store_nbd_get_line(store, &line);
	while (line.connection_count < wanted);
}

/* --- what it moves ------------------------------------------------------------------ */

Test(store_nbd, reads_back_what_was_written_in_any_length, .timeout = 60)
{
	static const uint64_t lengths[] = { 512, 4096, 65536, 1 << 20, 5 << 20 };
	struct wb_store *store = start("");
	uint64_t offset = 512;

	for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
		char *data = random_bytes(lengths[i], i), *back = random_bytes(lengths[i], 99);

		cr_assert_eq(wb_store_write_sync(store, offset, data, lengths[i]), 0);
		cr_assert_eq(wb_store_read_sync(store, offset, back, lengths[i]), 0);
		cr_assert_eq(memcmp(data, back, lengths[i]), 0);
		image_has(offset, data, lengths[i]);
		offset += lengths[i];
		free(data);
		free(back);
	}
	cr_assert_eq(wb_store_flush_sync(store), 0);
	end(store);
}

/* Every second block of memory, in one I/O that is contiguous on the disk. */
static void scattered(struct wb_store *store, enum wb_io_op op, char *memory, unsigned count)
{
	struct iovec *iov = g_new0(struct iovec, count);
	struct task task;

	for (unsigned i = 0; i < count; i++)
		iov[i] = (struct iovec){ memory + 2 * i * BLOCK, BLOCK };
	sem_init(&task.ended, 0, 0);
	wb_io_prepare(&task.io, op, WB_IO_CLASS_WRITEBACK, 8 * BLOCK, NULL, (uint64_t)count * BLOCK,
		      task_done);
	task.io.iov = iov;
	task.io.iov_count = count;
	wb_store_submit(store, &task.io);
	cr_assert_eq(wait_for(&task), 0);
	g_free(iov);
}

Test(store_nbd, scattered_memory_is_gathered_and_put_back, .timeout = 60)
{
	const unsigned count = WB_IO_IOV_MAX;
	struct wb_store *store = start("");
	char *data = random_bytes(2 * count * BLOCK, 1), *back = random_bytes(2 * count * BLOCK, 2);

	scattered(store, WB_IO_WRITE, data, count);
	scattered(store, WB_IO_READ, back, count);
	for (unsigned i = 0; i < count; i++) {
		cr_assert_eq(memcmp(data + 2 * i * BLOCK, back + 2 * i * BLOCK, BLOCK), 0);
		image_has((8 + i) * BLOCK, data + 2 * i * BLOCK, BLOCK);
	}
	/* what lies between is nobody's business */
	free(data);
	data = random_bytes(2 * count * BLOCK, 2);
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(memcmp(data + (2 * i + 1) * BLOCK, back + (2 * i + 1) * BLOCK, BLOCK), 0);
	free(data);
	free(back);
	end(store);
}

static uint64_t blocks_of_image(void)
{
	struct stat st;

	cr_assert_eq(stat(server.image, &st), 0);
	return (uint64_t)st.st_blocks;
}

static void zeroing(const char *arguments, bool punches)
{
	struct wb_store *store = start(arguments);
	char *data = random_bytes(4 << 20, 3);
	uint64_t full;

	cr_assert_eq(wb_store_write_sync(store, 0, data, 4 << 20), 0);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	full = blocks_of_image();
	cr_assert_eq(wb_store_zero_sync(store, BLOCK, (4 << 20) - 2 * BLOCK), 0);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	image_has(0, data, BLOCK);
	image_has((4 << 20) - BLOCK, data + (4 << 20) - BLOCK, BLOCK);
	memset(data, 0, 4 << 20);
	image_has(BLOCK, data, (4 << 20) - 2 * BLOCK);
	if (punches)
		cr_assert_lt(blocks_of_image(), full / 2);
	free(data);
	end(store);
}

Test(store_nbd, zero_punches, .timeout = 60)
{
	zeroing("", true);
}

Test(store_nbd, zeros_are_written_where_the_server_cannot_zero, .timeout = 60)
{
	zeroing("--filter=nozero", false);
}

Test(store_nbd, a_discard_is_a_trim_or_is_said_to_be_none, .timeout = 60)
{
	struct wb_store *store = start("");
	char *data = random_bytes(1 << 20, 3);
	uint64_t full;

	cr_assert_eq(wb_store_write_sync(store, 0, data, 1 << 20), 0);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	full = blocks_of_image();
	cr_assert_eq(wb_store_discard_sync(store, 0, 1 << 20), 0);
	cr_assert_lt(blocks_of_image(), full);
	free(data);
	end(store);
	store = start("--filter=fua --filter=nozero -r");
	cr_assert_eq(wb_store_discard_sync(store, 0, 1 << 20), -EOPNOTSUPP);
	end(store);
}

Test(store_nbd, limits_of_the_servers_blocks_are_obeyed, .timeout = 60)
{
	struct wb_store *store = start("--filter=blocksize-policy blocksize-error-policy=error "
				       "blocksize-minimum=4096 blocksize-preferred=4096 "
				       "blocksize-maximum=65536");
	char *data = random_bytes(3 << 20, 4), *back = random_bytes(3 << 20, 5);

	cr_assert_eq(store->alignment_bytes, 4096);
	cr_assert_eq(wb_store_write_sync(store, BLOCK, data, 3 << 20), 0);
	cr_assert_eq(wb_store_read_sync(store, BLOCK, back, 3 << 20), 0);
	cr_assert_eq(memcmp(data, back, 3 << 20), 0);
	free(data);
	free(back);
	end(store);
}

/* Whatever keeps it from being used is said, with the server's address. */
static void refused(const char *word)
{
	GError *error = NULL;
	struct wb_nbd_export *peer = wb_nbd_export_open(server.uri, WB_NBD_CONNECT_MS, &error);

	if (!peer && strstr(error->message, "built without NBD")) {
		nbd_server_end(&server);
		cr_skip_test("no NBD in this build");
	}
	cr_assert_null(peer);
	cr_assert(strstr(error->message, server.uri), "%s", error->message);
	cr_assert(strstr(error->message, word), "%s", error->message);
	g_clear_error(&error);
}

static void refuses(uint64_t bytes, const char *arguments, const char *word)
{
	if (!nbd_server_is_there())
		cr_skip_test("no nbdkit here");
	nbd_server_start(&server, bytes, arguments);
	refused(word);
	nbd_server_end(&server);
}

Test(store_nbd, blocks_larger_than_ours_are_refused, .timeout = 60)
{
	refuses(IMAGE_BYTES, "--filter=blocksize-policy blocksize-minimum=65536 "
		"blocksize-preferred=65536 blocksize-maximum=1M",
		"takes no blocks smaller than 65536 bytes");
}

Test(store_nbd, an_odd_size_is_refused, .timeout = 60)
{
	refuses(IMAGE_BYTES + 100, "", "bytes is no multiple of 512");
	refuses(IMAGE_BYTES + 512, "--filter=blocksize-policy blocksize-minimum=4096 "
		"blocksize-preferred=4096 blocksize-maximum=1M",
		"is no multiple of the server's smallest block, 4096 bytes");
}

Test(store_nbd, nobody_there_is_said, .timeout = 60)
{
	if (!nbd_server_is_there())
		cr_skip_test("no nbdkit here");
	nbd_server_start(&server, IMAGE_BYTES, "");
	nbd_server_kill(&server);
	refused("the NBD server cannot be used");
	nbd_server_end(&server);
}

/* Somebody listens, and never answers. */
Test(store_nbd, a_server_that_says_nothing_is_not_waited_for, .timeout = 60)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	GError *error = NULL;
	char *uri;

	snprintf(address.sun_path, sizeof address.sun_path, "/tmp/wb-nbd-%d", (int)getpid());
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	cr_assert_eq(listen(fd, 1), 0);
	uri = g_strconcat("nbd+unix:///?socket=", address.sun_path, NULL);
	cr_assert_null(wb_nbd_export_open(uri, 100, &error));
	unlink(address.sun_path);
	if (strstr(error->message, "built without NBD (configure --without-nbd)"))
		cr_skip_test("no NBD in this build");
	cr_assert(strstr(error->message, "the NBD server does not answer within 100 ms"), "%s",
		  error->message);
	close(fd);
}

Test(store_nbd, fua_is_kept_with_a_server_that_has_none, .timeout = 60)
{
	struct wb_store *store = start("--filter=fua");
	char *data = random_bytes(2 << 20, 6);
	struct task task;

	sem_init(&task.ended, 0, 0);
	wb_io_prepare(&task.io, WB_IO_WRITE, WB_IO_CLASS_LOG, 0, data, 2 << 20, task_done);
	task.io.flags = WB_IO_FUA;
	wb_store_submit(store, &task.io);
	cr_assert_eq(wait_for(&task), 0);
	image_has(0, data, 2 << 20);
	free(data);
	end(store);
}

Test(store_nbd, an_error_of_the_server_is_told_as_it_is, .timeout = 60)
{
	struct wb_store *store = start("--filter=error error-pwrite=ENOSPC error-pwrite-rate=100%");
	char *data = random_bytes(BLOCK, 7);

	cr_assert_eq(wb_store_write_sync(store, 0, data, BLOCK), -ENOSPC);
	cr_assert_eq(wb_store_read_sync(store, 0, data, BLOCK), 0);
	cr_assert_not(is_away(store));
	free(data);
	end(store);
}

Test(store_nbd, what_the_server_does_not_read_in_one_is_read_in_parts, .timeout = 60)
{
	/* Once for each number of bytes, it does not. */
	struct wb_store *store = start("eval get_size='echo 67108864' pread='"
		"if mkdir $tmpdir/$3 2>/dev/null; then echo EOVERFLOW >&2; exit 1; fi; "
		"yes | head -c $3'");
	static const uint64_t lengths[] = { 4096, 1 << 20, 3 << 20 };

	for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
		char *back = random_bytes(lengths[i], 99);

		cr_assert_eq(wb_store_read_sync(store, 0, back, lengths[i]), 0);
		for (uint64_t at = 0; at < lengths[i]; at += 2)
			cr_assert_eq(memcmp(back + at, "y\n", 2), 0);
		free(back);
	}
	end(store);
}

Test(store_nbd, several_connections_where_the_server_allows_them, .timeout = 60)
{
	struct wb_store *store = start("");
	struct wb_store_nbd_line line;

	wait_for_connections(store, 4);
	end(store);
	store = start("--filter=multi-conn multi-conn-mode=disable");
	wb_store_nbd_get_line(store, &line);
	cr_assert_eq(line.connection_count, 1);
	end(store);
}

Test(store_nbd, holes_and_data_are_found, .timeout = 60)
{
	struct wb_store *store = start("");
	char *data = random_bytes(1 << 20, 8);
	uint64_t found;

	cr_assert_eq(wb_store_write_sync(store, 8 << 20, data, 1 << 20), 0);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	cr_assert(wb_store_nbd_find(store, WB_STORE_NBD_DATA, 0, &found));
	cr_assert_eq(found, 8 << 20);
	cr_assert(wb_store_nbd_find(store, WB_STORE_NBD_HOLE, found, &found));
	cr_assert_eq(found, 9 << 20);
	cr_assert(wb_store_nbd_find(store, WB_STORE_NBD_DATA, found, &found));
	cr_assert_eq(found, IMAGE_BYTES);
	free(data);
	end(store);
	store = start("--filter=noextents");
	cr_assert_not(wb_store_nbd_find(store, WB_STORE_NBD_HOLE, 0, &found) && found < IMAGE_BYTES);
	end(store);
}

/* Where only lazy I/O is under way the thread sleeps for a moment after each answer, and
 * is not woken for more of it. What comes then, or after it, must not be forgotten. */
Test(store_nbd, lazy_io_around_a_nap_is_not_forgotten, .timeout = 60)
{
	struct wb_store *store = start("--filter=delay wdelay=2ms");
	char *data = random_bytes(BLOCK, 5), *back = random_bytes(BLOCK, 6);

	for (uint64_t i = 0; i < 300; i++) {
		struct task task;

		sem_init(&task.ended, 0, 0);
		wb_io_prepare(&task.io, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, i * BLOCK, data,
			      BLOCK, task_done);
		task.io.flags = WB_IO_LAZY;
		wb_store_submit(store, &task.io);
		cr_assert_eq(wait_for(&task), 0);
		if (i % 3 == 1)
			g_usleep(1000);
		if (i % 3 == 2)
			cr_assert_eq(run_task(store, WB_IO_READ, WB_IO_CLASS_USER_READ,
					      i * BLOCK, back, BLOCK), 0);
	}
	cr_assert_eq(memcmp(data, back, BLOCK), 0);
	free(data);
	free(back);
	end(store);
}

/* --- the server goes away ----------------------------------------------------------------- */

#define TASKS 8u	/* fewer than the server has threads for one connection */

Test(store_nbd, what_is_asked_while_it_is_away_is_done_when_it_is_back, .timeout = 60)
{
	struct wb_store *store = start("");
	char *data = random_bytes(TASKS * BLOCK, 9);
	struct task tasks[TASKS];

	nbd_server_kill(&server);
	wait_until_away(store, true);
	for (unsigned i = 0; i < TASKS; i++)
		begin(store, &tasks[i], WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, i * BLOCK,
		      data + i * BLOCK, BLOCK);
	nbd_server_restart(&server);
	for (unsigned i = 0; i < TASKS; i++)
		cr_assert_eq(wait_for(&tasks[i]), 0);
	cr_assert_not(is_away(store));
	cr_assert_eq(wb_store_flush_sync(store), 0);
	image_has(0, data, TASKS * BLOCK);
	free(data);
	end(store);
}

Test(store_nbd, what_was_in_flight_is_done_again_and_held_back, .timeout = 60)
{
	/* Each write takes longer than this test. */
	struct wb_store *store = start("--filter=delay wdelay=50");
	char *data = random_bytes(TASKS * BLOCK, 10);
	struct task tasks[TASKS];
	gint64 broken_us;

	for (unsigned i = 0; i < TASKS; i++)
		begin(store, &tasks[i], WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, i * BLOCK,
		      data + i * BLOCK, BLOCK);
	/* Sent: a read passes them. */
	cr_assert_eq(run_task(store, WB_IO_READ, WB_IO_CLASS_USER_READ, IMAGE_BYTES - BLOCK,
			      random_bytes(BLOCK, 0), BLOCK), 0);
	broken_us = g_get_monotonic_time();
	nbd_server_kill(&server);
	g_free(server.arguments);
	server.arguments = g_strdup("");
	nbd_server_restart(&server);
	for (unsigned i = 0; i < TASKS; i++) {
		cr_assert_eq(wait_for(&tasks[i]), 0);
		cr_assert_geq(tasks[i].ended_us - broken_us, HOLD_US);
	}
	image_has(0, data, TASKS * BLOCK);
	free(data);
	end(store);
}

/* A server that is stuck when the connection breaks has the first sending before it: what
 * it is sent again may be answered before that has landed. So the time counts from the
 * answer. */
Test(store_nbd, what_a_stuck_server_was_sent_again_is_held_from_its_answer_on, .timeout = 60)
{
	struct wb_store *store = start("--filter=multi-conn multi-conn-mode=disable");
	char *data = random_bytes(2 * BLOCK, 18);
	struct task write;
	gint64 goes_on_us;

	nbd_server_freeze(&server);
	begin(store, &write, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 0, data, BLOCK);
	wb_store_nbd_set_timeout(store, 1);
	cr_assert_eq(run_task(store, WB_IO_READ, WB_IO_CLASS_USER_READ, 0, data + BLOCK, BLOCK),
		     -EIO);
	g_usleep(HOLD_US + G_USEC_PER_SEC);
	goes_on_us = g_get_monotonic_time();
	nbd_server_thaw(&server);
	while (sem_trywait(&write.ended)) {
		nbd_server_look_after(&server);
		g_usleep(1000);
	}
	cr_assert_eq(write.error, 0);
	cr_assert_geq(write.ended_us - goes_on_us, HOLD_US);
	free(data);
	end(store);
}

/* One that was submitted before done() of the failure returned fails too. */
static void flush_well(struct wb_store *store)
{
	while (wb_store_flush_sync(store))
		;
}

Test(store_nbd, a_flush_after_a_break_fails_if_it_had_to_cover_anything, .timeout = 60)
{
	struct wb_store *store = start("");
	char *data = random_bytes(BLOCK, 11);

	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 0, data, BLOCK), 0);
	nbd_server_kill(&server);
	wait_until_away(store, true);
	nbd_server_restart(&server);
	cr_assert_eq(wb_store_flush_sync(store), -EIO);
	flush_well(store);
	/* covered */
	nbd_server_kill(&server);
	wait_until_away(store, true);
	nbd_server_restart(&server);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	/* durable when it was answered */
	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_USER_WRITE, 0, data, BLOCK), 0);
	nbd_server_kill(&server);
	wait_until_away(store, true);
	nbd_server_restart(&server);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	free(data);
	end(store);
}

Test(store_nbd, a_flush_that_waits_for_the_server_fails_too, .timeout = 60)
{
	struct wb_store *store = start("");
	char *data = random_bytes(BLOCK, 12);
	struct task flushes[2];

	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 0, data, BLOCK), 0);
	nbd_server_kill(&server);
	for (unsigned i = 0; i < 2; i++)
		begin(store, &flushes[i], WB_IO_FLUSH, WB_IO_CLASS_WRITEBACK, 0, NULL, 0);
	nbd_server_restart(&server);
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(wait_for(&flushes[i]), -EIO);
	flush_well(store);
	free(data);
	end(store);
}

static void begin_fua(struct wb_store *store, struct task *task, uint64_t offset, char *data)
{
	sem_init(&task->ended, 0, 0);
	wb_io_prepare(&task->io, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, offset, data, BLOCK,
		      task_done);
	task->io.flags = WB_IO_FUA;
	wb_store_submit(store, &task->io);
}

/* `stuck` has two connections and does not move any more, another one answers in its place. */
static void put_another_in_its_place(struct nbd_server *stuck)
{
	*stuck = server;
	server.pid = 0;
	server.arguments = g_strdup("");
	nbd_server_restart(&server);
}

/* What was answered is in the cache of a server that dies before its connections are known
 * to be broken; what connects meanwhile finds its successor, which flushes at once. */
Test(store_nbd, no_flush_of_its_successor_answers_for_a_server_that_dies, .timeout = 60)
{
	/* No more, so that two are wanted still. */
	struct wb_store *store = start("--filter=limit limit=2 --filter=fua");
	char *data = random_bytes(4 * BLOCK, 23), *back = random_bytes(BLOCK, 0);
	struct task pending[2], flush, fua;
	struct nbd_server stuck;

	wb_store_nbd_set_timeout(store, 300);
	wait_for_connections(store, 2);
	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 0, data, BLOCK), 0);
	nbd_server_freeze(&server);
	/* Each of its connections has one, so that the others have less to do. */
	begin(store, &pending[0], WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, BLOCK, data + BLOCK, BLOCK);
	begin(store, &pending[1], WB_IO_WRITE, WB_IO_CLASS_USER_WRITE, 2 * BLOCK,
	      data + 2 * BLOCK, BLOCK);
	put_another_in_its_place(&stuck);
	wait_for_connections(store, 4);
	begin(store, &flush, WB_IO_FLUSH, WB_IO_CLASS_WRITEBACK, 0, NULL, 0);
	begin_fua(store, &fua, 3 * BLOCK, data + 3 * BLOCK);
	/* Both are sent before the first of these; the rest gives the successor time. */
	for (unsigned i = 0; i < 200; i++)
		cr_assert_eq(run_task(store, WB_IO_READ, WB_IO_CLASS_USER_READ, IMAGE_BYTES - BLOCK,
				      back, BLOCK), 0);
	cr_assert_neq(sem_trywait(&flush.ended), 0);
	cr_assert_neq(sem_trywait(&fua.ended), 0);
	nbd_server_kill(&stuck);
	g_free(stuck.arguments);
	cr_assert_eq(wait_for(&flush), -EIO);
	cr_assert_eq(wait_for(&fua), 0);
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(wait_for(&pending[i]), 0);
	flush_well(store);
	image_has(0, data, 4 * BLOCK);
	free(data);
	free(back);
	end(store);
}

/* For what somebody else was answered, who was killed. */
static void doubt(const char *arguments, int expected)
{
	struct wb_store *store = start(arguments);
	char *data = random_bytes(BLOCK, 17);

	wb_store_close(store);
	store = open_as(WB_NBD_WAS_KILLED);
	wb_store_nbd_doubt(store);
	cr_assert_eq(run_task(store, WB_IO_FLUSH, WB_IO_CLASS_USER_WRITE, 0, NULL, 0), expected);
	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 0, data, BLOCK), 0);
	cr_assert_eq(run_task(store, WB_IO_FLUSH, WB_IO_CLASS_WRITEBACK, 0, NULL, 0), 0);
	free(data);
	end(store);
}

Test(store_nbd, what_a_killed_one_had_not_flushed_is_in_doubt_without_fua, .timeout = 60)
{
	doubt("--filter=fua", -EIO);
}

Test(store_nbd, with_fua_there_is_no_doubt, .timeout = 60)
{
	doubt("", 0);
}

Test(store_nbd, users_get_an_error_after_the_timeout_and_writeback_waits, .timeout = 60)
{
	struct wb_store *store = start("");
	char *data = random_bytes(2 * BLOCK, 13);
	struct task writeback;

	wb_store_nbd_set_timeout(store, 1);
	nbd_server_kill(&server);
	wait_until_away(store, true);
	begin(store, &writeback, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 0, data, BLOCK);
	cr_assert_eq(run_task(store, WB_IO_READ, WB_IO_CLASS_USER_READ, 0, data + BLOCK, BLOCK),
		     -EIO);
	cr_assert_neq(sem_trywait(&writeback.ended), 0);
	wb_store_nbd_set_timeout(store, 30);
	nbd_server_restart(&server);
	cr_assert_eq(wait_for(&writeback), 0);
	cr_assert_eq(run_task(store, WB_IO_READ, WB_IO_CLASS_USER_READ, 0, data + BLOCK, BLOCK), 0);
	cr_assert_eq(memcmp(data, data + BLOCK, BLOCK), 0);
	free(data);
	end(store);
}

Test(store_nbd, a_mute_server_counts_as_gone, .timeout = 60)
{
	struct wb_store *store = start("--filter=delay rdelay=50");
	char *data = random_bytes(BLOCK, 13);

	wb_store_nbd_set_timeout(store, 1);
	cr_assert_eq(run_task(store, WB_IO_READ, WB_IO_CLASS_USER_READ, 0, data, BLOCK), -EIO);
	free(data);
	end(store);
}

Test(store_nbd, in_a_hurry_writeback_gives_up_too, .timeout = 60)
{
	struct wb_store *store = start("");
	char *data = random_bytes(BLOCK, 14);
	struct task tasks[2];

	wb_store_nbd_set_timeout(store, 1);
	nbd_server_kill(&server);
	wait_until_away(store, true);
	begin(store, &tasks[0], WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 0, data, BLOCK);
	begin(store, &tasks[1], WB_IO_FLUSH, WB_IO_CLASS_WRITEBACK, 0, NULL, 0);
	wb_store_nbd_hurry(store);
	cr_assert_eq(wait_for(&tasks[0]), -EIO);
	cr_assert_eq(wait_for(&tasks[1]), -EIO);
	free(data);
	end(store);
}

/* Were it the time for each of them, this would take minutes. */
Test(store_nbd, in_a_hurry_all_tries_together_take_no_longer, .timeout = 60)
{
	struct wb_store *store = start("");
	char *data = random_bytes(BLOCK, 14);

	wb_store_nbd_set_timeout(store, 4);
	nbd_server_kill(&server);
	wait_until_away(store, true);
	wb_store_nbd_hurry(store);
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(run_task(store, i % 3 ? WB_IO_WRITE : WB_IO_READ, i % 2 ?
				      WB_IO_CLASS_WRITEBACK : WB_IO_CLASS_USER_READ, 0, data,
				      BLOCK), -EIO);
	free(data);
	end(store);
}

/* A server that shakes hands, and answers reads, but no write: were each try sent to it,
 * this took a minute. What was given up may still land. */
Test(store_nbd, in_a_hurry_a_server_that_is_there_and_mute_is_given_up, .timeout = 60)
{
	struct wb_store *store = start("--filter=delay wdelay=50");
	char *data = random_bytes(BLOCK, 19);

	wb_store_nbd_set_timeout(store, 1);
	wb_store_nbd_hurry(store);
	for (unsigned i = 0; i < 60; i++)
		cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, i * BLOCK, data,
				      BLOCK), -EIO);
	free(data);
	cr_assert_not(leaves_ghosts);
	end(store);
	cr_assert(leaves_ghosts);
}

Test(store_nbd, after_a_killed_user_nothing_is_changed_at_once, .timeout = 60)
{
	struct wb_store *store = start("");
	char *data = random_bytes(BLOCK, 15);
	gint64 begun_us = g_get_monotonic_time();

	wb_store_close(store);
	store = open_as(WB_NBD_WAS_KILLED);
	cr_assert_eq(wb_store_write_sync(store, 0, data, BLOCK), 0);
	cr_assert_geq(g_get_monotonic_time() - begun_us, HOLD_US);
	free(data);
	end(store);
}

/* It becomes smaller while it is away: not the same any more. */
Test(store_nbd, another_export_at_its_place_is_not_taken, .timeout = 60)
{
	struct wb_store *store = start("");
	char *data = random_bytes(BLOCK, 16), *problem = NULL;
	struct task task;

	nbd_server_kill(&server);
	wait_until_away(store, true);
	cr_assert_eq(truncate(server.image, (off_t)IMAGE_BYTES / 2), 0);
	begin(store, &task, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 0, data, BLOCK);
	nbd_server_restart(&server);
	while (!problem || !strstr(problem, "has shrunk")) {
		g_free(problem);
		problem = wb_store_nbd_problem(store);
	}
	g_free(problem);
	nbd_server_kill(&server);
	cr_assert_eq(truncate(server.image, (off_t)IMAGE_BYTES), 0);
	nbd_server_restart(&server);
	cr_assert_eq(wait_for(&task), 0);
	free(data);
	end(store);
}

/* --- another image under the same name --------------------------------------------------- */

#define WITNESSES 32u	/* that are read when all is flushed */
#define SECOND_BYTES (1u << 20)	/* where one of them is; another one is at 0 */

static char *log_path;

static struct wb_store *start_logged(void)
{
	g_autofree char *arguments = NULL;
	int fd = g_file_open_tmp("wb-nbd-log-XXXXXX", &log_path, NULL);

	cr_assert(fd >= 0);
	close(fd);
	arguments = g_strdup_printf("--filter=multi-conn multi-conn-mode=disable --filter=log "
				    "logfile=%s logappend=true", log_path);
	return start(arguments);
}

static void end_logged(struct wb_store *store)
{
	end(store);
	unlink(log_path);
	g_free(log_path);
}

/* The server has answered so many reads, over the one connection that it allows. The last one may be on its way still. */
static void wait_for_reads(unsigned wanted)
{
	unsigned found = 0;

	while (found < wanted) {
		g_autofree char *text = NULL;

		cr_assert(g_file_get_contents(log_path, &text, NULL, NULL));
		found = 0;
		for (const char *at = text; (at = strstr(at, "...Read ")); at++)
			found++;
		g_usleep(1000);
	}
}

static void put(uint64_t offset, const char *data, size_t bytes)
{
	int fd = open(server.image, O_WRONLY);

	cr_assert(fd >= 0);
	cr_assert_eq(pwrite(fd, data, bytes, (off_t)offset), (ssize_t)bytes);
	close(fd);
}

static void wait_for_problem(struct wb_store *store, const char *words)
{
	char *problem = NULL;

	while (!problem || !strstr(problem, words)) {
		g_free(problem);
		problem = wb_store_nbd_problem(store);
		g_usleep(1000);
	}
	g_free(problem);
}

/* (the last of some pages, which is no witness) */
#define ASIDE_BYTES (IMAGE_BYTES / 3 / BLOCK * BLOCK + BLOCK)

Test(store_nbd, another_image_of_the_same_size_is_not_taken, .timeout = 60)
{
	struct wb_store *store = start_logged();
	char *data = random_bytes(BLOCK, 18), *other = random_bytes(1 << 20, 19);
	g_autofree char *aside = g_strconcat(log_path, ".aside", NULL);
	struct task task;

	wait_for_reads(WITNESSES);
	nbd_server_kill(&server);
	wait_until_away(store, true);
	begin(store, &task, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, ASIDE_BYTES, data, BLOCK);
	cr_assert_eq(rename(server.image, aside), 0);
	cr_assert(g_file_set_contents(server.image, other, 1 << 20, NULL));
	cr_assert_eq(truncate(server.image, (off_t)IMAGE_BYTES), 0);
	nbd_server_restart(&server);
	wait_for_problem(store, "the export is another one: 1 of ");
	cr_assert(is_away(store));
	memset(other, 0, BLOCK);
	image_has(ASIDE_BYTES, other, BLOCK);
	nbd_server_kill(&server);
	cr_assert_eq(rename(aside, server.image), 0);
	nbd_server_restart(&server);
	cr_assert_eq(wait_for(&task), 0);
	image_has(ASIDE_BYTES, data, BLOCK);
	free(data);
	free(other);
	end_logged(store);
}

Test(store_nbd, a_server_that_lost_what_was_not_flushed_is_the_same, .timeout = 60)
{
	struct wb_store *store = start_logged();
	char *data = random_bytes(BLOCK, 20), *zeros = calloc(1, BLOCK);

	wait_for_reads(WITNESSES);
	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 0, data, BLOCK), 0);
	nbd_server_kill(&server);
	wait_until_away(store, true);
	put(0, zeros, BLOCK);
	nbd_server_restart(&server);
	wait_until_away(store, false);
	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 0, data, BLOCK), 0);
	image_has(0, data, BLOCK);
	free(data);
	free(zeros);
	end_logged(store);
}

Test(store_nbd, a_server_that_lost_what_was_flushed_is_another_one, .timeout = 60)
{
	struct wb_store *store = start_logged();
	char *data = random_bytes(BLOCK, 21), *zeros = random_bytes(BLOCK, 0);

	wait_for_reads(WITNESSES);
	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 0, data, BLOCK), 0);
	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, SECOND_BYTES, data, BLOCK),
		     0);
	cr_assert_eq(run_task(store, WB_IO_FLUSH, WB_IO_CLASS_WRITEBACK, 0, NULL, 0), 0);
	/* The first was noted when the next one is asked for: they are read one by one. */
	wait_for_reads(WITNESSES + 2);
	nbd_server_kill(&server);
	wait_until_away(store, true);
	put(0, zeros, BLOCK);
	nbd_server_restart(&server);
	wait_for_problem(store, "the export is another one: 1 of ");
	nbd_server_kill(&server);
	put(0, data, BLOCK);
	nbd_server_restart(&server);
	wait_until_away(store, false);
	free(data);
	free(zeros);
	end_logged(store);
}

/* What was under way at the break may land late: a witness is not read before that, and
 * with a flush after it. */
Test(store_nbd, after_a_break_the_witnesses_are_read_when_no_ghost_is_left, .timeout = 60)
{
	struct wb_store *store = start_logged();
	char *data = random_bytes(BLOCK, 22), *zeros = calloc(1, BLOCK);
	gint64 broken_us;

	wait_for_reads(WITNESSES);
	broken_us = g_get_monotonic_time();
	nbd_server_kill(&server);
	wait_until_away(store, true);
	nbd_server_restart(&server);
	wait_until_away(store, false);
	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 0, data, BLOCK), 0);
	cr_assert_eq(run_task(store, WB_IO_FLUSH, WB_IO_CLASS_WRITEBACK, 0, NULL, 0), 0);
	/* those that were asked for to judge it, and the one that has changed */
	wait_for_reads(2 * WITNESSES + 1);
	cr_assert_geq(g_get_monotonic_time() - broken_us, HOLD_US);
	free(data);
	free(zeros);
	end_logged(store);
}

/* Connections that have the old size are no broken ones: what they wrote is in no doubt. */
Test(store_nbd, an_image_that_grows_spoils_no_flush, .timeout = 60)
{
	struct wb_store *store = start_logged();
	char *data = random_bytes(BLOCK, 20);
	GError *error = NULL;

	/* Then nobody else asks for a flush. */
	wait_for_reads(WITNESSES);
	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, ASIDE_BYTES, data, BLOCK),
		     0);
	cr_assert_eq(truncate(server.image, (off_t)(2 * IMAGE_BYTES)), 0);
	cr_assert(wb_store_nbd_look_again(store, &error), "%s", error ? error->message : "");
	cr_assert_eq(store->size_bytes, 2 * IMAGE_BYTES);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, IMAGE_BYTES, data, BLOCK),
		     0);
	image_has(IMAGE_BYTES, data, BLOCK);
	/* Nor is one needed: what lies behind the old end is written at once. */
	cr_assert_eq(truncate(server.image, (off_t)(3 * IMAGE_BYTES)), 0);
	cr_assert(wb_store_nbd_look_again(store, &error), "%s", error ? error->message : "");
	cr_assert_eq(run_task(store, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 2 * IMAGE_BYTES, data,
			      BLOCK), 0);
	image_has(2 * IMAGE_BYTES, data, BLOCK);
	free(data);
	end_logged(store);
}
