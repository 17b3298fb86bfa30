/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does the same to two files: random writes, discards and zero-ranges at any
 * byte offset and length, and compares what random reads return. The second
 * file, a plain one, says what the image has to be.
 *
 *   mirror_io FILE REFERENCE BYTES THREADS OPERATIONS SEED [ALIGNMENT]
 *
 * BYTES is how much of the files is used; a thread works in its own part of
 * it, so that the order of overlapping writes is known. ALIGNMENT (1) of
 * offsets and lengths; 512 and more opens FILE with O_DIRECT.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 16u
#define LENGTH_MAX (1u << 20)

struct worker {
	unsigned index;
	uint64_t random;
	uint8_t *data, *reference;
};

static int file_fd, reference_fd;
static uint64_t part_bytes, operation_count, alignment = 1;
static atomic_bool failed;

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static bool object(const char *what, uint64_t offset, uint64_t length)
{
	fprintf(stderr, "%s at %lu + %lu: %s\n", what, offset, length, strerror(errno));
	atomic_store(&failed, true);
	return false;
}

/* Small ones mostly, a few up to 1 MiB; clustered starts, so that they overlap. */
static void pick_range(struct worker *w, uint64_t *offset, uint64_t *length)
{
	static const uint64_t limits[] = { 600, 5000, 5000, 20000, 70000, LENGTH_MAX };
	uint64_t limit = limits[next_random(&w->random) % 6];

	if (limit > part_bytes / 2)
		limit = part_bytes / 2;
	*length = 1 + next_random(&w->random) % limit;
	*offset = next_random(&w->random) % (part_bytes - *length);
	if (next_random(&w->random) % 3 == 0)	/* some start on a block */
		*offset &= ~UINT64_C(4095);
	*offset -= *offset % alignment;
	*length -= *length % alignment;
	if (*length == 0)
		*length = alignment;
	*offset += w->index * part_bytes;
}

static bool write_both(struct worker *w, uint64_t offset, uint64_t length)
{
	uint64_t words = (length + 7) / 8;

	for (uint64_t i = 0; i < words; i++) {
		uint64_t word = next_random(&w->random);

		memcpy(w->data + i * 8, &word, 8);
	}
	if (pwrite(file_fd, w->data, length, (off_t)offset) != (ssize_t)length)
		return object("write", offset, length);
	if (pwrite(reference_fd, w->data, length, (off_t)offset) != (ssize_t)length)
		return object("write of the reference", offset, length);
	return true;
}

static bool zero_both(struct worker *w, uint64_t offset, uint64_t length)
{
	int mode = FALLOC_FL_KEEP_SIZE | (next_random(&w->random) % 2 ?
		   FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);

	if (fallocate(file_fd, mode, (off_t)offset, (off_t)length) < 0)
		return object("fallocate", offset, length);
	if (fallocate(reference_fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
		      (off_t)offset, (off_t)length) < 0)
		return object("fallocate of the reference", offset, length);
	return true;
}

static bool compare_both(struct worker *w, uint64_t offset, uint64_t length)
{
	if (pread(file_fd, w->data, length, (off_t)offset) != (ssize_t)length)
		return object("read", offset, length);
	if (pread(reference_fd, w->reference, length, (off_t)offset) != (ssize_t)length)
		return object("read of the reference", offset, length);
	for (uint64_t i = 0; i < length; i++) {
		if (w->data[i] == w->reference[i])
			continue;
		errno = EILSEQ;
		fprintf(stderr, "byte %lu differs: %02x, not %02x\n", offset + i,
			w->data[i], w->reference[i]);
		return object("compare", offset, length);
	}
	return true;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	for (uint64_t n = 0; n < operation_count && !atomic_load(&failed); n++) {
		unsigned what = next_random(&w->random) % 100;
		uint64_t offset, length;
		bool fine;

		pick_range(w, &offset, &length);
		if (what < 60)
			fine = write_both(w, offset, length);
		else if (what < 70)
			fine = zero_both(w, offset, length);
		else if (what < 98)
			fine = compare_both(w, offset, length);
		else
			fine = fdatasync(file_fd) == 0 || object("fdatasync", 0, 0);
		if (!fine)
			break;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t ids[THREADS_MAX];
	struct worker workers[THREADS_MAX];
	unsigned thread_count;

	if (argc < 7 || argc > 8) {
		fprintf(stderr, "usage: %s FILE REFERENCE BYTES THREADS OPERATIONS SEED "
				"[ALIGNMENT]\n", argv[0]);
		return 2;
	}
	thread_count = (unsigned)strtoul(argv[4], NULL, 0);
	operation_count = strtoull(argv[5], NULL, 0);
	if (argc == 8)
		alignment = strtoull(argv[7], NULL, 0);
	if (thread_count == 0 || thread_count > THREADS_MAX || alignment == 0)
		return 2;
	part_bytes = strtoull(argv[3], NULL, 0) / thread_count & ~UINT64_C(4095);
	file_fd = open(argv[1], O_RDWR | (alignment >= 512 ? O_DIRECT : 0));
	reference_fd = open(argv[2], O_RDWR | O_CREAT, 0600);
	if (file_fd < 0 || reference_fd < 0) {
		perror(file_fd < 0 ? argv[1] : argv[2]);
		return 1;
	}
	for (unsigned t = 0; t < thread_count; t++) {
		workers[t] = (struct worker){ t, strtoull(argv[6], NULL, 0) * 1009 + t, NULL, NULL };
		if (posix_memalign((void **)&workers[t].data, 4096, LENGTH_MAX + 8) ||
		    posix_memalign((void **)&workers[t].reference, 4096, LENGTH_MAX) ||
		    pthread_create(&ids[t], NULL, worker_main, &workers[t]))
			return 1;
	}
	for (unsigned t = 0; t < thread_count; t++) {
		pthread_join(ids[t], NULL);
		free(workers[t].data);
		free(workers[t].reference);
	}
	return atomic_load(&failed);
}
