/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of the epochs of a volume: the first sequence of each, and the
 * highest durable claim made in it. It judges which records are DEAD. One
 * thread, start-up only.
 */
#ifndef WB_CACHE_RECOVERY_EPOCHS_H
#define WB_CACHE_RECOVERY_EPOCHS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct wb_recovery_epochs {
	GArray *facts;		/* of struct fact; sorted by epoch when is_settled */
	bool is_settled;
	unsigned version;	/* grows whenever a record that lived may be dead now */
};

void wb_recovery_epochs_init(struct wb_recovery_epochs *epochs);
void wb_recovery_epochs_clear(struct wb_recovery_epochs *epochs);
/* A valid header or superblock of `epoch` says that the epoch began with the
 * record `start`, and that all records up to `durable` are durable. */
void wb_recovery_epochs_add(struct wb_recovery_epochs *epochs, uint64_t epoch,
			    uint64_t start, uint64_t durable);
/* A later epoch began at or before `sequence`: the record was cut off. */
bool wb_recovery_epochs_is_dead(struct wb_recovery_epochs *epochs, uint64_t epoch,
				uint64_t sequence);
/* The highest claim, each taken for its own timeline only. */
uint64_t wb_recovery_epochs_durable(struct wb_recovery_epochs *epochs);
uint64_t wb_recovery_epochs_highest(struct wb_recovery_epochs *epochs);

#endif
