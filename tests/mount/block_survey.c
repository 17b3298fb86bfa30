/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes blocks that can be recognised, and says of each whether it is there.
 *
 *   block_survey write FILE TAG FIRST COUNT   blocks of 4096 bytes, synced
 *   block_survey check FILE TAG FIRST COUNT   prints runs of blocks that cannot
 *       be read ("eio FIRST COUNT") or are others ("wrong FIRST COUNT"), every
 *       block read by itself; nothing when all are right
 *   block_survey find  DISK TAG BLOCK         prints the byte at which a disk
 *       (a cache) holds that block; the last copy
 *
 * A block begins with its tag and number and goes on with bytes drawn from them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096u
#define STAMP_BYTES 64u

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void fill(uint8_t block[BLOCK], const char *tag, uint64_t number)
{
	uint64_t state = number * 1000003;

	for (const char *p = tag; *p; p++)
		state = state * 31 + (uint8_t)*p;
	for (size_t i = 0; i < BLOCK; i += 8) {
		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		memcpy(block + i, &state, 8);
	}
	memset(block, 0, STAMP_BYTES);
	snprintf((char *)block, STAMP_BYTES, "block %lu of survey %s\n", (unsigned long)number,
		 tag);
}

static uint8_t *new_block(void)
{
	void *block;

	if (posix_memalign(&block, BLOCK, BLOCK))
		die("memory");
	return block;
}

static int write_blocks(int fd, const char *tag, uint64_t first, uint64_t count)
{
	uint8_t *block = new_block();

	for (uint64_t n = first; n < first + count; n++) {
		fill(block, tag, n);
		if (pwrite(fd, block, BLOCK, (off_t)(n * BLOCK)) != (ssize_t)BLOCK)
			die("write");
	}
	if (fdatasync(fd))
		die("fdatasync");
	free(block);
	return 0;
}

static const char *judge(int fd, const char *tag, uint64_t number, uint8_t *block,
			 uint8_t *wanted)
{
	ssize_t length = pread(fd, block, BLOCK, (off_t)(number * BLOCK));

	if (length < 0 && errno == EIO)
		return "eio";
	if (length < 0)
		die("read");
	fill(wanted, tag, number);
	return length == (ssize_t)BLOCK && !memcmp(block, wanted, BLOCK) ? NULL : "wrong";
}

static int check_blocks(int fd, const char *tag, uint64_t first, uint64_t count)
{
	uint8_t *block = new_block(), *wanted = new_block();
	const char *open_verdict = NULL;
	uint64_t open_first = 0;

	for (uint64_t n = first; n <= first + count; n++) {
		const char *verdict = n < first + count ? judge(fd, tag, n, block, wanted) : NULL;

		if (open_verdict && (!verdict || strcmp(verdict, open_verdict)))
			printf("%s %lu %lu\n", open_verdict, (unsigned long)open_first,
			       (unsigned long)(n - open_first));
		if (verdict && (!open_verdict || strcmp(verdict, open_verdict)))
			open_first = n;
		open_verdict = verdict;
	}
	free(block);
	free(wanted);
	return 0;
}

static int find_block(int fd, const char *tag, uint64_t number)
{
	uint8_t *block = new_block(), *wanted = new_block();
	int64_t found = -1;

	fill(wanted, tag, number);
	for (int64_t at = 0; pread(fd, block, BLOCK, at) == (ssize_t)BLOCK; at += BLOCK)
		if (!memcmp(block, wanted, BLOCK))
			found = at;
	free(block);
	free(wanted);
	if (found < 0)
		return fprintf(stderr, "block %lu is not there\n", (unsigned long)number), 1;
	printf("%ld\n", (long)found);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t first = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;
	uint64_t count = argc > 5 ? strtoull(argv[5], NULL, 0) : 0;
	int fd;

	if (argc < 5)
		return fprintf(stderr, "usage: block_survey write|check FILE TAG FIRST COUNT\n"
				       "       block_survey find DISK TAG BLOCK\n"), 2;
	fd = open(argv[2], (strcmp(argv[1], "write") ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		die(argv[2]);
	if (!strcmp(argv[1], "write") && count)
		return write_blocks(fd, argv[3], first, count);
	if (!strcmp(argv[1], "check") && count)
		return check_blocks(fd, argv[3], first, count);
	if (!strcmp(argv[1], "find"))
		return find_block(fd, argv[3], first);
	return 2;
}
