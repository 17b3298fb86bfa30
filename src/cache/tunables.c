/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/tunables.h"

#include <string.h>

#include "cache/limits.h"

#define WB_RANGE_BYTES_MAX (UINT64_C(1) << 60)
#define FIELD(name) #name, .offset = offsetof(struct wb_tunables, name)

static const char *const cache_modes[] = { "writeback", "writethrough", "writearound", NULL };
static const char *const rotational[] = { "auto", "on", "off", NULL };
static const char *const writeback_orders[] = { "sweep", "segments", NULL };

const struct wb_tunable wb_tunables_table[] = {
	{ FIELD(cache_mode), .type = WB_TUNABLE_CHOICE, .argument = "MODE",
	  .choices = cache_modes,
	  .summary = "writeback, writethrough or writearound" },
	{ FIELD(allow_writeback), .type = WB_TUNABLE_ON_OFF, .argument = "on|off",
	  .summary = "write back while there is space left" },
	{ FIELD(writeback_modulator), .type = WB_TUNABLE_ON_OFF, .argument = "on|off",
	  .summary = "write back only while others leave the backing's disk time" },
	{ FIELD(writeback_threshold), .type = WB_TUNABLE_NUMBER, .argument = "PERCENT",
	  .unit = "percent", .maximum = 100,
	  .summary = "above that, others are busy for writeback_modulator" },
	{ FIELD(writeback_schedule), .type = WB_TUNABLE_SCHEDULE, .argument = "TIMES",
	  .summary = "when to write back: always, never, 02:00-05:00, every 4h, or several" },
	{ FIELD(writeback_idle_s), .type = WB_TUNABLE_NUMBER, .argument = "SECONDS",
	  .unit = "seconds", .maximum = 86400,
	  .summary = "write back only when nobody has used the volume for that long" },
	{ FIELD(writeback_high_water), .type = WB_TUNABLE_NUMBER, .argument = "PERCENT",
	  .unit = "percent", .minimum = 1, .maximum = WB_DIRTY_HIGH_PERCENT_MAX,
	  .summary = "of the cache; when more is not written back, it is in any case" },
	{ FIELD(writeback_batch), .type = WB_TUNABLE_NUMBER, .argument = "MIB",
	  .unit = "MiB", .minimum = 1, .maximum = 256,
	  .summary = "data on its way to the backing at a time; it takes that much memory" },
	{ FIELD(writeback_order), .type = WB_TUNABLE_CHOICE, .argument = "ORDER",
	  .choices = writeback_orders,
	  .summary = "sweep, over all that is dirty, or segments, the oldest first" },
	{ FIELD(bypass_threshold), .type = WB_TUNABLE_NUMBER, .argument = "KIB",
	  .unit = "KiB", .maximum = 1u << 30,
	  .summary = "sequential writes beyond so many KiB go around the cache; 0 = none does" },
	{ FIELD(read_latency_target_ms), .type = WB_TUNABLE_NUMBER, .argument = "MS",
	  .unit = "milliseconds", .maximum = 10000,
	  .summary = "writeback gives way so that reads of the backing take no longer; 0 = never" },
	{ FIELD(slow_writes_percent), .type = WB_TUNABLE_NUMBER, .argument = "PERCENT",
	  .unit = "percent", .maximum = 99,
	  .summary = "slow writers down while more is not written back; 0 = never" },
	{ FIELD(writeback_gap), .type = WB_TUNABLE_NUMBER, .argument = "KIB",
	  .unit = "KiB", .maximum = 4096,
	  .summary = "longest gap that is written over where that is faster; 0 = none" },
	{ FIELD(backing_rotational), .type = WB_TUNABLE_CHOICE, .argument = "auto|on|off",
	  .choices = rotational,
	  .summary = "whether the backing's disk turns" },
	{ FIELD(sync_interval_s), .type = WB_TUNABLE_NUMBER, .argument = "SECONDS",
	  .unit = "seconds", .maximum = 86400,
	  .summary = "make data durable that is older; 0 = never" },
	{ FIELD(barrier_deadline_ms), .type = WB_TUNABLE_NUMBER, .argument = "MS",
	  .unit = "milliseconds", .maximum = 1000,
	  .summary = "an O_DSYNC write waits so long for others to share a flush" },
	{ FIELD(superblock_interval_s), .type = WB_TUNABLE_NUMBER, .argument = "SECONDS",
	  .unit = "seconds", .maximum = 86400,
	  .summary = "record how far writeback has come, when it moved; 0 = never" },
	{ FIELD(scrub_rate_mib_s), .type = WB_TUNABLE_NUMBER, .argument = "MIB",
	  .unit = "MiB a second", .maximum = 1u << 20,
	  .summary = "MiB a second that a scrub reads at most; 0 = no limit" },
	{ FIELD(read_cache), .type = WB_TUNABLE_ON_OFF, .argument = "on|off",
	  .summary = "keep what is read from the backing in the cache, if it is worth that" },
	{ FIELD(read_bypass_threshold), .type = WB_TUNABLE_NUMBER, .argument = "KIB",
	  .unit = "KiB", .maximum = 1u << 30,
	  .summary = "sequential reads longer than that are not kept; 0 = all are" },
	{ FIELD(fill_budget), .type = WB_TUNABLE_NUMBER, .argument = "MIB",
	  .unit = "MiB a day", .maximum = 1u << 30,
	  .summary = "MiB a day that are written to the SSD to keep reads; 0 = no limit" },
	{ FIELD(pin), .type = WB_TUNABLE_RANGE, .argument = "START-END",
	  .summary = "a range of the image whose reads are always kept; none" },
	{ FIELD(discard_cache), .type = WB_TUNABLE_ON_OFF, .argument = "on|off",
	  .summary = "discard on the cache's disk what the cache does not need any more" },
	{ FIELD(discard_rate_mib_s), .type = WB_TUNABLE_NUMBER, .argument = "MIB",
	  .unit = "MiB a second", .maximum = 1u << 20,
	  .summary = "MiB a second that are discarded at most; 0 = no limit" },
	{ FIELD(backing_timeout_s), .type = WB_TUNABLE_NUMBER, .argument = "SECONDS",
	  .unit = "seconds", .minimum = 1, .maximum = 86400,
	  .summary = "reads wait so long for a remote backing that cannot be reached" },
};
const unsigned wb_tunables_count = G_N_ELEMENTS(wb_tunables_table);

const struct wb_tunable *wb_tunable_find(const char *name)
{
	for (unsigned i = 0; i < wb_tunables_count; i++)
		if (!strcmp(wb_tunables_table[i].name, name))
			return &wb_tunables_table[i];
	return NULL;
}

static bool bad_value(GError **error, const char *name, const char *takes, const char *text)
{
	g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "'%s' takes %s, not '%s'",
		    name, takes, text);
	return false;
}

static bool parse_on_off(const struct wb_tunable *tunable, const char *text, bool *value,
			 GError **error)
{
	if (strcmp(text, "on") && strcmp(text, "off"))
		return bad_value(error, tunable->name, "'on' or 'off'", text);
	*value = !strcmp(text, "on");
	return true;
}

static bool parse_number(const struct wb_tunable *tunable, const char *text, uint32_t *value,
			 GError **error)
{
	g_autofree char *takes = NULL;
	guint64 number;

	if (g_ascii_string_to_unsigned(text, 10, tunable->minimum, tunable->maximum, &number,
				       NULL)) {
		*value = (uint32_t)number;
		return true;
	}
	takes = g_strdup_printf("a whole number%s%s from %u to %u", tunable->unit ? " of " : "",
				tunable->unit ? tunable->unit : "", tunable->minimum,
				tunable->maximum);
	return bad_value(error, tunable->name, takes, text);
}

static bool parse_choice(const struct wb_tunable *tunable, const char *text, uint32_t *value,
			 GError **error)
{
	g_autofree char *takes = NULL;

	for (uint32_t i = 0; tunable->choices[i]; i++)
		if (!strcmp(tunable->choices[i], text)) {
			*value = i;
			return true;
		}
	takes = g_strjoinv(" or ", (char **)tunable->choices);
	return bad_value(error, tunable->name, takes, text);
}

static bool parse_schedule(const struct wb_tunable *tunable, const char *text,
			   struct wb_schedule *value, GError **error)
{
	return wb_schedule_parse(text, value) ||
	       bad_value(error, tunable->name, wb_schedule_grammar, text);
}

/* Bytes, or a whole number with K, M, G or T. */
static bool parse_bytes(const char *text, const char **end, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	char *behind;
	const char *unit;

	if (!g_ascii_isdigit(*text))
		return false;
	*bytes = g_ascii_strtoull(text, &behind, 10);
	unit = *behind ? strchr(units, g_ascii_toupper(*behind)) : NULL;
	if (*bytes > WB_RANGE_BYTES_MAX)
		return false;
	for (const char *u = units; unit && u <= unit; u++) {
		*bytes *= 1024;
		if (*bytes > WB_RANGE_BYTES_MAX)
			return false;
	}
	*end = behind + (unit != NULL);
	return true;
}

static bool parse_range(const struct wb_tunable *tunable, const char *text,
			struct wb_tunable_range *value, GError **error)
{
	struct wb_tunable_range range = { 0 };
	const char *at;

	if (!strcmp(text, "none")) {
		*value = range;
		return true;
	}
	if (!parse_bytes(text, &at, &range.start_bytes) || *at != '-' ||
	    !parse_bytes(at + 1, &at, &range.end_bytes) || *at ||
	    range.start_bytes >= range.end_bytes || range.start_bytes % 4096 ||
	    range.end_bytes % 4096)
		return bad_value(error, tunable->name,
				 "START-END, multiples of 4096 as in 0-256M, or none", text);
	*value = range;
	return true;
}

bool wb_tunable_parse(const struct wb_tunable *tunable, const char *text,
		      struct wb_tunables *tunables, GError **error)
{
	void *field = (char *)tunables + tunable->offset;

	switch (tunable->type) {
	case WB_TUNABLE_ON_OFF: return parse_on_off(tunable, text, field, error);
	case WB_TUNABLE_NUMBER: return parse_number(tunable, text, field, error);
	case WB_TUNABLE_CHOICE: return parse_choice(tunable, text, field, error);
	case WB_TUNABLE_RANGE: return parse_range(tunable, text, field, error);
	case WB_TUNABLE_SCHEDULE: return parse_schedule(tunable, text, field, error);
	}
	g_assert_not_reached();
}

void wb_tunable_append(const struct wb_tunable *tunable, const struct wb_tunables *tunables,
		       GString *text)
{
	const void *field = (const char *)tunables + tunable->offset;

	switch (tunable->type) {
	case WB_TUNABLE_ON_OFF:
		g_string_append(text, *(const bool *)field ? "on" : "off");
		break;
	case WB_TUNABLE_NUMBER:
		g_string_append_printf(text, "%u", *(const uint32_t *)field);
		break;
	case WB_TUNABLE_CHOICE:
		g_string_append(text, tunable->choices[*(const uint32_t *)field]);
		break;
	case WB_TUNABLE_RANGE: {
		const struct wb_tunable_range *range = field;

		if (range->end_bytes == 0)
			g_string_append(text, "none");
		else
			g_string_append_printf(text, "%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
					       range->start_bytes, range->end_bytes);
		break;
	}
	case WB_TUNABLE_SCHEDULE:
		wb_schedule_append(field, text);
		break;
	}
}
