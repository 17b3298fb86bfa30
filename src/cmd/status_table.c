/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The status line that dm-writeboost had in 2013, as a table. wbfs-control(7) says
 * what each column was called then. */
#include <inttypes.h>
#include <string.h>

#include "cmd/client.h"
#include "cmd/status_text.h"

#define BLOCK_BYTES 4096u

/* In the order of the bits of the sixteen: write, hit, RAM, all of the block. */
static const char *const columns[] = {
	"cursor", "cache_blocks", "segments", "current_id", "flushed_record", "written_back_id",
	"dirty_blocks",
	"read_miss_hdd_partial", "read_miss_hdd_full",
	"read_miss_ram_partial", "read_miss_ram_full",
	"read_hit_ssd_partial", "read_hit_ssd_full", "read_hit_ram_partial", "read_hit_ram_full",
	"write_miss_hdd_partial", "write_miss_hdd_full",
	"write_miss_ram_partial", "write_miss_ram_full",
	"write_hit_ssd_partial", "write_hit_ssd_full",
	"write_hit_ram_partial", "write_hit_ram_full",
};

/* The cursor as far as it is known: the first block of the segment of the head. */
static uint64_t cursor_of(JsonNode *stats)
{
	uint64_t total = wb_client_number_in(stats, "segments", "total");
	uint64_t head = wb_client_number(stats, "head_segment");

	return total && head ? (head - 1) % total *
			       (wb_client_number(stats, "segment_bytes") / BLOCK_BYTES) : 0;
}

static uint64_t value_of(JsonNode *stats, const char *column)
{
	uint64_t tail = wb_client_number(stats, "tail_segment");

	if (!strcmp(column, "cursor"))
		return cursor_of(stats);
	if (!strcmp(column, "segments"))
		return wb_client_number_in(stats, "segments", "total");
	if (!strcmp(column, "current_id"))
		return wb_client_number(stats, "head_segment");
	if (!strcmp(column, "flushed_record"))
		return wb_client_number(stats, "durable_sequence");
	if (!strcmp(column, "written_back_id"))
		return tail ? tail - 1 : 0;
	return wb_client_number(stats, column);
}

void wb_status_table_append_names(GString *text)
{
	g_string_append(text, "mount_point");
	for (unsigned i = 0; i < G_N_ELEMENTS(columns); i++)
		g_string_append_printf(text, " %s", columns[i]);
	g_string_append(text, " tunables\n");
}

static void append_tunables(GString *text, JsonObject *tunables)
{
	g_autoptr(GList) names = json_object_get_members(tunables);

	for (GList *name = names; name; name = name->next) {
		JsonNode *node = json_object_get_member(tunables, name->data);
		GType type = json_node_get_value_type(node);

		g_string_append_printf(text, " %s=", (const char *)name->data);
		if (type == G_TYPE_BOOLEAN)
			g_string_append(text, json_node_get_boolean(node) ? "on" : "off");
		else if (type == G_TYPE_STRING)
			g_string_append(text, json_node_get_string(node));
		else
			g_string_append_printf(text, "%" G_GINT64_FORMAT,
					       json_node_get_int(node));
	}
}

/* A blank in a name would begin a column. */
static void append_word(GString *text, const char *word)
{
	for (; *word; word++) {
		if (g_ascii_isspace(*word) || *word == '\\')
			g_string_append_printf(text, "\\%03o", (unsigned char)*word);
		else
			g_string_append_c(text, *word);
	}
}

void wb_status_table_append(GString *text, const char *mount_point, JsonNode *stats)
{
	JsonObject *root = json_node_get_object(stats);

	append_word(text, mount_point);
	for (unsigned i = 0; i < G_N_ELEMENTS(columns); i++)
		g_string_append_printf(text, " %" PRIu64, value_of(stats, columns[i]));
	/* A daemon of another version may not have them. */
	if (json_object_has_member(root, "tunables"))
		append_tunables(text, json_object_get_object_member(root, "tunables"));
	g_string_append_c(text, '\n');
}
