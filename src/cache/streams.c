/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/streams.h"

#include <glib.h>

static void forget(struct wb_streams *streams, struct wb_stream *stream)
{
	streams->long_count -= stream->is_long;
	*stream = (struct wb_stream){ 0 };
}

static struct wb_stream *longest_unused(struct wb_streams *streams, bool is_long)
{
	struct wb_stream *found = NULL;

	for (unsigned i = 0; i < WB_STREAMS_MAX; i++) {
		struct wb_stream *stream = &streams->stream[i];

		if (stream->length_bytes && stream->is_long == is_long &&
		    (!found || stream->used < found->used))
			found = stream;
	}
	return found;
}

/* Half of the table at least is never of long ones. */
static struct wb_stream *make_room(struct wb_streams *streams)
{
	struct wb_stream *stream;

	for (unsigned i = 0; i < WB_STREAMS_MAX; i++) {
		if (streams->stream[i].length_bytes == 0)
			return &streams->stream[i];
	}
	stream = longest_unused(streams, false);
	forget(streams, stream);
	return stream;
}

/* Of two that end there the longer one, of which the other is a part. */
static struct wb_stream *find_end(struct wb_streams *streams, uint64_t end_bytes)
{
	struct wb_stream *found = NULL;

	for (unsigned i = 0; i < WB_STREAMS_MAX; i++) {
		struct wb_stream *stream = &streams->stream[i];

		if (stream->length_bytes && stream->end_bytes == end_bytes &&
		    (!found || stream->length_bytes > found->length_bytes))
			found = stream;
	}
	return found;
}

/* What is joined belongs together: it does not wait for long. */
static bool is_recent(const struct wb_streams *streams, const struct wb_stream *stream)
{
	return streams->write_count - stream->used < 4 * WB_STREAMS_MAX;
}

/* One that is ahead of `stream`, whose end it begins at; not one of long ago. */
static struct wb_stream *find_ahead(struct wb_streams *streams, const struct wb_stream *stream)
{
	for (unsigned i = 0; i < WB_STREAMS_MAX; i++) {
		struct wb_stream *other = &streams->stream[i];

		if (other->length_bytes && other != stream &&
		    other->start_bytes == stream->end_bytes &&
		    is_recent(streams, other))
			return other;
	}
	return NULL;
}

/* A write that begins a little beyond the end of a stream that goes around the cache
 * has overtaken others of it: what it begins is a part of that. */
static bool is_ahead_of_one(const struct wb_streams *streams, uint64_t offset_bytes)
{
	for (unsigned i = 0; i < WB_STREAMS_MAX; i++) {
		const struct wb_stream *stream = &streams->stream[i];

		if (stream->is_over && stream->length_bytes &&
		    offset_bytes > stream->end_bytes &&
		    offset_bytes - stream->end_bytes <= WB_STREAM_AHEAD_BYTES &&
		    is_recent(streams, stream))
			return true;
	}
	return false;
}

static void make_long(struct wb_streams *streams, struct wb_stream *stream)
{
	if (stream->is_long)
		return;
	if (streams->long_count == WB_STREAMS_MAX / 2)
		forget(streams, longest_unused(streams, true));
	stream->is_long = true;
	streams->long_count++;
}

/* It has been synced since its last write. Length is kept only up to twice the
 * threshold: who becomes a journal is not taken for a stream for long. */
static void charge_sync(struct wb_streams *streams, struct wb_stream *stream,
			uint64_t threshold_bytes)
{
	uint64_t price = MIN(WB_STREAM_SYNC_BYTES, threshold_bytes);

	if (stream->sync_count == streams->sync_count)
		return;
	stream->length_bytes -= MIN(price, stream->length_bytes - 1);
	stream->is_part = false;
	stream->sync_count = streams->sync_count;
}

static void add_length(struct wb_stream *stream, uint64_t bytes, uint64_t threshold_bytes)
{
	stream->length_bytes = MIN(stream->length_bytes + bytes, 2 * threshold_bytes + 1);
}

/* Those that begin at its end have overtaken it, and are the longer by it. It stays
 * itself: they may be what somebody else wrote, which it is about to overwrite. */
static void join_ahead(struct wb_streams *streams, struct wb_stream *stream,
		       uint64_t threshold_bytes)
{
	struct wb_stream *ahead;

	while ((ahead = find_ahead(streams, stream))) {
		ahead->start_bytes = stream->start_bytes;
		ahead->is_over |= stream->is_over;
		add_length(ahead, stream->length_bytes, threshold_bytes);
		make_long(streams, ahead);
		stream = ahead;
	}
}

static void go_on(struct wb_streams *streams, struct wb_stream *stream,
		  const struct wb_stream_write *write)
{
	make_long(streams, stream);
	charge_sync(streams, stream, write->threshold_bytes);
	stream->end_bytes += write->length_bytes;
	add_length(stream, write->length_bytes, write->threshold_bytes);
	stream->used = streams->write_count;
	join_ahead(streams, stream, write->threshold_bytes);
}

static struct wb_stream *begin(struct wb_streams *streams, const struct wb_stream_write *write)
{
	bool is_part = is_ahead_of_one(streams, write->offset_bytes);
	struct wb_stream *stream = make_room(streams);

	*stream = (struct wb_stream){
		.start_bytes = write->offset_bytes,
		.end_bytes = write->offset_bytes + write->length_bytes,
		.length_bytes = write->length_bytes,
		.used = streams->write_count, .sync_count = streams->sync_count,
		.is_part = is_part, .is_over = is_part,
	};
	return stream;
}

static enum wb_stream_verdict judge(struct wb_stream *stream, uint64_t threshold_bytes)
{
	bool was_over = stream->is_over;

	stream->is_over = stream->is_part || stream->length_bytes > threshold_bytes;
	if (!stream->is_over)
		return WB_STREAM_SHORT;
	return was_over ? WB_STREAM_GOES_ON : WB_STREAM_BEGINS;
}

enum wb_stream_verdict wb_streams_note(struct wb_streams *streams,
				       const struct wb_stream_write *write)
{
	bool is_small = write->length_bytes < wb_stream_write_min_bytes(write->threshold_bytes);
	struct wb_stream *stream = find_end(streams, write->offset_bytes);
	enum wb_stream_verdict verdict = WB_STREAM_SHORT;

	streams->write_count += stream || !is_small;
	if (stream)
		go_on(streams, stream, write);
	else if (!is_small)
		stream = begin(streams, write);
	if (stream)
		verdict = judge(stream, write->threshold_bytes);
	return is_small ? WB_STREAM_SHORT : verdict;
}

void wb_streams_note_sync(struct wb_streams *streams)
{
	streams->sync_count++;
}
