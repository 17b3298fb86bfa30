/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happened to a mounted volume, in sentences for people. Plain data. */
#ifndef WB_CACHE_EVENTS_H
#define WB_CACHE_EVENTS_H

#include <stdint.h>

#define WB_EVENTS_MAX 200u	/* the newest ones are kept */
#define WB_EVENT_BYTES 512u

enum wb_event_kind {
	WB_EVENT_NOTE,
	WB_EVENT_REFUSED,	/* what somebody asked for was not done */
	WB_EVENT_ERROR,
};
const char *wb_event_kind_name(enum wb_event_kind kind);

/* The same again, with nothing else between, is one event. */
struct wb_event {
	uint64_t number;		/* 1 is the first since the mount */
	uint64_t first_ns, last_ns;	/* wall clock, since 1970 */
	uint64_t times;
	enum wb_event_kind kind;
	char text[WB_EVENT_BYTES];	/* one line, no control characters */
};

#endif
