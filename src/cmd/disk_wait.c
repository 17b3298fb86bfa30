/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/disk_wait.h"

#include <inttypes.h>

#define SAY_FIRST_US G_USEC_PER_SEC
#define SAY_AGAIN_US (60 * G_USEC_PER_SEC)
/* Users wait, and mostly it is for milliseconds. */
#define EAGER_US G_USEC_PER_SEC
#define EAGER_PAUSE_US 1000
#define LOOK_US (200 * 1000)

static const struct wb_disk_patience *patience;

void wb_disk_wait_without_bound(const struct wb_disk_patience *of_who_takes_over)
{
	patience = of_who_takes_over;
}

struct wb_disk_wait wb_disk_wait_begin(const char *role, const char *path, gint64 at_most_us)
{
	gint64 now = g_get_monotonic_time();

	return (struct wb_disk_wait){
		.role = role, .path = path, .began_us = now,
		.until_us = patience ? G_MAXINT64 : now + at_most_us,
		.say_us = now + SAY_FIRST_US,
	};
}

static void say(struct wb_disk_wait *wait, gint64 now, const char *why)
{
	g_autofree char *text = NULL;
	int64_t waited_s = (now - wait->began_us) / G_USEC_PER_SEC;

	if (waited_s < SAY_AGAIN_US / G_USEC_PER_SEC)
		text = g_strdup_printf("%s %s: %s, and is waited for", wait->role, wait->path,
				       why);
	else
		text = g_strdup_printf("%s %s: %s, and is waited for, since %" PRId64
				       " seconds", wait->role, wait->path, why, waited_s);
	g_warning("%s", text);
	patience->said(patience->arg, text);
	wait->say_us = now + SAY_AGAIN_US;
}

/* In steps, so that a stop is heard while a server is tried only now and then. */
static bool sleep_patiently(struct wb_disk_wait *wait, gint64 until)
{
	gint64 now;

	while ((now = g_get_monotonic_time()) < until) {
		g_usleep((gulong)MIN(until - now, LOOK_US));
		if (!patience->goes_on(patience->arg, wait))
			return false;
	}
	return true;
}

bool wb_disk_wait_more(struct wb_disk_wait *wait, gint64 pause_us, const char *why)
{
	gint64 now = g_get_monotonic_time();

	if (now >= wait->until_us)
		return false;
	if (!patience) {
		g_usleep((gulong)pause_us);
		return true;
	}
	if (now >= wait->say_us)
		say(wait, now, why);
	if (now - wait->began_us < EAGER_US)
		pause_us = MIN(pause_us, EAGER_PAUSE_US);
	return sleep_patiently(wait, now + pause_us);
}

void wb_disk_wait_end(const struct wb_disk_wait *wait)
{
	gint64 waited_us = wb_disk_waited_us(wait);

	if (patience && waited_us >= SAY_FIRST_US)
		g_message("%s %s was waited for, for %.1f seconds", wait->role, wait->path,
			  (double)waited_us / G_USEC_PER_SEC);
}
