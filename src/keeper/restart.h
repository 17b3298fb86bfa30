/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a worker that died gets a successor, and when. A request can be such that
 * every worker dies of it, and a disk such that none can start: without an end that
 * would turn for ever. Pure.
 */
#ifndef WB_KEEPER_RESTART_H
#define WB_KEEPER_RESTART_H

#include <stdbool.h>
#include <stdint.h>

/* So many deaths in a row, each without progress, are the end. */
#define WB_RESTART_FRUITLESS_MAX 12u
/* A worker that was served that long has got somewhere, if it answered anything; */
#define WB_RESTART_BUSY_NS (INT64_C(100) * 1000 * 1000)
/* or even if nobody wanted anything. */
#define WB_RESTART_QUIET_NS (INT64_C(5) * 1000 * 1000 * 1000)
/* Everybody waits: the first few may be chance. */
#define WB_RESTART_FREE_MAX 3u
#define WB_RESTART_PAUSE_FIRST_MS 20
#define WB_RESTART_PAUSE_LAST_MS 2000

struct wb_restart {
	unsigned fruitless;	/* deaths in a row; 0 at first */
};

/* What became of the worker that died. */
struct wb_restart_life {
	int64_t served_ns;	/* 0: it never served */
	bool has_answered;
};

/* Milliseconds to wait after so many tries that were followed by a pause. */
int wb_restart_pause_ms(unsigned tries);
/* Milliseconds to wait before the next one, or -1: no more. */
int wb_restart_next(struct wb_restart *restart, const struct wb_restart_life *life);

#endif
