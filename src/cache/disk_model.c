/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/disk_model.h"

#include <glib.h>

#include "format/ondisk.h"

/* Less says nothing: one seek would be all of it. */
#define WRITES_MIN 32u
#define LARGE_BYTES (256u << 10)	/* a write that is nearly all media time */
#define LARGE_SUM_BYTES (2u << 20)
#define RATE_MIN 1e-3			/* a MB/s */
#define RATE_MAX 20.0
#define TURN_MIN_NS 1e5
#define TURN_MAX_NS 1e8

static unsigned class_of(uint64_t gap_blocks)
{
	unsigned class = gap_blocks <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(gap_blocks - 1);

	return MIN(class, WB_HOP_CLASSES - 1);
}

/* A part of the way: single batches differ. */
static double nearer(double old, double seen, double part)
{
	return old + (seen - old) * part;
}

double wb_disk_model_pass_ns(const struct wb_disk_model *model, uint64_t blocks)
{
	return (double)blocks * WB_BLOCK_BYTES / model->bytes_per_ns;
}

double wb_disk_model_hop_ns(const struct wb_disk_model *model, uint64_t gap_blocks)
{
	double seen_ns = model->hop_ns[class_of(gap_blocks)];

	return seen_ns > 0 ? seen_ns : wb_disk_model_pass_ns(model, gap_blocks);
}

/* The fastest that was seen counts most: slower ones had other costs in them too. */
static void learn_rate(struct wb_disk_model *model, double bytes_per_ns)
{
	bytes_per_ns = CLAMP(bytes_per_ns, RATE_MIN, RATE_MAX);
	model->bytes_per_ns = nearer(model->bytes_per_ns, bytes_per_ns,
				     bytes_per_ns > model->bytes_per_ns ? 0.5 : 1. / 16);
}

void wb_disk_model_add_writes(struct wb_disk_model *model, uint64_t took_ns, uint64_t count,
			      uint64_t bytes, uint64_t span_bytes)
{
	double *hop, seen_ns;

	if (model->is_fixed || count == 0 || took_ns == 0)
		return;
	if (bytes / count >= LARGE_BYTES) {
		if (bytes >= LARGE_SUM_BYTES)
			learn_rate(model, (double)bytes / (double)took_ns);
		return;
	}
	if (count < WRITES_MIN)
		return;
	hop = &model->hop_ns[class_of((span_bytes - MIN(bytes, span_bytes)) / count /
				      WB_BLOCK_BYTES)];
	seen_ns = ((double)took_ns - (double)bytes / model->bytes_per_ns) / (double)count;
	seen_ns = MAX(seen_ns, 1);
	*hop = *hop > 0 ? nearer(*hop, seen_ns, 0.25) : seen_ns;
}

void wb_disk_model_add_reads(struct wb_disk_model *model, uint64_t took_ns, uint64_t count,
			     uint64_t bytes)
{
	double turn_ns;

	if (model->is_fixed || count == 0)
		return;
	turn_ns = ((double)took_ns - (double)bytes / model->bytes_per_ns) / (double)count;
	model->turn_ns = nearer(model->turn_ns, CLAMP(turn_ns, TURN_MIN_NS, TURN_MAX_NS), 0.25);
}
