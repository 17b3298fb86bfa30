/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The large pieces of memory: zeros, brought in at once so that the data path
 * never waits for a page, and in huge pages where the system has any. That saves
 * misses of the TLB, and a disk that takes few pieces of memory in one request
 * can then take whole segments. Start-up only.
 */
#ifndef WB_BASE_MEMORY_H
#define WB_BASE_MEMORY_H

#include <stddef.h>

/* For who has no time now: what is mapped from here on is brought in as it is touched,
 * and all of it when the process locks its memory. Before there are threads. */
void wb_memory_bring_in_late(void);
/* No child has it, and no fork makes its pages such that the first write to each is a page
 * fault. Whole pages. */
void wb_memory_keep_from_children(void *memory, size_t bytes);
/* What must not come late all the same: whole pages, their contents stay. */
void wb_memory_bring_in(void *memory, size_t bytes);

/* NULL and errno. */
void *wb_memory_map(size_t bytes);
/* The first `bytes` of a memfd that is as long; another process can map it too. */
void *wb_memory_map_shared(int fd, size_t bytes);
void wb_memory_unmap(void *memory, size_t bytes);

/*
 * Memory for a while, not only at start-up: of what the machine has to spare. NULL when
 * others need it more, and nothing may depend on getting any; what is got never waits for
 * a page. Goes back with wb_memory_unmap().
 */
void *wb_memory_borrow(size_t bytes);

#endif
