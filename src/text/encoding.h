/*
 * Transfer encodings and the encodings of header values. Encoders append to a buf (its `full` tells
 * whether it fitted). Strict decoders refuse (false, and nothing usable in out); lenient ones take
 * anything. Source: RFC 4648, RFC 2045 6.7 and 6.8, RFC 2047, RFC 2231, RFC 5987, RFC 3461 4, RFC
 * 3501 5.1.3.
 */
#ifndef TEXT_ENCODING_H
#define TEXT_ENCODING_H

#include "base/buf.h"

enum encoding_limit {
	ENCODING_LINE = 76, /* RFC 2045 6.7, 6.8; RFC 2047 2 has 75 for a word */
	ENCODING_WORDS =
	    10000, /* encoded words decoded in one value; later ones stay as they are */
	ENCODING_SECTIONS = 64,     /* of one RFC 2231 parameter; THREATS H08 */
	ENCODING_PARAM = 16 * 1024, /* bytes of one decoded parameter value */
};

/* --- base64 --- */
void base64_encode(struct buf *out, str bytes);       /* one line, padded */
void base64_encode_lines(struct buf *out, str bytes); /* lines of 76, each with CRLF */
/* RFC 4648 4 exactly: padded, no other byte, unused bits zero. */
bool base64_decode(struct buf *out, str text) NODISCARD;

/* Streaming, lenient as RFC 2045 6.8 says: other bytes are skipped. After padding that completes
 * a group more data goes on (THREATS M04: concatenated pieces are shown, not hidden). Zero it to
 * start. */
struct base64_reader {
	u32 bits;
	u8 count; /* sextets held, 0 to 3 */
};
void base64_read(struct base64_reader *r, str text, struct buf *out);
/* What stands before a missing pad counts too. */
void base64_finish(struct base64_reader *r, struct buf *out);

/* --- quoted-printable --- */
/* Streaming, lenient: a '=' that is no escape stays; blanks at a line's end go. Zero it to
 * start. */
struct qp_reader {
	u8 held[3]; /* "=", "=4", "=\r" not yet decided */
	u8 held_n;
	u32 blanks_n; /* blanks held; beyond 76 they are let through */
	u8 blanks[76];
};
void qp_read(struct qp_reader *r, str text, struct buf *out);
void qp_finish(struct qp_reader *r, struct buf *out);
/* CRLF stays a line end; lines of at most 76; a bare CR or LF is escaped. */
void qp_encode(struct buf *out, str text);

/* --- hex --- */
void hex_encode(struct buf *out, str bytes); /* lower case */
bool hex_decode(struct buf *out, str text) NODISCARD;

/* --- xtext, RFC 3461 4 --- */
void xtext_encode(struct buf *out, str text);
/* Refuses what is no xtext and, after decoding, every control byte (THREATS S18) and what is not
 * UTF-8. */
bool xtext_decode(struct buf *out, str text) NODISCARD;

/* --- modified UTF-7, RFC 3501 5.1.3 --- */
/* utf8 must be valid, or false. */
bool utf7_encode(struct buf *out, str utf8) NODISCARD;
/* Strict: refuses 8-bit bytes, controls, "&" not ended, superfluous shifts, encoded ASCII, lone
 * surrogates, bits that are not zero. Exactly one text decodes to a name. */
bool utf7_decode(struct buf *out, str text) NODISCARD;

/* --- encoded words, RFC 2047 --- */
/* Of an unfolded value. Gives UTF-8: words decoded by charset, blanks between words dropped,
 * bytes split over words of one charset joined, bad bytes U+FFFD, controls SP. What comes out is
 * for people: never parse it as syntax (THREATS H07). */
str words_decode(struct arena *a, str value);
/* utf8 as encoded words of at most 75 bytes, whole characters each, separated by `between` (CRLF
 * SP, or SP). */
void words_encode(struct buf *out, str utf8, str between);
/* One encoded word of at most max bytes (24 or more) from the start of utf8; how many bytes of
 * it that took. */
size_t words_encode_one(struct buf *out, str utf8, size_t max);

/* CR, LF, NUL and the other controls become SP, in place: for text that goes into one line. */
void encoding_blank_controls(u8 *p, size_t n);

/* --- parameters of a field: type; a=b; c*0*=utf-8''d --- */
struct param {
	str name;  /* as it stands: "filename*0*" */
	str value; /* without quoting and folding, not decoded; CR, LF, NUL are SP */
};
struct param_list {
	const struct param *params;
	size_t n;
	bool broken; /* unreadable bytes were skipped */
	bool cut;    /* more than max */
};
/* The field's value up to the first ';' (comments out, blanks at the ends gone) in *head, then
 * its parameters. */
void param_list_parse(struct arena *a, str value, size_t max, str *head, struct param_list *out);
/* The first of this exact name, nothing decoded. */
bool param_find(const struct param_list *l, str name, str *value);
/* By RFC 2231 3 and 4 where there is name* or name*0, otherwise by encoded words (RFC 2047,
 * wrong but common), as UTF-8. The plain name loses against the extended one. Sections count
 * from 0 without a gap and, when one stands twice, the first counts; at most ENCODING_SECTIONS. */
bool param_text(struct arena *a, const struct param_list *l, str name, str *out);

#endif
