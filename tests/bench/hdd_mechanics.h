/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The moving parts of a simulated hard disk: how long it takes from one place to
 * another. Pure; times are nanoseconds of the model, places are bytes of the disk.
 *
 * Turning. The angle follows the time. A byte's angle is its offset modulo the
 * track, which holds what passes in one turn at the sustained rate: the skew between
 * tracks is spread over them, and reading on over a track's end costs nothing.
 *
 * Seeking, by the distance d in parts of the whole stroke (the curve is Ruemmler and
 * Wilkes's, "An introduction to disk drive modeling", 1994):
 *
 *	settle + b sqrt(d)		up to a quarter of the stroke
 *	the tangent of that there	beyond it, where the arm has reached its speed
 *
 * The stroke is that of a large disk, however small the image: a disk of 2 GiB has
 * the seeks of one of 8 TB.
 *
 * Going on. From where it stands the arm reaches what comes in the next turn by
 * following the track, over a track's end too: the skew is there for that.
 */
#ifndef WB_TESTS_HDD_MECHANICS_H
#define WB_TESTS_HDD_MECHANICS_H

#include <stdint.h>

struct wb_hdd_shape {
	uint64_t size_bytes;
	double rpm;
	double media_bytes_s;	/* sustained, to or from the platters */
	double settle_ns;
	double seek_ns;		/* b of the curve: the whole stroke is settle + 1.25 b */
};

/* 7200 rpm, 180 MB/s, mean seek 8.5 ms, next track 1.1 ms, whole stroke 18 ms. */
#define WB_HDD_SHAPE_DEFAULT(bytes) \
	{ .size_bytes = (bytes), .rpm = 7200, .media_bytes_s = 180e6, \
	  .settle_ns = 0.7e6, .seek_ns = 13.85e6 }

/* It stood behind byte `at` - 1 when it had done its last work. */
struct wb_hdd_arm {
	uint64_t at;
	double free_ns;
};

struct wb_hdd_access {
	double seek_ns, turn_ns;	/* moving; waiting for the platter to turn */
};

double wb_hdd_turn_ns(const struct wb_hdd_shape *shape);
double wb_hdd_transfer_ns(const struct wb_hdd_shape *shape, uint64_t bytes);
double wb_hdd_seek_ns(const struct wb_hdd_shape *shape, uint64_t from, uint64_t to);
/* From where the arm is to the first byte at `offset`, beginning at `now_ns`. */
struct wb_hdd_access wb_hdd_access(const struct wb_hdd_shape *shape,
				   const struct wb_hdd_arm *arm, double now_ns,
				   uint64_t offset);

#endif
