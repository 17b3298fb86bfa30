/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/message.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void wb_message_init(struct wb_message *message, struct wb_clock *clock)
{
	message->clock = clock;
	wb_lock_init(&message->lock, WB_RANK_MESSAGE);
	message->text[0] = '\0';
	message->event_count = 0;
}

void wb_message_clear(struct wb_message *message)
{
	wb_lock_clear(&message->lock);
}

/* A name of a file may be in it, and with it anything. */
static void make_one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static struct wb_event *event_at(struct wb_message *message, uint64_t number)
{
	return &message->events[(number - 1) % WB_EVENTS_MAX];
}

/* What is tried again and again would else push out why. */
static bool repeats_newest(struct wb_message *message, enum wb_event_kind kind,
			   const char *text)
{
	struct wb_event *newest = event_at(message, message->event_count);

	return message->event_count > 0 && newest->kind == kind && !strcmp(newest->text, text);
}

static void add_locked(struct wb_message *message, enum wb_event_kind kind, const char *text)
{
	uint64_t now = wb_clock_wall_ns(message->clock);
	struct wb_event *event;

	if (repeats_newest(message, kind, text)) {
		event = event_at(message, message->event_count);
		event->times++;
		event->last_ns = now;
		return;
	}
	event = event_at(message, ++message->event_count);
	event->number = message->event_count;
	event->first_ns = event->last_ns = now;
	event->times = 1;
	event->kind = kind;
	g_strlcpy(event->text, text, sizeof event->text);
}

void wb_message_add(struct wb_message *message, enum wb_event_kind kind, const char *format,
		    va_list args)
{
	char text[WB_EVENT_BYTES];

	vsnprintf(text, sizeof text, format, args);
	make_one_line(text);
	wb_lock_acquire(&message->lock);
	if (kind == WB_EVENT_ERROR)
		g_strlcpy(message->text, text, sizeof message->text);
	add_locked(message, kind, text);
	wb_lock_release(&message->lock);
}

void wb_message_set(struct wb_message *message, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	wb_message_add(message, WB_EVENT_ERROR, format, args);
	va_end(args);
}

void wb_message_note(struct wb_message *message, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	wb_message_add(message, WB_EVENT_NOTE, format, args);
	va_end(args);
}

void wb_message_get(struct wb_message *message, char text[WB_MESSAGE_BYTES])
{
	wb_lock_acquire(&message->lock);
	memcpy(text, message->text, WB_MESSAGE_BYTES);
	wb_lock_release(&message->lock);
}

unsigned wb_message_get_events(struct wb_message *message,
			       struct wb_event events[WB_EVENTS_MAX])
{
	unsigned count;

	wb_lock_acquire(&message->lock);
	count = (unsigned)MIN(message->event_count, WB_EVENTS_MAX);
	for (unsigned i = 0; i < count; i++)
		events[i] = *event_at(message, message->event_count - count + 1 + i);
	wb_lock_release(&message->lock);
	return count;
}
