/* The chain of output: see output.h. */
#include "serve/output.h"

#include <string.h>

#include "base/fd.h"

/* Memory (fd -1) or a stretch of a file. Kept as bytes in a buf, so copied in and out. */
struct output_piece {
	struct buf bytes;
	int fd;
	u64 at, n;
};

void output_init(struct output *o)
{
	*o = (struct output){ 0 };
	buf_init(&o->fresh, OUTPUT_TURN);
	buf_init(&o->tail, OUTPUT_TURN);
	buf_init(&o->pieces, OUTPUT_PIECES * sizeof(struct output_piece));
	buf_init(&o->chunk, OUTPUT_CHUNK);
}

static bool piece_first(const struct output *o, struct output_piece *piece)
{
	if (o->pieces.n == 0)
		return false;
	memcpy(piece, o->pieces.p, sizeof *piece);
	return true;
}

static void piece_drop(struct output *o, struct output_piece *piece)
{
	buf_free(&piece->bytes);
	fd_close(&piece->fd);
	buf_drop(&o->pieces, sizeof *piece);
	buf_reset(&o->chunk);
	o->sent = 0;
}

static void piece_add(struct output *o, struct output_piece piece)
{
	buf_add(&o->pieces, str_from(&piece, sizeof piece));
	if (!o->pieces.full)
		return;
	o->failed = true;
	buf_free(&piece.bytes);
	fd_close(&piece.fd);
}

void output_free(struct output *o)
{
	struct output_piece piece;

	while (piece_first(o, &piece))
		piece_drop(o, &piece);
	buf_free(&o->fresh);
	buf_free(&o->tail);
	buf_free(&o->pieces);
	buf_free(&o->chunk);
	o->waiting = o->sent = 0;
}

void output_compact(struct output *o)
{
	if (output_unsent(o) == 0)
		output_free(o);
}

/* o->sent stays right: it counts in whatever is in front. */
static void tail_to_piece(struct output *o)
{
	if (o->tail.n == 0)
		return;
	piece_add(o, (struct output_piece){ .bytes = o->tail, .fd = -1 });
	buf_init(&o->tail, OUTPUT_TURN);
}

/* A peer that reads slowly but for ever must not keep what it has read. */
static void tail_forget_sent(struct output *o)
{
	if (o->pieces.n || o->sent < OUTPUT_CHUNK)
		return;
	buf_drop(&o->tail, o->sent);
	o->sent = 0;
}

void output_turn(struct output *o)
{
	o->failed |= o->fresh.full;
	o->waiting += o->fresh.n;
	if (o->fresh.n <= OUTPUT_COPY) {
		tail_forget_sent(o);
		buf_add(&o->tail, buf_str(&o->fresh));
		o->failed |= o->tail.full;
		buf_reset(&o->fresh);
		return;
	}
	tail_to_piece(o);
	buf_free(&o->tail);
	o->tail = o->fresh;
	buf_init(&o->fresh, OUTPUT_TURN);
}

static void copy_file(struct output *o, int fd, u64 at, size_t n)
{
	u8 *room = buf_room(&o->fresh, n);

	if (room && fd_pread_all(fd, room, n, at))
		buf_added(&o->fresh, n);
	else
		o->failed = true;
	fd_close(&fd);
}

void output_fd(struct output *o, int fd, u64 at, u64 n)
{
	if (n <= OUTPUT_COPY) {
		copy_file(o, fd, at, (size_t)n);
		return;
	}
	output_turn(o);
	tail_to_piece(o);
	piece_add(o, (struct output_piece){ .fd = fd, .at = at, .n = n });
	o->waiting += n;
}

u64 output_unsent(const struct output *o)
{
	return o->waiting + o->fresh.n;
}

/* Memory from o->sent on; STREAM_OK when it is all sent. */
static enum stream_state flush_memory(struct output *o, struct stream *s, str bytes)
{
	while (o->sent < bytes.n) {
		size_t put;
		enum stream_state state = stream_write(s, str_skip(bytes, o->sent), &put);

		if (state != STREAM_OK)
			return state;
		o->sent += put;
		o->waiting -= put;
	}
	o->sent = 0;
	return STREAM_OK;
}

/* The first piece is a file: its next chunk is kept until all of it is taken, for TLS wants the same bytes again. */
static enum stream_state flush_file(struct output *o, struct stream *s, struct output_piece *piece)
{
	while (piece->n) {
		size_t n = piece->n < OUTPUT_CHUNK ? (size_t)piece->n : OUTPUT_CHUNK;
		enum stream_state state;

		if (o->chunk.n == 0) {
			u8 *room = buf_room(&o->chunk, n);
			if (room == NULL || !fd_pread_all(piece->fd, room, n, piece->at)) {
				o->failed = true;
				return STREAM_BROKEN;
			}
			buf_added(&o->chunk, n);
		}
		state = flush_memory(o, s, buf_str(&o->chunk));
		if (state != STREAM_OK)
			return state;
		buf_reset(&o->chunk);
		piece->at += n;
		piece->n -= n;
		memcpy(o->pieces.p, piece, sizeof *piece);
	}
	return STREAM_OK;
}

static enum stream_state flush_pieces(struct output *o, struct stream *s)
{
	struct output_piece piece;

	while (piece_first(o, &piece)) {
		enum stream_state state = piece.fd >= 0 ? flush_file(o, s, &piece)
							: flush_memory(o, s, buf_str(&piece.bytes));
		if (state != STREAM_OK)
			return state;
		piece_drop(o, &piece);
	}
	return STREAM_OK;
}

enum stream_state output_flush(struct output *o, struct stream *s, bool *progress)
{
	u64 before = o->waiting;
	enum stream_state state = o->failed ? STREAM_BROKEN : flush_pieces(o, s);

	if (state == STREAM_OK)
		state = flush_memory(o, s, buf_str(&o->tail));
	if (state == STREAM_OK)
		buf_reset(&o->tail);
	*progress = o->waiting < before;
	return state;
}
