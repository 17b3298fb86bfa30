/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `wbfs resize CACHE`: an unmounted cache of another size, with all that it holds. The
 * new one is made beside the old one and takes its name in one step, or goes where
 * --to says. cache/move.h says why either may be killed at any moment.
 */
#ifndef WB_CMD_CACHE_RESIZE_H
#define WB_CMD_CACHE_RESIZE_H

#include "cmd/options.h"

int wb_cache_resize(const struct wb_options *options);

#endif
