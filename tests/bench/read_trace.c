/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "read_trace.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/prng.h"

#define GIB_BLOCKS (1u << 18)
#define MADE_UP_READS 2000000u

enum { GOES_ON, STARTS };

static void add(struct trace *trace, uint64_t address, bool is_write, int starts)
{
	struct access access = { .address = (uint32_t)address, .is_start = starts == STARTS,
				 .is_write = is_write };

	g_array_append_val(trace->accesses, access);
	trace->address_count = MAX(trace->address_count, (uint32_t)address + 1);
}

/* --- made up ------------------------------------------------------------------------- */

struct zipf {
	double *below;		/* of each rank, the part of all draws up to it */
	uint32_t *address;	/* of each rank: hot blocks do not lie side by side */
	uint32_t count;
};

static void zipf_init(struct zipf *zipf, uint32_t count, double skew, struct wb_prng *prng)
{
	double sum = 0;

	zipf->below = g_new(double, count);
	zipf->address = g_new(uint32_t, count);
	zipf->count = count;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t j = (uint32_t)wb_prng_below(prng, i + 1);

		zipf->below[i] = sum += pow(i + 1, -skew);
		zipf->address[i] = zipf->address[j];
		zipf->address[j] = i;
	}
	for (uint32_t i = 0; i < count; i++)
		zipf->below[i] /= sum;
}

static void zipf_clear(struct zipf *zipf)
{
	g_free(zipf->below);
	g_free(zipf->address);
}

static uint32_t zipf_draw(const struct zipf *zipf, struct wb_prng *prng)
{
	double drawn = (double)(wb_prng_next(prng) >> 11) / 9007199254740992.0;
	uint32_t low = 0, high = zipf->count - 1;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (zipf->below[middle] < drawn)
			low = middle + 1;
		else
			high = middle;
	}
	return zipf->address[low];
}

static void make_zipf(struct trace *trace, uint32_t shift_every)
{
	struct wb_prng prng = { 1 };
	struct zipf zipf;

	zipf_init(&zipf, shift_every ? GIB_BLOCKS : 2 * GIB_BLOCKS, 0.9, &prng);
	for (uint32_t i = 0; i < MADE_UP_READS; i++) {
		uint32_t moved = shift_every ? i / shift_every * (GIB_BLOCKS / 7) : 0;

		add(trace, (zipf_draw(&zipf, &prng) + moved) % (2 * GIB_BLOCKS), false, STARTS);
	}
	zipf_clear(&zipf);
}

static void make_scan_zipf(struct trace *trace)
{
	struct wb_prng prng = { 2 };
	struct zipf zipf;
	uint32_t scanned = GIB_BLOCKS;

	zipf_init(&zipf, GIB_BLOCKS, 0.9, &prng);
	for (uint32_t i = 0; i < MADE_UP_READS; i++)
		add(trace, i % 1536 < 1024 ? zipf_draw(&zipf, &prng) : scanned++, false, STARTS);
	zipf_clear(&zipf);
}

static void make_loop(struct trace *trace)
{
	for (uint32_t i = 0; i < MADE_UP_READS; i++)
		add(trace, i % 100000, false, STARTS);
}

/* --- recorded ------------------------------------------------------------------------- */

static bool add_recorded(struct trace *trace, const char *name, const char *directory,
			 uint64_t base)
{
	g_autofree char *path = g_strdup_printf("%s/%s.xz", directory, name);
	g_autofree char *quoted = g_shell_quote(path);
	g_autofree char *command = g_strdup_printf("xz -dc %s", quoted);
	uint64_t end = 0, count;
	gint64 distance;
	char op;
	FILE *file;

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return false;
	file = popen(command, "r");
	g_assert(file);
	while (fscanf(file, " %c %" G_GINT64_FORMAT " %" G_GUINT64_FORMAT, &op, &distance,
		      &count) == 3) {
		uint64_t first = end + (uint64_t)distance;

		end = first + count;
		for (uint64_t address = first; address < end; address++)
			add(trace, base + address, op == 'W', address == first ? STARTS : GOES_ON);
	}
	return pclose(file) == 0 && trace->accesses->len > 0;
}

/* One machine after the other, twice: each on a part of the disk of its own. */
static bool make_day(struct trace *trace, const char *directory)
{
	static const char *const names[] = { "boot", "git", "sqlite", "build" };
	bool ok = true;

	for (unsigned i = 0; i < 2 * G_N_ELEMENTS(names) && ok; i++)
		ok = add_recorded(trace, names[i % 4], directory, (uint64_t)(i % 4) << 21);
	return ok;
}

/* --- doors ------------------------------------------------------------------------------ */

static void count_footprint(struct trace *trace)
{
	g_autofree uint8_t *seen = g_new0(uint8_t, trace->address_count);

	for (guint i = 0; i < trace->accesses->len; i++) {
		uint32_t address = g_array_index(trace->accesses, struct access, i).address;

		trace->footprint += !seen[address];
		seen[address] = 1;
	}
}

static bool make(struct trace *trace, const char *name, const char *directory)
{
	bool ok = true;

	if (!strcmp(name, "zipf"))
		make_zipf(trace, 0);
	else if (!strcmp(name, "shift"))
		make_zipf(trace, MADE_UP_READS / 10);
	else if (!strcmp(name, "scan+zipf"))
		make_scan_zipf(trace);
	else if (!strcmp(name, "loop"))
		make_loop(trace);
	else if (!strcmp(name, "day"))
		ok = make_day(trace, directory);
	else if (!strcmp(name, "boot"))
		for (unsigned i = 0; i < 8 && ok; i++)
			ok = add_recorded(trace, name, directory, 0);
	else if (!strcmp(name, "one-boot"))
		ok = add_recorded(trace, "boot", directory, 0);
	else
		ok = add_recorded(trace, name, directory, 0);
	return ok;
}

/* "FIRST:COUNT", or NULL: all of it. */
static bool set_part(struct trace *trace, const char *part)
{
	char *end = NULL;
	guint64 count;

	trace->end = trace->accesses->len;
	if (!part)
		return true;
	trace->begin = (guint)g_ascii_strtoull(part, &end, 10);
	count = *end == ':' ? g_ascii_strtoull(end + 1, &end, 10) : 0;
	if (*end || count == 0 || trace->begin + count > trace->end)
		return false;
	trace->end = trace->begin + (guint)count;
	return true;
}

struct trace *trace_get(const char *name, const char *directory)
{
	g_auto(GStrv) parts = g_strsplit(name, "@", 2);
	struct trace *trace = g_new0(struct trace, 1);

	trace->accesses = g_array_new(FALSE, FALSE, sizeof(struct access));
	if (make(trace, parts[0], directory) && set_part(trace, parts[1]))
		count_footprint(trace);
	else
		g_clear_pointer(&trace, trace_free);
	return trace;
}

void trace_free(struct trace *trace)
{
	if (!trace)
		return;
	g_array_unref(trace->accesses);
	g_free(trace);
}
