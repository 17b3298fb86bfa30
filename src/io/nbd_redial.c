/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/nbd_redial.h"

#include <pthread.h>

#include "base/lock.h"

/* TLS and the resolver want more than the lanes do. */
#define STACK_BYTES (1024u << 10)
#define CONNECT_TIMEOUT_MS 10000u
#define PAUSE_FIRST_US (G_USEC_PER_SEC / 10)
#define PAUSE_URGENT_US (5 * G_USEC_PER_SEC)
#define PAUSE_SPARE_US (60 * G_USEC_PER_SEC)
/* A connection that breaks sooner may do so for what is asked of it first. */
#define YOUNG_US G_USEC_PER_SEC

struct wb_nbd_redial {
	/* constant after new */
	struct wb_nbd_redial_deps deps;
	pthread_t thread;

	struct wb_lock lock;
	struct wb_cond cond;
	/* under lock */
	unsigned wanted_count;
	bool is_urgent;
	bool is_stopping;
	gint64 pause_us;		/* after the next failure */
	gint64 young_pause_us;		/* after the last young death, or 0 */
	gint64 not_before_us;		/* no attempt; 0: at once */
	char *problem;
};

static void set_problem_locked(struct wb_nbd_redial *redial, const char *problem)
{
	g_free(redial->problem);
	redial->problem = g_strdup(problem);
}

/* The first attempt comes at once, the pauses double. Cut short by what is more urgent. */
static void pause_locked(struct wb_nbd_redial *redial)
{
	gint64 begin = g_get_monotonic_time();
	gint64 pause = redial->pause_us;

	redial->pause_us = MIN(2 * pause, PAUSE_SPARE_US);
	while (!redial->is_stopping) {
		gint64 most = redial->is_urgent ? PAUSE_URGENT_US : PAUSE_SPARE_US;

		if (!wb_cond_wait_until(&redial->cond, &redial->lock, begin + MIN(pause, most)))
			return;
	}
}

/* FALSE: failed. The lock is let go of meanwhile. */
static bool try_locked(struct wb_nbd_redial *redial)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *objection = NULL;
	bool ok, was_urgent = redial->is_urgent;
	struct wb_nbd_peer peer;

	/* What is asked for from here on counts from here on: the one that is made now may
	 * be the one that breaks. */
	redial->is_urgent = false;
	wb_lock_release(&redial->lock);
	ok = wb_nbd_connect(redial->deps.uri, CONNECT_TIMEOUT_MS, &peer, &error);
	if (ok)
		objection = redial->deps.judge(redial->deps.arg, &peer);
	if (objection)
		wb_nbd_disconnect(&peer);
	else if (ok)
		redial->deps.connected(redial->deps.arg, &peer);
	wb_lock_acquire(&redial->lock);
	set_problem_locked(redial, error ? error->message : objection);
	ok = ok && !objection;
	redial->is_urgent |= was_urgent && !ok;
	return ok;
}

static void *run(void *arg)
{
	struct wb_nbd_redial *redial = arg;

	pthread_setname_np(pthread_self(), "wb-io-redial");
	wb_lock_acquire(&redial->lock);
	while (!redial->is_stopping) {
		if (redial->wanted_count == 0) {
			redial->pause_us = PAUSE_FIRST_US;
			wb_cond_wait(&redial->cond, &redial->lock);
		} else if (g_get_monotonic_time() < redial->not_before_us) {
			wb_cond_wait_until(&redial->cond, &redial->lock, redial->not_before_us);
		} else if (!try_locked(redial)) {
			pause_locked(redial);
		} else {
			redial->wanted_count--;
			redial->pause_us = PAUSE_FIRST_US;
		}
	}
	wb_lock_release(&redial->lock);
	return NULL;
}

struct wb_nbd_redial *wb_nbd_redial_new(const struct wb_nbd_redial_deps *deps,
					GError **error)
{
	struct wb_nbd_redial *redial = g_new0(struct wb_nbd_redial, 1);
	pthread_attr_t attr;
	int result;

	redial->deps = *deps;
	redial->pause_us = PAUSE_FIRST_US;
	wb_lock_init(&redial->lock, WB_RANK_STORE);
	wb_cond_init(&redial->cond);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	result = pthread_create(&redial->thread, &attr, run, redial);
	pthread_attr_destroy(&attr);
	if (result == 0)
		return redial;
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(result),
		    "%s: cannot start a thread: %s", deps->uri, g_strerror(result));
	wb_cond_clear(&redial->cond);
	wb_lock_clear(&redial->lock);
	g_free(redial);
	return NULL;
}

void wb_nbd_redial_free(struct wb_nbd_redial *redial)
{
	if (!redial)
		return;
	wb_lock_acquire(&redial->lock);
	redial->is_stopping = true;
	wb_cond_broadcast(&redial->cond);
	wb_lock_release(&redial->lock);
	pthread_join(redial->thread, NULL);
	wb_cond_clear(&redial->cond);
	wb_lock_clear(&redial->lock);
	g_free(redial->problem);
	g_free(redial);
}

/* One pause for all that break together. */
static void note_death_locked(struct wb_nbd_redial *redial, gint64 lived_us)
{
	gint64 now = g_get_monotonic_time();

	if (lived_us >= YOUNG_US) {
		redial->young_pause_us = 0;
	} else if (now >= redial->not_before_us) {
		redial->young_pause_us = CLAMP(2 * redial->young_pause_us, PAUSE_FIRST_US,
					       PAUSE_URGENT_US);
		redial->not_before_us = now + redial->young_pause_us;
	}
}

void wb_nbd_redial_want(struct wb_nbd_redial *redial, enum wb_nbd_urgency urgency,
			gint64 lived_us)
{
	wb_lock_acquire(&redial->lock);
	note_death_locked(redial, lived_us);
	redial->wanted_count++;
	if (urgency == WB_NBD_URGENT) {
		redial->is_urgent = true;
		redial->pause_us = PAUSE_FIRST_US;
	}
	wb_cond_broadcast(&redial->cond);
	wb_lock_release(&redial->lock);
}

char *wb_nbd_redial_problem(struct wb_nbd_redial *redial)
{
	char *problem;

	wb_lock_acquire(&redial->lock);
	problem = g_strdup(redial->problem);
	wb_lock_release(&redial->lock);
	return problem;
}
