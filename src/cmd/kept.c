/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/kept.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "cache/cache.h"
#include "cmd/report.h"
#include "keeper/link.h"
#include "keeper/say.h"

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- to the keeper ------------------------------------------------------------------- */

/* A keeper that is gone is noticed by whoever listens to it. */
static bool tell(struct wb_kept *kept, enum wb_link_kind kind, const char *text, int passed_fd)
{
	return kept->link_fd >= 0 && wb_link_send(kept->link_fd, kind, text, passed_fd);
}

bool wb_kept_tell_mounted(struct wb_kept *kept, const struct wb_fuse *fuse, GError **error)
{
	int clone_fd = wb_fuse_clone_fd(fuse);

	if (kept->is_first && !tell(kept, WB_LINK_MOUNTED, "", wb_fuse_session_fd(fuse)))
		return wb_fail_errno(error, "the keeper cannot be given the session");
	if (clone_fd >= 0)
		tell(kept, WB_LINK_CLONED, "", clone_fd);
	return true;
}

static void note_pause(struct wb_keeper_state *state, int64_t pause_ns)
{
	atomic_store(&state->last_pause_ns, pause_ns);
	atomic_fetch_add(&state->all_pauses_ns, pause_ns);
	if (pause_ns > atomic_load(&state->longest_pause_ns))
		atomic_store(&state->longest_pause_ns, pause_ns);
}

void wb_kept_note_step(struct wb_kept *kept, enum wb_kept_step step)
{
	kept->reached_ns[step] = now_ns();
}

static int64_t ms_between(int64_t from_ns, int64_t until_ns)
{
	return (until_ns - from_ns + 500000) / 1000000;
}

/* Whoever finds a pause long sees whether it was the machine, a disk or the log. */
static char *describe_pause(const struct wb_kept *kept, int64_t from_ns, int64_t until_ns,
			    uint64_t short_bytes)
{
	const int64_t *reached_ns = kept->reached_ns;
	GString *text = g_string_new(NULL);

	g_string_printf(text, "%" PRId64 " ms (", ms_between(from_ns, until_ns));
	if (atomic_load(&kept->area->tries) > 1)
		g_string_append_printf(text, "%u that died on the way, ",
				       atomic_load(&kept->area->tries) - 1);
	g_string_append_printf(text, "%" PRId64 " to start, %" PRId64 " until the disks were free, %"
			       PRId64 " to recover with %" PRIu64 " KiB of short records, %"
			       PRId64 " for the session)",
			       ms_between(from_ns, reached_ns[WB_KEPT_BEGUN]),
			       ms_between(reached_ns[WB_KEPT_BEGUN], reached_ns[WB_KEPT_ALONE]),
			       ms_between(reached_ns[WB_KEPT_ALONE],
					  reached_ns[WB_KEPT_RECOVERED]),
			       short_bytes >> 10,
			       ms_between(reached_ns[WB_KEPT_RECOVERED], until_ns));
	return g_string_free(text, FALSE);
}

static char *tell_of_death(struct wb_kept *kept, const char *pause)
{
	struct wb_keeper_facts facts;

	wb_kept_describe(kept, &facts);
	return g_strdup_printf("the worker %s; the next one took over after %s",
			       facts.last_cause, pause);
}

char *wb_kept_tell_serving(struct wb_kept *kept, enum wb_kept_refusal refusal,
			   uint64_t short_bytes)
{
	struct wb_keeper_state *state = kept->state;
	char *note = NULL;

	atomic_store(&state->refusal, refusal);
	if (!kept->is_first) {
		int64_t until_ns = now_ns(), from_ns = atomic_load(&state->gone_ns);
		g_autofree char *pause = describe_pause(kept, from_ns, until_ns, short_bytes);

		note_pause(state, until_ns - from_ns);
		note = atomic_load(&state->died) ? tell_of_death(kept, pause) :
			g_strdup_printf("wbfs " PACKAGE_VERSION " took over from the program "
					"before after %s", pause);
	}
	atomic_store(&kept->area->tries, 0);
	atomic_store(&state->phase, WB_KEPT_SERVING);
	tell(kept, WB_LINK_SERVING, "", -1);
	return note;
}

void wb_kept_notify(struct wb_kept *kept, const char *lines)
{
	tell(kept, WB_LINK_NOTIFY, lines, -1);
}

int wb_kept_ask_upgrade(struct wb_kept *kept, const char *program)
{
	return tell(kept, WB_LINK_UPGRADE, program, -1) ? 0 : -EINVAL;
}

void wb_kept_tell_busy(struct wb_kept *kept, const char *reason)
{
	tell(kept, WB_LINK_BUSY, reason, -1);
}

/* --- to the next worker --------------------------------------------------------------------- */

static void append_tunables(const struct wb_tunables *tunables, GString *text)
{
	for (unsigned i = 0; i < wb_tunables_count; i++) {
		g_string_append_printf(text, "%s=", wb_tunables_table[i].name);
		wb_tunable_append(&wb_tunables_table[i], tunables, text);
		g_string_append_c(text, '\0');
	}
	g_string_append_c(text, '\0');
}

/* A death in the middle of it leaves the half that was there before. */
static void store_tunables(struct wb_kept_area *area, const GString *text)
{
	unsigned half = atomic_load(&area->tunables_half) == 1 ? 2 : 1;

	if (text->len > WB_KEPT_TUNABLES_BYTES)
		return;
	memcpy(area->tunables[half - 1], text->str, text->len);
	atomic_store(&area->tunables_half, half);
}

/* Asked for outside of the lock, what another has set since would be overwritten. */
void wb_kept_note_tunables(struct wb_kept *kept, struct wb_cache *cache)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct wb_tunables tunables;

	wb_lock_acquire(&kept->lock);
	wb_cache_get_tunables(cache, &tunables);
	append_tunables(&tunables, text);
	store_tunables(kept->area, text);
	wb_lock_release(&kept->lock);
}

/* --- for people --------------------------------------------------------------------------------- */

static const char *refusal_text(uint32_t refusal)
{
	switch (refusal) {
	case WB_KEPT_CAN_FOLLOW:
		return "";
	case WB_KEPT_IO_URING:
		return "over io_uring the kernel does not send again what was not answered";
	}
	return "this kernel does not send again what was not answered (Linux 6.9 does)";
}

void wb_kept_describe(void *arg, struct wb_keeper_facts *facts)
{
	struct wb_kept *kept = arg;
	struct wb_keeper_state *state = kept->state;

	*facts = (struct wb_keeper_facts){
		.pid = g_atomic_int_get(&kept->link_fd) >= 0 ? state->keeper_pid : 0,
		.version = state->version,
		.refusal = refusal_text(atomic_load(&state->refusal)),
		.restarts = atomic_load(&state->restarts),
		.last_pause_ns = atomic_load(&state->last_pause_ns),
		.longest_pause_ns = atomic_load(&state->longest_pause_ns),
		.all_pauses_ns = atomic_load(&state->all_pauses_ns),
		.upgrades_asked = atomic_load(&state->upgrades_asked),
		.upgrades_done = atomic_load(&state->upgrades_done),
		.upgrades_failed = atomic_load(&state->upgrades_failed),
	};
	if (facts->restarts)
		wb_say_status(atomic_load(&state->last_status), facts->last_cause,
			      sizeof facts->last_cause);
	g_strlcpy(facts->upgrade_problem, state->upgrade_problem,
		  MIN(sizeof facts->upgrade_problem, sizeof state->upgrade_problem));
}
