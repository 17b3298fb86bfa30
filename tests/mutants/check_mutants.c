/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test of the tests: every mutant of the program, and every disk that lies,
 * must be objected to; and the history that did it must be objected to in the
 * same words each time it is run again.
 *
 *   check_mutants [--jobs N] [--table FILE] [--mutant NAME]
 *   WB_MUTANT=NAME check_mutants --scenario NAME --seed N	one of them again
 *
 * It is of use only in a build that was configured with --enable-mutants; the
 * script `run` makes one.
 */
#include <fcntl.h>
#include <glib.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mutant.h"
#include "crash/crash_run.h"
#include "mutants/mutants.h"
#include "mutants/scenarios.h"
#include "support/store_crashy.h"

#define SECONDS_MAX 30	/* of processor time; a sound history takes a tenth of one */
#define WAIT_SECONDS_MAX 60	/* also of one that sleeps, on whatever machine */
#define REPLAYS 2u

struct finding {
	uint64_t seed;			/* of the first objection */
	uint64_t histories, power_cuts;	/* up to it */
	bool is_caught, is_repeated;
	char objection[400];
};

/* Of one mutant, between its runner and the processes that run its histories. */
struct trial {
	struct finding finding;
	uint64_t seed_now;
	bool has_objection;
	char objection[400];
};

static struct {
	char *table, *mutant, *scenario;
	int jobs, seed;
} arguments = { .jobs = 1 };

static const GOptionEntry entries[] = {
	{ "jobs", 'j', 0, G_OPTION_ARG_INT, &arguments.jobs, "0: all processors", "N" },
	{ "table", 0, 0, G_OPTION_ARG_FILENAME, &arguments.table, "written anew", "FILE" },
	{ "mutant", 0, 0, G_OPTION_ARG_STRING, &arguments.mutant, "only this one", "NAME" },
	{ "scenario", 0, 0, G_OPTION_ARG_STRING, &arguments.scenario, "only this", "NAME" },
	{ "seed", 0, 0, G_OPTION_ARG_INT, &arguments.seed, "of the scenario", "N" },
	{ 0 },
};

#ifndef WB_MUTANTS
static const char *wb_mutant;
#endif

/* --- histories ------------------------------------------------------------------------- */

static char *run_random(const struct mutant *mutant, uint64_t seed, uint64_t *power_cuts)
{
	struct crash_options options = { .seed = seed, .cache_lies = mutant->cache_lies,
					 .backing_lies = mutant->backing_lies,
					 .fills_ring = mutant->fills_ring,
					 .bad_places = mutant->bad_places,
					 .deaths = mutant->deaths,
					 .ghosts_are_late = mutant->late_ghosts };
	struct crash_report report;

	crash_run(&options, &report);
	*power_cuts += report.power_cuts;
	return report.objection;
}

static char *run_history(const struct mutant *mutant, uint64_t seed, uint64_t *power_cuts)
{
	switch (mutant->scenario) {
	case MUTANT_RANDOM: return run_random(mutant, seed, power_cuts);
	case MUTANT_ROT: return scenario_rot(seed);
	case MUTANT_MIRROR: return scenario_mirror(seed);
	case MUTANT_BYPASS: return scenario_bypass(seed);
	case MUTANT_CHECKPOINT: return scenario_checkpoint(seed);
	case MUTANT_MOVE: return scenario_move(seed);
	case MUTANT_REST: return scenario_rest(seed);
	}
	g_assert_not_reached();
}

/* The first lines say what; the history of a sector is too much for a table. */
static void keep_objection(struct trial *trial, const char *text)
{
	const char *end = strchrnul(text, '\n');

	snprintf(trial->objection, sizeof trial->objection, "%.*s", (int)(end - text), text);
	for (char *c = trial->objection; *c; c++)
		*c = *c == '|' ? '/' : *c;
	trial->has_objection = true;
}

/* In a process of its own. */
static void run_histories(const struct mutant *mutant, struct trial *trial, uint64_t last)
{
	struct itimerval limit = { .it_value = { .tv_sec = SECONDS_MAX } };
	struct itimerval wait_limit = { .it_value = { .tv_sec = WAIT_SECONDS_MAX } };

	wb_mutant = mutant->is_mutant ? mutant->name : NULL;
	for (; trial->seed_now <= last; trial->seed_now++) {
		g_autofree char *objection = NULL;

		setitimer(ITIMER_PROF, &limit, NULL);
		setitimer(ITIMER_REAL, &wait_limit, NULL);
		objection = run_history(mutant, trial->seed_now, &trial->finding.power_cuts);
		trial->finding.histories++;
		if (objection) {
			keep_objection(trial, objection);
			break;
		}
	}
	_exit(0);
}

/* --- how a process ended ----------------------------------------------------------------- */

/* "ERROR:/a/b/c.c:12:f: assertion failed: ..." without what differs from one
 * machine to the next. */
static void keep_assertion(struct trial *trial, int log)
{
	char text[4096] = "", *error;
	ssize_t got = pread(log, text, sizeof text - 1, 0);
	g_autofree char *line = NULL;

	error = got > 0 ? strstr(text, "ERROR:") : NULL;
	if (!error) {
		keep_objection(trial, "aborts");
		return;
	}
	*strchrnul(error, '\n') = '\0';
	if (strstr(error, "/src/"))
		error = strstr(error, "/src/") + 5;
	else if (strstr(error, "/tests/"))
		error = strstr(error, "/tests/") + 1;
	line = g_strdup_printf("aborts: %s", error);
	keep_objection(trial, line);
}

static void run_in_process(const struct mutant *mutant, struct trial *trial, uint64_t first,
			   uint64_t last)
{
	int log = memfd_create("stderr", 0), status;
	pid_t pid;

	trial->has_objection = false;
	trial->seed_now = first;
	fflush(stdout);
	pid = fork();
	g_assert(log >= 0 && pid >= 0);
	if (pid == 0) {
		dup2(log, STDERR_FILENO);
		run_histories(mutant, trial, last);
	}
	g_assert(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status)) {
		if (WTERMSIG(status) == SIGABRT)
			keep_assertion(trial, log);
		else if (WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGALRM)
			keep_objection(trial, "never ends");
		else
			keep_objection(trial, strsignal(WTERMSIG(status)));
	}
	close(log);
}

/* --- one mutant -------------------------------------------------------------------------- */

static void try_mutant(const struct mutant *mutant, struct trial *trial)
{
	struct finding *finding = &trial->finding;
	struct finding first;

	run_in_process(mutant, trial, 1, mutant->seeds_max);
	if (!trial->has_objection)
		return;
	finding->is_caught = finding->is_repeated = true;
	finding->seed = trial->seed_now;
	memcpy(finding->objection, trial->objection, sizeof finding->objection);
	first = *finding;
	for (unsigned i = 0; i < REPLAYS; i++) {
		run_in_process(mutant, trial, first.seed, first.seed);
		if (!trial->has_objection || strcmp(trial->objection, first.objection) != 0)
			first.is_repeated = false;
	}
	*finding = first;
}

static void tell(const struct mutant *mutant, const struct finding *finding)
{
	static int count;

	printf("%sok %d - %s\n", finding->is_caught && finding->is_repeated ? "" : "not ", ++count,
	       mutant->name);
	if (finding->is_caught)
		printf("# seed %lu, after %lu histories and %lu power cuts%s\n# %s\n", finding->seed,
		       finding->histories, finding->power_cuts, finding->is_repeated ?
		       "; twice again in the same words" : "; NOT THE SAME AGAIN",
		       finding->objection);
	else
		printf("# not noticed in %lu histories, %lu power cuts\n", finding->histories,
		       finding->power_cuts);
	fflush(stdout);
}

static bool is_wanted(const struct mutant *mutant)
{
	return !arguments.mutant || strcmp(arguments.mutant, mutant->name) == 0;
}

/* Each in a process, a few at a time; FALSE when one was not caught. */
static bool try_all(struct trial *trials, unsigned jobs)
{
	pid_t *pids = g_new0(pid_t, mutant_count);
	unsigned running = 0;
	bool all_right = true;

	for (unsigned next = 0; next < mutant_count || running > 0;) {
		int status;
		pid_t pid;

		if (next < mutant_count && running < jobs) {
			if (is_wanted(&mutants[next])) {
				fflush(stdout);
				pids[next] = fork();
				g_assert(pids[next] >= 0);
				if (pids[next] == 0) {
					try_mutant(&mutants[next], &trials[next]);
					_exit(0);
				}
				running++;
			}
			next++;
			continue;
		}
		pid = wait(&status);
		g_assert(pid > 0);
		running--;
		for (unsigned i = 0; i < mutant_count; i++) {
			const struct finding *finding = &trials[i].finding;

			if (pids[i] != pid)
				continue;
			tell(&mutants[i], finding);
			all_right &= finding->is_caught && finding->is_repeated;
		}
	}
	g_free(pids);
	return all_right;
}

/* --- the table ------------------------------------------------------------------------------ */

static const char *const scenario_names[] = {
	[MUTANT_RANDOM] = "random", [MUTANT_ROT] = "rot", [MUTANT_MIRROR] = "mirror",
	[MUTANT_BYPASS] = "bypass", [MUTANT_CHECKPOINT] = "checkpoint",
	[MUTANT_MOVE] = "move", [MUTANT_REST] = "rest",
};

static char *replay_of(const struct mutant *mutant, uint64_t seed)
{
	GString *text = g_string_new(NULL);

	if (mutant->is_mutant)
		g_string_append_printf(text, "WB_MUTANT=%s ", mutant->name);
	if (mutant->scenario == MUTANT_RANDOM)
		g_string_append_printf(text, "tests/crash/crash_sim --replay %lu:0", seed);
	else
		g_string_append_printf(text, "tests/mutants/check_mutants --scenario %s --seed %lu",
				       scenario_names[mutant->scenario], seed);
	if (mutant->cache_lies)
		g_string_append_printf(text, " --cache-lies %u", mutant->cache_lies);
	if (mutant->fills_ring)
		g_string_append(text, " --fill-ring");
	if (mutant->bad_places)
		g_string_append(text, " --bad-places");
	if (mutant->deaths)
		g_string_append(text, " --deaths");
	if (mutant->late_ghosts)
		g_string_append(text, " --late-ghosts");
	if (mutant->backing_lies)
		g_string_append_printf(text, " --backing-lies %u", mutant->backing_lies);
	return g_string_free(text, FALSE);
}

static void write_row(GString *text, const struct mutant *mutant, const struct finding *finding)
{
	g_autofree char *replay = replay_of(mutant, finding->seed);

	if (finding->is_caught)
		g_string_append_printf(text, "| `%s` | %s | %s | %lu | %lu | `%s` |\n", mutant->name,
				       mutant->rule, finding->objection, finding->histories,
				       finding->power_cuts, replay);
	else
		g_string_append_printf(text, "| `%s` | %s | **not caught** | %lu | %lu | |\n",
				       mutant->name, mutant->rule, finding->histories,
				       finding->power_cuts);
}

static bool write_table(const struct trial *trials)
{
	g_autoptr(GString) text = g_string_new(mutants_table_head);
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < mutant_count; i++)
		write_row(text, &mutants[i], &trials[i].finding);
	if (g_file_set_contents(arguments.table, text->str, -1, &error))
		return true;
	fprintf(stderr, "check_mutants: %s\n", error->message);
	return false;
}

/* --- */

static int run_scenario(void)
{
	for (unsigned i = MUTANT_ROT; i < G_N_ELEMENTS(scenario_names); i++) {
		struct mutant mutant = { .scenario = (enum mutant_scenario)i };
		uint64_t cuts = 0;
		char *objection;

		if (strcmp(arguments.scenario, scenario_names[i]) != 0)
			continue;
		objection = run_history(&mutant, (uint64_t)arguments.seed, &cuts);
		printf("%s\n", objection ? objection : "no objection");
		return objection != NULL;
	}
	fprintf(stderr, "check_mutants: there is no scenario %s\n", arguments.scenario);
	return 2;
}

/* The scenarios object to nothing where there is nothing to object to. */
static bool are_silent(void)
{
	for (unsigned i = MUTANT_ROT; i < G_N_ELEMENTS(scenario_names); i++) {
		struct mutant mutant = { .scenario = (enum mutant_scenario)i };
		uint64_t cuts = 0;

		for (uint64_t seed = 1; seed <= 300; seed++) {
			g_autofree char *objection = run_history(&mutant, seed, &cuts);

			if (objection)
				printf("# %s %lu: %s\n", scenario_names[i], seed, objection);
			if (objection)
				return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) error = NULL;
	struct trial *trials;
	unsigned jobs;
	bool all_right;

	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		fprintf(stderr, "check_mutants: %s\n", error->message);
		return 2;
	}
	if (arguments.scenario)
		return run_scenario();
#ifndef WB_MUTANTS
	fprintf(stderr, "check_mutants: this build has no mutants (configure --enable-mutants)\n");
	return 77;
#endif
	jobs = arguments.jobs > 0 ? (unsigned)arguments.jobs : g_get_num_processors();
	trials = mmap(NULL, mutant_count * sizeof *trials, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	g_assert(trials != MAP_FAILED);
	wb_mutant = NULL;
	all_right = are_silent();
	if (!all_right)
		printf("not ok - the scenarios without a mutant\n");
	all_right &= try_all(trials, jobs);
	if (arguments.table && !arguments.mutant)
		all_right &= write_table(trials);
	printf("1..%u\n", arguments.mutant ? 1 : mutant_count);
	return all_right ? 0 : 1;
}
