/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/cache_loss.h"

static void expect(const struct wb_identity *identity, const char *first, const char *second,
		   const char *never)
{
	char *text;

	setenv("TZ", "UTC", 1);
	tzset();
	text = wb_cache_loss_describe("/hdd/b", identity);
	cr_assert(strstr(text, first), "\"%s\" is not in: %s", first, text);
	cr_assert(strstr(text, second), "\"%s\" is not in: %s", second, text);
	cr_assert_not(strstr(text, never), "\"%s\" is in: %s", never, text);
	g_free(text);
}

Test(cache_loss, of_a_backing_that_was_drained_says_that_nothing_is_missing)
{
	expect(&(struct wb_identity){ .kind = WB_MARK_XATTR, .epoch = 3,
				      .complete_time_s = 1790000000 },
	       "Backing /hdd/b holds", "it is complete, nothing is missing", "NOT");
}

Test(cache_loss, of_a_dirty_one_says_since_when_writes_may_be_missing)
{
	expect(&(struct wb_identity){ .kind = WB_MARK_XATTR, .epoch = 3, .is_dirty = true,
				      .complete_time_s = 1790000000 },
	       "Writes since 2026-09-21 14:13:20 UTC may be missing.",
	       "address order, so this is NOT a consistent older state", "is complete");
}

Test(cache_loss, of_a_mark_without_a_date_or_a_state_does_not_promise_anything)
{
	expect(&(struct wb_identity){ .kind = WB_MARK_XATTR, .epoch = 3, .is_dirty = true },
	       "not known", "NOT a consistent", "is complete");
	expect(&(struct wb_identity){ .kind = WB_MARK_SIDECAR },
	       "not known", "NOT a consistent", "is complete");
	expect(&(struct wb_identity){ .kind = WB_MARK_NONE },
	       "carries no mark", "not known", "is complete");
}

Test(cache_loss, of_a_backing_that_was_used_alone_says_so)
{
	expect(&(struct wb_identity){ .kind = WB_MARK_XATTR, .is_dirty = true,
				      .epoch = WB_EPOCH_GIVEN_UP,
				      .complete_time_s = 1790000000 },
	       "Writes since 2026-09-21", "mounted without its cache, to be written to",
	       "is complete");
}
