/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a disk is asked for, block by block: made up, or recorded (record_traces). */
#ifndef WB_BENCH_READ_TRACE_H
#define WB_BENCH_READ_TRACE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct access {
	uint32_t address : 31;
	uint32_t is_write : 1;
};

struct trace {
	GArray *accesses;	/* of struct access */
	uint32_t address_count;	/* addresses are below that */
	uint32_t footprint;	/* so many different ones */
};

/* "zipf", "shift", "scan+zipf", "loop", "day", or the name of a recorded trace in
 * `directory`. NULL: there is none such. */
struct trace *trace_get(const char *name, const char *directory);
void trace_free(struct trace *trace);

#endif
