/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/report.h"

#define STALE_TRIES 10u

static void fail_on(GError **error, const char *mount_point, const char *path, int errnum)
{
	if (errnum == ENOTCONN || errnum == ECONNABORTED)
		g_set_error(error, WB_COMMAND_ERROR, WB_COMMAND_ERROR_DEAD_MOUNT,
			    "the daemon of %s is gone. To go on: 'wbfs umount %s' (or "
			    "fusermount3 -u), then mount it again: the log is recovered",
			    mount_point, mount_point);
	else if (errnum == EROFS)
		g_set_error(error, WB_COMMAND_ERROR, WB_COMMAND_ERROR_FAILED,
			    "%s is mounted with -o ro: nothing can be asked of it that could "
			    "change something", mount_point);
	else
		g_set_error(error, WB_COMMAND_ERROR, WB_COMMAND_ERROR_FAILED, "%s: %s", path,
			    g_strerror(errnum));
}

/* 0 or an errno. */
static int read_whole(const char *path, GString *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char piece[16384];
	ssize_t n = -1;
	int result;

	g_string_truncate(text, 0);
	while (fd >= 0 && (n = read(fd, piece, sizeof piece)) > 0)
		g_string_append_len(text, piece, n);
	result = n < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	return result;
}

/* ESTALE: another daemon took over in the middle of it. */
char *wb_client_read(const char *mount_point, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(mount_point, ".wbfs", name, NULL);
	g_autoptr(GString) text = g_string_new(NULL);
	int result = ESTALE;

	for (unsigned i = 0; i < STALE_TRIES && result == ESTALE; i++)
		result = read_whole(path, text);
	if (result)
		fail_on(error, mount_point, path, result);
	return result ? NULL : g_string_free(g_steal_pointer(&text), FALSE);
}

char *wb_client_read_stats(const char *mount_point, GError **error)
{
	return wb_client_read(mount_point, "stats.json", error);
}

JsonNode *wb_client_get_stats(const char *mount_point, GError **error)
{
	g_autofree char *text = wb_client_read_stats(mount_point, error);
	JsonNode *node;

	if (!text)
		return NULL;
	node = json_from_string(text, error);
	if (node && JSON_NODE_HOLDS_OBJECT(node))
		return node;
	if (node)
		json_node_unref(node);
	if (!error || !*error)
		wb_fail(error, "%s/.wbfs/stats.json holds no JSON object", mount_point);
	return NULL;
}

/* Why the daemon did not take it, or NULL: what it refused last. Another one's
 * refusal may have come in between. */
static char *last_refusal(const char *mount_point)
{
	g_autofree char *text = wb_client_read(mount_point, "events", NULL);
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	const char *found = NULL;

	for (unsigned i = 0; lines[i]; i++) {
		const char *kind = strchr(lines[i], ' ');

		if (kind && g_str_has_prefix(kind, " refused "))
			found = kind + strlen(" refused ");
	}
	return g_strdup(found);
}

bool wb_client_write(const char *mount_point, const char *name, const char *text,
		     GError **error)
{
	g_autofree char *path = g_build_filename(mount_point, ".wbfs", name, NULL);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int saved_errno = errno;
	g_autofree char *reason = NULL;

	if (fd >= 0)
		close(fd);
	if (n >= 0)
		return true;
	reason = fd >= 0 && saved_errno == EINVAL ? last_refusal(mount_point) : NULL;
	if (reason)
		return wb_fail(error, "%s does not take it: %s", mount_point, reason);
	fail_on(error, mount_point, path, saved_errno);
	return false;
}

bool wb_client_write_verb(const char *mount_point, const char *verb, GError **error)
{
	return wb_client_write(mount_point, "control", verb, error);
}

static JsonNode *member(JsonObject *object, const char *key)
{
	JsonNode *node = object ? json_object_get_member(object, key) : NULL;

	return node && JSON_NODE_HOLDS_VALUE(node) ? node : NULL;
}

static JsonObject *inner(JsonNode *stats, const char *key)
{
	JsonNode *node = json_object_get_member(json_node_get_object(stats), key);

	return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static uint64_t number(JsonNode *node)
{
	return node ? (uint64_t)json_node_get_int(node) : 0;
}

static const char *text_of(JsonNode *node)
{
	const char *text = node ? json_node_get_string(node) : NULL;

	return text ? text : "";
}

uint64_t wb_client_number(JsonNode *stats, const char *key)
{
	return number(member(json_node_get_object(stats), key));
}

bool wb_client_bool(JsonNode *stats, const char *key)
{
	JsonNode *node = member(json_node_get_object(stats), key);

	return node && json_node_get_boolean(node);
}

const char *wb_client_text(JsonNode *stats, const char *key)
{
	return text_of(member(json_node_get_object(stats), key));
}

uint64_t wb_client_number_in(JsonNode *stats, const char *object, const char *key)
{
	return number(member(inner(stats, object), key));
}

double wb_client_double_in(JsonNode *stats, const char *object, const char *key)
{
	JsonNode *node = member(inner(stats, object), key);

	return node ? json_node_get_double(node) : 0;
}

const char *wb_client_text_in(JsonNode *stats, const char *object, const char *key)
{
	return text_of(member(inner(stats, object), key));
}

double wb_client_percent_in(JsonNode *stats, const char *object, const char *key)
{
	JsonNode *node = member(inner(stats, object), key);

	return node ? json_node_get_double(node) : -1;
}
