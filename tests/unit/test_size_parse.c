/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "cmd/size_parse.h"

static uint64_t parsed(const char *text)
{
	uint64_t bytes = 0;

	cr_assert(wb_size_parse(text, &bytes), "\"%s\" was refused", text);
	return bytes;
}

Test(size_parse, takes_plain_bytes_and_the_four_letters_in_either_case)
{
	cr_assert_eq(parsed("0"), 0);
	cr_assert_eq(parsed("512"), 512);
	cr_assert_eq(parsed("3K"), 3 << 10);
	cr_assert_eq(parsed("64M"), 64 << 20);
	cr_assert_eq(parsed("20g"), UINT64_C(20) << 30);
	cr_assert_eq(parsed("1T"), UINT64_C(1) << 40);
}

Test(size_parse, refuses_what_is_no_size)
{
	static const char *const bad[] = { "", "K", "-1", "+1", " 1", "1 ", "1.5G", "1KB", "1KiB",
					   "0x10", "1P", "1@", "one", "1\n" };
	uint64_t bytes;

	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_not(wb_size_parse(bad[i], &bytes), "\"%s\" was taken", bad[i]);
}

Test(size_parse, refuses_what_does_not_fit_63_bits_instead_of_wrapping)
{
	uint64_t bytes;

	cr_assert_eq(parsed("9223372036854775807"), INT64_MAX);
	cr_assert_not(wb_size_parse("9223372036854775808", &bytes));
	cr_assert_not(wb_size_parse("18446744073709551616", &bytes));
	cr_assert_eq(parsed("8388607T"), UINT64_C(8388607) << 40);
	cr_assert_not(wb_size_parse("8388608T", &bytes));
	cr_assert_not(wb_size_parse("16777217T", &bytes));
}

Test(size_parse, is_shown_with_the_largest_unit_that_fits)
{
	char text[WB_SIZE_TEXT_BYTES];

	cr_assert_str_eq(wb_size_format(0, text), "0 B");
	cr_assert_str_eq(wb_size_format(1023, text), "1023 B");
	cr_assert_str_eq(wb_size_format(1536, text), "1.5 KiB");
	cr_assert_str_eq(wb_size_format(UINT64_C(64) << 20, text), "64 MiB");
	cr_assert_str_eq(wb_size_format((UINT64_C(1) << 30) - 1, text), "1023.9 MiB");
	cr_assert_str_eq(wb_size_format(UINT64_MAX, text), "15.9 EiB");
}
