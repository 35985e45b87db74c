/*
 * buf: the only thing that grows. It cannot be made without a maximum. Passing the maximum writes
 * nothing more and sets `full`; the caller looks at it once, at the end. Owned by one thread.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <string.h>

#include "base/str.h"

struct buf {
	u8 *p;
	size_t n;   /* bytes in use */
	size_t cap; /* bytes allocated, never more than max */
	size_t max;
	bool full; /* sticky: something did not fit */
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);  /* back to what buf_init made; the maximum stays */
void buf_reset(struct buf *b); /* empty, not full; keeps the memory */
/* A buffer that the arena owns. */
struct buf *buf_new(struct arena *a, size_t max);

/* Room for n more bytes to be written by the caller, who then calls buf_added; NULL when full. */
u8 *buf_room(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);
void buf_add_u64(struct buf *b, u64 value); /* decimal */
void buf_printf(struct buf *b, const char *format, ...) PRINTF(2, 3);
/* s between quotation marks, with a backslash before each of those and each backslash (RFC 5322 3.2.4; TOML). */
void buf_add_quoted(struct buf *b, str s);
void buf_drop(struct buf *b, size_t n); /* the first n bytes go */
str buf_str(const struct buf *b);       /* borrows; until the next change */

/* These two are most of what a printer of answers does. */
static inline void buf_add(struct buf *b, str s)
{
	u8 *at;

	if (s.n == 0)
		return; /* nor is there perhaps a p yet */
	at = b->full || b->cap - b->n < s.n ? buf_room(b, s.n) : b->p + b->n;
	if (at == NULL)
		return;
	memcpy(at, s.p, s.n);
	b->n += s.n;
}

static inline void buf_add_byte(struct buf *b, u8 byte)
{
	buf_add(b, str_from(&byte, 1));
}

#endif
