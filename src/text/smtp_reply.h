/*
 * Replies of a server, read by relay, line by line. The server is not trusted (THREATS S26):
 * everything is bounded, and what it said is cleaned, so that it can stand in a log or in a DSN. A
 * reply that is none is a TEMP fail 4.5.0, after which the connection is good for nothing. Source:
 * RFC 5321 4.2, RFC 2034 4, RFC 3463 2.
 */
#ifndef TEXT_SMTP_REPLY_H
#define TEXT_SMTP_REPLY_H

#include "base/buf.h"
#include "base/fail.h"

enum smtp_reply_limit {
	SMTP_REPLY_LINE = 2048, /* bytes of a line; more is refused. RFC 5321 4.5.3.1.5 has 512 */
	SMTP_REPLY_LINES = 128, /* of one reply; EHLO is the longest */
	SMTP_REPLY_TEXT = 1024, /* bytes kept of smtp_reply_text */
};

struct smtp_reply {
	u32 code;            /* 200 to 599 */
	u8 class_;           /* enhanced code: 2, 4, 5; 0 when there was none */
	u32 subject, detail; /* 0 to 999 */
	const str *
	    /* text of each line, without code and enhanced code; controls are '?', not UTF-8:
	     * '?' */
	    lines;
	size_t lines_n;
};

struct smtp_reply_reader {
	struct arena *arena; /* the reply lives as long as it */
	u32 code;
	u8 class_;
	u32 subject, detail;
	str *lines;
	size_t lines_n, lines_cap;
};

/* Ready for a reply; lines are copied into a. */
void smtp_reply_start(struct smtp_reply_reader *r, struct arena *a);
/* line without CRLF. *done: the reply is complete, in *out. */
const struct fail *smtp_reply_feed(struct smtp_reply_reader *r, str line, bool *done,
				   struct smtp_reply *out);

/* "5.1.1", or from the reply code when there was none: "5.0.0". */
str smtp_reply_status(struct arena *a, const struct smtp_reply *r);
/* For a DSN's Diagnostic-Code: "550 5.1.1 text text", one line, cut at SMTP_REPLY_TEXT. */
str smtp_reply_text(struct arena *a, const struct smtp_reply *r);
/* Does text begin as one of smtp_reply_text does? Then a server said it. */
bool smtp_reply_is(str text);
/* A line of an EHLO reply (not the first) that begins with this keyword; *params what follows
 * it. */
bool smtp_reply_extension(const struct smtp_reply *r, str keyword, str *params);

#endif
