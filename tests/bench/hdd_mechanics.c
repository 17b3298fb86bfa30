/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench/hdd_mechanics.h"

#include <math.h>

#define LINEAR_FROM 0.25	/* of the stroke */

double wb_hdd_turn_ns(const struct wb_hdd_shape *shape)
{
	return 60e9 / shape->rpm;
}

double wb_hdd_transfer_ns(const struct wb_hdd_shape *shape, uint64_t bytes)
{
	return (double)bytes * 1e9 / shape->media_bytes_s;
}

static double track_bytes(const struct wb_hdd_shape *shape)
{
	return shape->media_bytes_s * 60 / shape->rpm;
}

double wb_hdd_seek_ns(const struct wb_hdd_shape *shape, uint64_t from, uint64_t to)
{
	double track = track_bytes(shape);
	double tracks = fabs(floor((double)from / track) - floor((double)to / track));
	double d = tracks * track / (double)shape->size_bytes;

	if (tracks == 0)
		return 0;
	if (d <= LINEAR_FROM)
		return shape->settle_ns + shape->seek_ns * sqrt(d);
	return shape->settle_ns + shape->seek_ns *
	       (sqrt(LINEAR_FROM) + (d - LINEAR_FROM) / (2 * sqrt(LINEAR_FROM)));
}

/* Until the byte is under the head, which is on its track already. */
static double turn_to(const struct wb_hdd_shape *shape, double now_ns, uint64_t offset)
{
	double turn = wb_hdd_turn_ns(shape);
	double wanted = (double)offset / track_bytes(shape), is = now_ns / turn;
	double part = wanted - floor(wanted) - (is - floor(is));

	if (part < -1e-7)	/* less is rounding: it is there just now */
		part += 1;
	return part > 0 ? part * turn : 0;
}

struct wb_hdd_access wb_hdd_access(const struct wb_hdd_shape *shape,
				   const struct wb_hdd_arm *arm, double now_ns,
				   uint64_t offset)
{
	struct wb_hdd_access access = { 0, 0 };

	if (now_ns <= arm->free_ns && offset >= arm->at &&
	    (double)(offset - arm->at) < track_bytes(shape)) {
		access.turn_ns = wb_hdd_transfer_ns(shape, offset - arm->at);
		return access;
	}
	access.seek_ns = wb_hdd_seek_ns(shape, arm->at, offset);
	access.turn_ns = turn_to(shape, now_ns + access.seek_ns, offset);
	return access;
}
