/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libnbd, without being linked to it: it brings libraries for TLS and XML with it, some
 * 40 MiB, which every daemon would keep locked in memory though its backing is a file. So it is
 * loaded when a backing is behind a server. Instead of <libnbd.h>: the functions have
 * their usual names as members of wb_nbd_library, and may be called once wb_nbd_library_load() was TRUE.
 */
#ifndef WB_IO_NBD_LIBRARY_H
#define WB_IO_NBD_LIBRARY_H

#include <glib.h>
#include <libnbd.h>
#include <stdbool.h>

/* FALSE and an error (G_FILE_ERROR) where it is not installed, or too old. Any thread. */
bool wb_nbd_library_load(GError **error);

#define WB_NBD_FUNCTIONS(X) \
	X(nbd_add_meta_context) X(nbd_aio_connect_uri) X(nbd_aio_disconnect) \
	X(nbd_aio_flush) X(nbd_aio_get_direction) X(nbd_aio_get_fd) X(nbd_aio_is_closed) \
	X(nbd_aio_is_dead) X(nbd_aio_is_ready) X(nbd_aio_notify_read) \
	X(nbd_aio_notify_write) X(nbd_aio_pread) X(nbd_aio_pread_structured) \
	X(nbd_aio_pwrite) X(nbd_aio_trim) \
	X(nbd_aio_zero) X(nbd_block_status) X(nbd_can_df) X(nbd_can_flush) X(nbd_can_fua) \
	X(nbd_can_meta_context) X(nbd_can_multi_conn) X(nbd_can_trim) X(nbd_can_zero) \
	X(nbd_close) X(nbd_create) X(nbd_get_block_size) X(nbd_get_errno) X(nbd_get_error) \
	X(nbd_get_size) X(nbd_is_read_only) X(nbd_is_rotational) X(nbd_poll) \
	X(nbd_set_pread_initialize) X(nbd_set_uri_allow_local_file)

struct wb_nbd_library {
#define WB_NBD_MEMBER(name) __typeof__(&name) name;
	WB_NBD_FUNCTIONS(WB_NBD_MEMBER)
#undef WB_NBD_MEMBER
};

/* constant after load */
extern struct wb_nbd_library wb_nbd_library;

#endif
