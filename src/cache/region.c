/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/region.h"

#include <glib.h>
#include <string.h>

#include "base/death.h"
#include "base/mutant.h"
#include "format/ondisk.h"

#define MAGIC UINT64_C(0x6461656873666277)	/* "wbfshead" */
#define MAGIC_CLOSED UINT64_C(0x6573656873666277)	/* the same after a clean stop */
/* Numbers of requests that were answered at the moment of a death, but still have
 * their place, never come again; they make room in the end. */
#define LEFT_PER_REQUEST 4u

struct head {
	_Atomic uint64_t magic;		/* 0: nothing is in it */
	uint32_t version;
	uint32_t buffer_count, segment_bytes, request_count;
	uint8_t uuid[16];
	_Atomic uint64_t epoch, epoch_start;
	_Atomic uint64_t durable;
	/* The CRC is of the pair that has the sequence of `durable`: so both change at
	 * once. */
	struct {
		_Atomic uint64_t sequence;
		_Atomic uint32_t crc;
	} durable_crc[2];
	_Atomic uint64_t generation;	/* of the superblocks */
	_Atomic uint32_t left_index;	/* which of both tables counts */
	_Atomic uint32_t debts[WB_REGION_DEBTS];
};

struct buffer {
	_Atomic uint64_t segment_id, first, last;
};

struct left {
	_Atomic uint64_t unique, done_bytes;
};

G_STATIC_ASSERT(sizeof(struct head) <= WB_BLOCK_BYTES);

struct wb_region {
	/* constant */
	struct wb_region_shape shape;
	char *base;
	struct wb_executed *requests;
	struct left *left[2];
	struct buffer *buffers;
	struct head *head;
};

/* --- layout ----------------------------------------------------------------------- */

static size_t left_count(const struct wb_region_shape *shape)
{
	return (size_t)shape->request_count * LEFT_PER_REQUEST;
}

static size_t requests_offset(const struct wb_region_shape *shape)
{
	return (size_t)shape->buffer_count * shape->segment_bytes;
}

static size_t left_offset(const struct wb_region_shape *shape)
{
	return requests_offset(shape) + shape->request_count * sizeof(struct wb_executed);
}

static size_t buffers_offset(const struct wb_region_shape *shape)
{
	return left_offset(shape) + 2 * left_count(shape) * sizeof(struct left);
}

size_t wb_region_bytes(const struct wb_region_shape *shape)
{
	size_t tables = buffers_offset(shape) + shape->buffer_count * sizeof(struct buffer);

	return (tables + WB_BLOCK_BYTES - 1) / WB_BLOCK_BYTES * WB_BLOCK_BYTES +
	       WB_BLOCK_BYTES;
}

static struct head *head_at(const void *base, size_t bytes)
{
	return (struct head *)((uintptr_t)base + bytes / WB_BLOCK_BYTES * WB_BLOCK_BYTES -
			       WB_BLOCK_BYTES);
}

static struct wb_region_shape shape_of(const struct head *head)
{
	return (struct wb_region_shape){ head->buffer_count, head->segment_bytes,
					 head->request_count };
}

enum wb_cache_memory_state wb_region_look(const void *base, size_t bytes, uint32_t *version)
{
	const struct head *head;
	struct wb_region_shape shape;

	if (!base || bytes < WB_BLOCK_BYTES)
		return WB_CACHE_MEMORY_EMPTY;
	head = head_at(base, bytes);
	if (atomic_load(&head->magic) == 0 || atomic_load(&head->magic) == MAGIC_CLOSED)
		return WB_CACHE_MEMORY_EMPTY;
	if (version)
		*version = head->version;
	shape = shape_of(head);
	return head->magic == MAGIC && head->version == WB_CACHE_MEMORY_VERSION &&
	       shape.segment_bytes >= WB_SEGMENT_BYTES_MIN &&
	       shape.segment_bytes <= WB_SEGMENT_BYTES_MAX &&
	       wb_region_bytes(&shape) <= bytes ? WB_CACHE_MEMORY_HOLDS :
						   WB_CACHE_MEMORY_UNKNOWN;
}

void wb_region_clear(void *base, size_t bytes)
{
	if (base && bytes >= WB_BLOCK_BYTES)
		atomic_store(&head_at(base, bytes)->magic, 0);
}

static struct wb_region *map(void *base, size_t bytes, const struct wb_region_shape *shape)
{
	struct wb_region *region = g_new0(struct wb_region, 1);

	g_assert((uintptr_t)base % WB_BLOCK_BYTES == 0 && wb_region_bytes(shape) <= bytes);
	region->shape = *shape;
	region->base = base;
	region->requests = (struct wb_executed *)((uintptr_t)base + requests_offset(shape));
	region->left[0] = (struct left *)((uintptr_t)base + left_offset(shape));
	region->left[1] = region->left[0] + left_count(shape);
	region->buffers = (struct buffer *)((uintptr_t)base + buffers_offset(shape));
	region->head = head_at(base, bytes);
	return region;
}

static bool is_closed(const struct wb_region *region)
{
	const struct head *head = region->head;

	return atomic_load(&head->magic) == MAGIC_CLOSED &&
	       head->version == WB_CACHE_MEMORY_VERSION &&
	       head->buffer_count == region->shape.buffer_count &&
	       head->segment_bytes == region->shape.segment_bytes &&
	       head->request_count == region->shape.request_count;
}

struct wb_region *wb_region_new(void *base, size_t bytes, const struct wb_region_shape *shape)
{
	struct wb_region *region = map(base, bytes, shape);

	if (is_closed(region) && !WB_MUTANT(requests_forgotten_by_stop)) {
		wb_region_leave_requests(region);
		memset(region->buffers, 0, shape->buffer_count * sizeof *region->buffers);
		return region;
	}
	atomic_store(&region->head->magic, 0);
	memset(region->head, 0, sizeof *region->head);
	memset(region->requests, 0, (uintptr_t)region->head - (uintptr_t)region->requests);
	region->head->version = WB_CACHE_MEMORY_VERSION;
	region->head->buffer_count = shape->buffer_count;
	region->head->segment_bytes = shape->segment_bytes;
	region->head->request_count = shape->request_count;
	return region;
}

struct wb_region *wb_region_adopt(void *base, size_t bytes)
{
	struct wb_region_shape shape = shape_of(head_at(base, bytes));

	g_assert(wb_region_look(base, bytes, NULL) == WB_CACHE_MEMORY_HOLDS);
	return map(base, bytes, &shape);
}

void wb_region_free(struct wb_region *region)
{
	g_free(region);
}

struct wb_region_shape wb_region_get_shape(const struct wb_region *region)
{
	return region->shape;
}

char *wb_region_buffer(const struct wb_region *region, uint32_t index)
{
	g_assert(index < region->shape.buffer_count);
	return region->base + (size_t)index * region->shape.segment_bytes;
}

/* --- the head -------------------------------------------------------------------- */

void wb_region_begin(struct wb_region *region, const struct wb_region_head *head)
{
	memcpy(region->head->uuid, head->uuid, sizeof head->uuid);
	wb_region_set_epoch(region, head->epoch, head->epoch_start);
	wb_region_set_durable(region, head->durable, head->durable_crc);
	atomic_store(&region->head->magic, MAGIC);
}

void wb_region_end(struct wb_region *region)
{
	wb_region_set_debt(region, WB_OWES_FLUSH, false);
	wb_region_set_debt(region, WB_OWES_ERROR, false);
	atomic_store(&region->head->magic, MAGIC_CLOSED);
}

void wb_region_get_head(const struct wb_region *region, struct wb_region_head *head)
{
	const struct head *from = region->head;
	unsigned which;

	memcpy(head->uuid, from->uuid, sizeof head->uuid);
	head->epoch = atomic_load(&from->epoch);
	head->epoch_start = atomic_load(&from->epoch_start);
	head->durable = atomic_load(&from->durable);
	which = atomic_load(&from->durable_crc[0].sequence) == head->durable ? 0 : 1;
	head->durable_crc = atomic_load(&from->durable_crc[which].crc);
}

void wb_region_set_durable(struct wb_region *region, uint64_t sequence, uint32_t crc)
{
	struct head *head = region->head;
	uint64_t old = atomic_load_explicit(&head->durable, memory_order_relaxed);
	unsigned which = atomic_load_explicit(&head->durable_crc[0].sequence,
					      memory_order_relaxed) == old;

	if (sequence == old)
		which ^= 1;
	WB_DEATH_POINT();
	atomic_store_explicit(&head->durable_crc[which].crc, crc, memory_order_release);
	wb_executed_store(&head->durable_crc[which].sequence, sequence);
	wb_executed_store(&head->durable, sequence);
}

/* Of both only the epoch is ever compared: it comes last. */
void wb_region_set_epoch(struct wb_region *region, uint64_t epoch, uint64_t epoch_start)
{
	WB_DEATH_POINT();
	atomic_store(&region->head->epoch_start, epoch_start);
	WB_DEATH_POINT();
	atomic_store(&region->head->epoch, epoch);
}

void wb_region_set_generation(struct wb_region *region, uint64_t generation)
{
	wb_executed_store(&region->head->generation, generation);
}

uint64_t wb_region_generation(const struct wb_region *region)
{
	return atomic_load(&region->head->generation);
}

void wb_region_set_debt(struct wb_region *region, enum wb_region_debt debt, bool owes)
{
	WB_DEATH_POINT();
	atomic_store(&region->head->debts[debt], owes);
}

bool wb_region_has_debt(const struct wb_region *region, enum wb_region_debt debt)
{
	return atomic_load(&region->head->debts[debt]);
}

/* --- buffers ---------------------------------------------------------------------- */

static struct buffer *buffer_at(const struct wb_region *region, uint32_t index)
{
	g_assert(index < region->shape.buffer_count);
	return &region->buffers[index];
}

void wb_region_set_run(struct wb_region *region, uint32_t index,
		       const struct wb_region_run *run)
{
	struct buffer *buffer = buffer_at(region, index);

	/* In between it holds nothing. */
	wb_executed_store(&buffer->segment_id, 0);
	wb_executed_store(&buffer->first, run->first);
	wb_executed_store(&buffer->last, run->last);
	wb_executed_store(&buffer->segment_id, run->segment_id);
}

void wb_region_get_run(const struct wb_region *region, uint32_t index,
		       struct wb_region_run *run)
{
	const struct buffer *buffer = buffer_at(region, index);

	run->segment_id = atomic_load(&buffer->segment_id);
	run->first = atomic_load(&buffer->first);
	run->last = atomic_load(&buffer->last);
}

void wb_region_set_last(struct wb_region *region, uint32_t index, uint64_t last)
{
	wb_executed_store(&buffer_at(region, index)->last, last);
}

void wb_region_set_segment(struct wb_region *region, uint32_t index, uint64_t segment_id)
{
	wb_executed_store(&buffer_at(region, index)->segment_id, segment_id);
}

/* --- requests ----------------------------------------------------------------------- */

struct wb_executed *wb_region_request(const struct wb_region *region, uint32_t index)
{
	g_assert(index < region->shape.request_count);
	return &region->requests[index];
}

static struct left *current_left(const struct wb_region *region)
{
	return region->left[atomic_load(&region->head->left_index) & 1];
}

static struct left *find(struct left *table, size_t count, uint64_t unique)
{
	for (size_t i = 0; i < count; i++) {
		if (atomic_load_explicit(&table[i].unique, memory_order_relaxed) == unique)
			return &table[i];
	}
	return NULL;
}

/* The same request may stand in both tables, after a death between two steps: what is
 * further counts. Without room the oldest goes. */
static void add_left(struct left *table, size_t count, uint64_t unique, uint64_t done_bytes)
{
	struct left *place = find(table, count, unique);

	if (place) {
		place->done_bytes = MAX(place->done_bytes, done_bytes);
		return;
	}
	place = find(table, count, 0);
	for (size_t i = 0; !place && i < count; i++) {
		if (table[i].unique < unique && (!place || table[i].unique < place->unique))
			place = &table[i];
	}
	if (!place)
		return;
	place->unique = unique;
	place->done_bytes = done_bytes;
}

/* Into the table that does not count, which then counts: a death before that begins
 * anew, one after it finds all places clear or still full of what is in it already. */
void wb_region_leave_requests(struct wb_region *region)
{
	size_t count = left_count(&region->shape);
	struct left *from = current_left(region);
	struct left *to = from == region->left[0] ? region->left[1] : region->left[0];

	memset(to, 0, count * sizeof *to);
	for (size_t i = 0; i < count; i++) {
		if (from[i].unique)
			add_left(to, count, from[i].unique, from[i].done_bytes);
	}
	for (uint32_t i = 0; i < region->shape.request_count; i++) {
		if (region->requests[i].unique)
			add_left(to, count, region->requests[i].unique,
				 region->requests[i].done_bytes);
	}
	WB_DEATH_POINT();
	if (WB_MUTANT(left_requests_forgotten))
		return;
	atomic_store(&region->head->left_index, to == region->left[1]);
	WB_DEATH_POINT();
	for (uint32_t i = 0; i < region->shape.request_count; i++)
		wb_executed_begin(&region->requests[i], 0, 0);
}

uint64_t wb_region_find_left(const struct wb_region *region, uint64_t unique)
{
	const struct left *place = find(current_left(region), left_count(&region->shape), unique);

	return place ? atomic_load(&place->done_bytes) : 0;
}

void wb_region_forget_left(struct wb_region *region, uint64_t unique)
{
	struct left *place = find(current_left(region), left_count(&region->shape), unique);

	if (place)
		wb_executed_store(&place->unique, 0);
}
