/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How an export of an NBD server is written: nbd://HOST[:PORT]/EXPORT,
 * nbd+unix:///EXPORT?socket=PATH, and nbds for TLS, as in doc/uri.md of the NBD
 * project. Pure.
 */
#ifndef WB_IO_NBD_URI_H
#define WB_IO_NBD_URI_H

#include <glib.h>
#include <stdbool.h>

/* Is it meant as one? A path never is, unless it begins with "nbd:" or its like. */
bool wb_nbd_uri_is(const char *text);
/* The same export always gives the same text, however it is reached: without TLS and
 * its certificates, without a user, with the port. NULL and an error (G_FILE_ERROR):
 * it cannot be understood. */
char *wb_nbd_uri_name(const char *uri, GError **error);

#endif
