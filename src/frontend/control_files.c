/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/control_files.h"

#include <errno.h>
#include <string.h>

#include "frontend/events_text.h"
#include "frontend/metrics.h"
#include "frontend/stats_json.h"
#include "frontend/stats_text.h"

static void show_view(struct wb_control *control, GString *text,
		      void (*append)(GString *, const struct wb_stats_view *))
{
	g_autofree struct wb_stats_view *view = g_new(struct wb_stats_view, 1);

	wb_stats_view_take(view, control->cache, control->facts);
	append(text, view);
}

static void show_stats(struct wb_control *control, GString *text)
{
	show_view(control, text, wb_stats_text_append);
}

static void show_stats_json(struct wb_control *control, GString *text)
{
	show_view(control, text, wb_stats_json_append);
}

static void append_metrics(GString *text, const struct wb_stats_view *view)
{
	wb_metrics_append(text, view, WB_METRICS_PROMETHEUS);
}

static void show_metrics(struct wb_control *control, GString *text)
{
	show_view(control, text, append_metrics);
}

static void append_openmetrics(GString *text, const struct wb_stats_view *view)
{
	wb_metrics_append(text, view, WB_METRICS_OPENMETRICS);
}

static void show_openmetrics(struct wb_control *control, GString *text)
{
	show_view(control, text, append_openmetrics);
}

static void show_events(struct wb_control *control, GString *text)
{
	g_autofree struct wb_event *events = g_new(struct wb_event, WB_EVENTS_MAX);
	unsigned count = wb_cache_get_events(control->cache, events);

	for (unsigned i = 0; i < count; i++)
		wb_events_text_append(text, &events[i]);
}

/* --- control ----------------------------------------------------------------------- */

const struct wb_control_verb wb_control_verbs[] = {
	{ "flush", .start = wb_cache_start_flush },
	{ "drain", .start = wb_cache_start_drain },
	{ "scrub", .start = wb_cache_start_scrub },
	{ "clear_stats", .start = wb_cache_clear_stats },
	{ "resize", .start_with_bytes = wb_cache_start_resize },
};
const unsigned wb_control_verb_count = G_N_ELEMENTS(wb_control_verbs);

/* `echo` adds a newline, and people add blanks. */
static const char *trim(const char *text, size_t *length)
{
	while (*length && g_ascii_isspace(text[*length - 1]))
		--*length;
	while (*length && g_ascii_isspace(text[0])) {
		text++;
		--*length;
	}
	return text;
}

/* What stands behind the verb; empty is what no number is. */
static bool parse_bytes(const char *text, size_t length, uint64_t *bytes)
{
	g_autofree char *word = NULL;
	guint64 number;

	text = trim(text, &length);
	if (memchr(text, 0, length))
		return false;
	word = g_strndup(text, length);
	if (!g_ascii_string_to_unsigned(word, 10, 0, G_MAXUINT64, &number, NULL))
		return false;
	*bytes = number;
	return true;
}

static bool is_verb(const struct wb_control_verb *verb, const char *text, size_t length,
		    uint64_t *bytes)
{
	size_t name = strlen(verb->name);

	if (length < name || memcmp(verb->name, text, name))
		return false;
	if (verb->start)
		return length == name;
	return length > name && g_ascii_isspace(text[name]) &&
	       parse_bytes(text + name, length - name, bytes);
}

const struct wb_control_verb *wb_control_find_verb(const char *text, size_t length,
						   uint64_t *bytes)
{
	text = trim(text, &length);
	for (unsigned i = 0; i < wb_control_verb_count; i++)
		if (is_verb(&wb_control_verbs[i], text, length, bytes))
			return &wb_control_verbs[i];
	return NULL;
}

#define UPGRADE "upgrade"

/* "upgrade", or "upgrade /usr/bin/wbfs": a path may have any bytes but NUL. */
static bool is_upgrade(const char *text, size_t length, char **program)
{
	size_t name = strlen(UPGRADE);

	text = trim(text, &length);
	if (length < name || memcmp(text, UPGRADE, name) ||
	    (length > name && !g_ascii_isspace(text[name])) || memchr(text, 0, length))
		return false;
	length -= name;
	text = trim(text + name, &length);
	*program = g_strndup(text, length);
	return true;
}

static int start_upgrade(struct wb_control *control, const char *program)
{
	if (*program && *program != '/')
		wb_cache_add_event(control->cache, WB_EVENT_REFUSED,
				   "upgrade: the program '%s' should be an absolute path", program);
	else if (!control->owner.upgrade)
		wb_cache_add_event(control->cache, WB_EVENT_REFUSED,
				   "upgrade: this mount has no keeper that could start another "
				   "program: unmount it and mount it again");
	else
		return control->owner.upgrade(control->owner.arg, program);
	return -EINVAL;
}

static int store_control(struct wb_control *control, const char *text, size_t length)
{
	uint64_t bytes = 0;
	const struct wb_control_verb *verb = wb_control_find_verb(text, length, &bytes);
	g_autofree char *program = NULL;

	if (!verb && is_upgrade(text, length, &program))
		return start_upgrade(control, program);
	if (!verb) {
		text = trim(text, &length);
		wb_cache_add_event(control->cache, WB_EVENT_REFUSED,
				   "control: there is no verb '%.*s'",
				   (int)MIN(length, WB_EVENT_BYTES), text);
		return -EINVAL;
	}
	if (verb->start)
		verb->start(control->cache);
	else
		verb->start_with_bytes(control->cache, bytes);
	return 0;
}

const struct wb_control_file wb_control_files[] = {
	{ "stats", 0644, show_stats, NULL },
	{ "stats.json", 0644, show_stats_json, NULL },
	{ "metrics", 0644, show_metrics, NULL },
	{ "openmetrics", 0644, show_openmetrics, NULL },
	{ "events", 0644, show_events, NULL },
	{ "control", 0600, NULL, store_control },
};
const unsigned wb_control_file_count = G_N_ELEMENTS(wb_control_files);

/* --- tunables ------------------------------------------------------------------------ */

static void show_tunable(struct wb_control *control, const struct wb_tunable *tunable,
			 GString *text)
{
	struct wb_tunables tunables;

	wb_cache_get_tunables(control->cache, &tunables);
	wb_tunable_append(tunable, &tunables, text);
	g_string_append_c(text, '\n');
}

static int store_tunable(struct wb_control *control, const struct wb_tunable *tunable,
			 const char *text, size_t length)
{
	g_autofree char *value = NULL;

	text = trim(text, &length);
	/* A NUL would end it too early, and pass for what stands before it. */
	if (memchr(text, 0, length)) {
		wb_cache_add_event(control->cache, WB_EVENT_REFUSED, "'%s' takes no NUL bytes",
				   tunable->name);
		return -EINVAL;
	}
	value = g_strndup(text, length);
	if (!wb_cache_set_tunable(control->cache, tunable, value, NULL))
		return -EINVAL;
	if (control->owner.tunables_set)
		control->owner.tunables_set(control->owner.arg);
	return 0;
}

/* --- of either kind ------------------------------------------------------------------- */

mode_t wb_control_node_mode(const struct wb_control_node *node)
{
	return node->tunable ? 0644 : node->file->mode;
}

void wb_control_node_show(const struct wb_control_node *node, struct wb_control *control,
			  GString *text)
{
	if (node->tunable)
		show_tunable(control, node->tunable, text);
	else if (node->file->show)
		node->file->show(control, text);
}

int wb_control_node_store(const struct wb_control_node *node, struct wb_control *control,
			  const char *text, size_t length)
{
	if (node->tunable)
		return store_tunable(control, node->tunable, text, length);
	return node->file->store ? node->file->store(control, text, length) : -EPERM;
}
