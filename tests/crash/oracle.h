/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an image may hold. The oracle keeps, for every sector, all versions in
 * the order in which they got their place in the log, each with the bounds of
 * its record's sequence, when it was acknowledged, and whether a sync has
 * promised it.
 *
 * A read may return any version that was the newest at some moment between its
 * submit and its answer (P1). After a crash that cut the log at sequence c the
 * image is that prefix of the log: of each sector the last version with a
 * sequence <= c (P3, also for records as units), and no version that a sync or
 * a FUA write has promised lies beyond c (P2). Discards are versions like any
 * other (P7), and what came back from the backing shows in the same way (P5).
 */
#ifndef WB_TESTS_ORACLE_H
#define WB_TESTS_ORACLE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "support/volume_sim.h"

struct wb_oracle;

struct wb_oracle *wb_oracle_new(uint64_t image_bytes);
/* The image has become larger, and holds `fill` there, but zeros up to the end of
 * the block in which it ended before. */
void wb_oracle_grow(struct wb_oracle *oracle, uint64_t image_bytes, uint8_t fill);
void wb_oracle_free(struct wb_oracle *oracle);

/* A stretch of a WRITE (its data) or ZERO has its place in the log, or goes around
 * it, which is a version too: nobody knows from its beginning on whether it is there,
 * until it has ended, and after a power cut until it is promised (the exception from
 * P3). It never depends on the cut. */
void wb_oracle_progress(struct wb_oracle *oracle, const struct wb_sim_op *op,
			const struct wb_sim_progress *progress);
/* It has ended without an error: data, and promises by SYNC and FUA. */
void wb_oracle_acknowledged(struct wb_oracle *oracle, const struct wb_sim_op *op);
/* In a mode that promises the backing alone. */
void wb_oracle_written_through(struct wb_oracle *oracle, const struct wb_sim_op *op);
/* A flush of the backing has failed: what went around the cache and is not promised
 * may be lost, now or later, and no later sync is about it. */
void wb_oracle_doubt(struct wb_oracle *oracle);
/* Everything acknowledged so far is promised (a clean stop). */
void wb_oracle_promise_all(struct wb_oracle *oracle, uint64_t step);

/* NULL when the READ returned what it may, else the objection (to be freed). */
char *wb_oracle_check_read(const struct wb_oracle *oracle, const struct wb_sim_op *op);
/* The same for the image after a crash, where the log was cut at `cut`. */
char *wb_oracle_check_recovered(const struct wb_oracle *oracle, const uint8_t *image,
				uint64_t cut);
/* After the death of the process alone: nothing is missing, but what was perhaps not
 * executed (a progress whose `high` is UINT64_MAX), or is on its way around the cache. */
char *wb_oracle_check_taken_over(const struct wb_oracle *oracle, const uint8_t *image);
/* This is the image now, all of it promised: the history is forgotten. */
void wb_oracle_rebase(struct wb_oracle *oracle, const uint8_t *image);
/* What the backing holds without the cache, which is lost: nothing older than what was
 * promised for it. */
char *wb_oracle_check_backing(const struct wb_oracle *oracle, const uint8_t *backing);
/* The newest version of everything. */
char *wb_oracle_check_newest(const struct wb_oracle *oracle, const uint8_t *image);

#endif
