/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk for benchmarks: memory and one thread that answers as fast as it can, so
 * that what is measured is the core. What it does with the log's writes can be
 * chosen: nothing of the disk's own work has to be in a figure.
 */
#ifndef WB_TESTS_STORE_BENCH_H
#define WB_TESTS_STORE_BENCH_H

#include <stdint.h>

#include "io/store.h"

enum wb_store_bench_mode {
	WB_STORE_BENCH_KEEP,	/* a disk like any other */
	WB_STORE_BENCH_DROP,	/* writes are answered and forgotten */
	WB_STORE_BENCH_HOLD,	/* writes and flushes are answered in the next mode */
};

/* All zeros; memory is only taken for what is kept. */
struct wb_store *wb_store_bench_new(uint64_t size_bytes);
void wb_store_bench_set_mode(struct wb_store *store, enum wb_store_bench_mode mode);

#endif
