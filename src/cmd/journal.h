/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages with fields to systemd's journal, of who must never wait for it: the journal
 * may have its files on the very mount that we serve. (GLib's and systemd's own ways to
 * it wait while its socket is full.)
 */
#ifndef WB_CMD_JOURNAL_H
#define WB_CMD_JOURNAL_H

#include <stddef.h>

struct wb_journal_field {
	const char *key, *value;	/* no value: the field is left out */
};

enum wb_journal_answer {
	WB_JOURNAL_TAKEN,
	WB_JOURNAL_FULL,	/* there is one, and it does not take it now */
	WB_JOURNAL_NONE,
};

/* Any thread. The protocol: systemd.io/JOURNAL_NATIVE_PROTOCOL. */
enum wb_journal_answer wb_journal_send(const struct wb_journal_field *fields, size_t count);

#endif
