/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of what is lost or doubtful, as ranges of the image: for check and rescue. */
#ifndef WB_CMD_LOST_LIST_H
#define WB_CMD_LOST_LIST_H

#include <glib.h>
#include <stdint.h>

#include "cache/recovery.h"

/* To be freed by g_array_unref(). */
GArray *wb_lost_list_new(void);
/* Blocks of the image; `why` is static text, and the same pointer for the same. */
void wb_lost_list_add(GArray *list, uint64_t first, uint64_t count, const char *why);
/* Sorts and merges the list and prints it: "WORD: bytes A to B of the image: WHY".
 * Returns how many blocks that are. */
uint64_t wb_lost_list_print(GArray *list, const char *word, uint64_t image_bytes);

/* What the records behind the damage of a log have changed, and which ones cannot
 * be read. */
void wb_lost_list_print_repair(const struct wb_recovery *recovery, const char *word);

#endif
