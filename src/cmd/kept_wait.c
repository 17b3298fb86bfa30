/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/kept_wait.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>

#include "cmd/disk_wait.h"
#include "cmd/report.h"

/* It is mostly over by then, and the log is read once. */
#define SAVE_AFTER_US (3 * G_USEC_PER_SEC)
#define SAVE_AGAIN_US (5 * G_USEC_PER_SEC)
/* Of a stop, for a cache that is not free; whoever stops a machine kills in the end. */
#define LAST_CHANCE_US (10 * G_USEC_PER_SEC)

static struct {
	struct wb_kept *kept;
	const char *mount_point;
	struct wb_disk *cache;
	struct wb_store **cache_store;
	struct wb_disk_patience patience;
	bool is_saved;
	gint64 tried_us;		/* to save; 0: not yet */
	gint64 asked_us;		/* to stop; likewise */
	bool is_over;
} self;

/* --- saving ------------------------------------------------------------------------- */

static bool save(GError **error)
{
	if (!*self.cache_store)
		*self.cache_store = wb_disk_open_store(self.cache, error);
	return *self.cache_store && wb_kept_save_memory(self.kept, *self.cache_store, error);
}

bool wb_kept_wait_save(void)
{
	g_autoptr(GError) error = NULL;

	if (self.is_saved)
		return true;
	self.is_saved = save(&error);
	if (self.is_saved)
		g_message("%s: what was not synced is in the log on %s now", self.mount_point,
			  self.cache->path);
	else if (!self.tried_us)
		g_warning("%s: what was not synced cannot be written to the log now: %s",
			  self.mount_point, error->message);
	self.tried_us = g_get_monotonic_time();
	return self.is_saved;
}

/* --- stopping ------------------------------------------------------------------------- */

/* Unmounted, or aborted: nobody waits for us. */
static bool is_session_over(void)
{
	struct pollfd session = { .fd = self.kept->session_fd };

	return poll(&session, 1, 0) > 0 && session.revents & POLLERR;
}

/* Without help: fusermount3 would ask the mount for its attributes, and wait for us. */
static void unmount(const struct wb_disk_wait *wait)
{
	if (!umount2(self.mount_point, UMOUNT_NOFOLLOW))
		return;
	if (errno == EBUSY)
		g_warning("%s is not stopped, because it is in use; it still waits for %s %s. "
			  "'umount -f %s' ends it%s", self.mount_point, wait->role, wait->path,
			  self.mount_point, self.is_saved ? ", and what was not synced is in the "
			  "log" : "; what was not synced is in its memory only");
	else
		g_warning("cannot unmount %s: %s; it still waits for %s %s", self.mount_point,
			  g_strerror(errno), wait->role, wait->path);
}

/* They are blocked until the volume is served. Each is obeyed once. */
static bool is_stop_asked(void)
{
	const struct timespec at_once = { 0 };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	return sigtimedwait(&signals, NULL, &at_once) > 0;
}

/* The cache is opened first. */
static bool can_save(const struct wb_disk_wait *wait)
{
	return !self.is_saved && strcmp(wait->role, "cache");
}

static bool goes_on(void *arg, const struct wb_disk_wait *wait)
{
	gint64 now = g_get_monotonic_time();
	bool is_asked = is_stop_asked();

	(void)arg;
	if (is_asked)
		self.asked_us = now;
	if (can_save(wait) &&
	    (is_asked || is_session_over() || now - wait->began_us >= SAVE_AFTER_US) &&
	    (is_asked || !self.tried_us || now - self.tried_us >= SAVE_AGAIN_US))
		wb_kept_wait_save();
	if (is_asked)
		unmount(wait);
	/* Who uses it may still be helped. */
	if (!is_session_over())
		return true;
	self.is_over = self.is_saved || (self.asked_us && now - self.asked_us >= LAST_CHANCE_US);
	return !self.is_over;
}

static void said(void *arg, const char *text)
{
	g_autofree char *status = g_strdup_printf("STATUS=%s", text);

	(void)arg;
	if (!self.kept->area->is_in_background)
		wb_kept_notify(self.kept, status);
}

/* --- doors ---------------------------------------------------------------------------- */

void wb_kept_wait_begin(struct wb_kept *kept, const char *mount_point, struct wb_disk *cache,
			struct wb_store **cache_store)
{
	self.kept = kept;
	self.mount_point = mount_point;
	self.cache = cache;
	self.cache_store = cache_store;
	self.is_saved = !wb_kept_has_memory(kept);
	self.patience = (struct wb_disk_patience){ goes_on, said, NULL };
	wb_disk_wait_without_bound(&self.patience);
}

void wb_kept_wait_end(void)
{
	wb_disk_wait_without_bound(NULL);
}

const char *wb_kept_wait_outcome(void)
{
	if (!self.is_over)
		return NULL;
	return self.is_saved ? "nothing is lost, the next mount recovers the log" :
			       "what was not synced is lost, the next mount recovers the rest";
}
