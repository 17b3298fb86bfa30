/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What power cuts alone do not lead to: rot, halves of a mirror that went
 * separate ways, entries that a later program writes. Each takes a seed and
 * returns what there is to object to (to be freed), or NULL.
 */
#ifndef WB_TESTS_SCENARIOS_H
#define WB_TESTS_SCENARIOS_H

#include <stdint.h>

/* Bits turn in clean and dirty blocks: clean ones are read from the backing,
 * dirty ones give EIO, and neither ever shows or reaches the backing (P6). */
char *scenario_rot(uint64_t seed);
/* A mirror under the cache disk resumes from halves that both went on from the
 * same state: refused, or the prefix of the one log or of the other (P3). */
char *scenario_mirror(uint64_t seed);
/* A BYPASS entry over pending discards: the backing has what is newer (P7). */
char *scenario_bypass(uint64_t seed);
/* Bits turn in the checkpoint of a clean stop: the log is there all the same (P1). */
char *scenario_checkpoint(uint64_t seed);
/* A cache is moved to one of another size, and the power goes meanwhile: what is left
 * is no cache, or holds all (P2). */
char *scenario_move(uint64_t seed);
/* Hours of small writes with a schedule: how often the backing's disk is disturbed. */
char *scenario_rest(uint64_t seed);

#endif
