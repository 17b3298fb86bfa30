/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keeper's own lock on a disk, which keeps others away from it while there is no
 * worker: of another kind than flock, by which a worker learns that the I/O of the one
 * before has landed. One byte far behind every end, so that it is nobody else's.
 */
#ifndef WB_KEEPER_GUARD_H
#define WB_KEEPER_GUARD_H

#include <stdbool.h>

/* The descriptor that holds it, or -1 and errno: EAGAIN when somebody has it. */
int wb_guard_take(const char *path, bool is_read_only);
/* Would it be refused, to whoever has `fd` open? */
bool wb_guard_is_held(int fd, bool is_read_only);

#endif
