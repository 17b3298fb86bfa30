/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hard disk in the time of a model: when would a drive answer? It knows places and
 * times; data, threads and the real clock are the caller's. One caller at a time.
 *
 *   host queue   what does not fit into the drive's queue of 32 waits here, in order
 *   reads        what is in the write cache or was read ahead is answered at once;
 *                others are served by the shortest access time, one that has waited
 *                for half a second first
 *   writes       are answered when they are in the write cache, at the speed of the
 *                interface; while it is full they wait in the drive's queue
 *   FUA          by the shortest access time, like reads, and answered from the
 *                platters; all writes, where there is no write cache
 *   to the platters   adjacent blocks become one write, of up to 1 MiB; the nearest
 *                in time of the next 32 runs in ascending order goes first, and behind
 *                the last one it begins again with the lowest
 *   flush        answered when all that was answered before it is on the platters.
 *                It is queued like any other command (a SATA drive would answer nothing
 *                else meanwhile); several wait for each other
 *   arm          one, and one operation at a time. Reads go first, until half of the
 *                write cache is taken, a write waits for room or a flush for the end:
 *                then a read and a write of the cache take turns. An idle arm goes on
 *                reading behind the last read; it writes what is in the cache at once
 *
 * Not modelled: zones, bad sectors, heat, shingles, TRIM, spinning down.
 */
#ifndef WB_TESTS_HDD_MODEL_H
#define WB_TESTS_HDD_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/hdd_mechanics.h"

#define WB_HDD_QUEUE_DEPTH 32

struct wb_hdd_settings {
	struct wb_hdd_shape shape;
	uint64_t write_cache_bytes;	/* 0: none; at least 1 MiB otherwise */
	double interface_bytes_s;
	double command_ns;		/* for each, beside its work */
};

#define WB_HDD_SETTINGS_DEFAULT(bytes) \
	{ .shape = WB_HDD_SHAPE_DEFAULT(bytes), .write_cache_bytes = UINT64_C(64) << 20, \
	  .interface_bytes_s = 550e6, .command_ns = 50e3 }

enum wb_hdd_op { WB_HDD_READ, WB_HDD_WRITE, WB_HDD_WRITE_FUA, WB_HDD_FLUSH };

/* The caller's, from submit until it is taken. At most 1 MiB. */
struct wb_hdd_request {
	enum wb_hdd_op op;
	uint64_t offset, length;
	double arrived_ns, admitted_ns, answered_ns;
	struct wb_hdd_request *next;
};

/* What the arm did: it began then, and these bytes passed until the end. */
struct wb_hdd_move {
	double began_ns, ended_ns;
	uint64_t offset, length;
	bool is_write;
};

struct wb_hdd_counts {
	uint64_t reads, writes, fua_writes, flushes, read_bytes, written_bytes;
	/* of the arm */
	uint64_t media_reads, media_writes, media_read_bytes, media_written_bytes, seeks;
	uint64_t buffer_hits, write_cache_hits;		/* reads without it */
	double seek_ns, turn_ns, transfer_ns;
	double first_asked_ns, last_answered_ns;	/* 0: none */
	/* what the whole flushes took, and the longest */
	double flush_ns, flush_most_ns;
	unsigned most_queued;
};

struct wb_hdd;

/* NULL: no memory. */
struct wb_hdd *wb_hdd_new(const struct wb_hdd_settings *settings);
void wb_hdd_free(struct wb_hdd *hdd);
/* It is told of everything that the arm does, when it begins. */
void wb_hdd_watch(struct wb_hdd *hdd, void (*moves)(void *arg, const struct wb_hdd_move *),
		  void *arg);

/* Times never go back. */
void wb_hdd_submit(struct wb_hdd *hdd, struct wb_hdd_request *request, double now_ns);
/* One that has been answered by then, in order of the answers; NULL: none. */
struct wb_hdd_request *wb_hdd_take(struct wb_hdd *hdd, double now_ns);
/* No answer comes before that if nothing is submitted: to be asked for then. What the arm
 * does meanwhile is caught up with, at its own times. INFINITY: nobody waits. */
double wb_hdd_next_ns(const struct wb_hdd *hdd);

/* All that is in the write cache is on the platters, in no time. */
void wb_hdd_settle(struct wb_hdd *hdd, double now_ns);

void wb_hdd_get_counts(const struct wb_hdd *hdd, struct wb_hdd_counts *counts);
void wb_hdd_clear_counts(struct wb_hdd *hdd);
uint64_t wb_hdd_unwritten_bytes(const struct wb_hdd *hdd);
/* When the arm ended its last work; 0 if there was none, and now while it is at work. */
double wb_hdd_last_work_ns(const struct wb_hdd *hdd, double now_ns);

#endif
