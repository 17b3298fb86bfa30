/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_disk_medium.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ATTRIBUTES_MAX 8u
#define ATTRIBUTE_NAME_BYTES 64u
#define ATTRIBUTE_VALUE_BYTES 4200u

struct attribute {
	char name[ATTRIBUTE_NAME_BYTES];
	char value[ATTRIBUTE_VALUE_BYTES];
	size_t length_bytes;
};

struct attributes {
	unsigned count;
	struct attribute items[ATTRIBUTES_MAX];
};

/* A write or zero that no flush has covered yet. */
struct change {
	struct change *next;		/* newer */
	uint64_t sequence;
	uint64_t first_sector, sector_count;
	uint8_t *data;			/* NULL: zeros */
	bool is_forgotten;		/* by a failed flush */
};

struct wb_medium {
	uint64_t size_bytes;
	int now_fd, durable_fd;
	uint8_t *now, *durable;

	uint64_t sequence;		/* of the newest change */
	uint64_t *durable_sequence;	/* per sector: the change that `durable` holds */
	struct change *oldest, **newest_link;
	uint64_t volatile_count;

	uint8_t *is_taken;		/* per block */
	uint64_t taken_blocks, budget_bytes;

	/* Since the last flush, oldest first; [0] is durable, the last is now. */
	struct attributes **attributes;
	unsigned attributes_count;
};

/* How much of one change a power cut leaves. */
struct survival {
	enum { KEPT, LOST, TORN } how;
	uint64_t random;
	uint64_t unit_sectors;
};

static const struct survival all_of_it = { KEPT, 0, 1 };

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void *must(void *memory)
{
	if (!memory) {
		perror("test_disk: memory");
		abort();
	}
	return memory;
}

/* --- files ------------------------------------------------------------------------ */

static uint8_t *map_file(const char *directory, const char *name, const char *suffix,
			 uint64_t size_bytes, int *fd)
{
	char path[4096];
	void *bytes;

	if (snprintf(path, sizeof(path), "%s/%s.%s", directory, name, suffix) >=
	    (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0 || ftruncate(*fd, (off_t)size_bytes) < 0)
		return NULL;
	bytes = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	return bytes == MAP_FAILED ? NULL : bytes;
}

struct wb_medium *wb_medium_new(const char *directory, const char *name,
				uint64_t size_bytes)
{
	struct wb_medium *medium = must(calloc(1, sizeof(*medium)));
	uint64_t blocks = (size_bytes + WB_MEDIUM_BLOCK - 1) / WB_MEDIUM_BLOCK;

	medium->size_bytes = size_bytes;
	medium->now = map_file(directory, name, "now", size_bytes, &medium->now_fd);
	medium->durable = map_file(directory, name, "durable", size_bytes,
				   &medium->durable_fd);
	if (!medium->now || !medium->durable)
		return NULL;
	medium->durable_sequence = must(calloc(size_bytes / WB_MEDIUM_SECTOR, 8));
	medium->newest_link = &medium->oldest;
	medium->is_taken = must(calloc(blocks, 1));
	medium->budget_bytes = WB_MEDIUM_NO_BUDGET;
	medium->attributes = must(calloc(1, sizeof(*medium->attributes)));
	medium->attributes[0] = must(calloc(1, sizeof(struct attributes)));
	medium->attributes_count = 1;
	return medium;
}

uint64_t wb_medium_size_bytes(const struct wb_medium *medium)
{
	return medium->size_bytes;
}

int wb_medium_now_fd(const struct wb_medium *medium)
{
	return medium->now_fd;
}

const uint8_t *wb_medium_bytes(const struct wb_medium *medium)
{
	return medium->now;
}

static void punch(int fd, uint64_t offset_bytes, uint64_t length_bytes)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset_bytes,
		      (off_t)length_bytes)) {
		perror("test_disk: punch");
		abort();
	}
}

/* --- space ------------------------------------------------------------------------- */

static int take(struct wb_medium *medium, uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t first = offset_bytes / WB_MEDIUM_BLOCK;
	uint64_t end = (offset_bytes + length_bytes + WB_MEDIUM_BLOCK - 1) / WB_MEDIUM_BLOCK;
	uint64_t new_blocks = 0;

	for (uint64_t i = first; i < end; i++)
		new_blocks += !medium->is_taken[i];
	if (new_blocks &&
	    (medium->taken_blocks + new_blocks) > medium->budget_bytes / WB_MEDIUM_BLOCK)
		return -ENOSPC;
	memset(medium->is_taken + first, 1, end - first);
	medium->taken_blocks += new_blocks;
	return 0;
}

static void give_back(struct wb_medium *medium, uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t end = (offset_bytes + length_bytes) / WB_MEDIUM_BLOCK;

	for (uint64_t i = (offset_bytes + WB_MEDIUM_BLOCK - 1) / WB_MEDIUM_BLOCK; i < end; i++) {
		medium->taken_blocks -= medium->is_taken[i];
		medium->is_taken[i] = 0;
	}
}

void wb_medium_set_budget(struct wb_medium *medium, uint64_t budget_bytes)
{
	medium->budget_bytes = budget_bytes;
}

uint64_t wb_medium_taken_bytes(const struct wb_medium *medium)
{
	return medium->taken_blocks * WB_MEDIUM_BLOCK;
}

uint64_t wb_medium_free_bytes(const struct wb_medium *medium)
{
	uint64_t limit = medium->budget_bytes < medium->size_bytes ? medium->budget_bytes :
								     medium->size_bytes;
	uint64_t taken = wb_medium_taken_bytes(medium);

	return taken < limit ? limit - taken : 0;
}

/* --- changes ------------------------------------------------------------------------ */

static bool is_good_range(const struct wb_medium *medium, uint64_t offset_bytes,
			  uint64_t length_bytes)
{
	return !(offset_bytes % WB_MEDIUM_SECTOR) && !(length_bytes % WB_MEDIUM_SECTOR) &&
	       offset_bytes <= medium->size_bytes &&
	       length_bytes <= medium->size_bytes - offset_bytes;
}

static void note_change(struct wb_medium *medium, uint64_t offset_bytes,
			uint64_t length_bytes, const void *data)
{
	struct change *change = must(calloc(1, sizeof(*change)));

	change->sequence = ++medium->sequence;
	change->first_sector = offset_bytes / WB_MEDIUM_SECTOR;
	change->sector_count = length_bytes / WB_MEDIUM_SECTOR;
	if (data) {
		change->data = must(malloc(length_bytes));
		memcpy(change->data, data, length_bytes);
	}
	*medium->newest_link = change;
	medium->newest_link = &change->next;
	medium->volatile_count++;
}

int wb_medium_write(struct wb_medium *medium, uint64_t offset_bytes, const void *data,
		    size_t length_bytes)
{
	if (!is_good_range(medium, offset_bytes, length_bytes))
		return -EINVAL;
	if (take(medium, offset_bytes, length_bytes))
		return -ENOSPC;
	if (!length_bytes)
		return 0;
	memcpy(medium->now + offset_bytes, data, length_bytes);
	note_change(medium, offset_bytes, length_bytes, data);
	return 0;
}

int wb_medium_zero(struct wb_medium *medium, uint64_t offset_bytes, uint64_t length_bytes,
		   bool frees)
{
	if (!length_bytes || !is_good_range(medium, offset_bytes, length_bytes))
		return -EINVAL;
	if (frees)
		give_back(medium, offset_bytes, length_bytes);
	else if (take(medium, offset_bytes, length_bytes))
		return -ENOSPC;
	punch(medium->now_fd, offset_bytes, length_bytes);
	note_change(medium, offset_bytes, length_bytes, NULL);
	return 0;
}

int wb_medium_allocate(struct wb_medium *medium, uint64_t offset_bytes,
		       uint64_t length_bytes)
{
	if (offset_bytes + length_bytes > medium->size_bytes)
		return -EFBIG;
	return take(medium, offset_bytes, length_bytes);
}

/* --- durability --------------------------------------------------------------------- */

static bool survives(const struct survival *survival, uint64_t sector)
{
	uint64_t state = survival->random + sector / survival->unit_sectors;

	switch (survival->how) {
	case KEPT:
		return true;
	case LOST:
		return false;
	case TORN:
		return next_random(&state) & 1;
	}
	abort();
}

static void write_durable(struct wb_medium *medium, const struct change *change,
			  uint64_t first_sector, uint64_t sector_count)
{
	uint64_t at = first_sector * WB_MEDIUM_SECTOR, bytes = sector_count * WB_MEDIUM_SECTOR;

	if (change->data)
		memcpy(medium->durable + at,
		       change->data + (first_sector - change->first_sector) * WB_MEDIUM_SECTOR,
		       bytes);
	else
		punch(medium->durable_fd, at, bytes);
}

/* Runs of sectors of which nothing newer is durable, and which survive. */
static void settle(struct wb_medium *medium, const struct change *change,
		   const struct survival *survival)
{
	uint64_t end = change->first_sector + change->sector_count;

	for (uint64_t s = change->first_sector, run = s; s <= end; s++) {
		if (s < end && medium->durable_sequence[s] < change->sequence &&
		    survives(survival, s))
			continue;
		if (s > run)
			write_durable(medium, change, run, s - run);
		run = s + 1;
	}
}

static void harden(struct wb_medium *medium, const struct change *change)
{
	uint64_t end = change->first_sector + change->sector_count;

	settle(medium, change, &all_of_it);
	for (uint64_t s = change->first_sector; s < end; s++)
		if (medium->durable_sequence[s] < change->sequence)
			medium->durable_sequence[s] = change->sequence;
}

static void remove_change(struct wb_medium *medium, struct change **link)
{
	struct change *change = *link;

	*link = change->next;
	if (medium->newest_link == &change->next)
		medium->newest_link = link;
	medium->volatile_count--;
	free(change->data);
	free(change);
}

void wb_medium_harden_newest(struct wb_medium *medium)
{
	struct change **link = &medium->oldest;

	if (!*link)
		return;
	while ((*link)->next)
		link = &(*link)->next;
	harden(medium, *link);
	remove_change(medium, link);
}

static void keep_attributes_only(struct wb_medium *medium, unsigned index)
{
	struct attributes *kept = medium->attributes[index];

	for (unsigned i = 0; i < medium->attributes_count; i++)
		if (i != index)
			free(medium->attributes[i]);
	medium->attributes[0] = kept;
	medium->attributes_count = 1;
}

void wb_medium_flush(struct wb_medium *medium)
{
	struct change **link = &medium->oldest;

	while (*link) {
		if ((*link)->is_forgotten) {
			link = &(*link)->next;
			continue;
		}
		harden(medium, *link);
		remove_change(medium, link);
	}
	keep_attributes_only(medium, medium->attributes_count - 1);
}

void wb_medium_flush_failed(struct wb_medium *medium)
{
	for (struct change *change = medium->oldest; change; change = change->next)
		change->is_forgotten = true;
}

uint64_t wb_medium_volatile_count(const struct wb_medium *medium)
{
	return medium->volatile_count;
}

/* --- the power cut ------------------------------------------------------------------ */

/* A power cut has a character: everything lost, everything kept, or how many
 * of ten are lost and torn, in the order of writing or in any order. */
struct character {
	unsigned lost_of_ten, torn_of_ten;
	bool is_shuffled;
};

static struct character choose_character(uint64_t *random, enum wb_medium_cut how)
{
	static const struct character characters[] = {
		{ 10, 0, false }, { 0, 0, false }, { 5, 0, false }, { 2, 6, false },
		{ 1, 1, true }, { 4, 2, true }, { 8, 1, true }, { 0, 10, true },
	};
	uint64_t pick = next_random(random) % (sizeof(characters) / sizeof(*characters));

	if (how == WB_MEDIUM_CUT_LOSES_ALL)
		return characters[0];
	return characters[how == WB_MEDIUM_CUT_KEEPS_ALL ? 1 : pick];
}

static struct survival choose_survival(uint64_t *random, const struct character *character)
{
	uint64_t pick = next_random(random) % 10;
	struct survival survival = all_of_it;

	survival.random = next_random(random);
	if (survival.random & 1)
		survival.unit_sectors = WB_MEDIUM_BLOCK / WB_MEDIUM_SECTOR;
	if (pick < character->lost_of_ten)
		survival.how = LOST;
	else if (pick < character->lost_of_ten + character->torn_of_ten)
		survival.how = TORN;
	return survival;
}

/* What `durable` holds, without filling holes. */
static void restore_now(struct wb_medium *medium, const struct change *change)
{
	static const uint8_t zeros[WB_MEDIUM_BLOCK];
	uint64_t at = change->first_sector * WB_MEDIUM_SECTOR;
	uint64_t end = at + change->sector_count * WB_MEDIUM_SECTOR;

	while (at < end) {
		uint64_t bytes = WB_MEDIUM_BLOCK - at % WB_MEDIUM_BLOCK;

		if (bytes > end - at)
			bytes = end - at;
		if (memcmp(medium->durable + at, zeros, bytes))
			memcpy(medium->now + at, medium->durable + at, bytes);
		else if (memcmp(medium->now + at, zeros, bytes))
			punch(medium->now_fd, at, bytes);
		at += bytes;
	}
}

void wb_medium_cut(struct wb_medium *medium, uint64_t seed, enum wb_medium_cut how)
{
	uint64_t random = seed, count = medium->volatile_count, n = 0;
	struct character character = choose_character(&random, how);
	struct change **order = must(calloc(count + 1, sizeof(*order)));

	for (struct change *change = medium->oldest; change; change = change->next)
		order[n++] = change;
	for (uint64_t i = count; character.is_shuffled && i > 1; i--) {
		uint64_t k = next_random(&random) % i;
		struct change *change = order[k];

		order[k] = order[i - 1];
		order[i - 1] = change;
	}
	for (uint64_t i = 0; i < count; i++) {
		struct survival survival = choose_survival(&random, &character);

		settle(medium, order[i], &survival);
	}
	for (uint64_t i = 0; i < count; i++)
		restore_now(medium, order[i]);
	free(order);
	while (medium->oldest)
		remove_change(medium, &medium->oldest);
	if (how == WB_MEDIUM_CUT_ANY)
		keep_attributes_only(medium,
				     (unsigned)(next_random(&random) %
						medium->attributes_count));
	else
		keep_attributes_only(medium, how == WB_MEDIUM_CUT_LOSES_ALL ? 0 :
					     medium->attributes_count - 1);
}

void wb_medium_rot(struct wb_medium *medium, uint64_t offset_bytes, uint64_t length_bytes)
{
	for (uint64_t i = offset_bytes; i < offset_bytes + length_bytes &&
	     i < medium->size_bytes; i += WB_MEDIUM_SECTOR) {
		medium->now[i] ^= 0xa5;
		medium->durable[i] ^= 0xa5;
	}
}

/* --- attributes ---------------------------------------------------------------------- */

static struct attributes *attributes_now(const struct wb_medium *medium)
{
	return medium->attributes[medium->attributes_count - 1];
}

static int find_attribute(const struct attributes *attributes, const char *name)
{
	for (unsigned i = 0; i < attributes->count; i++)
		if (!strcmp(attributes->items[i].name, name))
			return (int)i;
	return -1;
}

/* A copy of what is there now becomes what is there now. */
static struct attributes *new_attributes(struct wb_medium *medium)
{
	struct attributes *copy = must(malloc(sizeof(*copy)));

	*copy = *attributes_now(medium);
	medium->attributes = must(realloc(medium->attributes,
					  (medium->attributes_count + 1) *
						  sizeof(*medium->attributes)));
	medium->attributes[medium->attributes_count++] = copy;
	return copy;
}

int wb_medium_set_attribute(struct wb_medium *medium, const char *name, const void *value,
			    size_t length_bytes)
{
	int index = find_attribute(attributes_now(medium), name);
	struct attributes *attributes;
	struct attribute *item;

	if (strlen(name) >= ATTRIBUTE_NAME_BYTES || length_bytes > ATTRIBUTE_VALUE_BYTES ||
	    (value && index < 0 && attributes_now(medium)->count == ATTRIBUTES_MAX))
		return -ENOSPC;
	if (!value && index < 0)
		return -ENODATA;
	attributes = new_attributes(medium);
	if (!value) {
		attributes->items[index] = attributes->items[--attributes->count];
		return 0;
	}
	item = &attributes->items[index < 0 ? (int)attributes->count++ : index];
	strcpy(item->name, name);
	memcpy(item->value, value, length_bytes);
	item->length_bytes = length_bytes;
	return 0;
}

ssize_t wb_medium_get_attribute(const struct wb_medium *medium, const char *name,
				const void **value)
{
	const struct attributes *attributes = attributes_now(medium);
	int index = find_attribute(attributes, name);

	if (index < 0)
		return -ENODATA;
	*value = attributes->items[index].value;
	return (ssize_t)attributes->items[index].length_bytes;
}

size_t wb_medium_list_attributes(const struct wb_medium *medium, char *names,
				 size_t size_bytes)
{
	const struct attributes *attributes = attributes_now(medium);
	size_t bytes = 0;

	for (unsigned i = 0; i < attributes->count; i++) {
		size_t length_bytes = strlen(attributes->items[i].name) + 1;

		if (bytes + length_bytes <= size_bytes)
			memcpy(names + bytes, attributes->items[i].name, length_bytes);
		bytes += length_bytes;
	}
	return bytes;
}
