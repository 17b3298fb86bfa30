/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "test_disk.h"

#define state wb_test_disks

struct wb_test_disk *wb_test_disk_of_name(const char *name)
{
	for (unsigned i = 0; name && i < state.count; i++)
		if (!strcmp(state.disks[i].name, name))
			return &state.disks[i];
	return NULL;
}

void wb_test_disks_cut_locked(uint64_t seed, enum wb_medium_cut how)
{
	state.is_off = true;
	state.cut_at = 0;
	state.era++;
	for (unsigned i = 0; i < state.count; i++)
		wb_medium_cut(state.disks[i].medium, seed * WB_TEST_DISKS_MAX + i, how);
}

/* --- words ----------------------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t *number)
{
	char *end;

	if (!text)
		return false;
	*number = strtoull(text, &end, 0);
	return end != text && !*end;
}

static bool parse_how(const char *text, enum wb_medium_cut *how)
{
	if (!text || !strcmp(text, "any"))
		*how = WB_MEDIUM_CUT_ANY;
	else if (!strcmp(text, "loses-all"))
		*how = WB_MEDIUM_CUT_LOSES_ALL;
	else if (!strcmp(text, "keeps-all"))
		*how = WB_MEDIUM_CUT_KEEPS_ALL;
	else
		return false;
	return true;
}

static bool parse_yes(const char *text, bool *yes)
{
	if (!text || (strcmp(text, "yes") && strcmp(text, "no")))
		return false;
	*yes = !strcmp(text, "yes");
	return true;
}

/* --- commands: NULL, or what is wrong; `words` without the command ------------------ */

static const char *do_power_cut(char **words, FILE *out)
{
	enum wb_medium_cut how;
	uint64_t seed;

	(void)out;
	if (!parse_number(words[0], &seed) || !parse_how(words[1], &how))
		return "SEED [any|loses-all|keeps-all]";
	if (state.is_off)
		return "the power is off";
	wb_test_disks_cut_locked(seed, how);
	return NULL;
}

static const char *do_power_cut_at(char **words, FILE *out)
{
	(void)out;
	if (!parse_number(words[0], &state.cut_at))
		return "N SEED [any|loses-all|keeps-all]";
	if (!state.cut_at)
		return NULL;
	if (!parse_number(words[1], &state.cut_seed) || !parse_how(words[2], &state.cut_how)) {
		state.cut_at = 0;
		return "N SEED [any|loses-all|keeps-all]";
	}
	return NULL;
}

static const char *do_power_on(char **words, FILE *out)
{
	(void)words;
	(void)out;
	if (!state.is_off)
		return "the power is on";
	state.is_off = false;
	return NULL;
}

static const char *do_power(char **words, FILE *out)
{
	(void)words;
	fprintf(out, " %s", state.is_off ? "off" : "on");
	return NULL;
}

static const char *do_killed(char **words, FILE *out)
{
	(void)words;
	fprintf(out, " %d", (int)state.killed);
	return NULL;
}

static const char *do_fail(char **words, FILE *out)
{
	struct wb_test_disk *disk = wb_test_disk_of_name(words[0]);
	struct wb_fault rule;
	const char *problem;

	(void)out;
	if (!disk)
		return "no such file";
	problem = wb_fault_parse(&rule, words + 1);
	if (problem)
		return problem;
	return wb_faults_add(&disk->faults, &rule) ? NULL : "too many rules";
}

static const char *do_heal(char **words, FILE *out)
{
	struct wb_test_disk *disk = wb_test_disk_of_name(words[0]);

	(void)out;
	if (!disk)
		return "no such file";
	wb_faults_clear(&disk->faults);
	disk->times_released++;
	pthread_cond_broadcast(&state.released);
	return NULL;
}

static const char *do_budget(char **words, FILE *out)
{
	struct wb_test_disk *disk = wb_test_disk_of_name(words[0]);
	uint64_t bytes = WB_MEDIUM_NO_BUDGET;

	(void)out;
	if (!disk || !words[1] || (strcmp(words[1], "none") && !parse_number(words[1], &bytes)))
		return "FILE BYTES|none";
	wb_medium_set_budget(disk->medium, bytes);
	return NULL;
}

static const char *do_rot(char **words, FILE *out)
{
	struct wb_test_disk *disk = wb_test_disk_of_name(words[0]);
	uint64_t at, bytes;

	(void)out;
	if (!disk || !parse_number(words[1], &at) || !parse_number(words[2], &bytes))
		return "FILE BYTE BYTES";
	wb_medium_rot(disk->medium, at, bytes);
	return NULL;
}

static const char *do_lie(char **words, FILE *out)
{
	struct wb_test_disk *disk = wb_test_disk_of_name(words[0]);

	(void)out;
	return disk && parse_yes(words[1], &disk->lies) ? NULL : "FILE yes|no";
}

static const char *do_forget(char **words, FILE *out)
{
	struct wb_test_disk *disk = wb_test_disk_of_name(words[0]);

	(void)out;
	return disk && parse_yes(words[1], &disk->forgets) ? NULL : "FILE yes|no";
}

static const char *do_counts(char **words, FILE *out)
{
	struct wb_test_disk *disk = wb_test_disk_of_name(words[0]);

	if (!disk)
		return "no such file";
	fprintf(out, " reads %" PRIu64 " writes %" PRIu64 " flushes %" PRIu64 " zeros %" PRIu64
		" faults %" PRIu64 " volatile %" PRIu64 " taken %" PRIu64 " held %" PRIu64, disk->reads,
		disk->writes, disk->flushes, disk->zeros, wb_faults_fired(&disk->faults),
		wb_medium_volatile_count(disk->medium), wb_medium_taken_bytes(disk->medium),
		disk->held);
	return NULL;
}

static const struct {
	const char *name;
	const char *(*run)(char **words, FILE *out);
} commands[] = {
	{ "power-cut", do_power_cut },	{ "power-cut-at", do_power_cut_at },
	{ "power-on", do_power_on },	{ "power", do_power },
	{ "killed", do_killed },	{ "fail", do_fail },
	{ "heal", do_heal },		{ "budget", do_budget },
	{ "rot", do_rot },		{ "lie", do_lie },
	{ "forget", do_forget },	{ "counts", do_counts },
};

void wb_test_disks_answer(char **words, FILE *out)
{
	const char *problem = "no such command";
	char *text = NULL;
	size_t length = 0;
	FILE *answer = open_memstream(&text, &length);

	for (unsigned i = 0; words[0] && i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(words[0], commands[i].name))
			continue;
		pthread_mutex_lock(&state.lock);
		problem = commands[i].run(words + 1, answer);
		pthread_mutex_unlock(&state.lock);
	}
	fclose(answer);
	fprintf(out, "%s%s\n", problem ? problem : "ok", problem ? "" : text);
	free(text);
}
