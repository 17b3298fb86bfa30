/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *	replay [FILE]...	corpus/TARGET/NAME; without any: all of the corpus
 *
 * Runs every target over what lies in the corpus, and over a few damaged copies
 * of each, always the same ones. It ends where a target aborts; the last line
 * says in which file. FILEs are run as they are.
 */
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "support/prng.h"

#define DAMAGED_COPIES 4

static const struct target {
	const char *name;
	int (*run)(const uint8_t *data, size_t size);
} targets[] = {
	{ "superblock", wb_fuzz_superblock }, { "record", wb_fuzz_record },
	{ "checkpoint", wb_fuzz_checkpoint }, { "image", wb_fuzz_image },
	{ "command_line", wb_fuzz_command_line },
	{ "configuration", wb_fuzz_configuration }, { "control", wb_fuzz_control },
};

static int test_count;

/* Exactly as large as it is, so that a sanitizer sees what reads beyond. */
static void run(const struct target *target, const uint8_t *data, size_t size)
{
	g_autofree uint8_t *copy = g_memdup2(data, size);

	target->run(copy, size);
}

static void run_damaged(const struct target *target, uint8_t *data, size_t size)
{
	struct wb_prng prng;

	wb_prng_init(&prng, size);
	for (unsigned i = 0; i < DAMAGED_COPIES && size > 1; i++) {
		size_t at = 1 + wb_prng_below(&prng, size - 1);
		uint8_t was = data[at];

		data[at] ^= (uint8_t)(1u << wb_prng_below(&prng, 8));
		run(target, data, size);
		data[at] = was;
		run(target, data, at);
	}
}

static void run_file(const struct target *target, const char *path, bool and_damaged)
{
	g_autofree char *name = g_path_get_basename(path);
	g_autofree char *data = NULL;
	g_autoptr(GError) error = NULL;
	size_t size;

	if (!g_file_get_contents(path, &data, &size, &error))
		g_error("%s", error->message);
	printf("# %s/%s\n", target->name, name);
	fflush(stdout);
	run(target, (uint8_t *)data, size);
	if (and_damaged)
		run_damaged(target, (uint8_t *)data, size);
	printf("ok %d - %s/%s\n", ++test_count, target->name, name);
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void run_corpus(const struct target *target)
{
	const char *top = g_getenv("top_srcdir"), *name;
	g_autofree char *path = g_build_filename(top ? top : ".", "tests", "fuzz", "corpus",
						 target->name, NULL);
	g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	GDir *directory = g_dir_open(path, 0, &error);

	if (!directory)
		g_error("%s", error->message);
	while ((name = g_dir_read_name(directory)) != NULL)
		g_ptr_array_add(files, g_build_filename(path, name, NULL));
	g_dir_close(directory);
	g_ptr_array_sort(files, compare_names);
	for (unsigned i = 0; i < files->len; i++)
		run_file(target, g_ptr_array_index(files, i), true);
}

static const struct target *target_of(const char *path)
{
	g_autofree char *directory = g_path_get_dirname(path);
	g_autofree char *name = g_path_get_basename(directory);

	for (unsigned i = 0; i < G_N_ELEMENTS(targets); i++)
		if (!strcmp(targets[i].name, name))
			return &targets[i];
	g_error("%s: its directory is not named as a target", path);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_file(target_of(argv[i]), argv[i], false);
	for (unsigned i = 0; i < G_N_ELEMENTS(targets) && argc < 2; i++)
		run_corpus(&targets[i]);
	printf("1..%d\n", test_count);
	return 0;
}
