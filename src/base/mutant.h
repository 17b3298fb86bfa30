/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mutants: deliberate faults, one for each rule that keeps data safe, so that
 * the tests can show that they notice. WB_MUTANT(name) is the constant false but
 * in a build that was configured with --enable-mutants; there it is true while
 * that name is chosen, by the environment variable WB_MUTANT or by a test.
 * tests/mutants/TABLE.md says which rule each one breaks.
 */
#ifndef WB_BASE_MUTANT_H
#define WB_BASE_MUTANT_H

#ifdef WB_MUTANTS

#include <stdbool.h>
#include <string.h>

extern const char *wb_mutant;	/* NULL: the program as it is */

#define WB_MUTANT(name) (wb_mutant && strcmp(wb_mutant, #name) == 0)

#else

#define WB_MUTANT(name) 0

#endif

#endif
