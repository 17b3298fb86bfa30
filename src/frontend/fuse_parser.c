/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_parser.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/memory.h"

struct wb_fuse_parser {
	/* constant after new */
	struct fuse_session *session;
	int answer_fd;			/* the session's, which closes it */
	size_t request_bytes;

	/* under lock */
	struct wb_lock lock;
	uint8_t *request;
};

static struct fuse_session *session_new(struct wb_fuse_service *service)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session = NULL;

	if (!fuse_opt_add_arg(&args, "wbfs"))
		session = fuse_session_new(&args, &wb_fuse_operations,
					   sizeof wb_fuse_operations, service);
	fuse_opt_free_args(&args);
	return session;
}

struct wb_fuse_parser *wb_fuse_parser_new(struct wb_fuse_service *service,
					  size_t request_bytes, GError **error)
{
	struct wb_fuse_parser *parser = g_new0(struct wb_fuse_parser, 1);
	g_autofree char *path = NULL;

	wb_lock_init(&parser->lock, WB_RANK_PARSER);
	parser->request_bytes = request_bytes;
	parser->request = wb_memory_map(request_bytes);
	parser->session = session_new(service);
	parser->answer_fd = memfd_create("wbfs-answer", MFD_CLOEXEC);
	path = g_strdup_printf("/dev/fd/%d", parser->answer_fd);
	if (parser->request && parser->session && parser->answer_fd >= 0 &&
	    !fuse_session_mount(parser->session, path))
		return parser;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "there is not enough memory");
	if (parser->answer_fd >= 0)
		close(parser->answer_fd);
	wb_fuse_parser_free(parser);
	return NULL;
}

void wb_fuse_parser_free(struct wb_fuse_parser *parser)
{
	if (!parser)
		return;
	if (parser->session)
		fuse_session_destroy(parser->session);
	if (parser->request)
		wb_memory_unmap(parser->request, parser->request_bytes);
	wb_lock_clear(&parser->lock);
	g_free(parser);
}

/* FALSE when it is longer than any that the kernel may send. */
static bool gather_locked(struct wb_fuse_parser *parser, const struct iovec *request,
			  unsigned piece_count, size_t *bytes)
{
	wb_lock_assert_held(&parser->lock);
	*bytes = 0;
	for (unsigned i = 0; i < piece_count; i++) {
		if (request[i].iov_len > parser->request_bytes - *bytes)
			return false;
		memcpy(parser->request + *bytes, request[i].iov_base, request[i].iov_len);
		*bytes += request[i].iov_len;
	}
	return true;
}

/* What libfuse has written since the beginning of the file. */
static size_t fetch(struct wb_fuse_parser *parser, struct fuse_out_header *header,
		    const struct iovec *data)
{
	off_t end = lseek(parser->answer_fd, 0, SEEK_CUR);
	size_t bytes;

	if (end < (off_t)sizeof *header)
		return 0;
	bytes = (size_t)end - sizeof *header;
	if (bytes > data->iov_len ||
	    pread(parser->answer_fd, header, sizeof *header, 0) != sizeof *header ||
	    pread(parser->answer_fd, data->iov_base, bytes, sizeof *header) != (ssize_t)bytes) {
		header->len = sizeof *header;
		header->error = -EIO;
		return 0;
	}
	return bytes;
}

size_t wb_fuse_parser_run(struct wb_fuse_parser *parser, const struct iovec *request,
			  unsigned piece_count, struct fuse_out_header *header,
			  const struct iovec *data)
{
	struct fuse_buf buffer;
	size_t bytes;

	*header = (struct fuse_out_header){ 0 };
	wb_lock_acquire(&parser->lock);
	if (gather_locked(parser, request, piece_count, &bytes)) {
		lseek(parser->answer_fd, 0, SEEK_SET);
		buffer = (struct fuse_buf){ .mem = parser->request, .size = bytes };
		fuse_session_process_buf(parser->session, &buffer);
		bytes = fetch(parser, header, data);
	} else {
		*header = (struct fuse_out_header){ .len = sizeof *header, .error = -EIO };
		bytes = 0;
	}
	wb_lock_release(&parser->lock);
	return bytes;
}
