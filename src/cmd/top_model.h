/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `wbfs top` shows: rates and their history, made of one stats.json after
 * another. No screen here, so that a test can feed it. One thread.
 */
#ifndef WB_CMD_TOP_MODEL_H
#define WB_CMD_TOP_MODEL_H

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

#define WB_TOP_HISTORY 256u

enum wb_top_flow {
	WB_TOP_READ, WB_TOP_WRITE,		/* of the users */
	WB_TOP_SSD, WB_TOP_BACKING,		/* written to the disks */
	WB_TOP_FLOW_COUNT
};

struct wb_top_model {
	uint64_t bytes[WB_TOP_FLOW_COUNT], requests[WB_TOP_FLOW_COUNT];	/* the last sums */
	uint64_t read_bytes[2];		/* from RAM and SSD; all */
	int64_t time_us;		/* of the last stats; 0: none yet */
	int worker_pid;

	/* a second each, the newest at history_count - 1 */
	double rate[WB_TOP_FLOW_COUNT][WB_TOP_HISTORY];	/* bytes a second */
	unsigned history_count;
	double requests_per_s[WB_TOP_FLOW_COUNT];
	double hit_percent;		/* of what was read lately; < 0: nothing was */
};

/* The first stats, and those of a new daemon, only begin a history. */
void wb_top_model_add(struct wb_top_model *model, JsonNode *stats, int64_t now_us);

/* The last `width` rates as levels 0..steps of their maximum, oldest first; what
 * there is no history of is -1. Returns that maximum. */
double wb_top_model_spark(const struct wb_top_model *model, enum wb_top_flow flow,
			  int8_t *levels, unsigned width, unsigned steps);

/* The ring of stats.json ('f', 'c', 'd', 'h', 'b') in at most `cells` characters,
 * each the most remarkable of those that it stands for; NUL-terminated. */
void wb_top_ring_fold(const char *ring, char *folded, unsigned cells);

/* "850 ns", "12.3 us", "4.56 ms", "1.20 s"; "-" for 0. */
const char *wb_top_format_ns(uint64_t ns, char text[16]);

#endif
