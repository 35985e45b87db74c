/*
 * Delivery status notifications: a whole message, header included, from a plain struct. Source: RFC
 * 3464 (fields), RFC 6522 (multipart/report), RFC 3461 5.2 and 6 (what to return), RFC 6533
 * (UTF-8), RFC 3834 (Auto-Submitted).
 *
 * Nothing that a peer said can add a line or a field: every value goes through the header builder.
 * The original message is returned as bytes in a part of its own, with a boundary that does not
 * occur in it.
 */
#ifndef TEXT_DSN_H
#define TEXT_DSN_H

#include "base/buf.h"
#include "base/fail.h"

enum dsn_limit {
	DSN_RECIPIENTS = 1000,
	DSN_HEADER =
	    64 * 1024, /* of the original, when only its header is returned; cut at a field */
};

enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED };

struct dsn_recipient {
	str final;         /* canonical mailbox */
	str original_type; /* of ORCPT: "rfc822", "utf-8"; empty: none was given */
	str original;      /* of ORCPT, decoded */
	enum dsn_action action;
	str status;     /* "5.1.1"; refused when it is none */
	str remote_mta; /* name of the host that said so; empty: we said it */
	/* "550 5.1.1 no such user"; empty: none; only with remote_mta is it of type smtp */
	str diagnostic;
	i64 last_attempt;     /* ms since 1970; 0: none */
	i64 will_retry_until; /* the same; only with DSN_DELAYED */
};

struct dsn {
	str from_name;  /* "Mail Delivery System" */
	str from;       /* "MAILER-DAEMON@mx.example.org" */
	str to;         /* the original sender; never empty: a null sender is never answered */
	str subject;    /* UTF-8 */
	str message_id; /* "<...>" */
	i64 date;
	str text;          /* for people: UTF-8, lines end in LF or CRLF */
	str language;      /* of text, "en"; may be empty */
	str reporting_mta; /* our name */
	str envelope_id;   /* of MAIL, decoded; may be empty */
	i64 arrival;       /* 0: not known */
	const struct dsn_recipient *recipients;
	size_t recipients_n; /* 1 to DSN_RECIPIENTS */
	str original;        /* the message; only its header when return_full is false */
	/* RFC 3461 6.2: RET=FULL and a failure. Ignored when no recipient failed */
	bool return_full;
	/* the original sender used SMTPUTF8: raw UTF-8 in fields, message/global (RFC 6533) */
	bool utf8;
};

/* Appends to out (out->full: it did not fit; try without return_full). INVALID on values that no
 * DSN may have. */
const struct fail *dsn_print(struct arena *a, const struct dsn *d, struct buf *out);

#endif
