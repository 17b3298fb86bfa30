/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages between a keeper and its worker, each with a text and perhaps a descriptor.
 * An end of the link is the death of the other side. */
#ifndef WB_KEEPER_LINK_H
#define WB_KEEPER_LINK_H

#include <stdbool.h>

enum wb_link_kind {
	/* worker to keeper */
	WB_LINK_MOUNTED = 'M',		/* with the descriptor of the session */
	WB_LINK_CLONED = 'C',		/* with its second one */
	WB_LINK_SERVING = 'S',
	WB_LINK_NOTIFY = 'N',		/* the text is for the service manager */
	WB_LINK_UPGRADE = 'U',		/* the text is the path of a program, "": the same one */
	WB_LINK_BUSY = 'B',		/* cannot hand over now; the text says why */
	/* keeper to worker */
	WB_LINK_HAND_OVER = 'H',
};

#define WB_LINK_TEXT_BYTES 4200u	/* a path, and lines for the manager */

struct wb_link_message {
	char kind;
	char text[WB_LINK_TEXT_BYTES];
};

/* Close-on-exec; FALSE and errno. */
bool wb_link_make(int ends[2]);
/* `passed_fd` or -1; it stays the caller's. FALSE and errno: the other side is gone. */
bool wb_link_send(int fd, enum wb_link_kind kind, const char *text, int passed_fd);
/* FALSE at the end. *passed_fd is the caller's, or -1. Waits for a message. */
bool wb_link_receive(int fd, struct wb_link_message *message, int *passed_fd);

#endif
