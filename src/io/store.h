/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store: one disk (file, block device, remote export, or a test's memory)
 * with asynchronous I/O. The cache core knows disks only through this door.
 *
 * The contract, which every store keeps and the core relies on:
 *  - submit() returns without waiting for the disk; done() is called exactly
 *    once for every wb_io, later, never from inside submit(), on any thread,
 *    with no lock of the caller's held. The wb_io, its iov array and its
 *    memory belong to the store from submit to done().
 *  - With WB_IO_MAY_WAIT the submitter's thread may wait for this very READ, or
 *    WRITE with WB_IO_FUA: a store that saves a change of threads by it may carry
 *    it out in submit(), and call done() from there.
 *  - error is 0 or -errno; a transfer is whole or failed (a store goes on by
 *    itself after a short transfer). After a failed write the range holds old
 *    or new data per atomic_write_bytes unit, in any mixture.
 *  - Nothing in flight is ordered. FLUSH makes durable every WRITE and ZERO
 *    whose done(0) ran before the FLUSH was submitted. A WRITE with
 *    WB_IO_FUA is durable at its done(0); it says nothing about others.
 *  - Offset, length, every iov base and length are multiples of
 *    alignment_bytes; the range lies inside size_bytes.
 *  - ZERO makes the range read as zeros (by punching a hole where that
 *    promises zeros, else by writing them); offset and length are multiples
 *    of 4096 or reach to size_bytes.
 *  - DISCARD says that nobody wants what the range holds: from submit() until it
 *    is written again a read gives anything, each time something else perhaps,
 *    and no FLUSH covers it. Not a promise of zeros, and not even of having been
 *    done; -EOPNOTSUPP: this disk never does it. Offset and length as of ZERO.
 */
#ifndef WB_IO_STORE_H
#define WB_IO_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/lock.h"

enum wb_io_op { WB_IO_READ, WB_IO_WRITE, WB_IO_FLUSH, WB_IO_ZERO, WB_IO_DISCARD };

/* Who wants it: schedulers, deadlines and statistics tell them apart. */
enum wb_io_class {
	WB_IO_CLASS_USER_READ,
	WB_IO_CLASS_USER_WRITE,	/* merges and edge reads of a write */
	WB_IO_CLASS_LOG,	/* records, log flushes, superblocks */
	WB_IO_CLASS_WRITEBACK,
	WB_IO_CLASS_FILL,
	WB_IO_CLASS_SCRUB,
	WB_IO_CLASS_DISCARD,	/* of places of the log that nobody needs */
	WB_IO_CLASS_COUNT
};

/* wb_io.flags; FUA only of a WRITE. LAZY: nobody waits for it, not even for room; a store
 * that spares others something by it may take some more time. */
enum { WB_IO_FUA = 1u << 0, WB_IO_MAY_WAIT = 1u << 1, WB_IO_LAZY = 1u << 2 };

#define WB_IO_IOV_MAX 1024	/* most iov entries of one wb_io */

struct wb_io {
	/* constant from submit to done() */
	enum wb_io_op op;
	enum wb_io_class io_class;
	unsigned flags;
	uint64_t offset_bytes;
	uint64_t length_bytes;		/* the sum of iov for READ, WRITE */
	struct iovec *iov;		/* may be &one; the store may change it */
	unsigned iov_count;
	struct iovec one;
	void (*done)(struct wb_io *io, int error);
	uint64_t begun_ns;		/* of whoever wants to know how long it took */

	/* of the store that has it */
	struct wb_io *next;
	uint64_t store_word[8];
};

struct wb_store;

struct wb_store_ops {
	const char *name;
	void (*submit)(struct wb_store *store, struct wb_io *io);
	/* Only stores without a thread of their own (tests): completes some
	 * I/O now, calling done(); FALSE when nothing is in flight. */
	bool (*poll)(struct wb_store *store);
	/* Time the disk has been busy, or 0 when nobody knows. */
	uint64_t (*busy_ns)(struct wb_store *store);
	/* Whether any of the range may be a hole: not allocated, so that writing there
	 * takes space that was free. May wait a little, for the file system. NULL: never. */
	bool (*has_hole)(struct wb_store *store, uint64_t offset_bytes, uint64_t length_bytes);
	/* All I/O has been answered before; frees the store. */
	void (*close)(struct wb_store *store);
};

struct wb_store {
	/* constant after open */
	const struct wb_store_ops *ops;
	const char *label;		/* for messages: the path as given */
	uint32_t alignment_bytes;	/* power of two, 512..4096 */
	uint32_t atomic_write_bytes;	/* power of two, >= 512 */

	/* atomic: the owner of a disk that was made larger says so; never smaller */
	_Atomic uint64_t size_bytes;
};

static inline void wb_store_submit(struct wb_store *store, struct wb_io *io)
{
	store->ops->submit(store, io);
}

static inline bool wb_store_has_hole(struct wb_store *store, uint64_t offset_bytes,
				     uint64_t length_bytes)
{
	return store->ops->has_hole &&
	       store->ops->has_hole(store, offset_bytes, length_bytes);
}

void wb_store_close(struct wb_store *store);	/* NULL is fine */

/* Prepare an io on one piece of memory. */
void wb_io_prepare(struct wb_io *io, enum wb_io_op op, enum wb_io_class io_class,
		   uint64_t offset_bytes, void *buffer, uint64_t length_bytes,
		   void (*done)(struct wb_io *io, int error));

/* For stores: aborts when the caller broke the contract above (alignment,
 * range, iov). Called by every store's submit(). */
void wb_store_assert_io(const struct wb_store *store, const struct wb_io *io);

/* Start-up, commands and tests only: wait for the disk. 0 or -errno. */
int wb_store_read_sync(struct wb_store *store, uint64_t offset_bytes,
		       void *buffer, uint64_t length_bytes);
int wb_store_write_sync(struct wb_store *store, uint64_t offset_bytes,
			const void *buffer, uint64_t length_bytes);
int wb_store_zero_sync(struct wb_store *store, uint64_t offset_bytes,
		       uint64_t length_bytes);
int wb_store_discard_sync(struct wb_store *store, uint64_t offset_bytes,
			  uint64_t length_bytes);
int wb_store_flush_sync(struct wb_store *store);

/*
 * A read that goes on while whoever began it does something else. Each one that
 * was begun is waited for, once; until then it stays where it is, and buffer and
 * struct belong to the store. Start-up only.
 */
struct wb_store_read {
	struct wb_io io;		/* first: done() casts */
	struct wb_lock lock;
	struct wb_cond cond;
	/* under lock */
	bool is_finished;
	int error;
};
void wb_store_read_begin(struct wb_store *store, struct wb_store_read *read,
			 uint64_t offset_bytes, void *buffer, uint64_t length_bytes);
int wb_store_read_wait(struct wb_store *store, struct wb_store_read *read);	/* 0 or -errno */

/*
 * Reads `count` pieces of `piece_bytes` at the given offsets into
 * buffer + i * piece_bytes, with up to `depth` in flight. errors[i] gets 0 or
 * -errno. Start-up only.
 */
void wb_store_read_many_sync(struct wb_store *store, const uint64_t *offsets_bytes,
			     size_t count, size_t piece_bytes, void *buffer,
			     int *errors, unsigned depth);

#endif
