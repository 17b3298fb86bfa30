/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "base/checksum.h"

/* RFC 3720, appendix B.4 */
Test(checksum, of_32_zero_bytes_is_that_of_the_rfc)
{
	uint8_t data[32] = { 0 };

	cr_assert_eq(wb_crc32c(data, sizeof data), 0x8a9136aau);
}

Test(checksum, of_32_ff_bytes_is_that_of_the_rfc)
{
	uint8_t data[32];

	memset(data, 0xff, sizeof data);
	cr_assert_eq(wb_crc32c(data, sizeof data), 0x62a8ab43u);
}

Test(checksum, of_rising_and_falling_bytes_is_that_of_the_rfc)
{
	uint8_t up[32], down[32];

	for (unsigned i = 0; i < 32; i++) {
		up[i] = (uint8_t)i;
		down[i] = (uint8_t)(31 - i);
	}
	cr_assert_eq(wb_crc32c(up, sizeof up), 0x46dd794eu);
	cr_assert_eq(wb_crc32c(down, sizeof down), 0x113fdb5cu);
}

Test(checksum, of_the_digits_is_the_check_value_of_crc32c)
{
	cr_assert_eq(wb_crc32c("123456789", 9), 0xe3069283u);
}

Test(checksum, of_nothing_is_zero)
{
	cr_assert_eq(wb_crc32c("", 0), 0);
	cr_assert_eq(wb_crc32c_extend(0x12345678u, "", 0), 0x12345678u);
}

/* Bit by bit, from the polynomial. */
static uint32_t slow_crc32c(const uint8_t *data, size_t length_bytes)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < length_bytes; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) ? 0x82f63b78u : 0);
	}
	return ~crc;
}

Test(checksum, agrees_with_the_polynomial_at_every_length_and_alignment)
{
	uint8_t data[600];
	uint32_t seed = 1;

	for (size_t i = 0; i < sizeof data; i++) {
		seed = seed * 1664525u + 1013904223u;
		data[i] = (uint8_t)(seed >> 24);
	}
	for (size_t start = 0; start < 9; start++) {
		for (size_t n = 0; n + start <= sizeof data; n += 7)
			cr_assert_eq(wb_crc32c(data + start, n), slow_crc32c(data + start, n));
	}
}

Test(checksum, extends_to_the_same_value_wherever_the_data_is_cut)
{
	uint8_t data[97];
	uint32_t whole;

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 31 + 7);
	whole = wb_crc32c(data, sizeof data);
	for (size_t cut = 0; cut <= sizeof data; cut++) {
		uint32_t crc = wb_crc32c(data, cut);

		cr_assert_eq(wb_crc32c_extend(crc, data + cut, sizeof data - cut), whole);
	}
}
