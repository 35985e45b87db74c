/*
 * What is still to be said to a peer: memory and stretches of files, in order. Turns write into `fresh`; after each turn that
 * is moved behind what waits already, so small answers to pipelined commands leave in one write. Owned by the session's owner.
 */
#ifndef SERVE_OUTPUT_H
#define SERVE_OUTPUT_H

#include "serve/stream.h"
#include "base/buf.h"

enum output_limit {
	OUTPUT_TURN = 64 << 20, /* one turn's memory */
	OUTPUT_COPY =
	    16 *
	    1024, /* a shorter stretch of a file, or memory, is copied rather than kept apart */
	OUTPUT_CHUNK = 64 * 1024, /* of a file, at a time */
	OUTPUT_PIECES = 1024,
};

struct output {
	struct buf fresh;  /* of this turn */
	struct buf tail;   /* behind all pieces */
	struct buf pieces; /* array of struct output_piece, in front */
	struct buf chunk;  /* bytes of the file in front */
	u64 waiting;       /* bytes in pieces and tail that are not yet sent */
	size_t sent;       /* of the memory in front */
	bool failed; /* a file was shorter than said, or a limit passed: the session must end */
};

void output_init(struct output *o);
void output_free(struct output *o);                      /* drops what waits, closes the files */
void output_compact(struct output *o);                   /* gives memory back when nothing waits */
void output_turn(struct output *o);                      /* the turn is over */
void output_fd(struct output *o, int fd, u64 at, u64 n); /* takes fd */
u64 output_unsent(const struct output *o);
/* Writes what can be written. STREAM_OK: all is sent. *progress: something was taken. */
enum stream_state output_flush(struct output *o, struct stream *s, bool *progress);

#endif
