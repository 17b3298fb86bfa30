/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_disk_faults.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool wb_faults_add(struct wb_faults *faults, const struct wb_fault *rule)
{
	if (faults->count == WB_FAULTS_MAX)
		return false;
	faults->rules[faults->count++] = *rule;
	return true;
}

void wb_faults_clear(struct wb_faults *faults)
{
	faults->count = 0;
}

static bool touches(const struct wb_fault *rule, enum wb_fault_op op, uint64_t offset_bytes,
		    uint64_t length_bytes)
{
	if (!(rule->ops & op))
		return false;
	if (!rule->length_bytes || op == WB_FAULT_FLUSH)
		return true;
	return offset_bytes < rule->start_bytes + rule->length_bytes &&
	       rule->start_bytes < offset_bytes + length_bytes;
}

int wb_faults_judge(struct wb_faults *faults, enum wb_fault_op op, uint64_t offset_bytes,
		    uint64_t length_bytes, unsigned *delay_ms)
{
	int error = 0;

	*delay_ms = 0;
	for (unsigned i = 0; i < faults->count; i++) {
		struct wb_fault *rule = &faults->rules[i];

		if (!touches(rule, op, offset_bytes, length_bytes) ||
		    ++rule->matched < rule->nth || (rule->times && rule->fired >= rule->times))
			continue;
		rule->fired++;
		*delay_ms = rule->delay_ms == WB_FAULT_HELD || *delay_ms == WB_FAULT_HELD ?
			    WB_FAULT_HELD : *delay_ms + rule->delay_ms;
		if (!error)
			error = rule->error;
	}
	return error;
}

uint64_t wb_faults_fired(const struct wb_faults *faults)
{
	uint64_t fired = 0;

	for (unsigned i = 0; i < faults->count; i++)
		fired += faults->rules[i].fired;
	return fired;
}

/* --- from words ---------------------------------------------------------------------- */

static bool parse_ops(unsigned *ops, char *text)
{
	static const struct {
		const char *name;
		enum wb_fault_op op;
	} names[] = { { "read", WB_FAULT_READ }, { "write", WB_FAULT_WRITE },
		      { "flush", WB_FAULT_FLUSH }, { "zero", WB_FAULT_ZERO } };
	char *rest = NULL;

	*ops = 0;
	for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		unsigned before = *ops;

		for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (!strcmp(word, names[i].name))
				*ops |= names[i].op;
		if (*ops == before)
			return false;
	}
	return *ops != 0;
}

static bool parse_error(int *error, const char *text)
{
	if (!strcmp(text, "EIO"))
		*error = -EIO;
	else if (!strcmp(text, "ENOSPC"))
		*error = -ENOSPC;
	else if (!strcmp(text, "none"))
		*error = 0;
	else
		return false;
	return true;
}

static bool parse_option(struct wb_fault *rule, const char *name, const char *value)
{
	char *end;
	uint64_t number = strtoull(value, &end, 0);

	if (!strcmp(name, "delay") && !strcmp(value, "held")) {
		rule->delay_ms = WB_FAULT_HELD;
		return true;
	}
	if (end == value || *end)
		return false;
	if (!strcmp(name, "from"))
		rule->start_bytes = number;
	else if (!strcmp(name, "length"))
		rule->length_bytes = number;
	else if (!strcmp(name, "nth"))
		rule->nth = number;
	else if (!strcmp(name, "times"))
		rule->times = number;
	else if (!strcmp(name, "delay"))
		rule->delay_ms = (unsigned)number;
	else
		return false;
	return true;
}

const char *wb_fault_parse(struct wb_fault *rule, char **words)
{
	*rule = (struct wb_fault){ .nth = 1 };
	if (!words[0] || !parse_ops(&rule->ops, words[0]))
		return "which operations? read, write, flush, zero";
	if (!words[1] || !parse_error(&rule->error, words[1]))
		return "which error? EIO, ENOSPC, none";
	for (words += 2; *words; words += 2)
		if (!words[1] || !parse_option(rule, words[0], words[1]))
			return "from, length, nth, times, delay, each with a number, or delay held";
	return NULL;
}
