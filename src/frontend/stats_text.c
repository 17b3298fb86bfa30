/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/stats_text.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "frontend/stats_json.h"

#define KEY_WIDTH 32

static void append_object(GString *text, JsonObject *object, const char *prefix);

static void append_size(GString *text, double bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned i = 0;

	for (bytes /= 1024; bytes >= 1024 && i + 1 < G_N_ELEMENTS(units); i++)
		bytes /= 1024;
	g_string_append_printf(text, "%.1f %s", bytes, units[i]);
}

/* "1073741824 (1.0 GiB)": the number is for programs, the rest for people. */
static void append_number(GString *text, const char *key, gint64 value)
{
	g_string_append_printf(text, "%" G_GINT64_FORMAT, value);
	if (strstr(key, "bytes") && value >= 1024) {
		g_string_append(text, " (");
		append_size(text, (double)value);
		g_string_append(text, g_str_has_suffix(key, "_per_s") ? "/s)" : ")");
	} else if (g_str_has_suffix(key, "_ns") && value >= 1000) {
		bool is_ms = value >= 1000000;

		g_string_append_printf(text, " (%.1f %s)", (double)value / (is_ms ? 1e6 : 1e3),
				       is_ms ? "ms" : "us");
	}
}

/* A line stays one, whatever a path is made of. */
static void append_text(GString *text, const char *value)
{
	if (!*value)
		g_string_append_c(text, '-');
	for (; *value; value++)
		g_string_append_c(text, g_ascii_iscntrl(*value) ? '?' : *value);
}

static void append_value(GString *text, const char *key, JsonNode *node)
{
	GType type = json_node_get_value_type(node);

	if (JSON_NODE_HOLDS_NULL(node))
		g_string_append(text, "unknown");
	else if (type == G_TYPE_BOOLEAN)
		g_string_append(text, json_node_get_boolean(node) ? "yes" : "no");
	else if (type == G_TYPE_INT64)
		append_number(text, key, json_node_get_int(node));
	else if (type == G_TYPE_DOUBLE)
		g_string_append_printf(text, "%.3f", json_node_get_double(node));
	else
		append_text(text, json_node_get_string(node));
}

static void append_array(GString *text, const char *key, JsonArray *array)
{
	unsigned count = json_array_get_length(array);

	g_string_append_printf(text, "%-*s", KEY_WIDTH, key);
	for (unsigned i = 0; i < count; i++) {
		JsonNode *element = json_array_get_element(array, i);

		if (!JSON_NODE_HOLDS_VALUE(element))
			continue;
		g_string_append_c(text, ' ');
		append_value(text, "", element);
	}
	g_string_append_c(text, '\n');
	for (unsigned i = 0; i < count; i++) {
		JsonNode *element = json_array_get_element(array, i);
		g_autofree char *prefix = g_strdup_printf("%s.%u.", key, i);

		if (JSON_NODE_HOLDS_OBJECT(element))
			append_object(text, json_node_get_object(element), prefix);
	}
}

static void append_object(GString *text, JsonObject *object, const char *prefix)
{
	g_autoptr(GList) names = json_object_get_members(object);

	for (GList *name = names; name; name = name->next) {
		JsonNode *node = json_object_get_member(object, name->data);
		g_autofree char *key = g_strconcat(prefix, name->data, NULL);
		g_autofree char *inner = g_strconcat(key, ".", NULL);

		if (JSON_NODE_HOLDS_OBJECT(node)) {
			append_object(text, json_node_get_object(node), inner);
		} else if (JSON_NODE_HOLDS_ARRAY(node)) {
			append_array(text, key, json_node_get_array(node));
		} else {
			g_string_append_printf(text, "%-*s ", KEY_WIDTH, key);
			append_value(text, key, node);
			g_string_append_c(text, '\n');
		}
	}
}

void wb_stats_text_append(GString *text, const struct wb_stats_view *view)
{
	JsonObject *object = wb_stats_json_object(view);

	append_object(text, object, "");
	json_object_unref(object);
}
