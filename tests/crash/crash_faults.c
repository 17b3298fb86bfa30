/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crash_faults.h"

#include <errno.h>

#include "format/ondisk.h"

static uint64_t below(struct crash_faults *faults, uint64_t limit)
{
	return wb_prng_below(faults->prng, limit);
}

static bool one_in(struct crash_faults *faults, uint64_t n)
{
	return below(faults, n) == 0;
}

/* Few reads of the cache in a row: a block that failed too often is given up
 * for good, which is another test's business. */
static uint64_t choose_count(struct crash_faults *faults, bool is_cache, int op)
{
	if (is_cache && (op == WB_IO_READ || op == WB_FAULT_ANY))
		return 1 + below(faults, 3);
	return one_in(faults, 3) ? WB_FAULT_FOR_EVER : 1 + below(faults, 8);
}

static void add_error(struct crash_faults *faults, bool is_cache)
{
	static const enum wb_fault_effect effects[] = {
		WB_FAULT_FAIL, WB_FAULT_FAIL, WB_FAULT_FAIL_LATE, WB_FAULT_FAIL_SHORT,
	};
	static const int ops[] = {
		WB_IO_READ, WB_IO_WRITE, WB_IO_WRITE, WB_IO_FLUSH, WB_IO_ZERO, WB_FAULT_ANY,
	};
	struct wb_fault fault = {
		.op = ops[below(faults, G_N_ELEMENTS(ops))], .io_class = WB_FAULT_ANY,
		.first = 1 + below(faults, 6),
		.effect = effects[below(faults, G_N_ELEMENTS(effects))], .error = -EIO,
	};

	fault.count = choose_count(faults, is_cache, fault.op);
	if (!is_cache && (fault.op == WB_IO_WRITE || fault.op == WB_IO_ZERO) &&
	    one_in(faults, 2))
		fault.error = -ENOSPC;
	wb_store_faulty_add(is_cache ? faults->sim->cache_disk.faulty :
				       faults->sim->backing_disk.faulty, &fault);
	faults->is_failing = faults->is_in_trouble = true;
}

/* What comes late comes after much else. */
static void add_delay(struct crash_faults *faults)
{
	struct wb_fault fault = {
		.op = one_in(faults, 2) ? WB_IO_READ : WB_FAULT_ANY, .io_class = WB_FAULT_ANY,
		.first = 1 + below(faults, 4), .count = 1 + below(faults, 4),
		.effect = WB_FAULT_DELAY, .delay_polls = 1 + below(faults, 300),
	};

	if (one_in(faults, 3)) {
		/* the rest of a sector, while its block is discarded or written */
		fault.op = WB_IO_READ;
		fault.io_class = WB_IO_CLASS_USER_WRITE;
		fault.delay_polls *= 10;
		wb_store_faulty_add(faults->sim->backing_disk.faulty, &fault);
		return;
	}
	wb_store_faulty_add(one_in(faults, 3) ? faults->sim->cache_disk.faulty :
						faults->sim->backing_disk.faulty, &fault);
}

/* One that the log comes to soon. */
static void spoil_ahead(struct crash_faults *faults)
{
	struct wb_stats_snapshot stats;

	if (!one_in(faults, 12))
		return;
	wb_sim_stats(faults->sim, &stats);
	faults->episodes++;
	crash_faults_spoil_place(faults, wb_geometry_place(&faults->sim->geometry,
							   stats.head_segment +
								   below(faults, 3)));
}

void crash_faults_step(struct crash_faults *faults)
{
	if (!faults->are_on)
		return;
	if (faults->are_bad_places && !faults->is_failing) {
		spoil_ahead(faults);
		return;
	}
	if (faults->is_failing) {
		if (one_in(faults, 40))
			crash_faults_heal(faults);
		return;
	}
	if (one_in(faults, 25))
		add_delay(faults);
	if (!one_in(faults, 80))
		return;
	faults->episodes++;
	if (one_in(faults, 8)) {
		crash_faults_spoil_place(faults, below(faults, faults->sim->geometry.segment_count));
		return;
	}
	add_error(faults, one_in(faults, 2));
	if (one_in(faults, 3))
		add_error(faults, one_in(faults, 2));
}

bool crash_faults_before_open(struct crash_faults *faults)
{
	if (!faults->are_on || !one_in(faults, 6))
		return false;
	faults->episodes++;
	add_error(faults, true);
	return true;
}

void crash_faults_heal(struct crash_faults *faults)
{
	if (faults->is_failing)
		faults->healed_step = faults->sim->step_count;
	faults->is_failing = false;
	wb_store_faulty_clear(faults->sim->cache_disk.faulty);
	wb_store_faulty_clear(faults->sim->backing_disk.faulty);
}

void crash_faults_forget(struct crash_faults *faults)
{
	crash_faults_heal(faults);
	faults->is_in_trouble = false;
}

bool crash_faults_excuse(const struct crash_faults *faults, const struct wb_sim_op *op)
{
	return faults->is_in_trouble || op->submit_step <= faults->healed_step;
}

/* A sync that has nothing to do succeeds while new data is still refused: the next
 * try is up to half a minute away. */
void crash_faults_succeeded(struct crash_faults *faults, const struct wb_sim_op *op)
{
	struct wb_stats_snapshot stats;

	if (!faults->is_in_trouble || op->op != WB_SYNC || faults->is_failing ||
	    op->submit_step <= faults->healed_step)
		return;
	wb_sim_stats(faults->sim, &stats);
	faults->is_in_trouble = stats.state == WB_CACHE_FAILED;
}

void crash_faults_slow_superblocks(struct crash_faults *faults)
{
	struct wb_fault fault = {
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
		.length_bytes = WB_SUPERBLOCK_AREA_BYTES, .count = WB_FAULT_FOR_EVER,
		.effect = WB_FAULT_DELAY, .delay_polls = below(faults, 400),
	};

	wb_store_faulty_add(faults->sim->cache_disk.faulty, &fault);
}

void crash_faults_spoil_place(struct crash_faults *faults, uint64_t place)
{
	const struct wb_geometry *geometry = &faults->sim->geometry;
	struct wb_fault fault = {
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .first = 1,
		.count = WB_FAULT_FOR_EVER, .effect = WB_FAULT_FAIL, .error = -EIO,
		.offset_bytes = wb_geometry_segment_offset(geometry, place),
		.length_bytes = geometry->segment_bytes,
	};

	wb_store_faulty_add(faults->sim->cache_disk.faulty, &fault);
	faults->is_failing = faults->is_in_trouble = true;
}
