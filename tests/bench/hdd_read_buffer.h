/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a simulated hard disk has read lately, and reads ahead while nobody wants
 * anything else: eight stretches of 2 MiB, so that some streams at once are known.
 * Only places and times: the data is elsewhere.
 */
#ifndef WB_TESTS_HDD_READ_BUFFER_H
#define WB_TESTS_HDD_READ_BUFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/hdd_mechanics.h"

#define WB_HDD_STRETCHES 8
#define WB_HDD_STRETCH_BYTES (UINT64_C(2) << 20)

struct wb_hdd_read_buffer {
	struct {
		uint64_t start, end;	/* in the buffer; equal: nothing */
		uint64_t used;		/* the largest was used last */
	} stretches[WB_HDD_STRETCHES];
	uint64_t uses;
	/* The arm reads on behind this one, since then; NULL: it does not. */
	unsigned ahead;
	bool is_reading_ahead;
	double since_ns;
};

/* Up to where what lies at `offset` is there at that time: `offset` if nothing is. */
uint64_t wb_hdd_buffered_until(const struct wb_hdd_read_buffer *buffer,
			       const struct wb_hdd_shape *shape, double now_ns, uint64_t offset);
/* The arm has read [start, end) at that time, and reads on. */
void wb_hdd_buffer_add(struct wb_hdd_read_buffer *buffer, double now_ns, uint64_t start,
		       uint64_t end);
/* The arm is wanted elsewhere: it is where reading on has brought it. */
void wb_hdd_buffer_stop(struct wb_hdd_read_buffer *buffer, const struct wb_hdd_shape *shape,
			double now_ns, struct wb_hdd_arm *arm);

#endif
