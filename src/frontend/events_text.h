/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines of MOUNTPOINT/.wbfs/events. Pure, but for the local time zone. */
#ifndef WB_FRONTEND_EVENTS_TEXT_H
#define WB_FRONTEND_EVENTS_TEXT_H

#include <glib.h>

#include "cache/events.h"

/* "2026-11-24T10:05:01.123+01:00 error  TEXT (3 times, last at ...)" and a newline:
 * local time, valid UTF-8. */
void wb_events_text_append(GString *text, const struct wb_event *event);

#endif
