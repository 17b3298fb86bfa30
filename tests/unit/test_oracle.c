/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the oracle of the crash simulation knows of a sector of which parts were written
 * over data that may be lost. */
#include <criterion/criterion.h>
#include <string.h>

#include "crash/oracle.h"

#define SECTOR 512u

static struct wb_oracle *oracle;
static struct wb_sim sim;
static uint64_t last_id;

static void start(void)
{
	oracle = wb_oracle_new(8 * SECTOR);
}

static void stop(void)
{
	wb_oracle_free(oracle);
}

TestSuite(oracle, .init = start, .fini = stop);

/* Bytes [from, to) of the image, in record `sequence` of the log; 0: around it. */
static void write_bytes(uint64_t from, uint64_t to, uint8_t value, uint64_t sequence)
{
	uint8_t data[8 * SECTOR];
	struct wb_sim_op op = { .sim = &sim, .op = WB_WRITE, .id = ++last_id,
				.offset_bytes = from, .length_bytes = to - from, .data = data };
	struct wb_sim_progress progress = { .kind = sequence ? WB_SIM_IN_LOG :
							       WB_SIM_AROUND_BEGINS,
					    .from_bytes = from, .to_bytes = to,
					    .low = sequence, .high = sequence };

	memset(data, value, sizeof data);
	op.submit_step = ++sim.step_count;
	wb_oracle_progress(oracle, &op, &progress);
	if (!sequence) {
		progress.kind = WB_SIM_AROUND_ENDS;
		wb_oracle_progress(oracle, &op, &progress);
	}
	op.finish_step = ++sim.step_count;
	wb_oracle_acknowledged(oracle, &op);
}

/* The first sector is made of three values: [0, 100), [100, 200), and the rest. */
static bool objects(uint8_t first, uint8_t second, uint8_t rest)
{
	uint8_t image[8 * SECTOR] = { 0 };
	char *objection;
	bool any;

	memset(image, rest, SECTOR);
	memset(image, first, 100);
	memset(image + 100, second, 100);
	objection = wb_oracle_check_recovered(oracle, image, 10);
	any = objection != NULL;
	g_free(objection);
	return any;
}

Test(oracle, of_writes_over_what_is_sure_every_byte_is_known)
{
	write_bytes(0, SECTOR, 1, 0);
	write_bytes(0, 100, 2, 1);
	write_bytes(100, 200, 3, 2);
	cr_expect_not(objects(2, 3, 1));
	cr_expect(objects(2, 3, 0));
	cr_expect(objects(2, 1, 1));
}

Test(oracle, what_a_failed_flush_may_have_taken_stays_unknown_through_any_number_of_writes)
{
	write_bytes(0, SECTOR, 1, 0);
	wb_oracle_doubt(oracle);
	write_bytes(0, 100, 2, 1);
	write_bytes(100, 200, 3, 2);
	/* They were made over what went around, or over what was there before it. */
	cr_expect_not(objects(2, 3, 1));
	cr_expect_not(objects(2, 3, 0));
	/* but what was written in the log is there in any case */
	cr_expect(objects(0, 3, 1));
	cr_expect(objects(2, 0, 1));
	write_bytes(0, SECTOR, 4, 3);
	write_bytes(0, 100, 5, 4);
	cr_expect_not(objects(5, 4, 4));
	cr_expect(objects(5, 4, 1), "a whole sector ends the doubt");
}
