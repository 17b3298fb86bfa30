/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of MOUNTPOINT/.wbfs, one table: name, mode, what reading shows,
 * what writing does; and those of MOUNTPOINT/.wbfs/tunables, made of the table in
 * cache/tunables. The commands use these files and no other protocol;
 * wbfs-control(7) describes them. Any thread.
 */
#ifndef WB_FRONTEND_CONTROL_FILES_H
#define WB_FRONTEND_CONTROL_FILES_H

#include <glib.h>
#include <sys/types.h>

#include "cache/cache.h"
#include "frontend/mount_facts.h"

/* Who runs the mount, for what is not the cache's affair. All NULL: nobody. Any thread. */
struct wb_control_owner {
	/* Another program is to take over; 0 or -errno. */
	int (*upgrade)(void *arg, const char *program);
	void (*tunables_set)(void *arg);
	void *arg;
};

struct wb_control {
	struct wb_cache *cache;
	const struct wb_mount_facts *facts;
	struct wb_control_owner owner;
};

struct wb_control_file {
	const char *name;
	mode_t mode;
	/* Appends the whole content, one consistent snapshot; NULL = empty. */
	void (*show)(struct wb_control *control, GString *text);
	/* What one write(2) means: 0 or -errno; NULL = not writable. */
	int (*store)(struct wb_control *control, const char *text, size_t length);
};

extern const struct wb_control_file wb_control_files[];
extern const unsigned wb_control_file_count;

/* One file of either kind: one of the two is NULL. */
struct wb_control_node {
	const struct wb_control_file *file;
	const struct wb_tunable *tunable;
};

mode_t wb_control_node_mode(const struct wb_control_node *node);
/* Appends the content, as above. */
void wb_control_node_show(const struct wb_control_node *node, struct wb_control *control,
			  GString *text);
/* One write(2): 0 or -errno. What was wrong with it is in the events. */
int wb_control_node_store(const struct wb_control_node *node, struct wb_control *control,
			  const char *text, size_t length);

/* One of the two: what it does, alone or with a number of bytes behind it. */
struct wb_control_verb {
	const char *name;
	void (*start)(struct wb_cache *cache);
	void (*start_with_bytes)(struct wb_cache *cache, uint64_t bytes);
};
/* "flush\n", " drain", "resize 4096": one verb, blanks round it ignored, and what it
 * is to be given. NULL when there is no such verb, or it takes something else. */
const struct wb_control_verb *wb_control_find_verb(const char *text, size_t length,
						   uint64_t *bytes);
extern const struct wb_control_verb wb_control_verbs[];
extern const unsigned wb_control_verb_count;

#endif
