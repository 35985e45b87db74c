/*
 * Replies (RFC 5321 4.2): values that handlers return. reply_print is the only place that writes one, and what it writes is whole
 * lines of printable ASCII: any other byte in a text becomes '?' (THREATS H11).
 */
#ifndef EDGE_SMTP_REPLY_H
#define EDGE_SMTP_REPLY_H

#include "base/buf.h"
#include "base/fail.h"

enum reply_limit { REPLY_LINE = 510 }; /* RFC 5321 4.5.3.1.5, without CRLF */

enum reply_next {
	REPLY_THEN_READ, /* the next command */
	REPLY_THEN_CLOSE,
	REPLY_THEN_TLS,
	REPLY_LATER, /* nothing is said yet: input or a pause comes first */
};

struct reply {
	unsigned code; /* 250 */
	str enhanced;  /* "2.1.0" (RFC 2034), or empty */
	str text;
	const str *
	    lines; /* more lines, before `text`, as EHLO and HELP have them; without enhanced codes */
	size_t lines_n;
	size_t times; /* LMTP answers DATA once for each recipient (RFC 2033 4.2); 0 is once */
	enum reply_next next;
	bool recorded; /* there is an event of it, whose id the text names */
};

#define REPLY(code_, enhanced_, text_) \
	((struct reply){ .code = (code_), .enhanced = S(enhanced_), .text = S(text_) })
#define REPLY_CLOSE(code_, enhanced_, text_)       \
	((struct reply){ .code = (code_),          \
			 .enhanced = S(enhanced_), \
			 .text = S(text_),         \
			 .next = REPLY_THEN_CLOSE })
#define REPLY_SILENT ((struct reply){ .next = REPLY_LATER })

/* The one place where a fail becomes a reply. Copies into a. */
struct reply reply_from_fail(struct arena *a, const struct fail *f);
void reply_print(struct buf *out, const struct reply *r);
/* The text ends with the id by which `postern why` finds the reason: "no such mailbox (id 5wxzh2r001)". 0: it has none. */
void reply_name(struct arena *a, struct reply *r, u64 attempt);
/* "550 5.1.1 no such user": for events and logs. */
str reply_summary(struct arena *a, const struct reply *r);

#endif
