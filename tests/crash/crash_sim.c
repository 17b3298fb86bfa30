/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crash_sim: the crash simulation as a program that prints TAP.
 *
 *   crash_sim                     what `make check` runs
 *   crash_sim --seeds A-B         histories of these seeds
 *   crash_sim --exhaustive A-B    short histories, the power cut at every point
 *   crash_sim --replay SEED:POINT one of them again, with --steps, --lives,
 *                                 --cache-lies, ... as printed
 *   --deaths                      of the process alone, mostly, with its memory left
 *   --jobs N                      on N processors; 0: on all
 */
#include <glib.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crash_jobs.h"
#include "support/store_crashy.h"

#define SHORT_STEPS 120u

static struct {
	char *seeds, *exhaustive, *replay;
	int steps, lives, cache_lies, backing_lies, jobs;
	gboolean fills_ring, bad_places, deaths, late_ghosts;
} arguments = { .jobs = 1 };

static const GOptionEntry entries[] = {
	{ "seeds", 0, 0, G_OPTION_ARG_STRING, &arguments.seeds, "histories", "A-B" },
	{ "exhaustive", 0, 0, G_OPTION_ARG_STRING, &arguments.exhaustive,
	  "short histories, cut at every point", "A-B" },
	{ "replay", 0, 0, G_OPTION_ARG_STRING, &arguments.replay, "one again", "SEED:POINT" },
	{ "jobs", 'j', 0, G_OPTION_ARG_INT, &arguments.jobs,
	  "at the same time; 0: one on each processor", "N" },
	{ "steps", 0, 0, G_OPTION_ARG_INT, &arguments.steps, "of work in a life", "N" },
	{ "lives", 0, 0, G_OPTION_ARG_INT, &arguments.lives, "of a history", "N" },
	{ "cache-lies", 0, 0, G_OPTION_ARG_INT, &arguments.cache_lies,
	  "1: no FLUSH, 2: no FUA", "BITS" },
	{ "fill-ring", 0, 0, G_OPTION_ARG_NONE, &arguments.fills_ring,
	  "the tail far behind the head", NULL },
	{ "bad-places", 0, 0, G_OPTION_ARG_NONE, &arguments.bad_places,
	  "of the ring, while much is in memory alone", NULL },
	{ "deaths", 0, 0, G_OPTION_ARG_NONE, &arguments.deaths,
	  "of the process alone, mostly", NULL },
	{ "late-ghosts", 0, 0, G_OPTION_ARG_NONE, &arguments.late_ghosts,
	  "whose I/O nobody waits for", NULL },
	{ "backing-lies", 0, 0, G_OPTION_ARG_INT, &arguments.backing_lies, "likewise", "BITS" },
	{ 0 },
};

static int test_count, failure_count;
static struct crash_totals totals;
static char now_running[256];

static void tell(bool is_right, const char *name)
{
	printf("%sok %d - %s\n", is_right ? "" : "not ", ++test_count, name);
	fflush(stdout);
	failure_count += !is_right;
}

static struct crash_options given(uint64_t seed, uint64_t point)
{
	return (struct crash_options){
		.seed = seed, .point = point, .steps = (unsigned)arguments.steps,
		.lives = (unsigned)arguments.lives, .fills_ring = arguments.fills_ring,
		.bad_places = arguments.bad_places,
		.deaths = arguments.deaths, .ghosts_are_late = arguments.late_ghosts,
		.cache_lies = (unsigned)arguments.cache_lies,
		.backing_lies = (unsigned)arguments.backing_lies,
	};
}

/* Says what there is to object to. */
static void run_one(const struct crash_options *options, struct crash_report *report,
		    struct crash_totals *sum)
{
	g_autofree char *text = crash_options_text(options);

	g_strlcpy(now_running, text, sizeof now_running);
	crash_run(options, report);
	crash_totals_add(sum, report);
	if (report->objection) {
		printf("# %s\n# %s\n", text, report->objection);
		fflush(stdout);
	}
	g_clear_pointer(&report->objection, g_free);
}

static void run_seed(uint64_t seed, struct crash_totals *sum)
{
	struct crash_options options = given(seed, 0);
	struct crash_report report;

	run_one(&options, &report, sum);
}

/* One life of few steps, once for each point in it, and then whatever the seed
 * does to the recovery. */
static void run_all_points(uint64_t seed, struct crash_totals *sum)
{
	struct crash_options options = given(seed, UINT64_MAX);
	struct crash_report report;
	uint64_t points;

	options.steps = options.steps ? options.steps : SHORT_STEPS;
	options.lives = 2;
	run_one(&options, &report, sum);
	points = report.points;
	for (uint64_t point = 1; point <= points; point++) {
		options.point = point;
		run_one(&options, &report, sum);
	}
}

static bool run_jobs(uint64_t first, uint64_t last, crash_job job)
{
	unsigned jobs = arguments.jobs ? (unsigned)arguments.jobs : g_get_num_processors();

	return crash_jobs_run(first, last, jobs, job, &totals);
}

/* The oracle has to object to disks that lie: how many histories does it take? */
static bool is_found_out(unsigned cache_lies, unsigned backing_lies)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct crash_options options = { .seed = seed, .cache_lies = cache_lies,
						 .backing_lies = backing_lies };
		struct crash_report report;

		crash_run(&options, &report);
		if (report.objection) {
			printf("# found out by seed %lu: %.60s...\n", seed, report.objection);
			g_free(report.objection);
			return true;
		}
	}
	return false;
}

/* I/O of a dead process that lands when the next one is at work: whoever takes over has
 * to wait for it, or loses data. */
static bool are_late_ghosts_found_out(void)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct crash_options options = { .seed = seed, .deaths = true,
						 .ghosts_are_late = true };
		struct crash_report report;
		bool is_found;

		crash_run(&options, &report);
		is_found = report.objection != NULL;
		g_free(report.objection);
		if (is_found)
			return true;
	}
	return false;
}

static bool parse_range(const char *text, uint64_t *first, uint64_t *last)
{
	char *end;

	*first = *last = g_ascii_strtoull(text, &end, 10);
	if (*end == '-' || *end == ':')
		*last = g_ascii_strtoull(end + 1, &end, 10);
	return *end == '\0' && end != text;
}

static void tell_totals(void)
{
	const struct crash_report *sum = &totals.sum;

	printf("# %lu requests (%lu parked, %lu slowed), %lu batches, %lu places discarded; "
	       "%lu kills, %lu clean stops, %lu checkpoints used; disks failed %lu times, %lu "
	       "refusals; the image grew %lu times\n", sum->requests, sum->parked, sum->slowed,
	       sum->batches, sum->discards, sum->kills, sum->clean_stops, sum->checkpoints,
	       sum->episodes, sum->refusals, sum->growths);
	printf("# %lu KiB around the cache, %lu streams, %lu blocks of gaps filled, %lu looks at "
	       "the backing alone, %lu after a drain; %lu settings changed\n", sum->bypassed >> 10,
	       sum->streams, sum->gaps, sum->caches_lost, sum->drains, sum->settings);
	if (sum->deaths)
		printf("# %lu deaths of the process alone (%lu of them while opening), %lu requests "
		       "sent again (%lu had been executed)\n", sum->deaths,
		       sum->deaths_while_opening, sum->resent, sum->skipped);
	printf("# %lu blocks of reads kept, %lu second chances; dropped %lu that had changed, %lu "
	       "that were being changed\n", sum->filled, sum->second_chances, sum->changed,
	       sum->busy);
	printf("# %lu seeds, %lu histories, %lu power cuts (%lu of them while opening, %lu while "
	       "stopping), %lu failures\n", totals.seeds, totals.histories, sum->power_cuts,
	       sum->cuts_while_opening, sum->cuts_while_stopping, totals.failures);
}

/* A failed assertion, or a run that somebody ends because it hangs. */
static void print_replay(int signal_number)
{
	static const char newline = '\n', hash[] = "# ";

	if (write(STDOUT_FILENO, hash, 2) < 0 ||
	    write(STDOUT_FILENO, now_running, strlen(now_running)) < 0 ||
	    write(STDOUT_FILENO, &newline, 1) < 0)
		_exit(1);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

/* Else what they show of reads that are kept is nothing. */
static bool have_kept_reads(void)
{
	const struct crash_report *sum = &totals.sum;

	return sum->filled > 0 && sum->second_chances > 0 && sum->changed > 0 && sum->busy > 0;
}

static void run_check(void)
{
	tell(run_jobs(1, 400, run_seed), "random histories");
	tell(run_jobs(1, 3, run_all_points), "short histories cut at every point");
	arguments.bad_places = true;
	tell(run_jobs(1, 200, run_seed), "histories with places that cannot be written");
	arguments.bad_places = false;
	arguments.deaths = true;
	tell(have_kept_reads(), "reads were kept in them, got second chances, and met changes");
	tell(run_jobs(1, 300, run_seed), "histories of processes that die");
	tell(run_jobs(1, 1, run_all_points), "a short history with a death at every point");
	arguments.deaths = false;
	tell(are_late_ghosts_found_out(), "I/O that lands after the next one has begun is found out");
	tell(is_found_out(WB_CRASHY_SWALLOWS_FLUSH, 0),
	     "a cache disk that swallows FLUSH is found out");
	tell(is_found_out(WB_CRASHY_IGNORES_FUA, 0), "a cache disk that ignores FUA is found out");
	tell(is_found_out(0, WB_CRASHY_SWALLOWS_FLUSH),
	     "a backing that swallows FLUSH is found out");
}

int main(int argc, char **argv)
{
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) error = NULL;
	uint64_t first, last;

	/* A freed image is needed again at once. */
	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	g_option_context_add_main_entries(context, entries, NULL);
	signal(SIGABRT, print_replay);
	signal(SIGTERM, print_replay);
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		fprintf(stderr, "crash_sim: %s\n", error->message);
		return 2;
	}
	if (arguments.replay && parse_range(arguments.replay, &first, &last)) {
		struct crash_options options = given(first, last);
		struct crash_report report;

		run_one(&options, &report, &totals);
		tell(totals.failures == 0, "replay");
	} else if (arguments.seeds && parse_range(arguments.seeds, &first, &last)) {
		tell(run_jobs(first, last, run_seed), "random histories");
	} else if (arguments.exhaustive && parse_range(arguments.exhaustive, &first, &last)) {
		tell(run_jobs(first, last, run_all_points), "short histories cut at every point");
	} else {
		run_check();
	}
	printf("1..%d\n", test_count);
	tell_totals();
	return failure_count > 0;
}
