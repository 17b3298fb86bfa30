/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crash_run.h"

#include <string.h>

#include "crash_deaths.h"
#include "crash_faults.h"
#include "crash_growth.h"
#include "crash_settings.h"
#include "oracle.h"
#include "cache/cache_private.h"
#include "format/ondisk.h"
#include "support/store_memory.h"

#define OPENS_MAX 12u		/* power cuts in a row while opening */

struct run {
	const struct crash_options *options;
	struct crash_report *report;
	struct wb_sim sim;
	struct wb_oracle *oracle;
	struct wb_prng prng;		/* of the script */
	uint64_t least_cut;		/* an opened volume never goes back */
	uint64_t fill;			/* makes all data different */
	unsigned death_count;
	bool has_failing_flush;		/* the cache disk, in this life */
	bool has_failing_backing;	/* likewise, of the backing */
	bool was_killed;		/* the last life: volatile writes still wait */
	uint64_t failed_flushes;	/* of the backing, in this life */
	bool is_long;			/* few lives, much work in each */
	bool is_hot;			/* few blocks, and most writes are synced */
	bool is_bulky;			/* ... but these are long, and few are synced */
	struct wb_prng drain_prng;	/* histories are the same with and without */
	bool drains;			/* also what it has recovered, now and then */
	struct crash_faults faults;
	struct crash_growth growth;
	struct crash_settings settings;
	struct crash_deaths deaths;
	unsigned watch;			/* enum watch; the power goes soon after it */
	uint64_t watch_count;		/* ... has happened so often */
};

static uint64_t below(struct run *run, uint64_t limit)
{
	return wb_prng_below(&run->prng, limit);
}

static bool one_in(struct run *run, uint64_t n)
{
	return below(run, n) == 0;
}

static bool is_dead(const struct run *run)
{
	return run->sim.crash_clock.has_crashed;
}

static void object(struct run *run, char *objection)
{
	if (run->report->objection)
		g_free(objection);
	else
		run->report->objection = objection;
}

static bool goes_on(const struct run *run)
{
	return !run->report->objection && !is_dead(run);
}

/* --- where the power goes ------------------------------------------------------------- */

/* Some moments are short, and much depends on what is true just then. */
enum watch { WATCH_NOTHING, WATCH_SUPERBLOCK, WATCH_FLUSH, WATCH_FUA, WATCH_BACKING_FLUSH,
	     WATCH_PUNCH, WATCH_FIRST_OF_SEGMENT, WATCH_CHECKPOINT, WATCH_COUNT,
	     /* chosen otherwise: */
	     WATCH_AROUND };

static bool is_watched(const struct run *run, const struct wb_store *store,
		       const struct wb_io *io)
{
	bool is_cache = store == run->sim.cache_disk.crashy;

	switch ((enum watch)run->watch) {
	case WATCH_SUPERBLOCK:
		return is_cache && io->op == WB_IO_WRITE &&
		       io->offset_bytes < WB_SUPERBLOCK_AREA_BYTES;
	case WATCH_FLUSH:
		return is_cache && io->op == WB_IO_FLUSH;
	case WATCH_FUA:
		return is_cache && (io->flags & WB_IO_FUA);
	case WATCH_BACKING_FLUSH:
		return !is_cache && io->op == WB_IO_FLUSH;
	case WATCH_PUNCH:
		return !is_cache && io->op == WB_IO_ZERO;
	case WATCH_FIRST_OF_SEGMENT:
		return is_cache && io->op == WB_IO_WRITE &&
		       io->offset_bytes >= run->sim.geometry.ring_offset &&
		       (io->offset_bytes - run->sim.geometry.ring_offset) %
				       run->sim.geometry.segment_bytes == 0;
	case WATCH_AROUND:	/* between its entry, which is durable, and the backing */
		return !is_cache && io->op == WB_IO_WRITE &&
		       io->io_class == WB_IO_CLASS_USER_WRITE;
	case WATCH_CHECKPOINT:
		return is_cache && io->op != WB_IO_FLUSH &&
		       io->offset_bytes >= run->sim.geometry.checkpoint_offset &&
		       io->offset_bytes < run->sim.geometry.ring_offset;
	default:
		return false;
	}
}

static void on_submit(void *arg, const struct wb_store *store, const struct wb_io *io)
{
	struct run *run = arg;

	if (!is_watched(run, store, io) || --run->watch_count > 0)
		return;
	run->sim.crash_clock.crash_at = run->sim.crash_clock.point_count + 1 + below(run, 5);
	run->watch = WATCH_NOTHING;
}

static void on_crash(void *arg)
{
	struct run *run = arg;

	crash_deaths_note(&run->deaths, true);
}

static void choose_watch(struct run *run)
{
	run->watch = WATCH_NOTHING;
	if (!run->options->point && crash_settings_watches_stream(&run->settings)) {
		run->watch = WATCH_AROUND;
		run->watch_count = 1 + below(run, 12);
		return;
	}
	if (run->options->point || !one_in(run, run->options->fills_ring ? 1 : 3))
		return;
	run->watch = 1 + (unsigned)below(run, WATCH_COUNT - 1);
	if (run->options->fills_ring)
		run->watch = WATCH_FIRST_OF_SEGMENT;
	run->watch_count = 1 + below(run, one_in(run, 2) ? 3 : 20);
}

/* --- the shape of the volume ---------------------------------------------------------- */

static void make_volume(struct run *run)
{
	struct wb_sim_params params = { .seed = run->options->seed };
	uint64_t blocks;

	/* What comes of crashes upon crashes shows in many short lives; full
	 * rings and long queues in some long ones. */
	run->is_long = one_in(run, 20);
	run->is_hot = one_in(run, 6) || run->options->fills_ring;
	blocks = run->is_long || one_in(run, 8) ? 64 + below(run, 449) : 24 + below(run, 105);
	params.seed = params.seed ? params.seed : 1;
	params.segment_count = 8 + (unsigned)below(run, 5);
	params.segment_bytes = WB_SEGMENT_BYTES_MIN << (one_in(run, 16) ? 1 + below(run, 2) : 0);
	params.ram_segments = 4 + (unsigned)below(run, 5);
	params.request_count = one_in(run, 4) ? 3 : 12;
	params.cache_alignment_bytes = one_in(run, 2) ? 512 : 4096;
	params.backing_alignment_bytes = one_in(run, 2) ? 512 : 4096;
	params.image_bytes = blocks * 4096;
	if (params.backing_alignment_bytes == 512 && one_in(run, 2))
		params.image_bytes -= 512 * (1 + below(run, 7));
	params.no_writeback = one_in(run, 5);
	params.is_uncounted = true;
	if (run->options->fills_ring) {
		params.image_bytes = 64 * 4096;
		params.segment_count = 8;
		params.ram_segments = 8;
		params.no_writeback = true;
		run->is_bulky = one_in(run, 2);
	}
	if (run->options->bad_places) {
		params.image_bytes = (32 + below(run, 128)) * 4096;
		params.segment_count = 16;
		params.ram_segments = 8;
		params.no_writeback = false;
	}
	params.keeps_memory = run->options->deaths;
	crash_growth_init(&run->growth, run->options->seed, &params);
	wb_sim_init(&run->sim, &params);
	crash_growth_attach(&run->growth, &run->sim);
	crash_settings_init(&run->settings, run->options, &run->sim);
	crash_deaths_init(&run->deaths, run->options, &run->sim);
	run->sim.crash_clock.on_submit = on_submit;
	run->sim.crash_clock.on_crash = on_crash;
	run->sim.crash_clock.arg = run;
	wb_prng_init(&run->drain_prng, run->options->seed * 141650939);
	run->drains = !run->options->cache_lies && !run->options->backing_lies &&
		      (wb_prng_below(&run->drain_prng, 3) == 0 || run->options->bad_places);
	run->faults = (struct crash_faults){ .sim = &run->sim, .prng = &run->prng };
	run->faults.are_on = !run->options->point && one_in(run, 3);
	if (run->options->bad_places)
		run->faults.are_on = run->faults.are_bad_places = true;
	wb_store_crashy_spoil_superblocks(run->sim.cache_disk.crashy);
	wb_store_crashy_forget_failed(run->sim.cache_disk.crashy, one_in(run, 2));
	wb_store_crashy_forget_failed(run->sim.backing_disk.crashy, one_in(run, 2));
}

/* --- requests ------------------------------------------------------------------------- */

static void choose_range(struct run *run, uint64_t *offset, uint64_t *length)
{
	uint64_t image = run->growth.image_bytes;
	/* Half of all in a corner, so that things meet. */
	uint64_t area = one_in(run, 2) ? MIN(image, 96 * 1024) : image;

	/* One block that holds the tail back nearly round the ring. */
	if (run->options->fills_ring) {
		*offset = one_in(run, 50) ? 20 * 4096 : below(run, 4) * 4096;
		*length = 4096 * (run->is_bulky ? 1 + below(run, 12) : 1);
		return;
	}
	/* Whole segments of new versions, and hardly a sync. */
	if (run->options->bad_places) {
		*offset = below(run, image / 4096) * 4096;
		*length = 4096 * (1 + below(run, 15));
		*length = MIN(*length, image - *offset);
		return;
	}
	/* Segments that are superseded at once let the tail leap. */
	if (run->is_hot && !one_in(run, 30)) {
		*offset = below(run, 4) * 4096;
		*length = 4096;
		return;
	}
	switch (below(run, 4)) {
	case 0:
		*offset = below(run, (area + 4095) / 4096) * 4096;
		*length = 4096 * (1 + below(run, 20));
		break;
	case 1:
		*offset = below(run, (area + 4095) / 4096) * 4096;
		*length = 4096;
		break;
	case 2:
		*offset = below(run, area / 512) * 512;
		*length = 512 * (1 + below(run, 20));
		break;
	default:
		*offset = below(run, area);
		*length = 1 + below(run, 9000);
		break;
	}
	*length = MIN(*length, image - *offset);
}

static void fill(struct run *run, struct wb_sim_op *op)
{
	struct wb_prng prng;

	wb_prng_init(&prng, ++run->fill);
	for (uint64_t i = 0; i < op->length_bytes; i += sizeof(uint64_t)) {
		uint64_t word = wb_prng_next(&prng);

		memcpy(op->data + i, &word, MIN(sizeof word, op->length_bytes - i));
	}
}

static void submit_one(struct run *run)
{
	static const enum wb_request_op kinds[] = {
		WB_WRITE, WB_WRITE, WB_WRITE, WB_WRITE, WB_WRITE, WB_WRITE,
		WB_READ, WB_READ, WB_SYNC, WB_ZERO,
	};
	enum wb_request_op kind = kinds[below(run, G_N_ELEMENTS(kinds))];
	unsigned flags = 0;
	uint64_t offset = 0, length = 0;
	struct wb_sim_op *op;

	if (crash_settings_stream(&run->settings, run->growth.image_bytes, &offset, &length)) {
		op = wb_sim_prepare(&run->sim, WB_WRITE, 0, offset, length);
		if (!op)
			return;
		fill(run, op);
		run->report->requests++;
		wb_sim_submit(op);
		return;
	}
	if (run->options->bad_places && one_in(run, 2))
		kind = WB_WRITE;
	if (kind != WB_SYNC)
		choose_range(run, &offset, &length);
	if (kind == WB_ZERO && one_in(run, 4))
		length = MIN(length * 30, run->growth.image_bytes - offset);
	if (kind == WB_ZERO && one_in(run, 40)) {
		offset = 0;
		length = run->growth.image_bytes;
	}
	if (run->is_hot && (length == 4096 || (run->is_bulky && kind != WB_SYNC)))
		kind = WB_WRITE;
	if ((kind == WB_WRITE || kind == WB_ZERO) &&
	    one_in(run, run->is_bulky || run->options->bad_places ? 40 : run->is_hot ? 2 : 8))
		flags = WB_REQUEST_FUA;
	op = wb_sim_prepare(&run->sim, kind, flags, offset, length);
	if (!op)
		return;
	if (kind == WB_WRITE)
		fill(run, op);
	run->report->requests++;
	wb_sim_submit(op);
}

static void look_at_backing_flushes(struct run *run)
{
	uint64_t failures = wb_backing_flush_failures(run->sim.cache->path.backing_flush);

	if (failures != run->failed_flushes)
		wb_oracle_doubt(run->oracle);
	run->failed_flushes = failures;
}

static void on_progress(void *arg, struct wb_sim_op *op, const struct wb_sim_progress *progress)
{
	struct run *run = arg;
	struct wb_sim_progress perhaps = *progress;

	look_at_backing_flushes(run);
	if (crash_deaths_is_over(&run->deaths)) {
		/* It may have been just before, or would have been just after. */
		if (run->sim.step_count > run->deaths.step ||
		    progress->kind == WB_SIM_AROUND_ENDS)
			return;
		perhaps.high = UINT64_MAX;
	}
	wb_oracle_progress(run->oracle, op, &perhaps);
}

/* The cache is lost at this moment, and the backing's power too. */
static void check_backing_alone(struct run *run)
{
	struct wb_store *survives =
		wb_store_crashy_crash_losing_all(run->sim.backing_disk.crashy);

	run->report->caches_lost++;
	object(run, wb_oracle_check_backing(run->oracle, wb_store_memory_bytes(survives)));
	wb_store_close(survives);
}

/* A sync hears of it, once. */
static bool is_excused(struct run *run, const struct wb_sim_op *op)
{
	return crash_faults_excuse(&run->faults, op) ||
	       (crash_settings_bypass(&run->settings) && run->failed_flushes > 0 &&
		(op->op == WB_SYNC || op->flags & WB_REQUEST_FUA));
}

static void on_finish(void *arg, struct wb_sim_op *op)
{
	struct run *run = arg;

	look_at_backing_flushes(run);
	if (crash_deaths_is_over(&run->deaths))
		return;
	if (!op->error) {
		wb_oracle_acknowledged(run->oracle, op);
		if (op->request->mode != WB_MODE_WRITEBACK) {
			wb_oracle_written_through(run->oracle, op);
			if (op->op == WB_SYNC && one_in(run, 4))
				check_backing_alone(run);
		}
		crash_faults_succeeded(&run->faults, op);
	} else if (!is_dead(run) && !is_excused(run, op))
		object(run, g_strdup_printf("request %lu (operation %d at %lu) failed with %d on "
					    "sound disks", op->id, op->op, op->offset_bytes,
					    op->error));
}

static void harvest(struct run *run)
{
	look_at_backing_flushes(run);
	for (unsigned i = 0; i < run->sim.params.request_count; i++) {
		struct wb_sim_op *op = &run->sim.ops[i];
		char *objection;

		if (!op->request || !op->is_finished)
			continue;
		if (op->op == WB_READ && !op->error) {
			objection = wb_oracle_check_read(run->oracle, op);
			if (objection)
				object(run, objection);
		}
		wb_sim_release(op);
	}
}

static void finish_all(struct run *run)
{
	crash_faults_heal(&run->faults);
	for (unsigned i = 0; i < run->sim.params.request_count && goes_on(run); i++) {
		struct wb_sim_op *op = &run->sim.ops[i];

		while (goes_on(run) && op->request && !op->is_finished) {
			if (!wb_sim_finishes(op) && goes_on(run))
				object(run, g_strdup_printf("request %lu (operation %d at %lu) "
							    "never ends", op->id, op->op,
							    op->offset_bytes));
		}
	}
	harvest(run);
}

/* --- lives ------------------------------------------------------------------------------ */

static void set_lies(struct run *run)
{
	wb_store_crashy_set_lies(run->sim.cache_disk.crashy, run->options->cache_lies);
	wb_store_crashy_set_lies(run->sim.backing_disk.crashy, run->options->backing_lies);
}

static void cut_power(struct run *run)
{
	run->report->power_cuts++;
	run->sim.crash_clock.has_crashed = true;
	wb_sim_cut_power(&run->sim);
	crash_deaths_forget(&run->deaths);
	run->sim.crash_clock.crash_at = 0;
	run->watch = WATCH_NOTHING;
	set_lies(run);
}

/* After a crash: what it was. */
static void end_crash(struct run *run)
{
	if (!run->deaths.is_next) {
		cut_power(run);
		return;
	}
	crash_deaths_survive(&run->deaths);
	run->watch = WATCH_NOTHING;
}

/* What the dying process still does must do no harm to the program: its
 * requests get errors or wait for ever. */
static void die(struct run *run)
{
	struct wb_stats_snapshot stats;

	for (unsigned i = 0; i < 200 && wb_sim_step(&run->sim); i++)
		;
	if (one_in(run, 4)) {
		wb_sim_pass_time(&run->sim, 1000000000);
		for (unsigned i = 0; i < 200 && wb_sim_step(&run->sim); i++)
			;
	}
	wb_sim_stats(&run->sim, &stats);
	run->report->discards += stats.counter[WB_STAT_CACHE_DISCARDS];
	run->report->batches += stats.counter[WB_STAT_WRITEBACK_BATCHES];
	run->report->parked += stats.counter[WB_STAT_PARKED_REQUESTS];
	run->report->slowed += stats.counter[WB_STAT_SLOWED_REQUESTS];
	run->report->bypassed += stats.counter[WB_STAT_BYPASSED_BYTES];
	run->report->gaps += stats.counter[WB_STAT_GAP_BLOCKS];
	run->report->streams += stats.counter[WB_STAT_BYPASSED_STREAMS];
	run->report->filled += stats.counter[WB_STAT_FILLED_BLOCKS];
	run->report->second_chances += stats.counter[WB_STAT_SECOND_CHANCE_BLOCKS];
	run->report->changed += stats.counter[WB_STAT_FILL_CHANGED_BLOCKS];
	run->report->busy += stats.counter[WB_STAT_FILL_BUSY_BLOCKS];
	run->report->segments = MAX(run->report->segments, stats.head_segment);
	crash_deaths_collect(&run->deaths);
	wb_sim_kill(&run->sim);
}

static void set_crash_point(struct run *run)
{
	struct wb_crash_clock *clock = &run->sim.crash_clock;
	uint64_t range = one_in(run, 6) ? 70 : one_in(run, 2) ? 600 : 4000;

	if (!run->is_long)
		range = one_in(run, 5) ? 70 : 500;
	/* What recovery may build on is then decided in opening. */
	if (run->was_killed && !one_in(run, 3))
		range = 70;
	run->was_killed = false;
	/* Many more points lie between two submits. */
	if (run->deaths.are_on)
		range *= 12;
	crash_deaths_choose(&run->deaths);
	choose_watch(run);
	if (run->options->point && run->death_count == 0)
		clock->crash_at = run->options->point;
	else if (run->options->point && run->death_count > 2)
		clock->crash_at = 0;
	else if (run->options->point)
		clock->crash_at = clock->point_count + 1 + below(run, 40);
	else
		clock->crash_at = clock->point_count + 1 + below(run, range);
}

/* What recovery takes for written back is read from the cache, and is lost in silence when
 * it was not: a drain shows it. `data` has been read. (No drain succeeds when a failed flush
 * has lost what was written around the cache.) */
static void check_drained(struct run *run, const uint8_t *data, uint64_t bytes)
{
	struct wb_crash_clock *clock = &run->sim.crash_clock;
	uint64_t crash_at = clock->crash_at, points = clock->point_count;
	unsigned watch = run->watch;
	struct wb_store *survives;

	if (!run->drains || wb_prng_below(&run->drain_prng, 3) || is_dead(run) ||
	    wb_backing_flush_owes_error(run->sim.cache->path.backing_flush))
		return;
	clock->crash_at = 0;
	run->watch = WATCH_NOTHING;
	if (wb_sim_drain(&run->sim))
		object(run, g_strdup("a drain failed on sound disks"));
	survives = wb_store_crashy_crash_losing_all(run->sim.backing_disk.crashy);
	for (uint64_t at = 0; at < bytes; at++) {
		if (((const uint8_t *)wb_store_memory_bytes(survives))[at] == data[at])
			continue;
		object(run, g_strdup_printf("byte %lu of the backing is not what was recovered, "
					    "after a drain", at));
		break;
	}
	wb_store_close(survives);
	if (crash_at)
		clock->crash_at = crash_at + clock->point_count - points;
	run->watch = watch;
	run->report->drains++;
}

/* Reads the whole image and compares; FALSE when that ended otherwise. */
static bool check_recovered(struct run *run)
{
	g_autofree uint8_t *data = NULL;
	struct wb_stats_snapshot stats;
	uint64_t image, at = 0;

	object(run, crash_growth_check_opened(&run->growth));
	if (run->report->objection)
		return false;
	image = run->growth.image_bytes;
	data = g_malloc(image);

	wb_sim_stats(&run->sim, &stats);
	if (stats.head_sequence < run->least_cut) {
		object(run, g_strdup_printf("P2: opened at record %lu, but an earlier opening had "
					    "promised record %lu", stats.head_sequence,
					    run->least_cut));
		return false;
	}
	run->least_cut = stats.head_sequence;
	run->report->checkpoints += stats.is_from_checkpoint;
	while (at < image) {
		uint64_t bytes = MIN(image - at, WB_REQUEST_BYTES_MAX);
		int error = wb_sim_read(&run->sim, at, data + at, bytes);

		if (error && is_dead(run))
			return false;
		if (error) {
			object(run, g_strdup_printf("reading the image at %lu failed with %d",
						    at, error));
			return false;
		}
		at += bytes;
	}
	object(run, run->deaths.is_strict ?
		    wb_oracle_check_taken_over(run->oracle, data) :
		    wb_oracle_check_recovered(run->oracle, data, stats.head_sequence));
	if (run->deaths.are_on)
		object(run, crash_deaths_check(&run->deaths, data));
	if (run->report->objection)
		return false;
	/* What went around the cache is to be promised like all the rest. */
	if (run->deaths.are_on && crash_settings_bypass(&run->settings) && wb_sim_sync(&run->sim)) {
		if (!is_dead(run))
			object(run, g_strdup("a sync failed on sound disks"));
		return false;
	}
	check_drained(run, data, image);
	if (run->report->objection)
		return false;
	wb_oracle_rebase(run->oracle, data);
	run->deaths.is_strict = run->deaths.are_on;
	return true;
}

/* TRUE when the volume is open and its image was what it may be. */
static bool open_volume(struct run *run)
{
	g_autoptr(GError) error = NULL;
	bool is_good;

	run->sim.on_progress = NULL;
	run->sim.on_finish = NULL;
	if (crash_faults_before_open(&run->faults) && !wb_sim_open(&run->sim, &error)) {
		g_clear_error(&error);
		run->report->refusals++;
	}
	crash_faults_forget(&run->faults);
	if (run->is_bulky)
		crash_faults_slow_superblocks(&run->faults);
	if (!run->sim.cache && !wb_sim_open(&run->sim, &error)) {
		if (is_dead(run))
			run->report->cuts_while_opening++;
		else
			object(run, g_strdup_printf("refused: %s", error->message));
		return false;
	}
	/* Nothing of the old life calls back; the check is no part of the log: of records
	 * that it made the oracle would know nothing, should the power go meanwhile. */
	run->sim.only_looks = true;
	is_good = check_recovered(run);
	run->sim.only_looks = false;
	if (!is_good)
		return false;
	run->sim.arg = run;
	run->sim.on_progress = on_progress;
	run->sim.on_finish = on_finish;
	return true;
}

static void change_something(struct run *run)
{
	struct wb_tunables tunables;

	switch (below(run, 5)) {
	case 0:
		wb_cache_start_drain(run->sim.cache);
		break;
	case 1:
		wb_cache_get_tunables(run->sim.cache, &tunables);
		tunables.allow_writeback = one_in(run, 2);
		wb_cache_set_tunables(run->sim.cache, &tunables);
		break;
	case 2:
		wb_cache_start_flush(run->sim.cache);
		break;
	case 3:
		run->has_failing_flush = true;
		wb_store_crashy_fail_flush(run->sim.cache_disk.crashy, 1 + below(run, 4));
		break;
	case 4:
		run->has_failing_backing = true;
		wb_store_crashy_fail_flush(run->sim.backing_disk.crashy, 1 + below(run, 2));
		break;
	}
}

static unsigned choose_steps(struct run *run)
{
	if (run->is_long)
		return (unsigned)below(run, one_in(run, 2) ? 300 : 3000);
	if (run->options->fills_ring)
		return (unsigned)below(run, 500);
	return (unsigned)below(run, one_in(run, run->is_hot ? 2 : 6) ? 300 : 60);
}

static void work(struct run *run)
{
	unsigned steps = run->options->steps ? run->options->steps : choose_steps(run);
	/* Bursts of requests make the ring full; pauses let it drain. */
	unsigned eagerness = 1 + (unsigned)below(run, 6);

	for (unsigned i = 0; i < steps && goes_on(run); i++) {
		harvest(run);
		crash_deaths_step(&run->deaths);
		if (goes_on(run) && one_in(run, eagerness))
			submit_one(run);
		for (uint64_t n = below(run, 6); n > 0 && goes_on(run); n--)
			wb_sim_step(&run->sim);
		if (one_in(run, 50))
			wb_sim_pass_time(&run->sim, 100000000);
		crash_faults_step(&run->faults);
		if (goes_on(run))
			crash_growth_step(&run->growth);
		if (one_in(run, 200) && goes_on(run))
			change_something(run);
		if (goes_on(run))
			crash_settings_step(&run->settings);
	}
	harvest(run);
}

/* What went around the cache may be lost by a failed flush, and still be readable:
 * nobody knows, who has not lived through it. The power takes it for good. */
static bool may_hold_lost_data(const struct run *run)
{
	return crash_settings_bypass(&run->settings) &&
	       (run->has_failing_backing || run->failed_flushes > 0 || run->faults.is_in_trouble);
}

static void end_life(struct run *run)
{
	int error;

	run->death_count++;
	/* A sync owes an error then, and nobody here knows of what. */
	if (may_hold_lost_data(run))
		run->deaths.is_next = false;
	if (is_dead(run)) {
		die(run);
		end_crash(run);
		return;
	}
	if (run->deaths.are_on && wb_prng_below(&run->deaths.prng, 2)) {
		/* between two steps */
		run->deaths.is_next = !may_hold_lost_data(run);
		crash_deaths_note(&run->deaths, false);
		run->sim.crash_clock.has_crashed = true;
		die(run);
		end_crash(run);
		return;
	}
	run->deaths.is_next = false;
	switch (may_hold_lost_data(run) ? 1 + below(run, 3) : below(run, 4)) {
	case 0:		/* the process alone */
		run->report->kills++;
		run->was_killed = true;
		die(run);
		crash_deaths_forget(&run->deaths);
		return;
	case 1:		/* the power, in the middle of it all */
		run->sim.crash_clock.has_crashed = true;
		die(run);
		cut_power(run);
		return;
	default:
		break;
	}
	if (!may_hold_lost_data(run))
		crash_deaths_choose(&run->deaths);
	crash_growth_answer(&run->growth);
	finish_all(run);
	if (run->report->objection || is_dead(run)) {
		die(run);
		if (is_dead(run))
			end_crash(run);
		return;
	}
	error = wb_sim_close(&run->sim);
	if (is_dead(run)) {
		run->report->cuts_while_stopping++;
		end_crash(run);
	} else if (error && may_hold_lost_data(run)) {
		cut_power(run);
	} else if (error && (run->has_failing_flush || run->faults.is_in_trouble)) {
		/* That is what a stop that failed is. */
		run->report->kills++;
		run->was_killed = true;
		crash_deaths_forget(&run->deaths);
	} else if (error) {
		object(run, g_strdup_printf("a clean stop failed with %d", error));
	} else {
		run->report->clean_stops++;
		run->sim.memory.is_left = run->deaths.are_on;
		wb_oracle_promise_all(run->oracle, run->sim.step_count);
		if (one_in(run, 2) || may_hold_lost_data(run))
			cut_power(run);
	}
}

static void live(struct run *run)
{
	set_crash_point(run);
	crash_settings_before_open(&run->settings);
	run->has_failing_flush = false;
	run->failed_flushes = 0;
	run->has_failing_backing = false;
	wb_store_crashy_fail_flush(run->sim.backing_disk.crashy, 0);
	wb_store_crashy_fail_flush(run->sim.cache_disk.crashy, 0);
	for (unsigned opens = 0; !open_volume(run); opens++) {
		if (run->sim.cache)
			wb_sim_kill(&run->sim);
		if (run->report->objection)
			return;
		run->report->deaths_while_opening += run->deaths.is_next;
		end_crash(run);
		run->death_count++;
		if (opens < OPENS_MAX)
			set_crash_point(run);
	}
	work(run);
	if (run->report->objection)
		die(run);
	else
		end_life(run);
	if (run->report->points == 0)
		run->report->points = run->sim.crash_clock.point_count;
}

/* After all that the backing alone is the image, power cut or not. */
static void drain_and_compare(struct run *run)
{
	struct wb_store *survives;

	run->sim.crash_clock.crash_at = 0;
	run->watch = WATCH_NOTHING;
	wb_store_crashy_fail_flush(run->sim.cache_disk.crashy, 0);
	wb_store_crashy_fail_flush(run->sim.backing_disk.crashy, 0);
	if (!open_volume(run)) {
		if (run->sim.cache)
			wb_sim_kill(&run->sim);
		return;
	}
	while (crash_deaths_resend(&run->deaths))
		finish_all(run);
	if (wb_sim_drain(&run->sim))
		object(run, g_strdup("a drain failed on sound disks"));
	survives = wb_store_crashy_crash_losing_all(run->sim.backing_disk.crashy);
	object(run, wb_oracle_check_newest(run->oracle, wb_store_memory_bytes(survives)));
	object(run, crash_growth_check_behind(&run->growth, wb_store_memory_bytes(survives)));
	wb_store_close(survives);
	if (wb_sim_close(&run->sim))
		object(run, g_strdup("the last stop failed"));
}

void crash_run(const struct crash_options *options, struct crash_report *report)
{
	struct run run = { .options = options, .report = report };
	unsigned lives;

	*report = (struct crash_report){ 0 };
	wb_prng_init(&run.prng, options->seed * 7919 + options->point);
	/* The script of a first life does not depend on where it ends. */
	if (options->point)
		wb_prng_init(&run.prng, options->seed * 7919);
	make_volume(&run);
	set_lies(&run);
	run.oracle = run.growth.oracle = wb_oracle_new(run.sim.params.image_bytes);
	lives = options->lives ? options->lives :
		run.is_long ? 3 + (unsigned)below(&run, 10) : 5 + (unsigned)below(&run, 10);
	for (unsigned i = 0; i < lives && !report->objection; i++)
		live(&run);
	if (!report->objection)
		drain_and_compare(&run);
	report->deaths = run.deaths.count;
	report->resent = run.deaths.resent;
	report->skipped = run.deaths.skipped;
	crash_deaths_clear(&run.deaths);
	report->episodes = run.faults.episodes;
	report->growths = run.growth.count;
	report->settings = run.settings.count;
	wb_oracle_free(run.oracle);
	wb_sim_clear(&run.sim);
}

char *crash_options_text(const struct crash_options *options)
{
	return g_strdup_printf("crash-sim SEED=%lu POINT=%lu OPTIONS=--steps %u --lives %u "
			       "--cache-lies %u --backing-lies %u%s%s%s%s", options->seed,
			       options->point, options->steps, options->lives,
			       options->cache_lies, options->backing_lies,
			       options->fills_ring ? " --fill-ring" : "",
			       options->bad_places ? " --bad-places" : "",
			       options->deaths ? " --deaths" : "",
			       options->ghosts_are_late ? " --late-ghosts" : "");
}
