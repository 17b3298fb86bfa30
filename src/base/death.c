/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/death.h"

#ifdef WB_CHECKS

#include <stddef.h>

void (*wb_death_hook)(void);

#endif
