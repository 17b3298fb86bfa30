/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What went wrong last, for status, and the newest events, for `events`. Any
 * thread, with any lock held but this one; allocates nothing.
 */
#ifndef WB_CACHE_MESSAGE_H
#define WB_CACHE_MESSAGE_H

#include <glib.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/lock.h"
#include "cache/events.h"

#define WB_MESSAGE_BYTES 256

struct wb_message {
	struct wb_clock *clock;		/* constant */

	struct wb_lock lock;
	/* under lock */
	char text[WB_MESSAGE_BYTES];	/* the last error; "": none */
	uint64_t event_count;		/* of all; the newest are in the ring */
	struct wb_event events[WB_EVENTS_MAX];	/* event n at (n - 1) mod size */
};

void wb_message_init(struct wb_message *message, struct wb_clock *clock);
void wb_message_clear(struct wb_message *message);
/* An error: the last one from now on, and an event. */
void wb_message_set(struct wb_message *message, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* An event that is no error. */
void wb_message_note(struct wb_message *message, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* An event of any kind. */
void wb_message_add(struct wb_message *message, enum wb_event_kind kind, const char *format,
		    va_list args) G_GNUC_PRINTF(3, 0);

void wb_message_get(struct wb_message *message, char text[WB_MESSAGE_BYTES]);
/* The newest events, oldest first; returns how many. */
unsigned wb_message_get_events(struct wb_message *message,
			       struct wb_event events[WB_EVENTS_MAX]);

#endif
