/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void wb_message_init(struct wb_message *message)
{
	wb_lock_init(&message->lock, WB_RANK_MESSAGE);
	message->text[0] = '\0';
}

void wb_message_clear(struct wb_message *message)
{
	wb_lock_clear(&message->lock);
}

void wb_message_set(struct wb_message *message, const char *format, ...)
{
	va_list args;

	wb_lock_acquire(&message->lock);
	va_start(args, format);
	vsnprintf(message->text, sizeof message->text, format, args);
	va_end(args);
	wb_lock_release(&message->lock);
}

void wb_message_get(struct wb_message *message, char text[WB_MESSAGE_BYTES])
{
	wb_lock_acquire(&message->lock);
	memcpy(text, message->text, WB_MESSAGE_BYTES);
	wb_lock_release(&message->lock);
}
