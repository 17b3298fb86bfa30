/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies of others, exact and with all the memory that they like, over a trace: the
 * hit ratio of its reads in percent. A write enters the cache as a read does.
 */
#ifndef WB_BENCH_READ_REFERENCES_H
#define WB_BENCH_READ_REFERENCES_H

#include "read_trace.h"

double reference_lru(const struct trace *trace, uint32_t slots);
/* Megiddo and Modha, "ARC", FAST 2003. */
double reference_arc(const struct trace *trace, uint32_t slots);
/* What was used since it came to the end of the queue goes to its beginning once more,
 * so often at most; 0: FIFO, 1: CLOCK. */
double reference_clock(const struct trace *trace, uint32_t slots, unsigned chances);
/* Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023. */
double reference_s3fifo(const struct trace *trace, uint32_t slots);

#endif
