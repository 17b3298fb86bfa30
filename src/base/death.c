/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/death.h"

#if defined WB_CHECKS || defined WB_MUTANTS

#include <stddef.h>

void (*wb_death_hook)(void);

#endif
