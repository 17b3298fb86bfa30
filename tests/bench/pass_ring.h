/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a daemon can reach that hands reads on to a disk and does nothing else: no map, no
 * checksum, no statistics. Each thread has a ring, begins what it has received, and takes
 * the completions itself while it waits for the next request.
 */
#ifndef WB_BENCH_PASS_RING_H
#define WB_BENCH_PASS_RING_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <stdint.h>

/* The file behind all rings; byte 0 of the disk is byte `offset` of it. */
void wb_pass_open(const char *path, uint64_t offset);

/* On the thread that received it. */
void wb_pass_read(fuse_req_t req, size_t size, off_t offset);

/* Hooks of daemon.h. */
void wb_pass_begin(void);
void wb_pass_received(void);
void wb_pass_idle(int session_fd);

#endif
