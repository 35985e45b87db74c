/*
 * Text of other charsets to UTF-8. Only to: nothing here encodes (CVE-2024-2961 was an encoder).
 *
 * The allow-list is charset.tbl: labels as the WHATWG Encoding Standard has them, plus what glibc
 * calls each. glibc loads converters with dlopen, so charset_prepare() opens all of them before the
 * jail and keeps them; after that no file is opened. Thread-safe: a converter is used under its own
 * lock. Never fails: an unknown charset is read as windows-1252 when not UTF-8, since that is what
 * it mostly is.
 */
#ifndef TEXT_CHARSET_H
#define TEXT_CHARSET_H

#include "base/buf.h"

/* Before the jail, once. Without it (tests, tools) converters are opened when first needed. */
void charset_prepare(void);
/* Is the label (any case, blanks around it) on the list? */
bool charset_known(str label);
/* Appends text as UTF-8. Malformed bytes become U+FFFD (the same for every charset); out->max is
 * never passed and never cuts a character (out->full says that something was left out), nor is 4
 * times text.n + 16 (THREATS M06). An empty label, an unknown one and us-ascii: UTF-8 when it is
 * that. */
void charset_to_utf8(str label, str text, struct buf *out);
/* text with every malformed sequence replaced by U+FFFD (THREATS H10: the one place). */
void utf8_repair(str text, struct buf *out);
/* The longest start of s with at most max bytes that does not cut a character. s must be UTF-8. */
str utf8_cut(str s, size_t max);

#endif
