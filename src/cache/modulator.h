/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The writeback modulator: from how busy the disk under the backing was, once a
 * second, whether writeback may go on without being in others' way. Pure; what
 * space pressure and drains want comes before it (cache_writeback.c).
 *
 * Everybody's time at the disk is known, and our own. While writeback runs, the
 * others' time is not simply the difference: on a disk that is always busy with
 * both, nothing would be left for them. So then it is at least the difference, and
 * at least the time of reads, which writeback has none of; whether others write
 * can only be seen without our own I/O:
 *
 *   GO    writeback may go on; after some seconds of a busy disk, of which nobody
 *         can say whose it is -> LOOK
 *   LOOK  it pauses until one second was (nearly) without its I/O -> GO or BUSY
 *   BUSY  others need the disk, until a second in which they do not
 */
#ifndef WB_CACHE_MODULATOR_H
#define WB_CACHE_MODULATOR_H

#include <stdint.h>

enum wb_modulator_verdict {
	WB_MODULATOR_GO, WB_MODULATOR_LOOK, WB_MODULATOR_BUSY,
};

struct wb_modulator_sample {
	uint64_t interval_ns;
	uint64_t busy_ns;		/* somebody's I/O was at the disk */
	uint64_t reads_ns;		/* the times of all reads together */
	uint64_t own_ns;		/* writeback's I/O was */
	uint64_t own_reads_ns;
};

struct wb_modulator {			/* all zero at first: GO */
	enum wb_modulator_verdict verdict;
	unsigned busy_percent;		/* of the last sample: by anybody, */
	unsigned others_percent;	/* and by others */
	unsigned unsure_count;		/* samples in a row that left it open */
};

/* `threshold_percent`: others above it count as busy. */
void wb_modulator_add(struct wb_modulator *modulator,
		      const struct wb_modulator_sample *sample, unsigned threshold_percent);

#endif
