/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Byte 0: what the rest is: 0 a write to `control`, 1 the texts and numbers
 * that stats.json shows, 2 a stats.json as a command reads it, 3 a write to one
 * of the tunables, which byte 1 chooses. */
#include <errno.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "cmd/client.h"
#include "frontend/control_files.h"
#include "frontend/stats_json.h"
#include "fuzz/fuzz.h"
#include "support/volume_sim.h"

static struct wb_sim sim;	/* one for all inputs: opening takes most of the time */

static const struct wb_control_file *find_file(const char *name)
{
	for (unsigned i = 0; i < wb_control_file_count; i++)
		if (!strcmp(wb_control_files[i].name, name))
			return &wb_control_files[i];
	g_assert_not_reached();
}

static void expect_object(const char *text)
{
	g_autoptr(GError) error = NULL;
	JsonNode *node = json_from_string(text, &error);

	if (!node)
		g_error("%s: %s", error ? error->message : "nothing", text);
	g_assert( JSON_NODE_HOLDS_OBJECT(node));
	json_node_unref(node);
}

static struct wb_control control_of_open_cache(void)
{
	static const struct wb_mount_facts facts = {
		.version = "", .mount_point = "/", .cache.path = "c", .backing.path = "b",
	};

	if (!sim.cache) {
		wb_sim_init(&sim, NULL);
		g_assert(wb_sim_open(&sim, NULL));
	}
	return (struct wb_control){ .cache = sim.cache, .facts = &facts };
}

/* What is shown is taken back, and what is refused is one more line of events. */
static void write_tunable(const char *text, size_t length)
{
	struct wb_control control = control_of_open_cache();
	struct wb_control_node node = {
		.tunable = &wb_tunables_table[length ? (uint8_t)text[0] % wb_tunables_count : 0],
	};
	g_autoptr(GString) shown = g_string_new(NULL), events = g_string_new(NULL);
	int result = wb_control_node_store(&node, &control, length ? text + 1 : text,
					   length ? length - 1 : 0);

	g_assert(result == 0 || result == -EINVAL);
	wb_control_node_show(&node, &control, shown);
	g_assert(wb_control_node_store(&node, &control, shown->str, shown->len) == 0);
	find_file("events")->show(&control, events);
	g_assert(g_utf8_validate(events->str, (gssize)events->len, NULL));
	g_assert(events->len > 0 && events->str[events->len - 1] == '\n');
}

static void write_control(const char *text, size_t length)
{
	struct wb_control control = control_of_open_cache();
	g_autoptr(GString) stats = g_string_new(NULL);
	int result = find_file("control")->store(&control, text, length);
	uint64_t bytes;

	g_assert(result == (wb_control_find_verb(text, length, &bytes) ? 0 : -EINVAL));
	wb_sim_settle(&sim);
	find_file("stats.json")->show(&control, stats);
	expect_object(stats->str);
}

static void show(const uint8_t *data, size_t size)
{
	g_autofree struct wb_stats_view *view = g_new0(struct wb_stats_view, 1);
	g_autofree char *path = g_strndup((const char *)data, size);
	struct wb_mount_facts facts = {
		.version = "1", .mount_point = path, .cache.path = path,
		.backing = { .path = path, .buffered_reason = path },
	};
	g_autoptr(GString) text = g_string_new(NULL);

	view->facts = &facts;
	memcpy(view->uuid, data, MIN(size, sizeof view->uuid));
	memcpy(view->snapshot.counter, data, MIN(size, sizeof view->snapshot.counter));
	memcpy(view->latency, data, MIN(size, sizeof view->latency));
	g_strlcpy(view->snapshot.last_error, path, sizeof view->snapshot.last_error);
	wb_stats_json_append(text, view);
	g_assert(text->len == strlen(text->str));
	expect_object(text->str);
}

static void read_stats(const char *data, size_t size)
{
	static const char *const keys[] = { "state", "dirty_blocks", "segments", "cache", "a" };
	g_autofree char *text = g_strndup(data, size);
	JsonNode *node = json_from_string(text, NULL);

	if (node && JSON_NODE_HOLDS_OBJECT(node)) {
		for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
			wb_client_number(node, keys[i]);
			wb_client_bool(node, keys[i]);
			g_assert(wb_client_text(node, keys[i]));
			wb_client_number_in(node, keys[i], keys[1]);
			g_assert(wb_client_text_in(node, keys[i], keys[0]));
		}
	}
	if (node)
		json_node_unref(node);
}

int WB_FUZZ_TARGET(control)(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		write_control((const char *)data + 1, size - 1);
		break;
	case 1:
		show(data + 1, size - 1);
		break;
	case 2:
		read_stats((const char *)data + 1, size - 1);
		break;
	default:
		write_tunable((const char *)data + 1, size - 1);
	}
	return 0;
}
