/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/cache.h"

G_DEFINE_QUARK(wb-cache-error-quark, wb_cache_error)
