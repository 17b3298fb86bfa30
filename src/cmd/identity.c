/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cmd/file_replace.h"
#include "cmd/report.h"
#include "cmd/state_directory.h"
#include "frontend/stats_json.h"

#define XATTR_UUID "user.wbfs.uuid"
#define XATTR_CACHE "user.wbfs.cache"
#define XATTR_STATE "user.wbfs.state"
#define SIDECAR_SUFFIX ".wbfs-id"
#define BY_ID "/dev/disk/by-id"

/* --- text ------------------------------------------------------------------------ */

bool wb_uuid_parse(const char *text, uint8_t uuid[16])
{
	char again[WB_UUID_TEXT_BYTES];
	unsigned n = 0;

	if (strlen(text) != WB_UUID_TEXT_BYTES - 1)
		return false;
	for (const char *p = text; *p && n < 16; p++) {
		if (*p == '-')
			continue;
		if (!g_ascii_isxdigit(p[0]) || !g_ascii_isxdigit(p[1]))
			return false;
		uuid[n++] = (uint8_t)(g_ascii_xdigit_value(p[0]) << 4 |
				      g_ascii_xdigit_value(p[1]));
		p++;
	}
	if (n != 16)
		return false;
	wb_uuid_format(uuid, again);
	return !g_ascii_strcasecmp(again, text);
}

char *wb_identity_format(const struct wb_identity *identity)
{
	g_autofree char *state = wb_identity_format_state(identity);
	char uuid[WB_UUID_TEXT_BYTES];

	wb_uuid_format(identity->uuid, uuid);
	return g_strdup_printf("%s\n%s\n%s\n", uuid,
			       identity->cache_path ? identity->cache_path : "", state);
}

char *wb_identity_format_state(const struct wb_identity *identity)
{
	return g_strdup_printf("epoch=%" PRIu64 " dirty=%s complete=%" PRId64 "%s",
			       identity->epoch, identity->is_dirty ? "yes" : "no",
			       identity->complete_time_s,
			       identity->is_rescued ? " rescue=begun" : "");
}

static bool parse_state_word(const char *word, struct wb_identity *identity)
{
	const char *value = strchr(word, '=');

	if (g_str_has_prefix(word, "epoch="))
		return g_ascii_string_to_unsigned(value + 1, 10, 0, WB_NUMBER_MAX,
						  &identity->epoch, NULL);
	if (g_str_has_prefix(word, "rescue="))
		identity->is_rescued = true;
	if (g_str_has_prefix(word, "complete="))
		return g_ascii_string_to_signed(value + 1, 10, 0, INT64_MAX,
						&identity->complete_time_s, NULL);
	if (g_str_has_prefix(word, "dirty=")) {
		identity->is_dirty = !strcmp(value + 1, "yes");
		return identity->is_dirty || !strcmp(value + 1, "no");
	}
	return true;
}

bool wb_identity_parse_state(const char *text, struct wb_identity *identity)
{
	g_auto(GStrv) words = g_strsplit(text, " ", 0);
	struct wb_identity state = { 0 };

	for (char **word = words; *word; word++)
		if (!parse_state_word(*word, &state))
			return false;
	identity->epoch = state.epoch;
	identity->is_dirty = state.is_dirty;
	identity->is_rescued = state.is_rescued;
	identity->complete_time_s = state.complete_time_s;
	return true;
}

bool wb_identity_parse(const char *text, struct wb_identity *identity)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", 4);

	if (!lines[0] || !wb_uuid_parse(lines[0], identity->uuid))
		return false;
	/* A mark of an older version has no third line: the state is not known. */
	if (!wb_identity_parse_state(lines[1] && lines[2] ? lines[2] : "", identity))
		return false;
	g_free(identity->cache_path);
	identity->cache_path = lines[1] && *lines[1] ? g_strdup(lines[1]) : NULL;
	return true;
}

const char *wb_identity_kind_text(enum wb_mark_kind kind)
{
	switch (kind) {
	case WB_MARK_NONE:
		return "nowhere";
	case WB_MARK_XATTR:
		return "in its extended attributes";
	case WB_MARK_SIDECAR:
		return "in a file beside it";
	case WB_MARK_STATE_DIRECTORY:
		return "in the state directory";
	}
	g_assert_not_reached();
}

void wb_identity_clear(struct wb_identity *identity)
{
	g_free(identity->cache_path);
	*identity = (struct wb_identity){ 0 };
}

/* --- places -------------------------------------------------------------------------- */

/* The file a loop device stands for: device numbers are dealt out anew at
 * every attach, the file's name stays. */
static char *loop_file(const struct wb_disk *disk)
{
	g_autofree char *path = g_strdup_printf("/sys/dev/block/%u:%u/loop/backing_file",
						major(disk->st.st_rdev), minor(disk->st.st_rdev));
	char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	return g_strchomp(text);
}

/* The first name by alphabet, so that it is the same one every time. */
static char *by_id_name(const struct wb_disk *disk)
{
	g_autoptr(GDir) dir = g_dir_open(BY_ID, 0, NULL);
	char *best = NULL;
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(BY_ID, name, NULL);
		struct stat st;

		if (stat(path, &st) || !S_ISBLK(st.st_mode) ||
		    st.st_rdev != disk->st.st_rdev || (best && strcmp(best, name) <= 0))
			continue;
		g_free(best);
		best = g_strdup(name);
	}
	return best;
}

static char *state_file(const struct wb_disk *disk)
{
	g_autofree char *stable = disk->is_block_device ? by_id_name(disk) :
				  g_strdup(disk->remote_name);

	if (!stable && disk->is_block_device) {
		g_autofree char *loop = loop_file(disk);

		stable = loop ? g_strconcat("loop-", loop, NULL) : NULL;
	}
	return wb_state_file(stable ? stable : disk->path, "");
}

static char *sidecar_file(const struct wb_disk *disk)
{
	return g_strconcat(disk->path, SIDECAR_SUFFIX, NULL);
}

/* --- read ------------------------------------------------------------------------------ */

/* *value is NULL when there is no such attribute. Any other reason not to get it
 * is an error: taken for "no mark", it would let a marked backing be used. */
static bool get_xattr(const struct wb_disk *disk, const char *name, char **value,
		      GError **error)
{
	char text[PATH_MAX + 1];
	ssize_t length = fgetxattr(disk->fd, name, text, sizeof text - 1);

	*value = length < 0 ? NULL : g_strndup(text, (size_t)length);
	if (length >= 0 || errno == ENODATA || errno == EOPNOTSUPP)
		return true;
	return wb_fail_errno(error, "%s: cannot read the attribute %s", disk->path, name);
}

/* 1 found, 0 none, -1 error */
static int read_xattr(const struct wb_disk *disk, struct wb_identity *identity, GError **error)
{
	g_autofree char *uuid = NULL, *state = NULL;

	if (!get_xattr(disk, XATTR_UUID, &uuid, error))
		return -1;
	if (!uuid)
		return 0;
	if (!wb_uuid_parse(uuid, identity->uuid)) {
		wb_fail(error, "%s: the attribute " XATTR_UUID " holds no UUID", disk->path);
		return -1;
	}
	if (!get_xattr(disk, XATTR_CACHE, &identity->cache_path, error) ||
	    !get_xattr(disk, XATTR_STATE, &state, error))
		return -1;
	if (!wb_identity_parse_state(state ? state : "", identity)) {
		wb_fail(error, "%s: the attribute " XATTR_STATE " cannot be understood: \"%s\"",
			disk->path, state);
		return -1;
	}
	identity->kind = WB_MARK_XATTR;
	return 1;
}

static int read_file(const char *path, enum wb_mark_kind kind, struct wb_identity *identity,
		     GError **error)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) problem = NULL;

	if (!g_file_get_contents(path, &text, NULL, &problem)) {
		if (g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
		    g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOTDIR))
			return 0;
		wb_fail(error, "cannot read the mark of the backing: %s", problem->message);
		return -1;
	}
	if (!wb_identity_parse(text, identity)) {
		wb_fail(error, "%s, the mark of the backing, is not a UUID and, on its third "
			"line, a state", path);
		return -1;
	}
	identity->kind = kind;
	return 1;
}

bool wb_identity_read(const struct wb_disk *backing, struct wb_identity *identity,
		      GError **error)
{
	g_autofree char *sidecar = sidecar_file(backing);
	g_autofree char *state = state_file(backing);
	int found = 0;

	*identity = (struct wb_identity){ 0 };
	if (wb_disk_is_file(backing))
		found = read_xattr(backing, identity, error);
	if (!found && wb_disk_is_file(backing))
		found = read_file(sidecar, WB_MARK_SIDECAR, identity, error);
	if (!found)
		found = read_file(state, WB_MARK_STATE_DIRECTORY, identity, error);
	if (found < 0)
		wb_identity_clear(identity);
	return found >= 0;
}

/* --- write ----------------------------------------------------------------------------- */

/* What is there already is left alone: requests wait for this. */
static bool set_xattr(const struct wb_disk *disk, const char *name, const char *value)
{
	g_autofree char *now = NULL;

	return (get_xattr(disk, name, &now, NULL) && now && !strcmp(now, value)) ||
	       !fsetxattr(disk->fd, name, value, strlen(value), 0);
}

enum xattr_result {
	XATTR_WRITTEN,
	XATTR_IMPOSSIBLE,	/* none is there, and none can be made */
	XATTR_FAILED,		/* errno says why */
};

/* A state belongs to the UUID beside it: the old one goes before a new UUID comes.
 * The state is set even to what it is: after a failed fsync the next one would find
 * nothing to do, and succeed. */
static enum xattr_result write_xattr(const struct wb_disk *disk,
				     const struct wb_identity *identity)
{
	const char *cache = identity->cache_path ? identity->cache_path : "";
	g_autofree char *state = wb_identity_format_state(identity), *old = NULL;
	char uuid[WB_UUID_TEXT_BYTES];

	wb_uuid_format(identity->uuid, uuid);
	if (!get_xattr(disk, XATTR_UUID, &old, NULL))
		return XATTR_FAILED;
	if (old && strcmp(old, uuid))
		fremovexattr(disk->fd, XATTR_STATE);
	if (!set_xattr(disk, XATTR_UUID, uuid))
		return old ? XATTR_FAILED : XATTR_IMPOSSIBLE;
	if (!set_xattr(disk, XATTR_CACHE, cache) ||
	    fsetxattr(disk->fd, XATTR_STATE, state, strlen(state), 0)) {
		int errnum = errno;

		/* Half a mark is none. */
		if (!old)
			fremovexattr(disk->fd, XATTR_UUID);
		errno = errnum;
		return old ? XATTR_FAILED : XATTR_IMPOSSIBLE;
	}
	return fsync(disk->fd) ? XATTR_FAILED : XATTR_WRITTEN;
}

static bool write_file(const char *path, const struct wb_identity *identity, GError **error)
{
	g_autofree char *text = wb_identity_format(identity);

	return wb_file_replace(path, text, 0600, error);
}

static bool remove_xattrs(const struct wb_disk *disk)
{
	static const char *const names[] = { XATTR_STATE, XATTR_CACHE, XATTR_UUID };
	bool any = false;

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!fremovexattr(disk->fd, names[i]))
			any = true;
		else if (errno != ENODATA && errno != EOPNOTSUPP)
			return false;
	}
	return !any || !fsync(disk->fd);
}

static bool remove_file(const char *path)
{
	if (!unlink(path))
		return wb_file_sync_directory(path);
	return errno == ENOENT || errno == ENOTDIR;
}

/* Durably: an older mark that came back would be found before the newer one. */
static bool remove_others(const struct wb_disk *disk, enum wb_mark_kind keep)
{
	g_autofree char *sidecar = sidecar_file(disk);
	g_autofree char *state = state_file(disk);
	bool ok = true;

	if (wb_disk_is_file(disk) && keep != WB_MARK_XATTR)
		ok = remove_xattrs(disk);
	if (wb_disk_is_file(disk) && keep != WB_MARK_SIDECAR)
		ok = remove_file(sidecar) && ok;
	if (keep != WB_MARK_STATE_DIRECTORY)
		ok = remove_file(state) && ok;
	return ok;
}

static bool write_somewhere(const struct wb_disk *backing, struct wb_identity *identity,
			    GError **error)
{
	g_autofree char *sidecar = sidecar_file(backing);
	g_autofree char *state = state_file(backing);
	g_autofree char *directory = g_path_get_dirname(state);

	/* A mark never moves because of a disk that fails: it would be missing
	 * when the backing is moved. */
	if (wb_disk_is_file(backing)) {
		identity->kind = WB_MARK_XATTR;
		switch (write_xattr(backing, identity)) {
		case XATTR_WRITTEN:
			return true;
		case XATTR_FAILED:
			return wb_fail_errno(error, "cannot mark the backing %s",
					     backing->path);
		case XATTR_IMPOSSIBLE:
			break;
		}
	}
	identity->kind = WB_MARK_SIDECAR;
	if (wb_disk_is_file(backing) && write_file(sidecar, identity, NULL))
		return true;
	identity->kind = WB_MARK_STATE_DIRECTORY;
	if (g_mkdir_with_parents(directory, 0755) < 0)
		return wb_fail_errno(error, "cannot mark the backing: cannot create %s",
				     directory);
	return write_file(state, identity, error);
}

bool wb_identity_write(const struct wb_disk *backing, struct wb_identity *identity,
		       GError **error)
{
	if (!write_somewhere(backing, identity, error))
		return false;
	return remove_others(backing, identity->kind) ||
	       wb_fail_errno(error, "cannot remove an older mark of backing %s", backing->path);
}

enum wb_mark_kind wb_identity_probe(const struct wb_disk *backing)
{
	static const char probe[] = "user.wbfs.probe";

	if (!wb_disk_is_file(backing))
		return WB_MARK_STATE_DIRECTORY;
	if (fsetxattr(backing->fd, probe, "1", 1, 0))
		return WB_MARK_SIDECAR;
	fremovexattr(backing->fd, probe);
	return WB_MARK_XATTR;
}

bool wb_identity_remove(const struct wb_disk *backing)
{
	return remove_others(backing, WB_MARK_NONE);
}
