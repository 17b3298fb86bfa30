/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/discard_thread.h"

#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/ioctl.h>

#include "base/lock.h"

/* As of the reaper of a lane: the whole of it is locked in memory. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define STACK_BYTES (1024u << 10)
#else
#define STACK_BYTES (128u << 10)
#endif

struct wb_discard_thread {
	/* constant after new */
	int fd;
	pthread_t thread;

	struct wb_lock lock;
	struct wb_cond cond;
	/* under lock */
	struct wb_io *first, **last;
	bool is_stopping;
};

static int discard(int fd, const struct wb_io *io)
{
	uint64_t range[2] = { io->offset_bytes, io->length_bytes };
	int result;

	do
		result = ioctl(fd, BLKDISCARD, range);
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : 0;
}

/* NULL: the end. */
static struct wb_io *wait_for_one(struct wb_discard_thread *self)
{
	struct wb_io *io;

	wb_lock_acquire(&self->lock);
	while (!self->first && !self->is_stopping)
		wb_cond_wait(&self->cond, &self->lock);
	io = self->first;
	if (io) {
		self->first = io->next;
		if (!self->first)
			self->last = &self->first;
	}
	wb_lock_release(&self->lock);
	return io;
}

static void *run(void *arg)
{
	struct wb_discard_thread *self = arg;
	struct wb_io *io;

	pthread_setname_np(pthread_self(), "wb-io-discard");
	while ((io = wait_for_one(self)) != NULL)
		io->done(io, discard(self->fd, io));
	return NULL;
}

struct wb_discard_thread *wb_discard_thread_new(int fd, const char *label, GError **error)
{
	struct wb_discard_thread *self = g_new0(struct wb_discard_thread, 1);
	pthread_attr_t attr;
	int result;

	self->fd = fd;
	self->last = &self->first;
	wb_lock_init(&self->lock, WB_RANK_STORE);
	wb_cond_init(&self->cond);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	result = pthread_create(&self->thread, &attr, run, self);
	pthread_attr_destroy(&attr);
	if (result == 0)
		return self;
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(result),
		    "%s: cannot start a thread: %s", label, g_strerror(result));
	wb_cond_clear(&self->cond);
	wb_lock_clear(&self->lock);
	g_free(self);
	return NULL;
}

void wb_discard_thread_submit(struct wb_discard_thread *self, struct wb_io *io)
{
	io->next = NULL;
	wb_lock_acquire(&self->lock);
	*self->last = io;
	self->last = &io->next;
	wb_cond_signal(&self->cond);
	wb_lock_release(&self->lock);
}

void wb_discard_thread_free(struct wb_discard_thread *self)
{
	if (!self)
		return;
	wb_lock_acquire(&self->lock);
	g_assert(!self->first);
	self->is_stopping = true;
	wb_cond_signal(&self->cond);
	wb_lock_release(&self->lock);
	pthread_join(self->thread, NULL);
	wb_cond_clear(&self->cond);
	wb_lock_clear(&self->lock);
	g_free(self);
}
