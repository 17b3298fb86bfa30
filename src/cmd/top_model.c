/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/top_model.h"

#include <glib.h>
#include <string.h>

#include "cmd/client.h"

static const struct { const char *bytes, *requests; } flow_keys[WB_TOP_FLOW_COUNT] = {
	[WB_TOP_READ] = { "read_bytes", "read_requests" },
	[WB_TOP_WRITE] = { "written_bytes", "write_requests" },
	[WB_TOP_SSD] = { "ssd_bytes_written", "ssd_writes" },
	[WB_TOP_BACKING] = { "backing_bytes_written", "backing_writes" },
};

static void forget(struct wb_top_model *model, int worker_pid)
{
	memset(model, 0, sizeof *model);
	model->worker_pid = worker_pid;
	model->hit_percent = -1;
}

static double *next_place(double history[WB_TOP_HISTORY], unsigned count)
{
	if (count < WB_TOP_HISTORY)
		return &history[count];
	memmove(history, history + 1, (WB_TOP_HISTORY - 1) * sizeof *history);
	return &history[WB_TOP_HISTORY - 1];
}

/* Counters start again at zero when somebody clears them. */
static double growth(uint64_t *last, uint64_t now)
{
	double by = now >= *last ? (double)(now - *last) : (double)now;

	*last = now;
	return by;
}

static void add_hits(struct wb_top_model *model, JsonNode *stats)
{
	uint64_t all = wb_client_number(stats, "read_bytes");
	double hits = growth(&model->read_bytes[0], all -
			     MIN(all, wb_client_number(stats, "read_backing_bytes")));
	double total = growth(&model->read_bytes[1], all);

	model->hit_percent = total > 0 ? MIN(100.0, 100.0 * hits / total) : -1;
}

void wb_top_model_add(struct wb_top_model *model, JsonNode *stats, int64_t now_us)
{
	int worker_pid = (int)wb_client_number(stats, "worker_pid");
	bool is_first = !model->time_us || model->worker_pid != worker_pid;
	double seconds;

	if (is_first)
		forget(model, worker_pid);
	seconds = MAX((double)(now_us - model->time_us) / 1e6, 1e-3);
	for (unsigned i = 0; i < WB_TOP_FLOW_COUNT; i++) {
		double bytes = growth(&model->bytes[i], wb_client_number(stats,
							flow_keys[i].bytes));
		double requests = growth(&model->requests[i], wb_client_number(stats,
							flow_keys[i].requests));

		if (is_first)
			continue;
		*next_place(model->rate[i], model->history_count) = bytes / seconds;
		model->requests_per_s[i] = requests / seconds;
	}
	add_hits(model, stats);
	if (is_first)
		model->hit_percent = -1;
	else
		model->history_count = MIN(model->history_count + 1, WB_TOP_HISTORY);
	model->time_us = MAX(now_us, 1);
}

double wb_top_model_spark(const struct wb_top_model *model, enum wb_top_flow flow,
			  int8_t *levels, unsigned width, unsigned steps)
{
	const double *rate = model->rate[flow];
	unsigned count = MIN(model->history_count, width);
	double highest = 0;

	for (unsigned i = model->history_count - count; i < model->history_count; i++)
		highest = MAX(highest, rate[i]);
	for (unsigned i = 0; i < width; i++) {
		double value;

		levels[i] = -1;
		if (i < width - count)
			continue;
		value = rate[model->history_count - width + i];
		/* What is not nothing can be seen. */
		levels[i] = value <= 0 ? 0 :
			(int8_t)MAX(1, MIN((double)steps, value / highest * steps + 0.5));
	}
	return highest;
}

void wb_top_ring_fold(const char *ring, char *folded, unsigned cells)
{
	static const char order[] = "fcdbh";	/* the later ones win */
	size_t length = strlen(ring);
	size_t count = MIN(length, cells);

	for (size_t i = 0; i < count; i++) {
		size_t end = (i + 1) * length / count;

		folded[i] = ring[i * length / count];
		for (size_t at = i * length / count; at < end; at++) {
			const char *have = strchr(order, folded[i]), *other = strchr(order, ring[at]);

			if (other && (!have || other > have))
				folded[i] = ring[at];
		}
	}
	folded[count] = '\0';
}

const char *wb_top_format_ns(uint64_t ns, char text[16])
{
	if (ns == 0)
		g_strlcpy(text, "-", 16);
	else if (ns < 1000)
		g_snprintf(text, 16, "%u ns", (unsigned)ns);
	else if (ns < 1000000)
		g_snprintf(text, 16, "%.3g us", (double)ns / 1e3);
	else if (ns < 1000000000)
		g_snprintf(text, 16, "%.3g ms", (double)ns / 1e6);
	else
		g_snprintf(text, 16, "%.3g s", (double)ns / 1e9);
	return text;
}
