/* Inside edge/gate: the state of one message on its way in. */
#ifndef EDGE_GATE_GATE_INT_H
#define EDGE_GATE_GATE_INT_H

#include "base/buf.h"
#include "edge/gate/gate.h"

enum { GATE_NAME = 32 }; /* bytes kept of a line's start, to know its field by */

/* Where the bytes go (spool.c). */
struct spool {
	struct bus *office;
	struct arena *arena;
	struct buf *memory; /* NULL: in the file */
	int file;           /* the office's, or -1 */
	u64 at;             /* where the message begins: room for what is written last */
	u64 size;           /* of the message */
};

/* What is known of the line under way and of the header (lines.c). */
struct gate_lines {
	u64 column; /* bytes of the line under way, without CRLF */
	bool cr;    /* the last byte was a CR */
	bool body;  /* the empty line has passed */
	bool has_date, has_message_id;
	u8 start[GATE_NAME];
	size_t start_n;
};

struct gate {
	u32 magic;
	struct sink sink;
	struct gate_rules rules;
	struct arena *arena;
	struct spool spool;
	struct gate_lines lines;
	struct buf *
	    header; /* held back until it is complete; NULL: nothing is to be done with it, or no more */
	struct skeleton_parser *parser;
	const struct skeleton *skeleton; /* after gate_end */
	u64 received;
	const struct fail *fail; /* sticky */
};

/* room: bytes that spool_front may take. */
const struct fail *spool_open(struct spool *p, struct arena *a, struct bus *office, u64 size_hint,
			      u64 room);
const struct fail *spool_write(struct spool *p, str bytes);
const struct fail *spool_front(struct spool *p, str bytes); /* before all that is there */
/* Bytes [at, at + n) of the message; *out lies in it or in `window`, which has room for them. */
const struct fail *spool_read(const struct spool *p, u64 at, size_t n, u8 *window, str *out);
/* Appends what comes behind the message, and says where all of it is. */
const struct fail *spool_close(struct spool *p, str tail, struct message_body *out);

/* Checks the next bytes. *header_end: where in bytes the empty line of the header begins (its first byte, which may be of
 * an earlier piece only when that was empty), or SIZE_MAX. */
const struct fail *lines_check(struct gate_lines *l, str bytes, size_t *header_end);

/* Our Received field, appended to out. */
const struct fail *trace_print(struct arena *a, const struct gate_trace *t, u64 id, i64 now,
			       struct buf *out);
/* Date and Message-ID as far as they are missing. */
const struct fail *completion_print(struct arena *a, const struct gate *g, i64 now,
				    struct buf *out);

#endif
