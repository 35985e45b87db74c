/*
 * A cursor over a str. Each step either advances and returns true, or returns false and leaves the
 * cursor where it was; chained with && a parser reads like its ABNF:
 *
 *	if (!(scan_lit(s, S("TO:<")) && scan_until(s, '>', &path) && scan_lit(s, S(">"))))
 *
 * After a chain that failed half-way the cursor stands at the step that failed: wrap alternatives in
 * `struct scan saved = *s; ... *s = saved;`.
 */
#ifndef BASE_SCAN_H
#define BASE_SCAN_H

#include "base/chars.h"
#include "base/str.h"

struct scan {
	str rest;
};

static inline struct scan scan_of(str s)
{
	return (struct scan){ s };
}

bool scan_end(const struct scan *s);        /* nothing left */
int scan_peek(const struct scan *s);        /* the next byte, -1 at the end */
bool scan_byte(struct scan *s, u8 byte);    /* exactly this byte */
bool scan_lit(struct scan *s, str literal); /* ASCII case does not matter */
/* The longest run of the classes, at least one byte / possibly empty. */
bool scan_span(struct scan *s, unsigned classes, str *out);
bool scan_span0(struct scan *s, unsigned classes, str *out);
/* Up to but without byte, which must be there; may be empty. */
bool scan_until(struct scan *s, u8 byte, str *out);
bool scan_take(struct scan *s, size_t n, str *out);
bool scan_u64(struct scan *s, u64 *out); /* 1*DIGIT; false on overflow */
bool scan_u32(struct scan *s, u32 *out);
bool scan_sp(struct scan *s);   /* exactly one SP */
bool scan_wsp0(struct scan *s); /* *WSP: always true */

#endif
