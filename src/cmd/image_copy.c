/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/image_copy.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/report.h"
#include "io/store_nbd.h"

#define PIECE_BYTES (UINT64_C(8) << 20)
#define UNIT_BYTES 4096u

struct copying {
	const struct wb_image_copy *copy;
	bool cannot_hand_over;		/* copy_file_range() does not do it here */
	char *data;
};

static bool write_failed(const struct copying *c, GError **error)
{
	return wb_fail_errno(error, "cannot write %s", c->copy->to_path);
}

static bool write_all(const struct copying *c, const char *data, uint64_t length,
		      uint64_t offset, GError **error)
{
	while (length > 0) {
		ssize_t n = pwrite(c->copy->to, data, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return write_failed(c, error);
		data += n;
		offset += (uint64_t)n;
		length -= (uint64_t)n;
	}
	return true;
}

static bool is_zeros(const char *data, uint64_t length)
{
	return !data[0] && !memcmp(data, data + 1, length - 1);
}

/* Zeros stay holes. */
static bool write_sparse(const struct copying *c, const char *data, uint64_t length,
			 uint64_t offset, GError **error)
{
	uint64_t from = 0, at = 0;

	while (at < length) {
		uint64_t unit = MIN(length - at, UNIT_BYTES);

		if (is_zeros(data + at, unit)) {
			if (!write_all(c, data + from, at - from, offset + from, error))
				return false;
			from = at + unit;
		}
		at += unit;
	}
	return write_all(c, data + from, length - from, offset + from, error);
}

/* `data` has room for a whole block at its end: the image may end in the middle of one. */
static bool read_store(struct wb_store *store, char *data, uint64_t length, uint64_t offset)
{
	uint64_t rest = length % store->alignment_bytes;

	if (rest)
		length += store->alignment_bytes - rest;
	return !wb_store_read_sync(store, offset, data, length);
}

/* FALSE: an I/O error, or the end of the source. */
static bool read_all(const struct copying *c, char *data, uint64_t length, uint64_t offset)
{
	if (c->copy->from_store)
		return read_store(c->copy->from_store, data, length, offset);
	while (length > 0) {
		ssize_t n = pread(c->copy->from, data, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		offset += (uint64_t)n;
		length -= (uint64_t)n;
	}
	return true;
}

/* One bad sector must not cost all that was read together with it. */
static bool copy_by_units(const struct copying *c, uint64_t start, uint64_t end, GError **error)
{
	for (uint64_t at = start; at < end; at += UNIT_BYTES) {
		uint64_t unit = MIN(end - at, UNIT_BYTES);

		if (!read_all(c, c->data, unit, at))
			c->copy->unreadable(c->copy->arg, at, unit);
		else if (!write_sparse(c, c->data, unit, at, error))
			return false;
	}
	return true;
}

/* By the kernel, which need not copy anything where files can share blocks. */
static bool hand_over(struct copying *c, uint64_t start, uint64_t end)
{
	off_t from = (off_t)start, to = (off_t)start;

	if (c->copy->from_store)
		return false;
	while (!c->cannot_hand_over && (uint64_t)from < end) {
		ssize_t n = copy_file_range(c->copy->from, &from, c->copy->to, &to,
					    end - (uint64_t)from, 0);

		if (n < 0 && errno == EINTR)
			continue;
		/* a bad sector is the business of who copies by units */
		if (n < 0 && errno == EIO)
			return false;
		if (n <= 0)
			c->cannot_hand_over = true;
	}
	return !c->cannot_hand_over;
}

static bool copy_piece(struct copying *c, uint64_t start, uint64_t end, GError **error)
{
	if (hand_over(c, start, end))
		return true;
	if (read_all(c, c->data, end - start, start))
		return write_sparse(c, c->data, end - start, start, error);
	return copy_by_units(c, start, end, error);
}

static void find_data_of_export(const struct copying *c, uint64_t *start, uint64_t *end)
{
	struct wb_store *store = c->copy->from_store;
	uint64_t bytes = c->copy->bytes, found;

	if (!wb_store_nbd_find(store, WB_STORE_NBD_DATA, *start, &found))
		return;
	/* Whole blocks: who reads them reads nothing unaligned. */
	*start = MIN(MAX(*start, found - found % UNIT_BYTES), bytes);
	if (*start < bytes && wb_store_nbd_find(store, WB_STORE_NBD_HOLE, found, &found))
		*end = MIN((found + UNIT_BYTES - 1) / UNIT_BYTES * UNIT_BYTES, bytes);
}

/* The next stretch with data; all of it where holes cannot be told, as on
 * devices. */
static void find_data(const struct copying *c, uint64_t *start, uint64_t *end)
{
	uint64_t bytes = c->copy->bytes;
	off_t data, hole;

	*end = bytes;
	if (c->copy->from_store) {
		find_data_of_export(c, start, end);
		return;
	}
	data = lseek(c->copy->from, (off_t)*start, SEEK_DATA);
	if (data < 0) {
		if (errno == ENXIO)
			*start = bytes;
		return;
	}
	*start = MIN((uint64_t)data, bytes);
	hole = lseek(c->copy->from, data, SEEK_HOLE);
	if (hole > data)
		*end = MIN((uint64_t)hole, bytes);
}

static bool copy_data(struct copying *c, GError **error)
{
	uint64_t bytes = c->copy->bytes, at = 0, end;

	for (; at < bytes; at = end) {
		find_data(c, &at, &end);
		for (; at < end; at = MIN(at + PIECE_BYTES, end)) {
			if (!copy_piece(c, at, MIN(at + PIECE_BYTES, end), error))
				return false;
			if (c->copy->progress &&
			    !c->copy->progress(c->copy->progress_arg, at, bytes))
				return wb_fail(error, "the copy %s was stopped before its end",
					       c->copy->to_path);
		}
	}
	return true;
}

bool wb_image_copy(const struct wb_image_copy *copy, GError **error)
{
	struct copying c = { .copy = copy };
	bool is_cloned = !copy->from_store && !ioctl(copy->to, FICLONE, copy->from);
	bool ok;

	if (ftruncate(copy->to, (off_t)copy->bytes) < 0)
		return write_failed(&c, error);
	if (is_cloned)
		return true;
	c.data = g_aligned_alloc(1, PIECE_BYTES, UNIT_BYTES);
	ok = copy_data(&c, error);
	g_aligned_free(c.data);
	return ok;
}
