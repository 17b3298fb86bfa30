/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What writing costs on the backing's disk, as far as a planner has to know: the rate
 * of the media, what a write costs that lies a little behind the last one (a hop: the
 * head passes over the gap, or the disk turns once more, whatever this disk does), and
 * what it costs to turn from reading to writing what was just read. Learnt from what
 * batches took, in the simulation of nothing: a disk sorts and caches as it likes, and
 * only what comes of that counts.
 *
 * Until something else was seen a hop costs what passing over the gap costs: then
 * nothing is won by filling it, and nothing is filled. Pure; one thread.
 */
#ifndef WB_CACHE_DISK_MODEL_H
#define WB_CACHE_DISK_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* By the length of the gap in blocks: 1, 2, 3 to 4, 5 to 8, ... */
#define WB_HOP_CLASSES 12u

struct wb_disk_model {
	bool is_fixed;			/* learns no more */
	double bytes_per_ns;		/* of the media */
	double turn_ns;
	double hop_ns[WB_HOP_CLASSES];	/* in all, for one write; 0: not seen yet */
};

/* A 7200 rpm disk of ordinary size, as long as nothing is known. */
#define WB_DISK_MODEL_DEFAULT { .bytes_per_ns = 0.15, .turn_ns = 15e6 }

/* `count` writes of `bytes` in all, in ascending order, over a stretch of `span_bytes`,
 * took so long with the flush behind them. Nothing was filled. */
void wb_disk_model_add_writes(struct wb_disk_model *model, uint64_t took_ns, uint64_t count,
			      uint64_t bytes, uint64_t span_bytes);
/* So many reads of what is to be filled, likewise. */
void wb_disk_model_add_reads(struct wb_disk_model *model, uint64_t took_ns, uint64_t count,
			     uint64_t bytes);

/* Of one write behind a gap of so many blocks, beside its own bytes. */
double wb_disk_model_hop_ns(const struct wb_disk_model *model, uint64_t gap_blocks);
double wb_disk_model_pass_ns(const struct wb_disk_model *model, uint64_t blocks);

#endif
