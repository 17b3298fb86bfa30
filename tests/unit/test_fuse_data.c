/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests and answers as bytes; what the disk does with them is a matter of tests/mount. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "frontend/fuse_data.h"

#define UNIQUE ((UINT64_C(1) << 63) | 4711)	/* sent again: the answer has that bit too */

/* A session's descriptor, and what the kernel would find there. */
static int ends[2];

static void open_ends(void)
{
	cr_assert_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
}

static void close_ends(void)
{
	close(ends[0]);
	close(ends[1]);
}

TestSuite(fuse_data, .init = open_ends, .fini = close_ends);

static struct wb_fuse_caller caller(void)
{
	return (struct wb_fuse_caller){ .fd = ends[1], .unique = UNIQUE };
}

/* One answer, whole, with so many bytes behind its header. */
static void expect_answer(int error, const void *data, size_t bytes)
{
	struct { struct fuse_out_header header; char data[64]; } answer;
	ssize_t n = read(ends[0], &answer, sizeof answer);

	cr_assert_eq(n, (ssize_t)(sizeof answer.header + bytes));
	cr_expect_eq(answer.header.len, (uint32_t)n);
	cr_expect_eq(answer.header.error, -error);
	cr_expect_eq(answer.header.unique, UNIQUE);
	cr_expect_eq(memcmp(answer.data, data, bytes), 0);
	cr_expect_lt(read(ends[0], &answer, sizeof answer), 0, "a second answer");
}

Test(fuse_data, answers_are_the_kernels_structs)
{
	struct fuse_write_out out = { .size = 4096 };

	wb_fuse_caller_end(caller(), EIO);
	expect_answer(EIO, "", 0);
	wb_fuse_caller_end(caller(), 0);
	expect_answer(0, "", 0);
	wb_fuse_caller_end(caller(), 524);	/* a number that the kernel refuses */
	expect_answer(EIO, "", 0);
	wb_fuse_caller_wrote(caller(), 4096);
	expect_answer(0, &out, sizeof out);
	wb_fuse_caller_give(caller(), "some data", 9);
	expect_answer(0, "some data", 9);
	wb_fuse_caller_give(caller(), NULL, 0);
	expect_answer(0, "", 0);
}

static void note(const char *domain, GLogLevelFlags level, const char *text, void *said)
{
	(void)domain;
	(void)level;
	g_string_append(said, text);
}

Test(fuse_data, an_answer_that_is_not_taken_is_said_to_be_lost)
{
	g_autoptr(GString) said = g_string_new(NULL);
	struct wb_fuse_caller lost = { .fd = ends[0], .unique = UNIQUE };	/* to read from */

	g_log_set_default_handler(note, said);
	wb_fuse_caller_wrote(lost, 4096);
	g_log_set_default_handler(g_log_default_handler, NULL);
	cr_expect(strstr(said->str, "FUSE took no answer: "), "%s", said->str);
}

Test(fuse_data, takes_what_is_for_the_data_of_the_disk_and_nothing_else)
{
	static const uint32_t taken[] = { FUSE_READ, FUSE_WRITE, FUSE_FSYNC, FUSE_FALLOCATE };
	static const uint32_t left[] = { FUSE_OPEN, FUSE_GETATTR, FUSE_LSEEK, FUSE_FLUSH, FUSE_INIT };
	struct fuse_in_header header = { .nodeid = WB_INO_DISK };

	for (unsigned i = 0; i < G_N_ELEMENTS(taken); i++) {
		header.opcode = taken[i];
		header.nodeid = WB_INO_DISK;
		cr_expect(wb_fuse_data_is(&header), "opcode %u", taken[i]);
		header.nodeid = FUSE_ROOT_ID;
		cr_expect_not(wb_fuse_data_is(&header), "opcode %u of another file", taken[i]);
	}
	header.nodeid = WB_INO_DISK;
	for (unsigned i = 0; i < G_N_ELEMENTS(left); i++) {
		header.opcode = left[i];
		cr_expect_not(wb_fuse_data_is(&header), "opcode %u", left[i]);
	}
}

Test(fuse_data, an_interrupt_is_taken_and_not_answered)
{
	struct wb_fuse_service service = { .request_bytes = 1 << 20 };
	struct fuse_in_header header = { .opcode = FUSE_INTERRUPT, .unique = UNIQUE };
	struct fuse_buf buffer = { .mem = &header, .size = sizeof header };
	struct wb_receive_buffer *received = NULL;
	char byte;

	cr_expect(wb_fuse_data_take(&service, ends[1], &buffer, &received));
	cr_expect_lt(read(ends[0], &byte, 1), 0);
}

/* Nothing of a cut request reaches the disk: there is none here. */
Test(fuse_data, a_request_that_is_cut_is_refused)
{
	struct wb_fuse_service service = { .request_bytes = 1 << 20 };
	struct {
		struct fuse_in_header header;
		struct fuse_write_in in;
		char data[64];
	} request = {
		.header = { .nodeid = WB_INO_DISK, .unique = UNIQUE },
		.in = { .size = 64 },
	};
	struct fuse_buf buffer = { .mem = &request };
	struct wb_receive_buffer *received = NULL;

	request.header.opcode = FUSE_WRITE;
	for (buffer.size = sizeof request.header; buffer.size < sizeof request; buffer.size++) {
		cr_expect(wb_fuse_data_take(&service, ends[1], &buffer, &received));
		expect_answer(EINVAL, "", 0);
	}
	/* More than the kernel was told that it may send. */
	service.request_bytes = 32;
	cr_expect(wb_fuse_data_take(&service, ends[1], &buffer, &received));
	expect_answer(EINVAL, "", 0);
	for (unsigned i = 0; i < 2; i++) {
		request.header.opcode = i ? FUSE_FALLOCATE : FUSE_READ;
		buffer.size = sizeof request.header + 8;
		cr_expect(wb_fuse_data_take(&service, ends[1], &buffer, &received));
		expect_answer(EINVAL, "", 0);
	}
	buffer.size = sizeof request.header - 1;
	cr_expect_not(wb_fuse_data_take(&service, ends[1], &buffer, &received));
}
