/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench/hdd_read_buffer.h"

/* How far reading on has come; it ends where the stretch is full of what is new. */
static uint64_t end_of_ahead(const struct wb_hdd_read_buffer *buffer,
			     const struct wb_hdd_shape *shape, double now_ns)
{
	uint64_t end = buffer->stretches[buffer->ahead].end;
	double bytes = (now_ns - buffer->since_ns) / 1e9 * shape->media_bytes_s;
	uint64_t limit = end + WB_HDD_STRETCH_BYTES;

	if (limit > shape->size_bytes)
		limit = shape->size_bytes;
	if (bytes <= 0)
		return end;
	return bytes < (double)(limit - end) ? end + (uint64_t)bytes : limit;
}

uint64_t wb_hdd_buffered_until(const struct wb_hdd_read_buffer *buffer,
			       const struct wb_hdd_shape *shape, double now_ns, uint64_t offset)
{
	for (unsigned i = 0; i < WB_HDD_STRETCHES; i++) {
		uint64_t start = buffer->stretches[i].start, end = buffer->stretches[i].end;

		if (start == end)
			continue;
		if (buffer->is_reading_ahead && i == buffer->ahead)
			end = end_of_ahead(buffer, shape, now_ns);
		if (offset >= start && offset < end)
			return end;
	}
	return offset;
}

/* The newest bytes stay. */
static void trim(struct wb_hdd_read_buffer *buffer, unsigned i)
{
	uint64_t end = buffer->stretches[i].end;

	if (end - buffer->stretches[i].start > WB_HDD_STRETCH_BYTES)
		buffer->stretches[i].start = end - WB_HDD_STRETCH_BYTES;
}

void wb_hdd_buffer_add(struct wb_hdd_read_buffer *buffer, double now_ns, uint64_t start,
		       uint64_t end)
{
	unsigned chosen = 0;

	for (unsigned i = 0; i < WB_HDD_STRETCHES; i++) {
		if (buffer->stretches[i].end == start &&
		    buffer->stretches[i].start < start) {
			chosen = i;
			start = buffer->stretches[i].start;
			break;
		}
		if (buffer->stretches[i].used < buffer->stretches[chosen].used)
			chosen = i;
	}
	buffer->stretches[chosen].start = start;
	buffer->stretches[chosen].end = end;
	buffer->stretches[chosen].used = ++buffer->uses;
	trim(buffer, chosen);
	buffer->ahead = chosen;
	buffer->is_reading_ahead = true;
	buffer->since_ns = now_ns;
}

void wb_hdd_buffer_stop(struct wb_hdd_read_buffer *buffer, const struct wb_hdd_shape *shape,
			double now_ns, struct wb_hdd_arm *arm)
{
	uint64_t end;

	if (!buffer->is_reading_ahead)
		return;
	end = end_of_ahead(buffer, shape, now_ns);
	arm->free_ns = buffer->since_ns +
		       wb_hdd_transfer_ns(shape, end - buffer->stretches[buffer->ahead].end);
	/* bytes are whole, and the time is not: it has not stopped yet */
	if (now_ns - arm->free_ns < wb_hdd_transfer_ns(shape, 1))
		arm->free_ns = now_ns;
	arm->at = end;
	buffer->stretches[buffer->ahead].end = end;
	trim(buffer, buffer->ahead);
	buffer->is_reading_ahead = false;
}
