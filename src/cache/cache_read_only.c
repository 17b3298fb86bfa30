/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cache that changes nothing on its disks: what recovery found, and no engine.
 * The log is there to be asked where it ends; nobody can get a place in it, as no
 * segment is ready and there are no RAM buffers. So there is nothing to flush, to
 * write back or to reclaim, and no thread but those of the disks and the executor.
 *
 * Nothing is rewritten either (see rewrite_unproven() in cache_open.c): what lies
 * behind the last claim of `durable` is shown, as any mount would show it, but a
 * power cut may still take it.
 */
#include "cache/cache_private.h"

#include <errno.h>

void wb_cache_make_read_only(struct wb_cache *cache, const struct wb_log_start *start)
{
	wb_cache_make_log(cache, start);
}

int wb_cache_refuse_verb(struct wb_cache *cache, const char *what)
{
	wb_message_set(&cache->message, "the volume is mounted read-only: %s", what);
	return -EROFS;
}
