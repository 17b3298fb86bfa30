/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An NBD server for a test: nbdkit of this machine on a Unix socket, over a file. It
 * dies with SIGKILL and comes again where it was.
 */
#ifndef WB_TESTS_NBD_SERVER_H
#define WB_TESTS_NBD_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct nbd_server {
	char *folder;		/* with socket, pid file and image */
	char *uri;
	char *image;		/* the file behind it */
	char *arguments;	/* of nbdkit, for the shell */
	pid_t pid;		/* 0: it is not running */
};

/* FALSE: there is no nbdkit. */
bool nbd_server_is_there(void);
/* `arguments` behind the plugin, which is "file" unless they begin with "eval". Aborts
 * when it does not start. */
void nbd_server_start(struct nbd_server *server, uint64_t bytes, const char *arguments);
void nbd_server_restart(struct nbd_server *server);
void nbd_server_kill(struct nbd_server *server);
/* SIGSTOP; returns when none of its threads runs any more. And SIGCONT. */
void nbd_server_freeze(struct nbd_server *server);
void nbd_server_thaw(struct nbd_server *server);
/* Starts it again where it has died by itself: nbdkit 1.32 may fail an assertion of its own
 * when it was cut off in mid-sentence. */
void nbd_server_look_after(struct nbd_server *server);
/* Kills it and removes all. */
void nbd_server_end(struct nbd_server *server);

#endif
