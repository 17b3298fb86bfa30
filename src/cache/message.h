/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The last thing that went wrong, for status. Any thread; allocates nothing. */
#ifndef WB_CACHE_MESSAGE_H
#define WB_CACHE_MESSAGE_H

#include <glib.h>
#include <stddef.h>

#include "base/lock.h"

#define WB_MESSAGE_BYTES 256

struct wb_message {
	struct wb_lock lock;
	char text[WB_MESSAGE_BYTES];	/* under lock */
};

void wb_message_init(struct wb_message *message);
void wb_message_clear(struct wb_message *message);
void wb_message_set(struct wb_message *message, const char *format, ...) G_GNUC_PRINTF(2, 3);
void wb_message_get(struct wb_message *message, char text[WB_MESSAGE_BYTES]);

#endif
