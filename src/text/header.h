/*
 * The header splitter: the only one. The SMTP gate, DKIM, the store, IMAP and the skeleton all see
 * a header through it, so that what was checked is what is shown (THREATS H06); and the builder,
 * the only way to write a header field.
 *
 * The one rule of splitting (RFC 5322 2.2, 3.5, 4.5):
 *  - only CRLF ends a line; a bare CR or LF is a byte like any other;
 *  - the first line that is nothing but CRLF ends the header; so does the end of the bytes. A line
 *    of only spaces does not: it continues the field before it;
 *  - a line that begins with SP or HTAB continues the field before it; when it is the very first
 *    line it is a field without a name;
 *  - every other line begins a field. Its name is the 1*ftext before *WSP ":" ("From :" is From, as
 *    RFC 5322 4.5.8 has it). A line without that (no colon, a space inside the name, "From joe@x
 *    ...") is a field without a name: it is part of the bytes, but nobody ever finds it.
 *
 * Where a field must stand once and stands more often, the first counts, for everyone.
 *
 * Everything here borrows the header's bytes unless it takes an arena. Linear, no recursion.
 * Source: RFC 5322, RFC 2047, RFC 6532.
 */
#ifndef TEXT_HEADER_H
#define TEXT_HEADER_H

#include "base/buf.h"

enum header_limit {
	HEADER_LINE = 78,       /* where the builder folds, RFC 5322 2.1.1 */
	HEADER_LINE_HARD = 998, /* no line of the builder is longer */
};

struct header_field {
	/* the whole field with its folding and last CRLF (absent only at the end of the bytes) */
	str raw;
	str name;  /* empty: malformed */
	str value; /* after the colon, up to the last CRLF: folding and blanks still there */
};

/* The first field of `header`: true with *out set and *rest behind it; false at the empty line
 * or the end, with *rest what follows the empty line. rest may be &header's own variable. */
bool header_next(str *rest, struct header_field *out);
/* Length of the header at the start of message, its empty line included; all of it when there is
 * none. */
size_t header_length(str message);
/* The n-th (0: the topmost) field of this name, ASCII case aside. */
bool header_find(str header, str name, size_t n, struct header_field *out);
size_t header_count(str header, str name);

/* Unfolded (CRLF before WSP removed, RFC 5322 2.2.3) and trimmed; CR, LF and NUL that remain become
 * SP, so the result may be put in a line. */
str header_unfold(struct arena *a, str value);
/* The same, with encoded words decoded and the bad bytes replaced: UTF-8 for people. */
str header_text(struct arena *a, str value);

/*
 * Writes fields into a buf. What it writes has no stray CR, LF or NUL, whatever it is given: a
 * piece with a control byte (HTAB is a blank) or that is not UTF-8 makes `bad` sticky, and
 * header_end takes that field out again. Lines fold at 78 where a blank allows. Non-ASCII text
 * becomes RFC 2047 words in UTF-8, or stays as it is with `utf8` (RFC 6532).
 */
struct header_builder {
	struct buf *out; /* borrows */
	size_t field_at; /* where the field under way begins in out */
	size_t column;   /* of the line under way */
	bool utf8;
	bool bad; /* sticky: something was refused; look at it once, at the end */
	bool field_bad;
};

void header_builder_init(struct header_builder *h, struct buf *out);
void header_start(struct header_builder *h, str name);
void header_end(struct header_builder *h); /* CRLF */
/* Unstructured text, RFC 5322 3.2.5. */
void header_add_text(struct header_builder *h, str text);
/* A structured piece that must not be broken (a token, an id, a date); a blank before it, which
 * may be a fold. ASCII unless utf8. */
void header_add(struct header_builder *h, str piece);
/* The same without a blank: directly behind what stands there. */
void header_add_close(struct header_builder *h, str piece);
/* name <address>; the name may be empty, and is quoted or encoded as needed. address:
 * local@domain. */
void header_add_address(struct header_builder *h, str name, str address);
/* "; name=value", quoted as needed; non-ASCII as RFC 2231 3. */
void header_add_param(struct header_builder *h, str name, str value);
/* A comment, RFC 5322 3.2.2: ASCII, parentheses and backslashes in it are escaped, controls
 * become '?'. */
void header_add_comment(struct header_builder *h, str text);
/* Whole fields. */
void header_put(struct header_builder *h, str name, str structured);
void header_put_text(struct header_builder *h, str name, str text);

#endif
