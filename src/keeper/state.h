/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a keeper and its workers share: one small mapping, the numbers of the
 * descriptors that a new worker finds open, and the messages between them.
 *
 * The mapping outlives every worker, and a worker can die at any instruction: it has
 * no pointers and no locks, each member is written by one side only and is true by
 * itself. Nothing is ever taken away from it or moved while WB_KEEPER_VERSION stays:
 * after an upgrade a keeper of one program has workers of another.
 */
#ifndef WB_KEEPER_STATE_H
#define WB_KEEPER_STATE_H

#include <stdint.h>

#define WB_KEEPER_VERSION 1u

/* In the environment of a worker: "VERSION ROLE". */
#define WB_KEPT_VARIABLE "WBFS_KEPT"
#define WB_KEPT_ROLE_FIRST "first"	/* it mounts */
#define WB_KEPT_ROLE_NEXT "next"	/* it takes over */
#define WB_KEPT_ROLE_PROBE "probe"	/* it only says what it is, see program.h */

enum wb_kept_fd {
	WB_KEPT_FD_LINK = 3,	/* SOCK_SEQPACKET, to the keeper */
	WB_KEPT_FD_STATE,	/* memfd: struct wb_keeper_state */
	WB_KEPT_FD_MEMORY,	/* memfd: RAM buffers; empty for the first worker */
	WB_KEPT_FD_FUSE,	/* the session; only of a NEXT */
	WB_KEPT_FD_CLONE,	/* its second descriptor, if there is one; likewise */
	WB_KEPT_FD_REPORT,	/* a pipe to who asked for the mount; only of a FIRST, if any */
	WB_KEPT_FD_END
};

/* How far a worker has come. */
enum wb_kept_phase {
	WB_KEPT_STARTING,
	WB_KEPT_SERVING,
	WB_KEPT_HANDED_OVER,	/* it exits, and nothing of the mount is lost: the next one, please */
	WB_KEPT_ENDED,		/* its exit is the end of the mount */
};

/* Why no worker can follow this one, should it die. */
enum wb_kept_refusal {
	WB_KEPT_CAN_FOLLOW,
	WB_KEPT_OLD_KERNEL,	/* it does not send again what was not answered */
	WB_KEPT_IO_URING,	/* nor does it over io_uring */
};

#define WB_KEEPER_PROBLEM_BYTES 240u
#define WB_KEPT_AREA_BYTES (32u << 10)

struct wb_keeper_state {
	/* constant after start */
	uint32_t version;
	int32_t keeper_pid;

	/* atomic, written by the keeper */
	_Atomic uint32_t has_locks;	/* no other keeper has one of the disks */
	_Atomic uint32_t died;		/* the worker before did, rather than hand over */
	_Atomic int32_t last_status;	/* of the last worker that died, as waitpid() has it */
	_Atomic uint64_t restarts;	/* workers that came after one that died */
	_Atomic int64_t gone_ns;	/* CLOCK_MONOTONIC when one that served was seen to be gone */
	_Atomic uint64_t upgrades_asked, upgrades_done, upgrades_failed;
	char upgrade_problem[WB_KEEPER_PROBLEM_BYTES];	/* ends with a zero at any time */

	/* atomic, written by the worker; the keeper only clears the first three */
	_Atomic uint32_t phase;
	_Atomic uint32_t has_answered;	/* a request for the image */
	_Atomic uint32_t refusal;
	_Atomic int64_t last_pause_ns, longest_pause_ns, all_pauses_ns;

	/* What workers leave to the next one; the keeper does not look into it. */
	_Alignas(64) uint8_t area[WB_KEPT_AREA_BYTES];
};

#endif
