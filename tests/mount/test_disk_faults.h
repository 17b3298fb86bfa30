/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which operation on a file of the test's disk fails or is late: a short list
 * of rules. A rule is for some kinds of operation, perhaps a range of bytes,
 * from its n-th match on, for a number of times or until it is taken away. Late
 * is a number of milliseconds, or WB_FAULT_HELD: until somebody lets it go on.
 *
 * Not thread-safe: the caller holds its lock round every call.
 */
#ifndef WB_TESTS_TEST_DISK_FAULTS_H
#define WB_TESTS_TEST_DISK_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

enum wb_fault_op {
	WB_FAULT_READ = 1,
	WB_FAULT_WRITE = 2,
	WB_FAULT_FLUSH = 4,
	WB_FAULT_ZERO = 8,		/* punch, zero range */
};

#define WB_FAULTS_MAX 16u
#define WB_FAULT_HELD UINT32_MAX	/* as a delay */

struct wb_fault {
	unsigned ops;
	int error;			/* -errno, or 0 for a delay alone */
	uint64_t start_bytes, length_bytes;	/* length 0: anywhere */
	uint64_t nth;			/* the first match that counts, from 1 */
	uint64_t times;			/* 0: for ever */
	unsigned delay_ms;
	uint64_t matched, fired;
};

struct wb_faults {
	struct wb_fault rules[WB_FAULTS_MAX];
	unsigned count;
};

/* False when the list is full. */
bool wb_faults_add(struct wb_faults *faults, const struct wb_fault *rule);
void wb_faults_clear(struct wb_faults *faults);

/* What is to happen to one operation: 0 or -errno, and *delay_ms before it. */
int wb_faults_judge(struct wb_faults *faults, enum wb_fault_op op, uint64_t offset_bytes,
		    uint64_t length_bytes, unsigned *delay_ms);

uint64_t wb_faults_fired(const struct wb_faults *faults);

/*
 * From words: OP[,OP]... ERROR [from BYTE] [length BYTES] [nth N] [times N]
 * [delay MS|held], where ERROR is EIO, ENOSPC or none. NULL, or what is wrong.
 */
const char *wb_fault_parse(struct wb_fault *rule, char **words);

#endif
