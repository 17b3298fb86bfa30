/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "read_references.h"

#define NOBODY UINT32_MAX
#define LISTS 4

/* Every address is in one of a few lists, or in none (LISTS). */
struct lists {
	uint32_t *next, *before;
	uint8_t *list, *uses;
	uint32_t head[LISTS], tail[LISTS], count[LISTS];
};

static void lists_init(struct lists *lists, uint32_t addresses)
{
	lists->next = g_new(uint32_t, addresses);
	lists->before = g_new(uint32_t, addresses);
	lists->list = g_new(uint8_t, addresses);
	lists->uses = g_new0(uint8_t, addresses);
	for (uint32_t i = 0; i < addresses; i++)
		lists->list[i] = LISTS;
	for (unsigned i = 0; i < LISTS; i++) {
		lists->head[i] = lists->tail[i] = NOBODY;
		lists->count[i] = 0;
	}
}

static void lists_clear(struct lists *lists)
{
	g_free(lists->next);
	g_free(lists->before);
	g_free(lists->list);
	g_free(lists->uses);
}

static void take_out(struct lists *lists, uint32_t address)
{
	uint8_t list = lists->list[address];
	uint32_t next = lists->next[address], before = lists->before[address];

	if (list == LISTS)
		return;
	if (before == NOBODY)
		lists->head[list] = next;
	else
		lists->next[before] = next;
	if (next == NOBODY)
		lists->tail[list] = before;
	else
		lists->before[next] = before;
	lists->count[list]--;
	lists->list[address] = LISTS;
}

/* From wherever it is, to the head of `list`. */
static void move(struct lists *lists, uint32_t address, uint8_t list)
{
	take_out(lists, address);
	lists->next[address] = lists->head[list];
	lists->before[address] = NOBODY;
	if (lists->head[list] == NOBODY)
		lists->tail[list] = address;
	else
		lists->before[lists->head[list]] = address;
	lists->head[list] = address;
	lists->count[list]++;
	lists->list[address] = list;
}

static void drop_last(struct lists *lists, uint8_t list)
{
	take_out(lists, lists->tail[list]);
}

/* Runs `use`, which says whether it was a hit. */
static double run(const struct trace *trace, void *policy,
		  bool (*use)(void *policy, uint32_t address))
{
	uint64_t reads = 0, hits = 0;

	for (guint i = 0; i < trace->accesses->len; i++) {
		struct access access = g_array_index(trace->accesses, struct access, i);
		bool hit = use(policy, access.address);

		reads += !access.is_write;
		hits += hit && !access.is_write;
	}
	return reads ? 100.0 * (double)hits / (double)reads : 0;
}

/* --- LRU, FIFO, CLOCK ---------------------------------------------------------------- */

struct queue {
	struct lists lists;
	uint32_t slots;
	unsigned chances;
};

static bool use_lru(void *policy, uint32_t address)
{
	struct queue *queue = policy;
	bool hit = queue->lists.list[address] == 0;

	if (!hit && queue->lists.count[0] == queue->slots)
		drop_last(&queue->lists, 0);
	move(&queue->lists, address, 0);
	return hit;
}

static bool use_clock(void *policy, uint32_t address)
{
	struct queue *queue = policy;
	struct lists *lists = &queue->lists;

	if (lists->list[address] == 0) {
		lists->uses[address] = (uint8_t)MIN(lists->uses[address] + 1u, queue->chances);
		return true;
	}
	while (lists->count[0] == queue->slots) {
		uint32_t last = lists->tail[0];

		if (lists->uses[last] > 0) {
			lists->uses[last]--;
			move(lists, last, 0);
		} else {
			take_out(lists, last);
		}
	}
	lists->uses[address] = 0;
	move(lists, address, 0);
	return false;
}

static double run_queue(const struct trace *trace, uint32_t slots, unsigned chances,
			bool (*use)(void *policy, uint32_t address))
{
	struct queue queue = { .slots = slots, .chances = chances };
	double ratio;

	lists_init(&queue.lists, trace->address_count);
	ratio = run(trace, &queue, use);
	lists_clear(&queue.lists);
	return ratio;
}

double reference_lru(const struct trace *trace, uint32_t slots)
{
	return run_queue(trace, slots, 0, use_lru);
}

double reference_clock(const struct trace *trace, uint32_t slots, unsigned chances)
{
	return run_queue(trace, slots, chances, use_clock);
}

/* --- ARC ------------------------------------------------------------------------------ */

enum { T1, T2, B1, B2 };

struct arc {
	struct lists lists;
	uint32_t slots;
	double wanted;		/* of T1 */
};

static void replace(struct arc *arc, bool is_in_b2)
{
	struct lists *lists = &arc->lists;
	uint32_t t1 = lists->count[T1];

	if (t1 > 0 && (t1 > arc->wanted || (is_in_b2 && t1 >= arc->wanted) ||
		       lists->count[T2] == 0))
		move(lists, lists->tail[T1], B1);
	else
		move(lists, lists->tail[T2], B2);
}

static void make_room(struct arc *arc)
{
	struct lists *lists = &arc->lists;
	uint32_t first = lists->count[T1] + lists->count[B1];
	uint32_t all = first + lists->count[T2] + lists->count[B2];

	if (first == arc->slots) {
		if (lists->count[T1] == arc->slots) {
			drop_last(lists, T1);
		} else {
			drop_last(lists, B1);
			replace(arc, false);
		}
	} else if (all >= arc->slots) {
		if (all == 2 * arc->slots)
			drop_last(lists, B2);
		if (lists->count[T1] + lists->count[T2] >= arc->slots)
			replace(arc, false);
	}
}

static bool use_arc(void *policy, uint32_t address)
{
	struct arc *arc = policy;
	struct lists *lists = &arc->lists;
	double b1 = lists->count[B1], b2 = lists->count[B2];

	switch (lists->list[address]) {
	case T1:
	case T2:
		move(lists, address, T2);
		return true;
	case B1:
		arc->wanted = MIN(arc->wanted + MAX(b2 / b1, 1), arc->slots);
		replace(arc, false);
		move(lists, address, T2);
		return false;
	case B2:
		arc->wanted = MAX(arc->wanted - MAX(b1 / b2, 1), 0);
		replace(arc, true);
		move(lists, address, T2);
		return false;
	default:
		make_room(arc);
		move(lists, address, T1);
		return false;
	}
}

double reference_arc(const struct trace *trace, uint32_t slots)
{
	struct arc arc = { .slots = slots };
	double ratio;

	lists_init(&arc.lists, trace->address_count);
	ratio = run(trace, &arc, use_arc);
	lists_clear(&arc.lists);
	return ratio;
}

/* --- S3-FIFO --------------------------------------------------------------------------- */

enum { SMALL, MAIN, GHOST };

struct s3fifo {
	struct lists lists;
	uint32_t slots, small_slots;
};

static void evict_main(struct lists *lists)
{
	for (;;) {
		uint32_t last = lists->tail[MAIN];

		if (lists->uses[last] == 0) {
			take_out(lists, last);
			return;
		}
		lists->uses[last]--;
		move(lists, last, MAIN);
	}
}

static void evict_small(struct s3fifo *s3)
{
	struct lists *lists = &s3->lists;
	uint32_t last = lists->tail[SMALL];

	if (lists->uses[last] > 1) {
		lists->uses[last] = 0;
		move(lists, last, MAIN);
		if (lists->count[MAIN] > s3->slots - s3->small_slots)
			evict_main(lists);
		return;
	}
	if (lists->count[GHOST] >= s3->slots - s3->small_slots)
		drop_last(lists, GHOST);
	move(lists, last, GHOST);
}

static bool use_s3fifo(void *policy, uint32_t address)
{
	struct s3fifo *s3 = policy;
	struct lists *lists = &s3->lists;
	uint8_t list = lists->list[address];

	if (list == SMALL || list == MAIN) {
		lists->uses[address] = (uint8_t)MIN(lists->uses[address] + 1, 3);
		return true;
	}
	while (lists->count[SMALL] + lists->count[MAIN] >= s3->slots) {
		if (lists->count[SMALL] >= s3->small_slots || lists->count[MAIN] == 0)
			evict_small(s3);
		else
			evict_main(lists);
	}
	lists->uses[address] = 0;
	move(lists, address, lists->list[address] == GHOST ? MAIN : SMALL);
	return false;
}

double reference_s3fifo(const struct trace *trace, uint32_t slots)
{
	struct s3fifo s3 = { .slots = slots, .small_slots = MAX(slots / 10, 1) };
	double ratio;

	lists_init(&s3.lists, trace->address_count);
	ratio = run(trace, &s3, use_s3fifo);
	lists_clear(&s3.lists);
	return ratio;
}
