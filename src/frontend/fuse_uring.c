/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_uring.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "frontend/fuse_data.h"
#include "frontend/fuse_parser.h"
#include "frontend/fuse_rings.h"
#include "frontend/uring_abi.h"

#define SWITCH_PATH "/sys/module/fuse/parameters/enable_uring"
#define CPUS_PATH "/sys/devices/system/cpu/possible"
#define REQUEST_HEADERS_BYTES 4096u

struct wb_fuse_uring {
	/* constant after new */
	struct wb_fuse_service *service;
	struct wb_fuse_parser *parser;
	struct wb_fuse_rings *rings;
};

/* --- requests of a ring -------------------------------------------------------------- */

static void answer_by_parser(struct wb_fuse_uring *uring, struct wb_ring_entry *entry,
			     const struct wb_ring_request *request)
{
	void *payload = wb_ring_entry_payload(entry);
	const struct iovec pieces[] = {
		{ (void *)&request->header, sizeof request->header },
		{ (void *)request->fixed, request->fixed_bytes },
		{ payload, request->payload_bytes },
	};
	const struct iovec room = { payload, uring->service->request_bytes };
	struct fuse_out_header out;
	size_t bytes = wb_fuse_parser_run(uring->parser, pieces, G_N_ELEMENTS(pieces), &out,
					  &room);

	/* An entry that is not answered would be lost. */
	wb_ring_entry_answer(entry, out.len ? out.error : -EIO, bytes);
}

static void serve(void *arg, struct wb_ring_entry *entry)
{
	struct wb_fuse_uring *uring = arg;
	struct wb_ring_request request;

	wb_ring_entry_request(entry, &request);
	if (!wb_fuse_data_is(&request.header)) {
		answer_by_parser(uring, entry, &request);
		return;
	}
	wb_fuse_data_serve(uring->service, (struct wb_fuse_caller){ .entry = entry },
			   &(struct wb_fuse_data_request){
		.header = &request.header,
		.fixed = request.fixed,
		.fixed_bytes = request.fixed_bytes,
		.payload = wb_ring_entry_payload(entry),
		.payload_bytes = request.payload_bytes,
	}, NULL);
}

static void answered(void *arg)
{
	struct wb_fuse_uring *uring = arg;

	wb_cache_answered(uring->service->control.cache);
}

/* --- requests of /dev/fuse ----------------------------------------------------------- */

static void send_answer(struct fuse_session *session, const struct fuse_out_header *out,
			const void *data, size_t bytes)
{
	const struct wb_fuse_caller caller = {
		.fd = fuse_session_fd(session), .unique = out->unique,
	};

	if (out->error)
		wb_fuse_caller_end(caller, -out->error);
	else
		wb_fuse_caller_give(caller, data, bytes);
}

static bool is_offered(const struct fuse_in_header *header, const struct fuse_buf *request)
{
	const struct fuse_init_in *in = (const void *)(header + 1);

	return request->size >= sizeof *header + sizeof *in && (in->flags & FUSE_INIT_EXT) &&
	       (in->flags2 & WB_FUSE_OVER_IO_URING);
}

/* libfuse's answer with one bit more. The queues are registered behind it: the kernel
 * keeps other requests back until they are. */
static void accept_init(struct wb_fuse_uring *uring, struct fuse_session *session,
			struct fuse_out_header *out, struct fuse_init_out *init)
{
	init->flags |= FUSE_INIT_EXT;
	init->flags2 |= WB_FUSE_OVER_IO_URING;
	send_answer(session, out, init, sizeof *init);
	wb_fuse_rings_serve(uring->rings, fuse_session_fd(session));
}

/* Nothing but INIT is expected here. Should the kernel have refused the queues, it
 * sends the rest too: the tree can be answered for, the data cannot. */
static void answer(struct wb_fuse_uring *uring, struct fuse_session *session,
		   const struct fuse_buf *request)
{
	const struct fuse_in_header *header = request->mem;
	const struct iovec whole = { request->mem, request->size };
	struct iovec room = { request->mem, WB_RECEIVE_READ_BYTES };
	bool is_init = header->opcode == FUSE_INIT, offered = is_offered(header, request);
	struct fuse_out_header out = {
		.len = sizeof out, .error = -EIO, .unique = header->unique,
	};
	size_t bytes = 0;

	if (is_init && !offered)
		g_warning("the kernel does not offer FUSE over io_uring after all; mount again");
	else if (!wb_fuse_data_is(header))
		bytes = wb_fuse_parser_run(uring->parser, &whole, 1, &out, &room);
	if (is_init && !out.error && bytes == sizeof(struct fuse_init_out))
		accept_init(uring, session, &out, request->mem);
	else if (out.len)
		send_answer(session, &out, request->mem, bytes);
}

void wb_fuse_uring_take(struct wb_fuse_uring *uring, struct fuse_session *session,
			const struct fuse_buf *request)
{
	const struct fuse_in_header *header = request->mem;

	if (request->size < sizeof *header)
		return;
	switch (header->opcode) {
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;			/* no answer; nothing of ours is counted or interrupted */
	default:
		answer(uring, session, request);
	}
}

int wb_fuse_uring_invalidate(struct fuse_session *session, fuse_ino_t ino)
{
	const struct fuse_notify_inval_inode_out inode = { .ino = ino, .off = -1 };
	const struct fuse_out_header out = {
		.len = sizeof out + sizeof inode, .error = FUSE_NOTIFY_INVAL_INODE,
	};
	const struct iovec pieces[] = {
		{ (void *)&out, sizeof out }, { (void *)&inode, sizeof inode },
	};

	return writev(fuse_session_fd(session), pieces, G_N_ELEMENTS(pieces)) < 0 ? -errno : 0;
}

/* --- start and end ------------------------------------------------------------------- */

const char *wb_fuse_uring_refusal(const char *text)
{
	if (!text)
		return "this kernel does not offer it (Linux 6.14 does, built with "
		       "CONFIG_FUSE_IO_URING)";
	if (*text != 'Y' && *text != '1')
		return "it is switched off; as root: echo Y > " SWITCH_PATH;
	return NULL;
}

static bool refuse(GError **error, const char *reason)
{
	g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS, reason);
	return false;
}

static bool make_plan(struct wb_ring_plan *plan, GError **error)
{
	g_autofree char *state = NULL;
	g_autofree char *cpus = NULL;
	const char *reason;

	g_file_get_contents(SWITCH_PATH, &state, NULL, NULL);
	reason = wb_fuse_uring_refusal(state);
	if (reason)
		return refuse(error, reason);
	if (!g_file_get_contents(CPUS_PATH, &cpus, NULL, error))
		return false;
	return wb_ring_plan_make(plan, wb_ring_plan_count_cpus(cpus)) ||
	       refuse(error, "there are too many processors for the memory set aside");
}

static bool start_rings(struct wb_fuse_uring *uring, const struct wb_ring_plan *plan,
			GError **error)
{
	const struct wb_fuse_rings_config config = {
		.plan = plan, .serve = serve, .answered = answered, .arg = uring,
	};
	g_autofree char *reason = NULL;
	int result = wb_fuse_rings_new(&uring->rings, &config);

	if (!result)
		return true;
	reason = g_strdup_printf("no ring can be made: %s", g_strerror(-result));
	return refuse(error, reason);
}

struct wb_fuse_uring *wb_fuse_uring_new(struct wb_fuse_service *service, GError **error)
{
	struct wb_fuse_uring *uring;
	struct wb_ring_plan plan;

	if (!make_plan(&plan, error))
		return NULL;
	uring = g_new0(struct wb_fuse_uring, 1);
	uring->service = service;
	uring->parser = wb_fuse_parser_new(service, plan.payload_bytes + REQUEST_HEADERS_BYTES,
					   error);
	if (!uring->parser || !start_rings(uring, &plan, error)) {
		wb_fuse_uring_free(uring);
		return NULL;
	}
	service->request_bytes = (unsigned)plan.payload_bytes;
	service->max_background = plan.max_background;
	return uring;
}

void wb_fuse_uring_stop(struct wb_fuse_uring *uring)
{
	wb_fuse_rings_stop(uring->rings);
}

void wb_fuse_uring_join(struct wb_fuse_uring *uring)
{
	wb_fuse_rings_join(uring->rings);
}

void wb_fuse_uring_free(struct wb_fuse_uring *uring)
{
	if (!uring)
		return;
	if (uring->rings)
		wb_fuse_rings_free(uring->rings);
	wb_fuse_parser_free(uring->parser);
	g_free(uring);
}
