/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_data.h"

#include <errno.h>

bool wb_fuse_data_is(const struct fuse_in_header *header)
{
	return header->nodeid == WB_INO_DISK &&
	       (header->opcode == FUSE_READ || header->opcode == FUSE_WRITE ||
		header->opcode == FUSE_FSYNC || header->opcode == FUSE_FALLOCATE);
}

static size_t fixed_bytes_of(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_READ:
		return sizeof(struct fuse_read_in);
	case FUSE_WRITE:
		return sizeof(struct fuse_write_in);
	case FUSE_FALLOCATE:
		return sizeof(struct fuse_fallocate_in);
	default:
		return 0;
	}
}

static void serve_read(struct wb_fuse_service *service, struct wb_fuse_caller caller,
		       const struct fuse_read_in *in)
{
	wb_fuse_disk_read(service->disk, caller, MIN(in->size, service->request_bytes),
			  (off_t)in->offset);
}

static void serve_write(struct wb_fuse_service *service, struct wb_fuse_caller caller,
			const struct wb_fuse_data_request *request,
			struct wb_receive_buffer **received)
{
	const struct fuse_write_in *in = request->fixed;

	if (in->size > request->payload_bytes || in->size > service->request_bytes)
		wb_fuse_caller_end(caller, EINVAL);
	else
		wb_fuse_disk_write(service->disk, caller, request->payload, in->size,
				   (off_t)in->offset, (int)in->flags, received);
}

static void serve_fallocate(struct wb_fuse_disk *disk, struct wb_fuse_caller caller,
			    const struct fuse_fallocate_in *in)
{
	wb_fuse_disk_fallocate(disk, caller, (int)in->mode, (off_t)in->offset,
			       (off_t)in->length);
}

void wb_fuse_data_serve(struct wb_fuse_service *service, struct wb_fuse_caller caller,
			const struct wb_fuse_data_request *request,
			struct wb_receive_buffer **received)
{
	uint32_t opcode = request->header->opcode;

	if (request->fixed_bytes < fixed_bytes_of(opcode))
		wb_fuse_caller_end(caller, EINVAL);
	else if (opcode == FUSE_WRITE)
		serve_write(service, caller, request, received);
	else if (opcode == FUSE_READ)
		serve_read(service, caller, request->fixed);
	else if (opcode == FUSE_FSYNC)
		wb_fuse_disk_sync(service->disk, caller);
	else
		serve_fallocate(service->disk, caller, request->fixed);
}

bool wb_fuse_data_take(struct wb_fuse_service *service, int fd, const struct fuse_buf *request,
		       struct wb_receive_buffer **received)
{
	const struct fuse_in_header *header = request->mem;
	const char *fixed = (const char *)(header + 1);
	struct wb_fuse_caller caller = { .fd = fd };
	size_t bytes;

	if (request->size < sizeof *header)
		return false;
	if (header->opcode == FUSE_INTERRUPT)
		return true;
	if (!wb_fuse_data_is(header))
		return false;
	caller.unique = header->unique;
	bytes = MIN(request->size - sizeof *header, fixed_bytes_of(header->opcode));
	wb_fuse_data_serve(service, caller, &(struct wb_fuse_data_request){
		.header = header,
		.fixed = fixed,
		.fixed_bytes = bytes,
		.payload = fixed + bytes,
		.payload_bytes = request->size - sizeof *header - bytes,
	}, received);
	return true;
}
