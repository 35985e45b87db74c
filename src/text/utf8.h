/* Single UTF-8 characters, for the converters in this folder. RFC 3629. */
#ifndef TEXT_UTF8_H
#define TEXT_UTF8_H

#include "base/buf.h"

/* The character at s.p[i]; *n its length. False when malformed: *n is then the length of its
 * maximal subpart (Unicode 3.9), at least 1, which one U+FFFD stands for. i < s.n. */
bool utf8_next(str s, size_t i, u32 *code, size_t *n);
/* code must be a Unicode scalar value. */
void utf8_add(struct buf *out, u32 code);

#endif
