/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of all disks of one server: test_disk.c serves them through FUSE,
 * test_disk_control.c does to them what the socket says.
 */
#ifndef WB_TESTS_TEST_DISK_H
#define WB_TESTS_TEST_DISK_H

#include <pthread.h>
#include <stdio.h>

#include "test_disk_faults.h"
#include "test_disk_medium.h"

#define WB_TEST_DISKS_MAX 4u
#define WB_TEST_DISK_WORDS_MAX 24u

struct wb_test_disk {
	const char *name;
	struct wb_medium *medium;
	struct wb_faults faults;
	bool lies, forgets;
	uint64_t reads, writes, flushes, zeros;
	uint64_t held;		/* operations that wait to be let go on */
	uint64_t times_released;
};

struct wb_test_disks {
	/* constant after start */
	unsigned count;

	pthread_mutex_t lock;
	pthread_cond_t released;
	/* under lock */
	struct wb_test_disk disks[WB_TEST_DISKS_MAX];
	bool is_off;
	uint64_t era;		/* counts the power cuts; every handle has its own */
	uint64_t cut_at;	/* that many more changes and flushes; 0: no cut */
	uint64_t cut_seed;
	enum wb_medium_cut cut_how;
	pid_t killed;		/* the last one */
};

extern struct wb_test_disks wb_test_disks;

/* NULL: there is none. */
struct wb_test_disk *wb_test_disk_of_name(const char *name);
/* The power goes. What survives is drawn here, and seen when it is back. */
void wb_test_disks_cut_locked(uint64_t seed, enum wb_medium_cut how);
/* Does what the words say, and writes "ok ..." or what is wrong. */
void wb_test_disks_answer(char **words, FILE *out);

#endif
