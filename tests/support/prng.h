/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random numbers that a seed repeats exactly, on every machine: splitmix64
 * (Steele, Lea and Flood, 2014). For tests only.
 */
#ifndef WB_TESTS_PRNG_H
#define WB_TESTS_PRNG_H

#include <stdint.h>

struct wb_prng {
	uint64_t state;
};

static inline void wb_prng_init(struct wb_prng *prng, uint64_t seed)
{
	prng->state = seed;
}

static inline uint64_t wb_prng_next(struct wb_prng *prng)
{
	uint64_t z = (prng->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 .. limit - 1; the bias of the remainder does not matter to a test. */
static inline uint64_t wb_prng_below(struct wb_prng *prng, uint64_t limit)
{
	return wb_prng_next(prng) % limit;
}

#endif
