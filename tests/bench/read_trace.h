/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a disk is asked for, block by block: made up, or recorded (record_traces). */
#ifndef WB_BENCH_READ_TRACE_H
#define WB_BENCH_READ_TRACE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct access {
	uint32_t address : 30;
	uint32_t is_start : 1;	/* of a request; the others go on with it */
	uint32_t is_write : 1;
};

struct trace {
	GArray *accesses;	/* of struct access */
	guint begin, end;	/* those that count; the ones before are history */
	uint32_t address_count;	/* addresses are below that */
	uint32_t footprint;	/* so many different ones */
};

/* "zipf", "shift", "scan+zipf", "loop", "day", "one-boot", or the name of a recorded trace
 * in `directory`; "NAME@FIRST:COUNT": of it only these accesses count. NULL: there is none
 * such. */
struct trace *trace_get(const char *name, const char *directory);
void trace_free(struct trace *trace);

#endif
