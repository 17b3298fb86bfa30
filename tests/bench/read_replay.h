/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does to a file what a trace says, block by block, one after the other, with a sync
 * now and then. */
#ifndef WB_BENCH_READ_REPLAY_H
#define WB_BENCH_READ_REPLAY_H

#include "read_trace.h"

/* FALSE, and a message, when the file could not be read or written. */
bool replay(const struct trace *trace, const char *path);

#endif
