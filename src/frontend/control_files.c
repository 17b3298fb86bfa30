/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/control_files.h"

#include <errno.h>
#include <string.h>

#include "frontend/stats_json.h"

static void show_stats_json(struct wb_control *control, GString *text)
{
	struct wb_stats_snapshot snapshot;
	uint8_t uuid[16];

	wb_cache_get_stats(control->cache, &snapshot);
	wb_cache_uuid(control->cache, uuid);
	wb_stats_json_append(text, control->facts, uuid, &snapshot);
}

const struct wb_control_verb wb_control_verbs[] = {
	{ "flush", wb_cache_start_flush },
	{ "drain", wb_cache_start_drain },
	{ "scrub", wb_cache_start_scrub },
};
const unsigned wb_control_verb_count = G_N_ELEMENTS(wb_control_verbs);

const struct wb_control_verb *wb_control_find_verb(const char *text, size_t length)
{
	while (length && g_ascii_isspace(text[length - 1]))
		length--;
	while (length && g_ascii_isspace(text[0])) {
		text++;
		length--;
	}
	for (unsigned i = 0; i < wb_control_verb_count; i++)
		if (strlen(wb_control_verbs[i].name) == length &&
		    !memcmp(wb_control_verbs[i].name, text, length))
			return &wb_control_verbs[i];
	return NULL;
}

static int store_control(struct wb_control *control, const char *text, size_t length)
{
	const struct wb_control_verb *verb = wb_control_find_verb(text, length);

	if (!verb)
		return -EINVAL;
	verb->start(control->cache);
	return 0;
}

const struct wb_control_file wb_control_files[] = {
	{ "stats.json", 0644, show_stats_json, NULL },
	{ "control", 0600, NULL, store_control },
};
const unsigned wb_control_file_count = G_N_ELEMENTS(wb_control_files);
