/*
 * Readers: cut a peer's bytes into units. A line, a counted stretch (BDAT, literal) or a dotted stretch (DATA).
 *
 * All state is in struct reader, so that reading can stop at any byte; however the input is cut, the units and the bytes that the
 * sink gets are the same. Only CR LF ends a line and only CR LF . CR LF ends a dotted stretch (THREATS S01, S03): a bare CR
 * or LF, in a line or in a dotted stretch, is BAD_LINE_BARE_CR. A NUL in a line is BAD_LINE_NUL; in stretches it is data, and
 * what it means is the sink's affair. Each byte is looked at a bounded number of times.
 */
#ifndef SERVE_READER_H
#define SERVE_READER_H

#include "serve/serve.h"

enum reader_unit {
	READER_NONE,    /* the input holds no complete unit: come again with more */
	READER_LINE,    /* `line` is the next one, without CRLF; borrows the input */
	READER_STRETCH, /* the stretch has ended; lines follow */
	READER_BAD,     /* see `bad`; the line was dropped, or its rest is being dropped */
	READER_LOST, /* nothing after this can be trusted: a bad dotted stretch was left, or the budget of dropping passed */
};

struct reader {
	size_t line_max;
	size_t seen;     /* of the input: known to hold no LF */
	u64 left;        /* of a counted stretch */
	u64 dropped;     /* of an over-long line */
	bool dropped_cr; /* the last byte of it was CR */
	struct sink *sink;
	const struct fail *fail; /* of the sink; the rest of the stretch is dropped */
	str line;
	u8 mode; /* enum reader_mode */
	u8 dot;  /* enum reader_dot */
	u8 bad;  /* enum bad_line */
};

void reader_init(struct reader *r, size_t line_max);
void reader_counted(struct reader *r, u64 n, struct sink *sink);
void reader_dotted(struct reader *r, struct sink *sink);
bool reader_in_stretch(const struct reader *r);
/* Looks at `in`; the caller drops the first *used bytes before it comes again, and keeps the others in front. turn: for the sink. */
enum reader_unit reader_next(struct reader *r, struct arena *turn, str in, size_t *used);

#endif
