/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the service manager that started us wants to know: the protocol of
 * sd_notify(3), by hand. Where nobody asked ($NOTIFY_SOCKET) nothing happens. */
#ifndef WB_KEEPER_NOTIFY_H
#define WB_KEEPER_NOTIFY_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Lines such as "READY=1" and "STATUS=text". Never waits, never fails: a manager
 * that does not listen must not stop a disk. */
void wb_notify(const char *lines);

/* A path, or "@name" for one of the abstract name space. FALSE for what is neither,
 * or too long. Pure. */
bool wb_notify_parse_address(const char *text, struct sockaddr_un *address,
			     socklen_t *length);

#endif
