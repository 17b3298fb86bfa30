/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a daemon can reach that hands reads on to a disk and does nothing else: no map, no
 * checksum, no statistics. Each thread has a ring, begins what it has received, and takes
 * the completions itself while it waits for the next request.
 */
#ifndef WB_BENCH_PASS_RING_H
#define WB_BENCH_PASS_RING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The file behind all rings; byte 0 of the disk is byte `offset` of it. */
void wb_pass_open(const char *path, uint64_t offset);

/* On the thread that received it, with the kernel's number of it. */
void wb_pass_read(uint64_t unique, size_t size, off_t offset);

/* Hooks of daemon.h. */
void wb_pass_begin(void);
void wb_pass_received(void);
void wb_pass_idle(int session_fd);

#endif
