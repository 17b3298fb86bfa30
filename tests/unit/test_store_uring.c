/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store over io_uring, on real files, and its transfer rules without any. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/ioctl.h>
#include <linux/falloc.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <unistd.h>

#include "base/lock.h"
#include "io/store_uring.h"
#include "io/uring_transfer.h"

#define FILE_BYTES (8u << 20)
#define BLOCK_BYTES 4096u

static char test_path[128];

static void make_file(const char *folder, uint64_t bytes)
{
	int fd;

	snprintf(test_path, sizeof(test_path), "%s/wb-test-XXXXXX", folder);
	fd = mkstemp(test_path);
	cr_assert(fd >= 0);
	cr_assert_eq(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

static void setup(void)
{
	const char *folder = getenv("TMPDIR");

	make_file(folder ? folder : "/var/tmp", FILE_BYTES);
}

static void teardown(void)
{
	unlink(test_path);
}

TestSuite(store_uring, .init = setup, .fini = teardown);

static struct wb_store *open_with(struct wb_store_uring_options options)
{
	GError *error = NULL;
	struct wb_store *store;

	options.path = test_path;
	store = wb_store_uring_open(&options, &error);
	if (!store && strstr(error->message, "io_uring"))
		cr_skip("no io_uring here: %s", error->message);
	cr_assert(store, "%s", error ? error->message : "no error");
	return store;
}

static struct wb_store *open_store(void)
{
	return open_with((struct wb_store_uring_options){ .fd = -1 });
}

static char *aligned(size_t bytes, int fill)
{
	void *memory = NULL;

	cr_assert_eq(posix_memalign(&memory, BLOCK_BYTES, bytes), 0);
	memset(memory, fill, bytes);
	return memory;
}

/* --- many at once -------------------------------------------------------- */

struct group {
	struct wb_lock lock;
	struct wb_cond cond;
	unsigned answered_count;
	unsigned failed_count;
};

struct group_io {
	struct wb_io io;
	struct group *group;
	unsigned answer_count;
};

static void group_done(struct wb_io *io, int error)
{
	struct group_io *own = (struct group_io *)io;

	wb_lock_acquire(&own->group->lock);
	own->answer_count++;
	own->group->answered_count++;
	own->group->failed_count += error != 0;
	wb_cond_broadcast(&own->group->cond);
	wb_lock_release(&own->group->lock);
}

static void group_init(struct group *group)
{
	memset(group, 0, sizeof(*group));
	wb_lock_init(&group->lock, WB_RANK_FRONTEND);
	wb_cond_init(&group->cond);
}

static void group_wait(struct group *group, unsigned count)
{
	wb_lock_acquire(&group->lock);
	while (group->answered_count < count)
		wb_cond_wait(&group->cond, &group->lock);
	cr_assert_eq(group->answered_count, count);
	wb_lock_release(&group->lock);
}

struct submitter {
	struct wb_store *store;
	struct group *group;
	unsigned index;
	struct group_io ios[256];
	char *buffer;
};

static void *submit_all(void *arg)
{
	struct submitter *self = arg;

	for (unsigned i = 0; i < 256; i++) {
		struct group_io *own = &self->ios[i];

		own->group = self->group;
		wb_io_prepare(&own->io, WB_IO_WRITE,
			      (enum wb_io_class)(i % WB_IO_CLASS_COUNT),
			      (uint64_t)(self->index * 256 + i) * BLOCK_BYTES,
			      self->buffer + (size_t)i * BLOCK_BYTES, BLOCK_BYTES,
			      group_done);
		wb_store_submit(self->store, &own->io);
	}
	return NULL;
}

/* The threads end at once after submitting: their I/O must survive them. */
Test(store_uring, every_io_of_many_threads_is_answered_once)
{
	struct wb_store *store = open_with((struct wb_store_uring_options){
		.fd = -1, .queue_entries = 4 });
	struct submitter *all = g_new0(struct submitter, 8);
	GThread *threads[8];
	struct group group;
	char *image = aligned(FILE_BYTES, 0);

	group_init(&group);
	for (unsigned i = 0; i < 8; i++) {
		all[i] = (struct submitter){ .store = store, .group = &group, .index = i,
					     .buffer = aligned(256 * BLOCK_BYTES, 'a' + (int)i) };
		threads[i] = g_thread_new("submitter", submit_all, &all[i]);
	}
	for (unsigned i = 0; i < 8; i++)
		g_thread_join(threads[i]);
	group_wait(&group, 8 * 256);
	cr_assert_eq(group.failed_count, 0);
	cr_assert_eq(wb_store_read_sync(store, 0, image, FILE_BYTES), 0);
	for (unsigned i = 0; i < 8 * 256; i++) {
		cr_assert_eq(all[i / 256].ios[i % 256].answer_count, 1);
		cr_assert_eq(image[(size_t)i * BLOCK_BYTES], 'a' + (int)(i / 256));
	}
	for (unsigned i = 0; i < 8; i++)
		free(all[i].buffer);
	wb_store_close(store);
	g_free(all);
	free(image);
}

static void *submit_slow_and_end(void *arg)
{
	struct submitter *self = arg;

	for (unsigned i = 0; i < 256; i++) {
		struct group_io *own = &self->ios[i];

		own->group = self->group;
		wb_io_prepare(&own->io, i % 2 ? WB_IO_FLUSH : WB_IO_WRITE,
			      WB_IO_CLASS_WRITEBACK, (uint64_t)i * BLOCK_BYTES,
			      self->buffer, i % 2 ? 0 : BLOCK_BYTES, group_done);
		wb_store_submit(self->store, &own->io);
	}
	return NULL;
}

/* A FLUSH is carried out by a kernel worker that belongs to the submitting
 * thread, and may be cancelled when that ends. */
Test(store_uring, what_a_thread_submitted_outlives_it)
{
	struct wb_store *store = open_store();
	struct submitter *submitter = g_new0(struct submitter, 1);
	struct group group;

	group_init(&group);
	submitter->store = store;
	submitter->group = &group;
	submitter->buffer = aligned(BLOCK_BYTES, 'x');
	g_thread_join(g_thread_new("short-lived", submit_slow_and_end, submitter));
	group_wait(&group, 256);
	cr_assert_eq(group.failed_count, 0);
	wb_store_close(store);
	free(submitter->buffer);
	g_free(submitter);
}

Test(store_uring, a_disk_that_was_made_larger_is_used_to_its_new_end)
{
	struct wb_store *store = open_store();
	char *data = aligned(2 * BLOCK_BYTES, 'n'), *back = aligned(2 * BLOCK_BYTES, 0);

	cr_assert_eq(store->size_bytes, FILE_BYTES);
	cr_assert_eq(truncate(test_path, FILE_BYTES + 3 * BLOCK_BYTES), 0);
	cr_assert_eq(store->size_bytes, FILE_BYTES);
	wb_store_uring_set_size(store, FILE_BYTES + 3 * BLOCK_BYTES);
	cr_assert_eq(store->size_bytes, FILE_BYTES + 3 * BLOCK_BYTES);
	cr_assert_eq(wb_store_write_sync(store, FILE_BYTES - BLOCK_BYTES, data, 2 * BLOCK_BYTES),
		     0);
	cr_assert_eq(wb_store_read_sync(store, FILE_BYTES - BLOCK_BYTES, back, 2 * BLOCK_BYTES),
		     0);
	cr_assert_arr_eq(back, data, 2 * BLOCK_BYTES);
	cr_assert_eq(wb_store_read_sync(store, FILE_BYTES + 2 * BLOCK_BYTES, back, BLOCK_BYTES),
		     0);
	cr_assert_eq(back[0], 0);
	wb_store_uring_set_size(store, FILE_BYTES);
	cr_assert_eq(store->size_bytes, FILE_BYTES + 3 * BLOCK_BYTES, "it never shrinks");
	wb_store_close(store);
	free(data);
	free(back);
}

struct chain {
	struct group_io own;
	struct wb_store *store;
	unsigned left_count;
	char *buffer;
};

static void chain_done(struct wb_io *io, int error)
{
	struct chain *chain = (struct chain *)io;

	if (error == 0 && --chain->left_count > 0) {
		wb_io_prepare(io, WB_IO_READ, WB_IO_CLASS_FILL, 0, chain->buffer,
			      BLOCK_BYTES, chain_done);
		wb_store_submit(chain->store, io);
		return;
	}
	group_done(io, error);
}

Test(store_uring, a_file_says_where_it_has_holes)
{
	struct wb_store *store = open_store();
	void *data = g_aligned_alloc0(16, BLOCK_BYTES, BLOCK_BYTES);

	memset(data, 1, 16 * BLOCK_BYTES);
	cr_assert(wb_store_has_hole(store, 0, FILE_BYTES));
	cr_assert_eq(wb_store_write_sync(store, 1 << 20, data, 16 * BLOCK_BYTES), 0);
	cr_assert_not(wb_store_has_hole(store, 1 << 20, 16 * BLOCK_BYTES));
	cr_assert(wb_store_has_hole(store, 1 << 20, 17 * BLOCK_BYTES));
	cr_assert_eq(wb_store_zero_sync(store, (1 << 20) + 4 * BLOCK_BYTES, BLOCK_BYTES), 0);
	cr_assert(wb_store_has_hole(store, 1 << 20, 16 * BLOCK_BYTES));
	cr_assert_not(wb_store_has_hole(store, (1 << 20) + 5 * BLOCK_BYTES, BLOCK_BYTES));
	g_aligned_free(data);
	wb_store_close(store);
}

Test(store_uring, done_may_submit_again)
{
	struct chain chain = { .left_count = 100, .buffer = aligned(BLOCK_BYTES, 0) };
	struct group group;

	group_init(&group);
	chain.store = open_store();
	chain.own.group = &group;
	wb_io_prepare(&chain.own.io, WB_IO_READ, WB_IO_CLASS_FILL, 0, chain.buffer,
		      BLOCK_BYTES, chain_done);
	wb_store_submit(chain.store, &chain.own.io);
	group_wait(&group, 1);
	cr_assert_eq(group.failed_count, 0);
	cr_assert_eq(chain.left_count, 0);
	wb_store_close(chain.store);
	free(chain.buffer);
}

/* --- what is written is there -------------------------------------------- */

static void write_and_compare(struct wb_store *store)
{
	char *written = aligned(64 * BLOCK_BYTES, 'w');
	char *read_back = aligned(64 * BLOCK_BYTES, 0);
	struct group group;
	struct group_io own = { .group = &group };
	struct iovec iov[64];

	group_init(&group);
	for (unsigned i = 0; i < 64; i++) {
		written[(size_t)i * BLOCK_BYTES] = (char)i;
		iov[i] = (struct iovec){ written + (size_t)i * BLOCK_BYTES, BLOCK_BYTES };
	}
	wb_io_prepare(&own.io, WB_IO_WRITE, WB_IO_CLASS_LOG, BLOCK_BYTES, NULL,
		      64 * BLOCK_BYTES, group_done);
	own.io.iov = iov;
	own.io.iov_count = 64;
	own.io.flags = WB_IO_FUA;
	wb_store_submit(store, &own.io);
	group_wait(&group, 1);
	cr_assert_eq(group.failed_count, 0);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	cr_assert_eq(wb_store_read_sync(store, BLOCK_BYTES, read_back, 64 * BLOCK_BYTES), 0);
	cr_assert_arr_eq(read_back, written, 64 * BLOCK_BYTES);
	free(written);
	free(read_back);
}

Test(store_uring, a_vectored_durable_write_is_read_back)
{
	struct wb_store *store = open_store();

	write_and_compare(store);
	wb_store_close(store);
}

static int waited_error;
static bool was_called;

static void note_call(struct wb_io *io, int error)
{
	(void)io;
	waited_error = error;
	was_called = true;
}

static void write_waiting(struct wb_store *store, char *data)
{
	struct wb_io io;

	was_called = false;
	wb_io_prepare(&io, WB_IO_WRITE, WB_IO_CLASS_LOG, BLOCK_BYTES, data, 2 * BLOCK_BYTES,
		      note_call);
	io.flags = WB_IO_FUA | WB_IO_MAY_WAIT;
	wb_store_submit(store, &io);
	cr_assert(was_called, "answered by another thread, which has to be woken");
}

Test(store_uring, a_durable_write_that_may_wait_is_over_when_submit_returns)
{
	struct wb_store *store = open_store();
	char *data = aligned(2 * BLOCK_BYTES, 0x5a), *back = aligned(2 * BLOCK_BYTES, 0);

	write_waiting(store, data);
	cr_assert_eq(waited_error, 0);
	cr_assert_eq(wb_store_read_sync(store, BLOCK_BYTES, back, 2 * BLOCK_BYTES), 0);
	cr_assert_arr_eq(back, data, 2 * BLOCK_BYTES);
	wb_store_close(store);

	store = open_with((struct wb_store_uring_options){
		.fd = -1, .access = WB_STORE_READ_ONLY });
	write_waiting(store, data);
	cr_assert_eq(waited_error, -EBADF);
	wb_store_close(store);
	free(data);
	free(back);
}

static void prepare_read(struct wb_io *io, void *buffer, void (*done)(struct wb_io *, int))
{
	wb_io_prepare(io, WB_IO_READ, WB_IO_CLASS_USER_READ, 0, buffer, BLOCK_BYTES, done);
}

static sem_t in_done, may_go_on, was_read;

static void hold_the_lane(struct wb_io *io, int error)
{
	(void)io;
	waited_error = error;
	sem_post(&in_done);
	sem_wait(&may_go_on);
}

static void note_read(struct wb_io *io, int error)
{
	note_call(io, error);
	sem_post(&was_read);
}

/* With company it goes the way of all, where it can be part of a batch. */
Test(store_uring, a_read_that_may_wait_is_over_when_submit_returns_if_it_is_alone)
{
	struct wb_store *store = open_store();
	char *data = aligned(BLOCK_BYTES, 0x5a), *back = aligned(3 * BLOCK_BYTES, 0);
	struct wb_io first, alone, other;

	sem_init(&in_done, 0, 0);
	sem_init(&may_go_on, 0, 0);
	sem_init(&was_read, 0, 0);
	cr_assert_eq(wb_store_write_sync(store, 0, data, BLOCK_BYTES), 0);
	prepare_read(&alone, back, note_call);
	alone.flags = WB_IO_MAY_WAIT;
	was_called = false;
	wb_store_submit(store, &alone);
	cr_assert(was_called, "answered by another thread, which has to be woken");
	cr_assert_eq(waited_error, 0);

	prepare_read(&first, back + BLOCK_BYTES, hold_the_lane);
	prepare_read(&other, back + 2 * BLOCK_BYTES, note_read);
	wb_store_submit(store, &other);
	sem_wait(&was_read);
	wb_store_submit(store, &first);
	sem_wait(&in_done);
	wb_store_submit(store, &other);	/* waits behind done() of the first */
	prepare_read(&alone, back, note_read);
	alone.flags = WB_IO_MAY_WAIT;
	was_called = false;
	wb_store_submit(store, &alone);
	cr_assert_not(was_called, "two threads wait for one disk");
	sem_post(&may_go_on);
	sem_wait(&was_read);
	sem_wait(&was_read);
	wb_store_close(store);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_arr_eq(back + i * BLOCK_BYTES, data, BLOCK_BYTES);
	free(data);
	free(back);
}

Test(store_uring, buffered_io_keeps_the_same_promises_and_says_why)
{
	struct wb_store *store = open_with((struct wb_store_uring_options){
		.fd = -1, .caching = WB_STORE_BUFFERED });
	const struct wb_store_uring_info *info = wb_store_uring_get_info(store);

	cr_assert_not(info->is_direct);
	cr_assert(info->buffered_reason);
	write_and_compare(store);
	wb_store_close(store);
}

Test(store_uring, tmpfs_is_honestly_called_buffered)
{
	struct wb_store *store;
	struct statfs fs;

	if (statfs("/dev/shm", &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		cr_skip("no tmpfs at /dev/shm");
	unlink(test_path);
	make_file("/dev/shm", FILE_BYTES);
	store = open_store();
	cr_assert_not(wb_store_uring_get_info(store)->is_direct);
	cr_assert(strstr(wb_store_uring_get_info(store)->buffered_reason, "tmpfs"));
	write_and_compare(store);
	wb_store_close(store);
}

Test(store_uring, zero_reads_as_zeros_and_only_its_range)
{
	struct wb_store *store = open_store();
	char *buffer = aligned(8 * BLOCK_BYTES, 'x');

	cr_assert_eq(wb_store_write_sync(store, 0, buffer, 8 * BLOCK_BYTES), 0);
	cr_assert_eq(wb_store_zero_sync(store, BLOCK_BYTES, 2 * BLOCK_BYTES), 0);
	cr_assert_eq(wb_store_read_sync(store, 0, buffer, 8 * BLOCK_BYTES), 0);
	cr_assert_eq(buffer[BLOCK_BYTES - 1], 'x');
	for (unsigned i = BLOCK_BYTES; i < 3 * BLOCK_BYTES; i++)
		cr_assert_eq(buffer[i], 0);
	cr_assert_eq(buffer[3 * BLOCK_BYTES], 'x');
	wb_store_close(store);
	free(buffer);
}

/* --- discards ------------------------------------------------------------ */

static uint64_t allocated_bytes(void)
{
	struct stat st;

	cr_assert_eq(stat(test_path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* Fills the disk, discards the inner half of it, and looks what the file has. */
static void discard_half(struct wb_store *store)
{
	char *buffer = aligned(FILE_BYTES, 'x');
	int error;

	cr_assert_eq(wb_store_write_sync(store, 0, buffer, FILE_BYTES), 0);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	cr_assert_geq(allocated_bytes(), FILE_BYTES);
	error = wb_store_discard_sync(store, FILE_BYTES / 4, FILE_BYTES / 2);
	if (error == -EOPNOTSUPP)
		cr_skip("the filesystem has no holes here");
	cr_assert_eq(error, 0);
	cr_assert_leq(allocated_bytes(), FILE_BYTES / 2 + (64u << 10));
	/* What lies beside it stays, and what is written there again. */
	memset(buffer, 'y', BLOCK_BYTES);
	cr_assert_eq(wb_store_write_sync(store, FILE_BYTES / 2, buffer, BLOCK_BYTES), 0);
	cr_assert_eq(wb_store_read_sync(store, 0, buffer, FILE_BYTES), 0);
	for (unsigned i = 0; i < FILE_BYTES / 4; i++)
		cr_assert(buffer[i] == 'x' && buffer[FILE_BYTES - 1 - i] == 'x');
	for (unsigned i = 0; i < BLOCK_BYTES; i++)
		cr_assert_eq(buffer[FILE_BYTES / 2 + i], 'y');
	free(buffer);
}

Test(store_uring, a_discard_in_a_file_gives_its_space_back)
{
	struct wb_store *store = open_store();
	int fd = open(test_path, O_RDONLY);

	discard_half(store);
	cr_assert(fd >= 0);
	cr_expect_eq(lseek(fd, 0, SEEK_HOLE), FILE_BYTES / 4);
	cr_expect_eq(lseek(fd, FILE_BYTES / 4, SEEK_DATA), FILE_BYTES / 2);
	close(fd);
	wb_store_close(store);
}

/* A loop device over the file; others may take the same one. */
static int take_loop(char *path, size_t size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int file = open(test_path, O_RDWR | O_CLOEXEC), loop = -1;
	struct loop_config config = { .fd = (uint32_t)file,
				      .info.lo_flags = LO_FLAGS_AUTOCLEAR };

	for (unsigned tries = 0; control >= 0 && file >= 0 && loop < 0 && tries < 50; tries++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		if (number < 0)
			break;
		snprintf(path, size, "/dev/loop%d", number);
		loop = open(path, O_RDWR | O_CLOEXEC);
		if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) < 0) {
			close(loop);
			loop = -1;
		}
	}
	close(control);
	close(file);
	return loop;
}

Test(store_uring, a_discard_on_a_device_reaches_what_lies_under_it)
{
	struct wb_store_uring_options options = { .path = "a loop device" };
	GError *error = NULL;
	struct wb_store *store;
	char path[32];
	int loop = take_loop(path, sizeof path);

	if (loop < 0)
		cr_skip("no loop device here: %s", strerror(errno));
	options.fd = loop;
	store = wb_store_uring_open(&options, &error);
	cr_assert(store, "%s", error ? error->message : "");
	cr_expect(wb_store_uring_get_info(store)->is_block_device);
	discard_half(store);
	wb_store_close(store);
}

/* More than one at a time, beside other I/O. */
Test(store_uring, every_discard_of_many_is_answered_once)
{
	struct wb_store *store = open_store();
	struct group_io ios[64] = { 0 };
	struct group group;

	group_init(&group);
	for (unsigned i = 0; i < 64; i++) {
		ios[i].group = &group;
		wb_io_prepare(&ios[i].io, WB_IO_DISCARD, WB_IO_CLASS_DISCARD,
			      (uint64_t)i * BLOCK_BYTES, NULL, BLOCK_BYTES, group_done);
		wb_store_submit(store, &ios[i].io);
	}
	group_wait(&group, 64);
	for (unsigned i = 0; i < 64; i++)
		cr_expect_eq(ios[i].answer_count, 1);
	wb_store_close(store);
}

/* --- odd sizes, many reads ----------------------------------------------- */

Test(store_uring, a_size_of_odd_sectors_can_be_read_to_its_end)
{
	struct wb_store *store;
	char *buffer = aligned(BLOCK_BYTES, 0);

	cr_assert_eq(truncate(test_path, 3 * 512), 0);
	store = open_store();
	cr_assert_eq(store->size_bytes, 3 * 512);
	cr_assert_eq(store->size_bytes % store->alignment_bytes, 0);
	cr_assert_eq(wb_store_read_sync(store, 0, buffer, 3 * 512), 0);
	cr_assert_eq(wb_store_zero_sync(store, 0, 3 * 512), 0);
	wb_store_close(store);
	free(buffer);
}

Test(store_uring, many_reads_at_once_bring_each_piece_to_its_place)
{
	struct wb_store *store = open_store();
	char *buffer = aligned(FILE_BYTES, 0);
	uint64_t offsets[500];
	int errors[500];

	for (unsigned i = 0; i < FILE_BYTES / BLOCK_BYTES; i++)
		memcpy(buffer + (size_t)i * BLOCK_BYTES, &i, sizeof(i));
	cr_assert_eq(wb_store_write_sync(store, 0, buffer, FILE_BYTES), 0);
	memset(buffer, 0xff, FILE_BYTES);
	for (unsigned i = 0; i < 500; i++)
		offsets[i] = (uint64_t)((i * 37) % 2048) * BLOCK_BYTES;
	wb_store_read_many_sync(store, offsets, 500, BLOCK_BYTES, buffer, errors, 32);
	for (unsigned i = 0; i < 500; i++) {
		unsigned found;

		memcpy(&found, buffer + (size_t)i * BLOCK_BYTES, sizeof(found));
		cr_assert_eq(errors[i], 0);
		cr_assert_eq(found, (i * 37) % 2048);
	}
	wb_store_close(store);
	free(buffer);
}

Test(store_uring, a_read_in_a_file_truncated_behind_our_back_is_an_error)
{
	struct wb_store *store = open_store();
	char *buffer = aligned(4 * BLOCK_BYTES, 0);

	cr_assert_eq(truncate(test_path, FILE_BYTES / 2), 0);
	cr_assert_eq(wb_store_read_sync(store, FILE_BYTES / 2 - 2 * BLOCK_BYTES, buffer,
					4 * BLOCK_BYTES), -EIO);
	wb_store_close(store);
	free(buffer);
}

/* --- opening and closing ------------------------------------------------- */

Test(store_uring, the_lock_of_the_given_descriptor_lives_as_long_as_the_store)
{
	int fd = open(test_path, O_RDWR | O_CLOEXEC);
	int other = open(test_path, O_RDWR | O_CLOEXEC);
	struct wb_store *store;

	cr_assert_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	store = open_with((struct wb_store_uring_options){ .fd = fd });
	write_and_compare(store);
	cr_assert_eq(flock(other, LOCK_EX | LOCK_NB), -1);
	wb_store_close(store);
	cr_assert_eq(flock(other, LOCK_EX | LOCK_NB), 0);
	close(other);
}

static void assert_refused(const char *path, const char *word)
{
	struct wb_store_uring_options options = { .path = path, .fd = -1 };
	GError *error = NULL;

	cr_assert_null(wb_store_uring_open(&options, &error));
	cr_assert(strstr(error->message, path), "%s", error->message);
	cr_assert(strstr(error->message, word), "%s", error->message);
	g_error_free(error);
}

Test(store_uring, what_is_no_disk_is_refused_by_name)
{
	assert_refused("/nonexistent/file", "No such file");
	assert_refused("/dev/null", "neither");
	cr_assert_eq(truncate(test_path, 1000), 0);
	assert_refused(test_path, "multiple of 512");
}

/* --- transfer rules, without a kernel ------------------------------------ */

static struct wb_uring_disk plain_disk = { .file = 7, .alignment_bytes = 512 };

static void nothing(struct wb_io *io, int error)
{
	(void)io;
	(void)error;
}

Test(uring_transfer, a_short_transfer_goes_on_where_it_ended)
{
	struct iovec iov[3] = { { (void *)0x10000, 4096 }, { (void *)0x20000, 4096 },
				{ (void *)0x30000, 4096 } };
	struct wb_io io = { .op = WB_IO_READ, .offset_bytes = 8192,
			    .length_bytes = 3 * 4096, .iov = iov, .iov_count = 3 };
	struct io_uring_sqe sqe;
	int error = 1;

	wb_uring_transfer_start(&io);
	/* 4096 + 1024 and a torn sector, which must be read again */
	cr_assert_eq(wb_uring_transfer_advance(&plain_disk, &io, 5120 + 100, &error),
		     WB_TRANSFER_AGAIN);
	wb_uring_transfer_prepare(&plain_disk, &io, &sqe);
	cr_assert_eq(sqe.opcode, IORING_OP_READV);
	cr_assert_eq(sqe.off, 8192 + 5120);
	cr_assert_eq(sqe.len, 2);
	cr_assert_eq((uintptr_t)io.iov[0].iov_base, 0x20000 + 1024);
	cr_assert_eq(io.iov[0].iov_len, 3072);
	cr_assert_eq(wb_uring_transfer_advance(&plain_disk, &io, 3072 + 4096, &error),
		     WB_TRANSFER_FINISHED);
	cr_assert_eq(error, 0);
}

Test(uring_transfer, a_transfer_without_progress_is_an_io_error)
{
	struct wb_io io;
	int error = 0;

	wb_io_prepare(&io, WB_IO_WRITE, WB_IO_CLASS_LOG, 0, (void *)0x10000, 4096, nothing);
	wb_uring_transfer_start(&io);
	cr_assert_eq(wb_uring_transfer_advance(&plain_disk, &io, 0, &error),
		     WB_TRANSFER_FINISHED);
	cr_assert_eq(error, -EIO);
}

Test(uring_transfer, interrupted_and_cancelled_operations_are_tried_again_but_not_for_ever)
{
	struct wb_io io;
	int error = 0;
	unsigned again_count = 0;

	wb_io_prepare(&io, WB_IO_FLUSH, WB_IO_CLASS_LOG, 0, NULL, 0, nothing);
	wb_uring_transfer_start(&io);
	cr_assert_eq(wb_uring_transfer_advance(&plain_disk, &io, -EINTR, &error),
		     WB_TRANSFER_AGAIN);
	while (wb_uring_transfer_advance(&plain_disk, &io, -ECANCELED, &error) ==
	       WB_TRANSFER_AGAIN)
		cr_assert_lt(again_count++, 1u << 20);
	cr_assert_gt(again_count, 100u);
	cr_assert_eq(error, -ECANCELED);
	wb_uring_transfer_start(&io);
	cr_assert_eq(wb_uring_transfer_advance(&plain_disk, &io, -EIO, &error),
		     WB_TRANSFER_FINISHED);
	cr_assert_eq(error, -EIO);
}

Test(uring_transfer, a_durable_write_carries_its_flag_in_every_piece)
{
	struct wb_io io;
	struct io_uring_sqe sqe;
	int error;

	wb_io_prepare(&io, WB_IO_WRITE, WB_IO_CLASS_LOG, 0, (void *)0x10000, 8192, nothing);
	io.flags = WB_IO_FUA;
	wb_uring_transfer_start(&io);
	wb_uring_transfer_prepare(&plain_disk, &io, &sqe);
	cr_assert_eq(sqe.rw_flags, RWF_DSYNC);
	wb_uring_transfer_advance(&plain_disk, &io, 4096, &error);
	wb_uring_transfer_prepare(&plain_disk, &io, &sqe);
	cr_assert_eq(sqe.rw_flags, RWF_DSYNC);
	cr_assert_eq(sqe.off, 4096);
}

Test(uring_transfer, zeros_are_punched_else_ranged_else_written_in_pieces)
{
	struct wb_uring_disk disk = { .file = 7, .alignment_bytes = 512 };
	uint64_t bytes = (1u << 20) + 4096;
	struct io_uring_sqe sqe;
	struct wb_io io, late;
	int error = 0;

	wb_io_prepare(&io, WB_IO_ZERO, WB_IO_CLASS_WRITEBACK, 4096, NULL, bytes, nothing);
	late = io;
	wb_uring_transfer_start(&io);
	wb_uring_transfer_start(&late);
	wb_uring_transfer_prepare(&disk, &io, &sqe);
	wb_uring_transfer_prepare(&disk, &late, &sqe);
	cr_assert_eq(sqe.opcode, IORING_OP_FALLOCATE);
	cr_assert_eq(sqe.len, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	cr_assert_eq(wb_uring_transfer_advance(&disk, &io, -EOPNOTSUPP, &error),
		     WB_TRANSFER_AGAIN);
	wb_uring_transfer_prepare(&disk, &io, &sqe);
	cr_assert_eq(sqe.len, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	/* The refusal of an old punch must not skip a method. */
	cr_assert_eq(wb_uring_transfer_advance(&disk, &late, -EOPNOTSUPP, &error),
		     WB_TRANSFER_AGAIN);
	cr_assert_eq(atomic_load(&disk.zero_method), WB_ZERO_BY_RANGE);
	cr_assert_eq(wb_uring_transfer_advance(&disk, &io, -EOPNOTSUPP, &error),
		     WB_TRANSFER_AGAIN);
	wb_uring_transfer_prepare(&disk, &io, &sqe);
	cr_assert_eq(sqe.opcode, IORING_OP_WRITE);
	cr_assert_eq(sqe.len, 1u << 20);
	cr_assert_eq(wb_uring_transfer_advance(&disk, &io, 1 << 20, &error),
		     WB_TRANSFER_AGAIN);
	wb_uring_transfer_prepare(&disk, &io, &sqe);
	cr_assert_eq(sqe.off, 4096 + (1u << 20));
	cr_assert_eq(sqe.len, 4096);
	cr_assert_eq(wb_uring_transfer_advance(&disk, &io, 4096, &error),
		     WB_TRANSFER_FINISHED);
	cr_assert_eq(error, 0);
}

Test(uring_transfer, a_discard_is_a_hole_or_not_supported)
{
	struct wb_uring_disk disk = { .file = 7, .alignment_bytes = 512 };
	static const int results[][2] = { { 0, 0 }, { -EIO, -EIO }, { -ENOSPC, -ENOSPC },
					  { -EOPNOTSUPP, -EOPNOTSUPP }, { -ENOSYS, -EOPNOTSUPP } };
	struct io_uring_sqe sqe;
	struct wb_io io;
	int error;

	wb_io_prepare(&io, WB_IO_DISCARD, WB_IO_CLASS_DISCARD, 8192, NULL, 1 << 20, nothing);
	for (unsigned i = 0; i < sizeof results / sizeof results[0]; i++) {
		wb_uring_transfer_start(&io);
		wb_uring_transfer_prepare(&disk, &io, &sqe);
		cr_assert_eq(sqe.opcode, IORING_OP_FALLOCATE);
		cr_assert_eq(sqe.len, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
		cr_assert_eq(wb_uring_transfer_advance(&disk, &io, results[i][0], &error),
			     WB_TRANSFER_FINISHED);
		cr_assert_eq(error, results[i][1]);
	}
	/* It says nothing about zeros. */
	cr_assert_eq(atomic_load(&disk.zero_method), WB_ZERO_BY_PUNCH);
}
