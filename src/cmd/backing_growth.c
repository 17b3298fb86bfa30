/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/backing_growth.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/size_parse.h"
#include "io/store_nbd.h"
#include "io/store_uring.h"

/* --- the work ----------------------------------------------------------------------- */

static char *describe_errno(const char *what)
{
	return g_strdup_printf("%s: %s", what, g_strerror(errno));
}

static char *look_at_device(int fd, uint64_t bytes, uint64_t *size_bytes)
{
	char has[WB_SIZE_TEXT_BYTES];

	if (ioctl(fd, BLKGETSIZE64, size_bytes) < 0)
		return describe_errno("the size of the device cannot be read");
	if (*size_bytes >= bytes)
		return NULL;
	return g_strdup_printf("the device has %s; it has to be made larger first, as with "
			       "lvextend", wb_size_format(*size_bytes, has));
}

/* A file without holes gets none: who allocated it in full did not want to run out of
 * space later. Where that cannot be done it becomes sparse behind its old end. */
static char *allocate(int fd, const struct stat *st, uint64_t bytes)
{
	if ((uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size)
		return NULL;
	if (!fallocate(fd, 0, st->st_size, (off_t)bytes - st->st_size) || errno == EOPNOTSUPP)
		return NULL;
	return describe_errno("there is no space for it");
}

/* With the old size again when it does not get the space: half-way would be a file
 * that fills the file system and is of no use. */
static char *extend_file(int fd, const struct stat *st, uint64_t bytes)
{
	char *problem = allocate(fd, st, bytes);

	if (!problem && ftruncate(fd, (off_t)bytes))
		problem = describe_errno("the file cannot be extended");
	if (problem && ftruncate(fd, st->st_size))
		g_debug("a file that was to be larger keeps what it got of that");
	return problem;
}

/* The cache makes the new size durable before its superblocks say it, by the flush that
 * everybody shares: an fsync here would be told of an error in its place. */
static char *make_file_larger(int fd, uint64_t bytes, uint64_t *size_bytes)
{
	char *problem = NULL;
	struct stat st;

	if (fstat(fd, &st))
		return describe_errno("its size cannot be read");
	if ((uint64_t)st.st_size < bytes)
		problem = extend_file(fd, &st, bytes);
	*size_bytes = MAX(bytes, (uint64_t)st.st_size);
	return problem;
}

char *wb_backing_make_larger(int fd, bool is_block_device, uint64_t bytes,
			     uint64_t *size_bytes)
{
	return is_block_device ? look_at_device(fd, bytes, size_bytes) :
				 make_file_larger(fd, bytes, size_bytes);
}

/* Only its server can make it larger. */
static char *look_at_export(struct wb_store *store, uint64_t bytes)
{
	g_autoptr(GError) error = NULL;
	char has[WB_SIZE_TEXT_BYTES];

	if (!wb_store_nbd_look_again(store, &error))
		return g_strdup_printf("its size cannot be asked for: %s", error->message);
	if (store->size_bytes >= bytes)
		return NULL;
	return g_strdup_printf("the export has %s; its server has to make it larger first",
			       wb_size_format(store->size_bytes, has));
}

/* --- who does it ---------------------------------------------------------------------- */

void wb_backing_growth_want(void *arg, uint64_t bytes)
{
	struct wb_backing_growth *growth = arg;

	atomic_store(&growth->wanted_bytes, bytes);
	g_main_context_wakeup(NULL);
}

static void work(struct wb_backing_growth *growth, uint64_t bytes)
{
	uint64_t size_bytes = 0;
	g_autofree char *problem = NULL;

	if (wb_store_nbd_is(growth->store)) {
		problem = look_at_export(growth->store, bytes);
	} else {
		problem = wb_backing_make_larger(growth->fd, growth->is_block_device, bytes,
						 &size_bytes);
		if (!problem)
			wb_store_uring_set_size(growth->store, size_bytes);
	}
	wb_cache_backing_grown(growth->cache, problem);
}

static gpointer run_thread(gpointer arg)
{
	struct wb_backing_growth *growth = arg;

	work(growth, atomic_exchange(&growth->wanted_bytes, 0));
	atomic_store(&growth->has_ended, true);
	g_main_context_wakeup(NULL);
	return NULL;
}

static void join(struct wb_backing_growth *growth)
{
	g_thread_join(growth->thread);
	growth->thread = NULL;
	atomic_store(&growth->has_ended, false);
}

void wb_backing_growth_run(struct wb_backing_growth *growth)
{
	if (growth->thread && atomic_load(&growth->has_ended))
		join(growth);
	if (growth->thread || atomic_load(&growth->wanted_bytes) == 0)
		return;
	growth->thread = g_thread_try_new("wbfs-grow", run_thread, growth, NULL);
	if (!growth->thread)
		work(growth, atomic_exchange(&growth->wanted_bytes, 0));
}

void wb_backing_growth_end(struct wb_backing_growth *growth)
{
	if (growth->thread)
		join(growth);
}
