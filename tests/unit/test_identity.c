/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "cmd/identity.h"
#include "cmd/state_directory.h"

static const uint8_t uuid[16] = { 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0x4e, 0xf0,
				  0x81, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };
#define UUID_TEXT "12345678-9abc-4ef0-8123-456789abcdef"

Test(identity, of_a_file_is_its_uuid_and_the_path_of_its_cache)
{
	struct wb_identity identity = { .cache_path = "/ssd/cache" }, again = { 0 };
	char *text;

	memcpy(identity.uuid, uuid, 16);
	text = wb_identity_format(&identity);
	cr_assert_str_eq(text, UUID_TEXT "\n/ssd/cache\nepoch=0 dirty=no complete=0\n");
	cr_assert(wb_identity_parse(text, &again));
	cr_assert_arr_eq(again.uuid, uuid, 16);
	cr_assert_str_eq(again.cache_path, "/ssd/cache");
	wb_identity_clear(&again);
	g_free(text);
}

Test(identity, says_at_which_epoch_the_cache_is_and_whether_it_is_needed)
{
	struct wb_identity identity = { .epoch = 12, .is_dirty = true,
					.complete_time_s = INT64_C(1790000000) }, again = { 0 };
	char *state = wb_identity_format_state(&identity), *text = wb_identity_format(&identity);

	cr_assert_str_eq(state, "epoch=12 dirty=yes complete=1790000000");
	cr_assert(wb_identity_parse(text, &again));
	cr_assert_eq(again.epoch, 12);
	cr_assert(again.is_dirty);
	cr_assert_eq(again.complete_time_s, INT64_C(1790000000));
	g_free(state);
	g_free(text);
}

Test(identity, of_an_older_version_has_no_state)
{
	struct wb_identity identity = { .epoch = 1, .is_dirty = true, .complete_time_s = 1 };

	cr_assert(wb_identity_parse(UUID_TEXT "\n/ssd/cache\n", &identity));
	cr_assert_eq(identity.epoch, 0);
	cr_assert_not(identity.is_dirty);
	cr_assert_eq(identity.complete_time_s, 0);
	wb_identity_clear(&identity);
}

Test(identity, may_have_words_of_a_later_version_in_its_state)
{
	struct wb_identity identity = { 0 };

	cr_assert(wb_identity_parse_state("colour=red epoch=3 dirty=no later", &identity));
	cr_assert_eq(identity.epoch, 3);
}

Test(identity, with_a_state_of_nonsense_is_refused)
{
	static const char *const bad[] = { "epoch=", "epoch=-1", "epoch=x", "dirty=perhaps",
					   "complete=-1", "epoch=99999999999999999999" };
	struct wb_identity identity = { .epoch = 7 };

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		cr_assert_not(wb_identity_parse_state(bad[i], &identity), "\"%s\" was taken",
			      bad[i]);
	cr_assert_eq(identity.epoch, 7);
}

Test(identity, may_lack_the_path)
{
	struct wb_identity identity = { 0 };

	cr_assert(wb_identity_parse(UUID_TEXT, &identity));
	cr_assert_null(identity.cache_path);
	cr_assert(wb_identity_parse(UUID_TEXT "\n\n", &identity));
	cr_assert_null(identity.cache_path);
}

Test(identity, that_does_not_begin_with_a_uuid_is_refused)
{
	static const char *const bad[] = {
		"", "\n" UUID_TEXT, UUID_TEXT "x", " " UUID_TEXT,
		"12345678-9abc-4ef0-8123-456789abcde",
		"12345678-9abc-4ef0-8123-456789abcdeg",
		"123456789-abc-4ef0-8123-456789abcdef",
		"1234567-89abc-4ef0-8123-456789abcdef",
		"123456789abc4ef08123456789abcdef0000",
		"------------------------------------",
	};
	struct wb_identity identity = { 0 };

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		cr_assert_not(wb_identity_parse(bad[i], &identity), "\"%s\" was taken", bad[i]);
}

Test(identity, of_a_device_has_a_file_name_without_slashes)
{
	char *name = wb_state_file_name("/dev/mapper/a b");

	cr_assert_str_eq(name, "dev-mapper-a b");
	g_free(name);
}
