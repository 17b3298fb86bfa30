/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/events.h"

#include <glib.h>

const char *wb_event_kind_name(enum wb_event_kind kind)
{
	switch (kind) {
	case WB_EVENT_NOTE: return "note";
	case WB_EVENT_REFUSED: return "refused";
	case WB_EVENT_ERROR: return "error";
	}
	g_assert_not_reached();
}
