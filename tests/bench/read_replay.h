/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does to a file what the part of a trace that counts says, one thing after the other. */
#ifndef WB_BENCH_READ_REPLAY_H
#define WB_BENCH_READ_REPLAY_H

#include "read_trace.h"

enum replay_unit {
	REPLAY_BLOCKS,		/* each by itself, as the simulator takes them */
	REPLAY_REQUESTS,	/* in the pieces in which they were asked for */
};

/* FALSE, and a message, when the file could not be read or written. `seconds`: until all
 * that was written is durable; the traces have lost their flushes, and this is the only
 * one. */
bool replay(const struct trace *trace, const char *path, enum replay_unit unit, double *seconds);

#endif
