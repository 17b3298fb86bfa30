/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/size_parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BYTES_MAX ((uint64_t)INT64_MAX)

static bool unit_shift(const char *unit, unsigned *shift)
{
	static const char letters[] = "KMGT";
	const char *found;

	*shift = 0;
	if (!*unit)
		return true;
	if (unit[1])
		return false;
	found = strchr(letters, unit[0] & ~0x20);
	if (!found || !*found)
		return false;
	*shift = 10 * (unsigned)(found - letters + 1);
	return true;
}

bool wb_size_parse(const char *text, uint64_t *bytes)
{
	uint64_t n = 0;
	unsigned shift;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		unsigned digit = (unsigned)(*p - '0');

		if (n > (BYTES_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	if (p == text || !unit_shift(p, &shift) || n > BYTES_MAX >> shift)
		return false;
	*bytes = n << shift;
	return true;
}

const char *wb_size_format(uint64_t bytes, char text[WB_SIZE_TEXT_BYTES])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned unit = 0;
	uint64_t whole = bytes, rest = 0, tenth;

	while (whole >= 1024) {
		rest = whole % 1024;
		whole /= 1024;
		unit++;
	}
	tenth = rest * 10 / 1024;
	if (tenth)
		snprintf(text, WB_SIZE_TEXT_BYTES, "%" PRIu64 ".%u %s", whole, (unsigned)tenth,
			 units[unit]);
	else
		snprintf(text, WB_SIZE_TEXT_BYTES, "%" PRIu64 " %s", whole, units[unit]);
	return text;
}
