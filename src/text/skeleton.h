/*
 * The skeleton of a message (fields in skeleton.tbl) and the one parser that makes it.
 *
 * The parser is fed the message as it is spooled, in pieces of any size; it keeps only what the
 * skeleton needs. One pass, time linear in the bytes, no recursion; beyond a limit it records a
 * flag and goes on (the message is kept byte for byte either way) or says that the message must be
 * refused. The same header splitter (text/header.h) serves everyone: what was checked is what is
 * shown.
 */
#ifndef TEXT_SKELETON_H
#define TEXT_SKELETON_H

#include "base/arena.h"
#include "base/codec.h"
#include "base/fail.h"

#define MESSAGE_STRUCTS
#include "base/message.h"
#include "text/skeleton.tbl"
#include "base/message_end.h"
#define MESSAGE_PROTOTYPES
#include "base/message.h"
#include "text/skeleton.tbl"
#include "base/message_end.h"

/* THREATS H04, M01. */
enum skeleton_limit {
	SKELETON_HEADER_BYTES = 256 * 1024, /* of the message header; more is refused */
	SKELETON_HEADER_FIELDS = 1000,      /* of the message header; more is refused */
	SKELETON_PART_HEADER_BYTES =
	    64 * 1024,         /* of one part's header; the rest of it is not looked at */
	SKELETON_PARTS = 1000, /* later ones stay inside the body of the last */
	SKELETON_DEPTH = 100,  /* deeper ones stay inside their parent's body */
	SKELETON_PARAMS = 32,  /* of one field; later ones are left out */
	SKELETON_ADDRESSES =
	    2000,               /* in one envelope, all fields together; later ones are left out */
	SKELETON_PREVIEW = 512, /* bytes of UTF-8, cut at a character */
	SKELETON_BYTES = 1024 * 1024, /* of the encoded skeleton; what does not fit is left out */
};

enum skeleton_flag {
	SKELETON_8BIT = 1 << 0, /* a byte over 0x7F in the body */
	SKELETON_HEADER_8BIT =
	    1 << 1, /* in the header: needs SMTPUTF8 (RFC 6532) when valid UTF-8 */
	SKELETON_NUL = 1 << 2,
	SKELETON_LONG_LINE = 1 << 3,   /* over 998 octets, RFC 5322 2.1.1 */
	SKELETON_BROKEN_MIME = 1 << 4, /* missing end boundary, unreadable Content-Type ... */
	SKELETON_CUT = 1 << 5,         /* a limit left something out */
	SKELETON_MANY_FROM = 1 << 6,   /* more than one From field or address */
	SKELETON_NO_FROM = 1 << 7,
	SKELETON_NO_DATE = 1 << 8,
	SKELETON_NO_MESSAGE_ID = 1 << 9,
	SKELETON_ATTACHMENT = 1 << 10, /* a part that is neither multipart nor inline text */
};

/*
 * What readers may rely on (skeleton_decode checks it): a multipart has at least one child, a
 * message/rfc822 exactly one. What could not keep that is called by another name: a multipart
 * without a part in it is TEXT PLAIN (RFC 2045 5.2), a message/rfc822 beyond a limit APPLICATION
 * OCTET-STREAM.
 *
 * Where a field stands twice the first counts. A boundary line is "--", the whole boundary, perhaps
 * "--", blanks; the innermost open multipart that it fits has it, and what is open inside ends
 * there. not: RFC 2046 5.1.1 lets a longer line match too; that makes "a" match the boundary "ab".
 * sender and reply_to are empty when they do not stand in the message; an address without a host
 * has "MISSING_DOMAIN" there, one without a local part "MISSING_MAILBOX".
 */
struct skeleton_parser;

/* Makes everything in a; skeletons and errors live as long as it. */
struct skeleton_parser *skeleton_parser_new(struct arena *a);
/* CRLF lines, any cut. After a fail (TOO_LARGE: header limits) feed nothing more. */
const struct fail *skeleton_feed(struct skeleton_parser *p, str bytes);
const struct fail *skeleton_finish(struct skeleton_parser *p, const struct skeleton **out);

/* The same message with a prefix of n bytes in front, whole fields that no envelope has; `received` of them are Received. */
const struct skeleton *skeleton_behind(struct arena *a, const struct skeleton *s, u64 n,
				       u32 received);

/* Encoded form, as it goes to the office. */
str skeleton_encode(struct arena *a, const struct skeleton *s);
/* From bytes that are not trusted; checks nesting, order and that all offsets are within size. */
const struct fail *skeleton_decode(struct arena *a, str bytes, struct skeleton *out);
/* For those who want no more than the envelope of the message itself: where it stands in an encoded skeleton, whose
 * other fields are not looked at; and the envelope that stands there. */
const struct fail *skeleton_envelope_find(struct arena *a, str skeleton, str *envelope);
const struct fail *skeleton_envelope_decode(struct arena *a, str bytes,
					    struct skeleton_envelope *out);

#endif
