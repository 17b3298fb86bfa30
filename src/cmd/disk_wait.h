/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for a disk: I/O of a killed process is still landing there, or its server is
 * away. That takes as long as the disk likes. A command waits for a bounded time, and
 * then fails; who takes over from a daemon that died waits without a bound, because its
 * memory has what nobody else has: it says what for, and asks now and then whether to
 * go on.
 */
#ifndef WB_CMD_DISK_WAIT_H
#define WB_CMD_DISK_WAIT_H

#include <glib.h>
#include <stdbool.h>

struct wb_disk_wait {
	const char *role, *path;	/* of the disk; not copied */
	gint64 began_us;
	gint64 until_us;
	gint64 say_us;			/* when it is said the next time */
};

/* Of who takes over. */
struct wb_disk_patience {
	/* FALSE: it is given up. Called every few milliseconds; may take its time. */
	bool (*goes_on)(void *arg, const struct wb_disk_wait *wait);
	/* `text` is what people are told. */
	void (*said)(void *arg, const char *text);
	void *arg;
};
/* For all that begin later. Not copied. */
void wb_disk_wait_without_bound(const struct wb_disk_patience *patience);

struct wb_disk_wait wb_disk_wait_begin(const char *role, const char *path, gint64 at_most_us);
/* Sleeps a moment, at most `pause_us`. `why`, and with whom: "is in the way". FALSE: no
 * longer. */
bool wb_disk_wait_more(struct wb_disk_wait *wait, gint64 pause_us, const char *why);
/* It was worth it. */
void wb_disk_wait_end(const struct wb_disk_wait *wait);

static inline gint64 wb_disk_waited_us(const struct wb_disk_wait *wait)
{
	return g_get_monotonic_time() - wait->began_us;
}

#endif
