/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/nbd_connect.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "io/nbd_library.h"

#define ALIGNMENT_MIN 512u
#define ALIGNMENT_MAX 4096u
/* What a server takes that says nothing (doc/proto.md, "Block size constraints"). */
#define TRANSFER_DEFAULT_BYTES (UINT32_C(32) << 20)
#define TRANSFER_MAX_BYTES (UINT32_C(1) << 20)
#define STATUS_BYTES (UINT64_C(1) << 30)

/* A dead peer of which no packet tells is given up after about this long. */
#define KEEPALIVE_IDLE_S 10
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT 4
#define USER_TIMEOUT_MS 30000

static bool fail(GError **error, const char *uri)
{
	int errnum = wb_nbd_library.nbd_get_errno();
	const char *why = wb_nbd_library.nbd_get_error();

	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errnum ? errnum : EIO),
		    "%s: the NBD server cannot be used: %s", uri, why ? why : g_strerror(errnum));
	return false;
}

/* --- the socket ------------------------------------------------------------------ */

/* Not all of it applies to a Unix socket, where nothing gets lost without a word. */
static void watch_over(struct nbd_handle *handle)
{
	static const struct { int level, name, value; } settings[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS },
	};
	/* When this process is killed the kernel shall not go on sending. */
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	int fd = wb_nbd_library.nbd_aio_get_fd(handle);

	for (unsigned i = 0; i < G_N_ELEMENTS(settings); i++)
		if (setsockopt(fd, settings[i].level, settings[i].name, &settings[i].value,
			       sizeof settings[i].value))
			break;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/* --- the export -------------------------------------------------------------------- */

static bool look_at_size(const char *uri, struct wb_nbd_peer *peer, GError **error)
{
	int64_t size = wb_nbd_library.nbd_get_size(peer->handle);

	if (size < 0)
		return fail(error, uri);
	if (size % 512) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: its size of %" PRId64
			    " bytes is no multiple of 512", uri, size);
		return false;
	}
	peer->size_bytes = (uint64_t)size;
	return true;
}

static bool look_at_end(const char *uri, const struct wb_nbd_peer *peer, GError **error)
{
	if (peer->size_bytes % peer->alignment_bytes == 0)
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: its size of %" PRIu64 " bytes "
		    "is no multiple of the server's smallest block, %u bytes", uri,
		    peer->size_bytes, peer->alignment_bytes);
	return false;
}

static bool look_at_blocks(const char *uri, struct wb_nbd_peer *peer, GError **error)
{
	int64_t least = wb_nbd_library.nbd_get_block_size(peer->handle, LIBNBD_SIZE_MINIMUM);
	int64_t most = wb_nbd_library.nbd_get_block_size(peer->handle, LIBNBD_SIZE_MAXIMUM);

	if (least < 0 || most < 0)
		return fail(error, uri);
	if (least > ALIGNMENT_MAX) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: the server takes no "
			    "blocks smaller than %" PRId64 " bytes; wbfs needs 4096 or less "
			    "(nbdkit --filter=blocksize, for one, makes it so)", uri, least);
		return false;
	}
	peer->alignment_bytes = MAX((uint32_t)least, ALIGNMENT_MIN);
	if (most == 0)
		most = TRANSFER_DEFAULT_BYTES;
	peer->transfer_bytes = (uint32_t)MIN(most, TRANSFER_MAX_BYTES);
	peer->transfer_bytes -= peer->transfer_bytes % peer->alignment_bytes;
	peer->transfer_bytes = MAX(peer->transfer_bytes, peer->alignment_bytes);
	return look_at_end(uri, peer, error);
}

static bool look_at(const char *uri, struct wb_nbd_peer *peer, GError **error)
{
	struct nbd_handle *handle = peer->handle;

	peer->is_read_only = wb_nbd_library.nbd_is_read_only(handle) > 0;
	peer->is_rotational = wb_nbd_library.nbd_is_rotational(handle) > 0;
	peer->can_flush = wb_nbd_library.nbd_can_flush(handle) > 0;
	peer->can_fua = wb_nbd_library.nbd_can_fua(handle) > 0;
	peer->can_zero = wb_nbd_library.nbd_can_zero(handle) > 0;
	peer->can_trim = wb_nbd_library.nbd_can_trim(handle) > 0;
	peer->can_df = wb_nbd_library.nbd_can_df(handle) > 0;
	peer->can_multi_conn = wb_nbd_library.nbd_can_multi_conn(handle) > 0;
	peer->has_extents = wb_nbd_library.nbd_can_meta_context(handle, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0;
	return look_at_size(uri, peer, error) && look_at_blocks(uri, peer, error);
}

/* --- connecting ----------------------------------------------------------------------- */

static bool wait_until_ready(const char *uri, struct nbd_handle *handle, unsigned timeout_ms,
			     GError **error)
{
	gint64 deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

	while (wb_nbd_library.nbd_aio_is_ready(handle) == 0) {
		gint64 left_us = deadline - g_get_monotonic_time();

		if (left_us <= 0) {
			g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
				    "%s: the NBD server does not answer within %u ms", uri,
				    timeout_ms);
			return false;
		}
		if (wb_nbd_library.nbd_poll(handle, (int)(left_us / 1000) + 1) < 0)
			return fail(error, uri);
	}
	return true;
}

static bool begin(struct nbd_handle *handle, const char *uri)
{
	/* The URI comes from whoever may mount: it may name a file of certificates. */
	return !wb_nbd_library.nbd_set_uri_allow_local_file(handle, true) &&
	       !wb_nbd_library.nbd_add_meta_context(handle, LIBNBD_CONTEXT_BASE_ALLOCATION) &&
	       !wb_nbd_library.nbd_set_pread_initialize(handle, false) && !wb_nbd_library.nbd_aio_connect_uri(handle, uri);
}

bool wb_nbd_connect(const char *uri, unsigned timeout_ms, struct wb_nbd_peer *peer,
		    GError **error)
{
	if (!wb_nbd_library_load(error))
		return false;
	*peer = (struct wb_nbd_peer){ .handle = wb_nbd_library.nbd_create() };
	if (!peer->handle)
		return fail(error, uri);
	if (!begin(peer->handle, uri))
		fail(error, uri);
	else if (wait_until_ready(uri, peer->handle, timeout_ms, error) &&
		 look_at(uri, peer, error)) {
		watch_over(peer->handle);
		return true;
	}
	wb_nbd_cut(peer);
	return false;
}

void wb_nbd_disconnect(struct wb_nbd_peer *peer)
{
	struct linger linger = { 0 };

	if (!peer->handle)
		return;
	if (wb_nbd_library.nbd_aio_is_ready(peer->handle) > 0) {
		setsockopt(wb_nbd_library.nbd_aio_get_fd(peer->handle), SOL_SOCKET, SO_LINGER, &linger,
			   sizeof linger);
		wb_nbd_library.nbd_aio_disconnect(peer->handle, 0);
	}
	wb_nbd_cut(peer);
}

void wb_nbd_cut(struct wb_nbd_peer *peer)
{
	if (peer->handle)
		wb_nbd_library.nbd_close(peer->handle);
	peer->handle = NULL;
}

/* --- reading --------------------------------------------------------------------------------- */

static int note_read(void *arg, int *error)
{
	struct wb_nbd_read *read = arg;

	read->is_answered = true;
	read->error = -*error;
	return 1;
}

static bool is_all_read(const struct wb_nbd_read *reads, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!reads[i].is_answered)
			return false;
	return true;
}

bool wb_nbd_read_all(const struct wb_nbd_peer *peer, struct wb_nbd_read *reads, unsigned count,
		     size_t bytes, unsigned timeout_ms)
{
	gint64 deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000, left_us;

	for (unsigned i = 0; i < count; i++) {
		nbd_completion_callback callback = { .callback = note_read,
						     .user_data = &reads[i] };

		reads[i].is_answered = false;
		if (wb_nbd_library.nbd_aio_pread(peer->handle, reads[i].data, bytes,
						 reads[i].offset_bytes, callback, 0) < 0)
			return false;
	}
	while (!is_all_read(reads, count)) {
		left_us = deadline - g_get_monotonic_time();
		if (left_us <= 0 || wb_nbd_library.nbd_poll(peer->handle, (int)(left_us / 1000) + 1) < 0)
			return false;
	}
	return wb_nbd_library.nbd_aio_is_ready(peer->handle) > 0;
}

/* --- holes --------------------------------------------------------------------------------- */

struct search {
	enum wb_nbd_find what;
	uint64_t at_bytes;		/* up to here it is the other thing */
	bool is_found;
};

static int note_extents(void *arg, const char *context, uint64_t offset, uint32_t *entries,
			size_t count, int *error)
{
	struct search *search = arg;

	(void)context;
	(void)error;
	search->at_bytes = offset;
	for (size_t i = 0; i + 1 < count && !search->is_found; i += 2) {
		/* Zeros that take room are copied in no time, but not for nothing. */
		bool is_hole = (entries[i + 1] & LIBNBD_STATE_ZERO) != 0;

		search->is_found = is_hole == (search->what == WB_NBD_FIND_HOLE);
		if (!search->is_found)
			search->at_bytes += entries[i];
	}
	return 0;
}

bool wb_nbd_find(struct wb_nbd_peer *peer, enum wb_nbd_find what, uint64_t from_bytes,
		 uint64_t *found_bytes)
{
	struct search search = { .what = what, .at_bytes = from_bytes };

	if (!peer->has_extents)
		return false;
	while (!search.is_found && search.at_bytes < peer->size_bytes) {
		nbd_extent_callback callback = { .callback = note_extents, .user_data = &search };
		uint64_t at = search.at_bytes;

		if (wb_nbd_library.nbd_block_status(peer->handle, MIN(peer->size_bytes - at, STATUS_BYTES), at,
				     callback, 0) || search.at_bytes < at ||
		    (search.at_bytes == at && !search.is_found))
			return false;
	}
	*found_bytes = MIN(search.at_bytes, peer->size_bytes);
	return true;
}
