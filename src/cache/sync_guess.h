/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guesses that a sync is about to come: when the last ten each came after the same
 * number of writes, and so many have come again. The record can then be on its way
 * to the SSD while the kernel still brings the sync, which it does only after the
 * answer to the write.
 *
 * A wrong guess costs one record header, and the next guess comes after ten more
 * regular syncs, each of which writes a header and data anyway: at most 5 % more
 * bytes on the SSD.
 *
 * Any thread; two of them at once may miss a guess, nothing else.
 */
#ifndef WB_CACHE_SYNC_GUESS_H
#define WB_CACHE_SYNC_GUESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WB_SYNC_GUESS_REGULAR 10u
#define WB_SYNC_GUESS_WRITES_MAX 256u	/* what comes less often is not guessed */

struct wb_sync_guess {
	_Atomic uint32_t writes;	/* since the last sync */
	_Atomic uint32_t interval;	/* writes between the last two syncs */
	_Atomic uint32_t regular;	/* how many intervals in a row were the same */
	atomic_bool is_due;
};

/* A write has ended that need not be durable by itself. */
void wb_sync_guess_wrote(struct wb_sync_guess *guess);
void wb_sync_guess_synced(struct wb_sync_guess *guess);
/* TRUE once for each guess. */
bool wb_sync_guess_take(struct wb_sync_guess *guess);

#endif
