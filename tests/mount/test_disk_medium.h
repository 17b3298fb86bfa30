/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lies under one file of the test's own disk: bytes with a volatile write
 * cache over them, a few extended attributes, and a budget of space.
 *
 * Every write and zero is volatile until a flush (or its own FUA) covers it.
 * At a power cut each volatile one is kept, lost, or torn at 512 or 4096
 * bytes, and an older one may end up over a newer one. Attributes go back to a
 * moment since the last flush: file systems write them in order.
 *
 * Two sparse files hold it: DIRECTORY/NAME.now is what a read returns,
 * DIRECTORY/NAME.durable what is left when everything volatile is lost.
 *
 * Not thread-safe: the caller holds its lock round every call.
 */
#ifndef WB_TESTS_TEST_DISK_MEDIUM_H
#define WB_TESTS_TEST_DISK_MEDIUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WB_MEDIUM_SECTOR 512u
#define WB_MEDIUM_BLOCK 4096u
#define WB_MEDIUM_NO_BUDGET UINT64_MAX

enum wb_medium_cut {
	WB_MEDIUM_CUT_ANY,		/* the seed decides */
	WB_MEDIUM_CUT_LOSES_ALL,	/* all that is volatile */
	WB_MEDIUM_CUT_KEEPS_ALL,
};

struct wb_medium;

/* NULL and errno */
struct wb_medium *wb_medium_new(const char *directory, const char *name,
				uint64_t size_bytes);

uint64_t wb_medium_size_bytes(const struct wb_medium *medium);
int wb_medium_now_fd(const struct wb_medium *medium);
/* Valid as long as the medium; changes under the reader as a disk does. */
const uint8_t *wb_medium_bytes(const struct wb_medium *medium);

/* In whole sectors. 0, -EINVAL, or -ENOSPC with nothing taken. */
int wb_medium_write(struct wb_medium *medium, uint64_t offset_bytes, const void *data,
		    size_t length_bytes);
/* `frees`: a hole, which gives space back; else the space stays taken. */
int wb_medium_zero(struct wb_medium *medium, uint64_t offset_bytes, uint64_t length_bytes,
		   bool frees);
/* Takes space without changing what is there. */
int wb_medium_allocate(struct wb_medium *medium, uint64_t offset_bytes,
		       uint64_t length_bytes);

/* The newest change alone is durable: FUA. */
void wb_medium_harden_newest(struct wb_medium *medium);
void wb_medium_flush(struct wb_medium *medium);
/* A flush failed, and what it should have covered no later flush will: so do
 * kernels that forget dirty pages after a failed fsync. */
void wb_medium_flush_failed(struct wb_medium *medium);
uint64_t wb_medium_volatile_count(const struct wb_medium *medium);

/* The power goes and comes back: what is there now is durable. */
void wb_medium_cut(struct wb_medium *medium, uint64_t seed, enum wb_medium_cut how);

/* Other bytes than were written, at the first byte of every sector. */
void wb_medium_rot(struct wb_medium *medium, uint64_t offset_bytes, uint64_t length_bytes);

/* Bytes that may be taken in all; what is taken stays taken. */
void wb_medium_set_budget(struct wb_medium *medium, uint64_t budget_bytes);
uint64_t wb_medium_taken_bytes(const struct wb_medium *medium);
uint64_t wb_medium_free_bytes(const struct wb_medium *medium);

/* As the calls of xattr(7), with -errno; a `value` of NULL removes. */
int wb_medium_set_attribute(struct wb_medium *medium, const char *name, const void *value,
			    size_t length_bytes);
ssize_t wb_medium_get_attribute(const struct wb_medium *medium, const char *name,
				const void **value);
/* All names with their ends; the number of bytes. */
size_t wb_medium_list_attributes(const struct wb_medium *medium, char *names,
				 size_t size_bytes);

#endif
