/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "support/store_memory.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checksum.h"
#include "support/prng.h"

struct store_memory {
	struct wb_store store;		/* first: ops cast */
	uint8_t *bytes;
	struct wb_io *queue, **queue_tail;
	size_t queue_count;
	enum wb_store_memory_order order;
	struct wb_prng prng;
	bool checks_buffers, is_sparse;
};

static uint64_t hash_of_iov(const struct wb_io *io)
{
	uint64_t hash = 0;

	for (unsigned i = 0; i < io->iov_count; i++)
		hash = hash * UINT64_C(0x100000001b3) +
		       wb_crc32c(io->iov[i].iov_base, io->iov[i].iov_len);
	return hash;
}

static void submit(struct wb_store *store, struct wb_io *io)
{
	struct store_memory *self = (struct store_memory *)store;

	wb_store_assert_io(store, io);
	if (self->checks_buffers && io->op == WB_IO_WRITE)
		io->store_word[0] = hash_of_iov(io);
	io->next = NULL;
	*self->queue_tail = io;
	self->queue_tail = &io->next;
	self->queue_count++;
}

static struct wb_io *take(struct store_memory *self, size_t index)
{
	struct wb_io **at = &self->queue;
	struct wb_io *io;

	while (index-- > 0)
		at = &(*at)->next;
	io = *at;
	*at = io->next;
	if (!*at)
		self->queue_tail = at;
	self->queue_count--;
	return io;
}

static void copy_iov(struct store_memory *self, const struct wb_io *io)
{
	uint8_t *at = self->bytes + io->offset_bytes;

	for (unsigned i = 0; i < io->iov_count; i++) {
		const struct iovec *iov = &io->iov[i];

		if (io->op == WB_IO_READ)
			memcpy(iov->iov_base, at, iov->iov_len);
		else
			memcpy(at, iov->iov_base, iov->iov_len);
		at += iov->iov_len;
	}
}

void wb_store_memory_garbage(uint64_t offset_bytes, uint8_t *at, uint64_t length_bytes)
{
	struct wb_prng prng;

	g_assert(length_bytes % 512 == 0);
	for (uint8_t *end = at + length_bytes; at < end; at += 512, offset_bytes += 512) {
		wb_prng_init(&prng, offset_bytes + 1);
		memset(at, 0, 512);
		if (wb_prng_below(&prng, 4) == 0)
			continue;
		for (unsigned i = 0; i < 512; i += sizeof(uint64_t)) {
			uint64_t word = wb_prng_next(&prng);

			memcpy(at + i, &word, sizeof word);
		}
	}
}

static void carry_out(struct store_memory *self, const struct wb_io *io)
{
	switch (io->op) {
	case WB_IO_WRITE:
		if (self->checks_buffers)
			g_assert(io->store_word[0] == hash_of_iov(io));
		copy_iov(self, io);
		break;
	case WB_IO_READ:
		copy_iov(self, io);
		break;
	case WB_IO_ZERO:
		memset(self->bytes + io->offset_bytes, 0, io->length_bytes);
		break;
	case WB_IO_DISCARD:
		wb_store_memory_garbage(io->offset_bytes, self->bytes + io->offset_bytes,
					io->length_bytes);
		break;
	case WB_IO_FLUSH:
		break;
	}
}

static bool poll_one(struct wb_store *store)
{
	struct store_memory *self = (struct store_memory *)store;
	size_t index = 0;
	struct wb_io *io;

	if (self->queue_count == 0)
		return false;
	if (self->order == WB_STORE_MEMORY_RANDOM)
		index = wb_prng_below(&self->prng, self->queue_count);
	io = take(self, index);
	carry_out(self, io);
	io->done(io, 0);
	return true;
}

static uint64_t busy_ns(struct wb_store *store)
{
	(void)store;
	return 0;
}

static bool is_zero(const uint8_t *at, uint64_t length)
{
	return at[0] == 0 && !memcmp(at, at + 1, length - 1);
}

static bool has_hole(struct wb_store *store, uint64_t offset_bytes, uint64_t length_bytes)
{
	const struct store_memory *self = (const struct store_memory *)store;

	for (uint64_t at = 0; self->is_sparse && at < length_bytes; at += 4096)
		if (is_zero(self->bytes + offset_bytes + at, MIN(4096, length_bytes - at)))
			return true;
	return false;
}

static void close_store(struct wb_store *store)
{
	struct store_memory *self = (struct store_memory *)store;

	g_assert(self->queue_count == 0);
	munmap(self->bytes, store->size_bytes);
	g_free(self);
}

static const struct wb_store_ops ops = {
	.name = "memory",
	.submit = submit,
	.poll = poll_one,
	.busy_ns = busy_ns,
	.has_hole = has_hole,
	.close = close_store,
};

struct wb_store *wb_store_memory_new(uint64_t size_bytes, uint32_t alignment_bytes,
				     uint32_t atomic_write_bytes)
{
	struct store_memory *self = g_new0(struct store_memory, 1);

	g_assert(size_bytes > 0 && size_bytes % 512 == 0);
	self->bytes = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	g_assert(self->bytes != MAP_FAILED);
	self->queue_tail = &self->queue;
	self->store = (struct wb_store){
		.ops = &ops,
		.label = "memory",
		.size_bytes = size_bytes,
		.alignment_bytes = alignment_bytes,
		.atomic_write_bytes = atomic_write_bytes,
	};
	return &self->store;
}

static struct store_memory *to_memory(struct wb_store *store)
{
	g_assert(store->ops == &ops);
	return (struct store_memory *)store;
}

void wb_store_memory_set_order(struct wb_store *store, enum wb_store_memory_order order,
			       uint64_t seed)
{
	to_memory(store)->order = order;
	wb_prng_init(&to_memory(store)->prng, seed);
}

void wb_store_memory_set_sparse(struct wb_store *store)
{
	to_memory(store)->is_sparse = true;
}

void wb_store_memory_check_buffers(struct wb_store *store)
{
	g_assert(to_memory(store)->queue_count == 0);
	to_memory(store)->checks_buffers = true;
}

uint8_t *wb_store_memory_bytes(struct wb_store *store)
{
	return to_memory(store)->bytes;
}

size_t wb_store_memory_in_flight(const struct wb_store *store)
{
	g_assert(store->ops == &ops);
	return ((const struct store_memory *)store)->queue_count;
}
