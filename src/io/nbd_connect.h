/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection to an NBD server, up to the point where requests can be sent; and
 * what the server says of the export. Waits: for opening, and for the thread that
 * connects again (nbd_redial.h).
 */
#ifndef WB_IO_NBD_CONNECT_H
#define WB_IO_NBD_CONNECT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct nbd_handle;

struct wb_nbd_peer {
	struct nbd_handle *handle;
	uint64_t size_bytes;
	uint32_t alignment_bytes;	/* 512 .. 4096: its smallest block */
	uint32_t transfer_bytes;	/* the most of one read or write */
	bool is_read_only;
	bool is_rotational;		/* it says so; most servers say nothing */
	bool can_flush, can_fua, can_zero, can_trim;
	bool can_multi_conn;		/* a flush covers the writes of all connections */
	bool has_extents;		/* tells holes from data */
	bool can_df;			/* answers a read in one when asked to */
};

/* FALSE and an error (G_FILE_ERROR) that names the server; also for an export that no
 * store can be made of. */
bool wb_nbd_connect(const char *uri, unsigned timeout_ms, struct wb_nbd_peer *peer,
		    GError **error);
/* Says goodbye, if there is somebody to say it to. */
void wb_nbd_disconnect(struct wb_nbd_peer *peer);
/* Without a word: what was not sent yet shall never arrive. */
void wb_nbd_cut(struct wb_nbd_peer *peer);

struct wb_nbd_read {
	uint64_t offset_bytes;
	char *data;
	bool is_answered;
	int error;			/* 0 or -errno */
};
/* All of them, of `bytes` each, before anything else is asked. FALSE: the connection is
 * broken, or takes too long; then it is to be cut before the memory is used again. */
bool wb_nbd_read_all(const struct wb_nbd_peer *peer, struct wb_nbd_read *reads, unsigned count,
		     size_t bytes, unsigned timeout_ms);

enum wb_nbd_find { WB_NBD_FIND_DATA, WB_NBD_FIND_HOLE };
/* The first byte at or behind `from_bytes` that is data, or hole; size_bytes when there
 * is none. FALSE: the server does not tell. */
bool wb_nbd_find(struct wb_nbd_peer *peer, enum wb_nbd_find what, uint64_t from_bytes,
		 uint64_t *found_bytes);

#endif
