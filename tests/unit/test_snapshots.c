/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "frontend/snapshots.h"

static GBytes *text(const char *words)
{
	return g_bytes_new(words, strlen(words));
}

Test(snapshots, a_number_finds_its_text_until_it_is_removed)
{
	struct wb_snapshots *snapshots = wb_snapshots_new(1);
	uint64_t first = wb_snapshots_add(snapshots, text("first"));
	uint64_t second = wb_snapshots_add(snapshots, text("second"));
	g_autoptr(GBytes) found = wb_snapshots_get(snapshots, first);

	cr_assert_neq(first, second);
	cr_assert(found);
	cr_expect_eq(g_bytes_get_size(found), strlen("first"));
	wb_snapshots_remove(snapshots, first);
	cr_expect_null(wb_snapshots_get(snapshots, first));
	wb_snapshots_free(snapshots);
}

Test(snapshots, a_number_says_how_long_its_text_was)
{
	struct wb_snapshots *snapshots = wb_snapshots_new(UINT16_MAX);
	g_autofree char *much = g_strnfill(17 << 20, 'x');
	uint64_t first = wb_snapshots_add(snapshots, text("first"));
	uint64_t second = wb_snapshots_add(snapshots, text(much));

	cr_expect_eq(wb_snapshots_length(first), strlen("first"));
	cr_expect_eq(wb_snapshots_length(second), (1 << 24) - 1);
	cr_expect_neq(first >> 24, second >> 24);
	wb_snapshots_free(snapshots);
}

Test(snapshots, a_number_of_an_earlier_worker_is_unknown_and_can_be_renewed)
{
	struct wb_snapshots *old = wb_snapshots_new(1), *new = wb_snapshots_new(2);
	uint64_t id = wb_snapshots_add(old, text("old"));
	g_autoptr(GBytes) found = NULL;

	wb_snapshots_add(new, text("some"));
	cr_expect_null(wb_snapshots_get(new, id));
	wb_snapshots_renew(new, id, text("renewed"));
	found = wb_snapshots_get(new, id);
	cr_assert(found);
	cr_expect_eq(g_bytes_get_size(found), strlen("renewed"));
	wb_snapshots_free(old);
	wb_snapshots_free(new);
}
