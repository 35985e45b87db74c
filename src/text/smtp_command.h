/*
 * The grammar of SMTP commands: a line to typed values. Knows no session: order, policy and replies
 * are edge/smtp's. Strings live as long as the arena, or borrow the line where no arena is taken.
 *
 * A fail carries the RFC 3463 code for the reply; its class tells the reply code: SYNTAX    501
 * wrong form INVALID   555  a parameter that we do not know or did not offer, or 553 when its code
 * is 5.6.7
 *                  (non-ASCII address without SMTPUTF8, RFC 6531 3.5)
 *   TOO_LARGE 552  a size that cannot be
 * Source: RFC 5321, 1870 (SIZE), 6152 (8BITMIME), 3030 (BINARYMIME, BDAT), 6531 (SMTPUTF8),
 * 3461 (DSN), 4954 (AUTH).
 */
#ifndef TEXT_SMTP_COMMAND_H
#define TEXT_SMTP_COMMAND_H

#include "text/address.h"

enum smtp_limit {
	SMTP_COMMAND_LINE = 12288, /* with CRLF: AUTH of RFC 4954 4.3; THREATS S10 */
	SMTP_ENVID = 100,          /* xtext characters, RFC 3461 4.4 */
	SMTP_ORCPT = 500,          /* characters of the value, RFC 3461 4.2 */
	SMTP_SIZE_DIGITS = 20,     /* RFC 1870 6 */
	SMTP_PARAMS = 16,          /* of one command */
	SMTP_MECHANISM = 20,       /* RFC 4422 3.1 */
};

enum smtp_verb {
	SMTP_UNKNOWN,
#define COMMAND(verb, argument, rfc, syntax) SMTP_##verb,
#include "text/smtp_command.tbl"
#undef COMMAND
	SMTP_VERBS
};

struct smtp_command {
	enum smtp_verb verb;
	str word;     /* the verb as it was sent */
	str argument; /* without the blanks around it; may be empty */
};

/* line without its CRLF. SYNTAX 5.5.2: a control byte, or 5.5.4: an argument missing or too much.
 * A verb that is not in the table is no fail: SMTP_UNKNOWN. */
const struct fail *smtp_command_parse(struct arena *a, str line, struct smtp_command *out);
str smtp_verb_name(enum smtp_verb verb);
str smtp_verb_syntax(enum smtp_verb verb);

/* Which parameters may come: the extensions that were offered. */
enum smtp_extension {
	SMTP_EXT_SIZE = 1 << 0,
	SMTP_EXT_8BITMIME = 1 << 1,
	SMTP_EXT_BINARYMIME = 1 << 2,
	SMTP_EXT_SMTPUTF8 = 1 << 3,
	SMTP_EXT_DSN = 1 << 4,
	SMTP_EXT_AUTH = 1 << 5,
};

enum smtp_body { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };
enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };
enum smtp_notify { /* 0: not said, which means FAILURE and perhaps DELAY */
		   SMTP_NOTIFY_NEVER = 1 << 0,
		   SMTP_NOTIFY_SUCCESS = 1 << 1,
		   SMTP_NOTIFY_FAILURE = 1 << 2,
		   SMTP_NOTIFY_DELAY = 1 << 3,
};

struct smtp_mail {
	struct address from;
	bool has_size;
	u64 size;
	enum smtp_body body;
	bool smtputf8;
	enum smtp_ret ret;
	str envid; /* decoded; empty: none */
	bool has_auth;
	str auth; /* decoded mailbox; empty with has_auth: "<>" */
};

struct smtp_rcpt {
	struct address to;
	unsigned notify; /* enum smtp_notify */
	str orcpt_type;  /* "rfc822", "utf-8"; empty: no ORCPT */
	str orcpt;       /* decoded, UTF-8 without controls */
};

/* argument as smtp_command_parse gave it: "FROM:<a@b> SIZE=5". A blank after the colon is let
 * through (common, not: RFC 5321 3.3 forbids it, but nothing hangs on it). Bad sender: 5.1.7;
 * bad parameter: 5.5.4. */
const struct fail *smtp_mail_parse(struct arena *a, str argument, unsigned extensions,
				   struct smtp_mail *out);
/* smtputf8: MAIL said it. Bad recipient: 5.1.3. */
const struct fail *smtp_rcpt_parse(struct arena *a, str argument, unsigned extensions,
				   bool smtputf8, struct smtp_rcpt *out);
const struct fail *smtp_bdat_parse(struct arena *a, str argument, u64 *size, bool *last);
/* A domain (with '_', seen often; with U-labels, RFC 6531 3.7.1) or an address literal; so it
 * can stand in a Received field (THREATS S25). */
const struct fail *smtp_ehlo_parse(struct arena *a, str argument, str *name);
/* initial: as sent, still base64, "=" for an empty one; has_initial false: none. mechanism in
 * upper case. */
const struct fail *smtp_auth_parse(struct arena *a, str argument, str *mechanism, bool *has_initial,
				   str *initial);

#endif
