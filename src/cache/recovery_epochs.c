/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DEAD: a record (e, s) is dead if a valid header or superblock has e' > e and
 * epoch_start(e') <= s. The chain alone cannot choose after repeated crashes:
 * records of a timeline that was cut off are whole, chained to each other and
 * sometimes lie exactly where the next record would.
 *
 * Why first headers, superblocks and the headers that the walk passes are
 * enough to know the facts: let (e, s) be a leftover that should be dead by
 * e', s >= tail. If the newest superblock's epoch began at or before s, the
 * superblock says so. Else the log of that superblock holds a record (e'', s),
 * e'' >= e', whose own header says epoch_start(e'') <= s. Where the walk could
 * take (e, s) instead: if the true one is the first of its segment, it was read
 * before the walk. If it lies behind (e'', s-1), that header, just passed, has
 * the same epoch (an epoch begins in a fresh segment) and kills (e, s) as well.
 * A fact that turns up later than it was needed makes the scan start again.
 */
#include "cache/recovery_epochs.h"

#include "base/mutant.h"

struct fact {
	uint64_t epoch;
	uint64_t start;		/* lowest seen: whatever a header says may kill */
	uint64_t durable;	/* highest claim made in this epoch */
	uint64_t start_above;	/* lowest start of all later epochs */
};

void wb_recovery_epochs_init(struct wb_recovery_epochs *epochs)
{
	epochs->facts = g_array_new(FALSE, FALSE, sizeof(struct fact));
	epochs->is_settled = true;
	epochs->version = 0;
}

void wb_recovery_epochs_clear(struct wb_recovery_epochs *epochs)
{
	if (epochs->facts)
		g_array_unref(epochs->facts);
	epochs->facts = NULL;
}

static struct fact *fact_at(const struct wb_recovery_epochs *epochs, guint i)
{
	return &g_array_index(epochs->facts, struct fact, i);
}

static gint compare_facts(gconstpointer a, gconstpointer b)
{
	const struct fact *x = a, *y = b;

	return x->epoch < y->epoch ? -1 : x->epoch > y->epoch;
}

static void merge(struct fact *into, const struct fact *fact)
{
	into->start = MIN(into->start, fact->start);
	into->durable = MAX(into->durable, fact->durable);
}

static void settle(struct wb_recovery_epochs *epochs)
{
	uint64_t start_above = UINT64_MAX;
	guint kept = 0;

	if (epochs->is_settled)
		return;
	g_array_sort(epochs->facts, compare_facts);
	for (guint i = 0; i < epochs->facts->len; i++) {
		if (kept > 0 && fact_at(epochs, kept - 1)->epoch == fact_at(epochs, i)->epoch)
			merge(fact_at(epochs, kept - 1), fact_at(epochs, i));
		else
			*fact_at(epochs, kept++) = *fact_at(epochs, i);
	}
	g_array_set_size(epochs->facts, kept);
	for (guint i = kept; i-- > 0;) {
		fact_at(epochs, i)->start_above = start_above;
		start_above = MIN(start_above, fact_at(epochs, i)->start);
	}
	epochs->is_settled = true;
}

/* Index of the first fact whose epoch is >= `epoch`; settled only. */
static guint find(const struct wb_recovery_epochs *epochs, uint64_t epoch)
{
	guint low = 0, high = epochs->facts->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (fact_at(epochs, middle)->epoch < epoch)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void wb_recovery_epochs_add(struct wb_recovery_epochs *epochs, uint64_t epoch,
			    uint64_t start, uint64_t durable)
{
	struct fact fact = { .epoch = epoch, .start = start, .durable = durable };
	struct fact *known = NULL;
	guint i;

	if (epochs->is_settled) {
		i = find(epochs, epoch);
		if (i < epochs->facts->len && fact_at(epochs, i)->epoch == epoch)
			known = fact_at(epochs, i);
	} else {
		/* neighbours in the ring mostly share their epoch */
		known = fact_at(epochs, epochs->facts->len - 1);
		if (known->epoch != epoch)
			known = NULL;
	}
	if (known && start >= known->start) {
		merge(known, &fact);
		return;
	}
	g_array_append_val(epochs->facts, fact);
	epochs->is_settled = false;
	epochs->version++;
}

bool wb_recovery_epochs_is_dead(struct wb_recovery_epochs *epochs, uint64_t epoch,
				uint64_t sequence)
{
	guint i;

	settle(epochs);
	if (WB_MUTANT(epoch_start_ignored))
		return false;
	i = find(epochs, epoch);
	if (i == epochs->facts->len)
		return false;
	if (fact_at(epochs, i)->epoch == epoch)
		return fact_at(epochs, i)->start_above <= sequence;
	return MIN(fact_at(epochs, i)->start, fact_at(epochs, i)->start_above) <= sequence;
}

/*
 * A claim of a cut-off timeline says nothing about the records that were put
 * in place of its own: it counts only below the start of every later epoch.
 */
uint64_t wb_recovery_epochs_durable(struct wb_recovery_epochs *epochs)
{
	uint64_t highest = 0;

	settle(epochs);
	for (guint i = 0; i < epochs->facts->len; i++) {
		const struct fact *fact = fact_at(epochs, i);
		uint64_t limit = fact->start_above > 0 ? fact->start_above - 1 : 0;

		highest = MAX(highest, MIN(fact->durable, limit));
	}
	return highest;
}

uint64_t wb_recovery_epochs_highest(struct wb_recovery_epochs *epochs)
{
	settle(epochs);
	return epochs->facts->len ? fact_at(epochs, epochs->facts->len - 1)->epoch : 0;
}
