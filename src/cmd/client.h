/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Talking to a mounted volume through MOUNTPOINT/.wbfs. */
#ifndef WB_CMD_CLIENT_H
#define WB_CMD_CLIENT_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

/* The text of a file of .wbfs, or NULL and an error; WB_COMMAND_ERROR_DEAD_MOUNT
 * when the daemon is gone. */
char *wb_client_read(const char *mount_point, const char *name, GError **error);
/* One write to such a file. When the daemon refuses what is written, the error says
 * why. */
bool wb_client_write(const char *mount_point, const char *name, const char *text,
		     GError **error);
char *wb_client_read_stats(const char *mount_point, GError **error);
/* The same, parsed. */
JsonNode *wb_client_get_stats(const char *mount_point, GError **error);
bool wb_client_write_verb(const char *mount_point, const char *verb, GError **error);

/* Members of an object; 0, FALSE, "" when missing. */
uint64_t wb_client_number(JsonNode *stats, const char *key);
bool wb_client_bool(JsonNode *stats, const char *key);
const char *wb_client_text(JsonNode *stats, const char *key);
/* stats.OBJECT.KEY */
uint64_t wb_client_number_in(JsonNode *stats, const char *object, const char *key);
double wb_client_double_in(JsonNode *stats, const char *object, const char *key);
const char *wb_client_text_in(JsonNode *stats, const char *object, const char *key);
/* Negative when it is missing or null. */
double wb_client_percent_in(JsonNode *stats, const char *object, const char *key);

#endif
