/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known about a mount and never changes: for stats.json. Plain data;
 * strings belong to whoever mounts and outlive the front end. */
#ifndef WB_FRONTEND_MOUNT_FACTS_H
#define WB_FRONTEND_MOUNT_FACTS_H

#include <stdbool.h>
#include <stdint.h>

struct wb_disk_facts {
	const char *path;		/* "": there is none */
	bool is_block_device;
	bool is_remote;			/* the export of an NBD server */
	bool is_direct;			/* O_DIRECT; else through the page cache */
	const char *buffered_reason;	/* NULL when is_direct */
	uint64_t size_bytes;
	uint32_t alignment_bytes;
};

/* The keeper of a worker, as it is at some moment. */
struct wb_keeper_facts {
	int pid;			/* 0: there is none */
	unsigned version;		/* of what it and its workers have in common */
	const char *refusal;		/* why no other worker can take over; "": it can */
	uint64_t restarts;
	char last_cause[80];		/* what became of the last worker that died; "" */
	int64_t last_pause_ns, longest_pause_ns, all_pauses_ns;
	uint64_t upgrades_asked, upgrades_done, upgrades_failed;
	char upgrade_problem[256];	/* of the last that failed; "" */
};

struct wb_mount_facts {
	const char *version;
	const char *mount_point;
	int worker_pid;
	struct wb_disk_facts cache, backing;
	uint64_t ram_buffer_bytes;
	const char *transport;		/* "classic" or "io_uring" */
	const char *transport_reason;	/* why it is not the one asked for, or NULL */
	bool is_read_only;		/* the image */
	bool memory_locked;		/* mlockall() succeeded */
	bool io_flusher;		/* PR_SET_IO_FLUSHER succeeded */
	bool oom_protected;		/* oom_score_adj could be lowered */
	/* NULL: nobody keeps this worker. Any thread. */
	void (*describe_keeper)(void *arg, struct wb_keeper_facts *facts);
	void *keeper;
};

#endif
