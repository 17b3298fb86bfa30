/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/mutant.h"

#ifdef WB_MUTANTS

#include <stdlib.h>

const char *wb_mutant;

static void __attribute__((constructor)) read_environment(void)
{
	wb_mutant = getenv("WB_MUTANT");
}

#endif
