/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queues of FUSE over io_uring. The kernel puts a request into an entry of the
 * queue of the CPU that it came from; the entry keeps it, with its data, until the
 * answer is written into the same memory and handed back. Answer and wait for the
 * next request are one call of the kernel.
 *
 * A ring belongs to one thread, the only one that submits to it: the kernel hands
 * the next request of an entry to the thread that submitted it. Answers that come
 * from other threads wait on a list for that thread, which is woken.
 *
 * new, serve, stop and free from one thread; the entries as said there. Nothing is
 * allocated after new.
 */
#ifndef WB_FRONTEND_FUSE_RINGS_H
#define WB_FRONTEND_FUSE_RINGS_H

#include <linux/fuse.h>
#include <stddef.h>

#include "frontend/ring_plan.h"

struct wb_fuse_rings;
struct wb_ring_entry;

struct wb_fuse_rings_config {
	const struct wb_ring_plan *plan;
	/* A request has come: on a thread of a ring, which it must not keep waiting. */
	void (*serve)(void *arg, struct wb_ring_entry *entry);
	/* The kernel has the answers to the writes that serve() ended by itself. */
	void (*answered)(void *arg);
	void *arg;
};

/* Starts the threads, with rings that do nothing yet; 0, or -errno where the system
 * grants no ring or no memory. */
int wb_fuse_rings_new(struct wb_fuse_rings **rings, const struct wb_fuse_rings_config *config);
/* After INIT was answered: registers the entries on /dev/fuse, and serves. */
void wb_fuse_rings_serve(struct wb_fuse_rings *rings, int fuse_fd);
/* The connection is gone, or was never served: the threads end. Any thread. */
void wb_fuse_rings_stop(struct wb_fuse_rings *rings);
/* Stopped: waits for the threads. No request comes after it; those that run may
 * still be answered. */
void wb_fuse_rings_join(struct wb_fuse_rings *rings);
/* Stopped; every request was answered. */
void wb_fuse_rings_free(struct wb_fuse_rings *rings);

/* The request in an entry; valid until it is answered. */
struct wb_ring_request {
	struct fuse_in_header header;	/* a copy: the answer overwrites it */
	const void *fixed;
	size_t fixed_bytes;
	size_t payload_bytes;
};

void wb_ring_entry_request(const struct wb_ring_entry *entry, struct wb_ring_request *request);
/* Aligned to pages; wb_ring_plan_stride_bytes() long. */
void *wb_ring_entry_payload(const struct wb_ring_entry *entry);
/* 0 or -errno, and how much of the payload is the answer. Any thread, once. */
void wb_ring_entry_answer(struct wb_ring_entry *entry, int error, size_t payload_bytes);
/* From inside serve(): a write was answered, call answered() when the kernel has it. */
void wb_ring_entry_note_write(struct wb_ring_entry *entry);

#endif
