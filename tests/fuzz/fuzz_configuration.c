/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration file: every entry is read, and one is written into it. */
#include <glib.h>
#include <string.h>

#include "cmd/configuration.h"
#include "cmd/configuration_save.h"
#include "cmd/report.h"
#include "fuzz/fuzz.h"

static const struct wb_configuration_entry saved = { "/mnt/saved", "/ssd/a b", "/hdd/ü;=[#", true };

static void apply(struct wb_configuration *configuration, const char *group)
{
	g_autoptr(GError) error = NULL;
	struct wb_options options;

	wb_options_init(&options);
	if (wb_configuration_apply(configuration, group, &options, &error)) {
		g_assert(!options.cache_path || g_path_is_absolute(options.cache_path));
		g_assert(!options.backing_path || g_path_is_absolute(options.backing_path));
	} else {
		g_assert(error && error->domain == WB_COMMAND_ERROR);
		g_assert(g_str_has_prefix(error->message, "fuzz, ["));
	}
	wb_options_clear(&options);
}

/* Whatever was there, what is written is read again, and nothing of it is lost. */
static void save(const struct wb_configuration *before, const char *text, size_t size)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *again = wb_configuration_with_entry("fuzz", text, size, &saved, &error);
	g_autoptr(GPtrArray) groups = wb_configuration_list(before);
	g_autoptr(GPtrArray) now = NULL;
	struct wb_configuration *after;

	if (!again) {
		g_assert(error && *error->message);
		return;
	}
	after = wb_configuration_parse("fuzz", again, strlen(again), NULL);
	g_assert(after);
	apply(after, saved.mount_point);
	now = wb_configuration_list(after);
	for (unsigned i = 0; i < groups->len; i++)
		g_assert(g_ptr_array_find_with_equal_func(now, groups->pdata[i], g_str_equal, NULL));
	wb_configuration_free(after);
}

int WB_FUZZ_TARGET(configuration)(const uint8_t *data, size_t size)
{
	g_autoptr(GError) error = NULL;
	struct wb_configuration *configuration =
		wb_configuration_parse("fuzz", (const char *)data, size, &error);
	g_autoptr(GPtrArray) groups = NULL;

	if (!configuration) {
		g_assert(g_error_matches(error, WB_COMMAND_ERROR, WB_COMMAND_ERROR_FAILED));
		return 0;
	}
	groups = wb_configuration_list(configuration);
	for (unsigned i = 0; i < groups->len; i++)
		apply(configuration, groups->pdata[i]);
	save(configuration, (const char *)data, size);
	wb_configuration_free(configuration);
	return 0;
}
