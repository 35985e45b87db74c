/*
 * One login of a session: a SASL exchange (RFC 4422) with keys login over the bus. Used by SMTP AUTH, IMAP AUTHENTICATE and LOGIN,
 * POP3 AUTH and USER/PASS. It knows base64 and the order of steps; how a challenge looks on the wire ("334 ", "+ ") is the caller's.
 *
 *	TRY(sasl_start(session, &x, mechanism, has_initial, initial, &r));
 *	while r.status is SASL_CONTINUE: send r.challenge, read a line, sasl_step(session, &x, line, &r)
 *
 * SASL_DONE: r.login is the session's from now on; call session_logged_in(). SASL_FAILED: session_pause() for r.delay_ms, and say
 * so on WAKE_RESUME, always with the same words: unknown user and wrong password must look alike (THREATS A01).
 * SASL_CONTINUE: nothing else may be read from the peer than the next line.
 *
 * A fail also ends the exchange; the caller turns it into its protocol's reply at once:
 *   INVALID   not a mechanism of ours           SYNTAX    no base64, or longer than LOGIN_RESPONSE_MAX
 *   CONFLICT  the client cancelled with "*"     DENIED    not without TLS
 *   others    TEMP: login cannot be asked now
 *
 * Nothing here is logged, and responses are wiped from memory of ours when they were used.
 */
#ifndef EDGE_SASL_H
#define EDGE_SASL_H

#include "bus/login.h"
#include "serve/serve.h"

enum sasl_limit {
	/* A line that carries a response: base64 of LOGIN_RESPONSE_MAX and its CRLF, at least the 12288 of RFC 4954 4.3. */
	SASL_LINE_MAX = 12288,
};

/* What a login gave. Lives as long as the session. */
struct sasl_login {
	struct ticket ticket;
	str address; /* the account's own, canonical */
};

/* In the session's state, zeroed at first. */
struct sasl {
	bool under_way;
	u64 exchange;
	str mechanism;
	const struct sasl_login
	    *held; /* good already, but the last challenge (SCRAM) waits for its empty answer */
};

struct sasl_result {
	enum sasl_status status;
	str challenge; /* CONTINUE: base64, to be sent as it is; may be empty; turn arena */
	const struct sasl_login *login; /* DONE */
	u32 delay_ms;                   /* FAILED */
	str tried;     /* FAILED: the name, for the event; turn arena. May be empty. */
	str mechanism; /* of ours; static */
};

/* "PLAIN LOGIN SCRAM-SHA-256", or empty when this session must not log in: no TLS, and the configuration
 * does not say login.plaintext (THREATS T05). For EHLO and CAPABILITY too. */
str sasl_mechanisms(struct session *s);

/* initial: base64 as sent; "=" is an empty one (RFC 4954 4, RFC 4959 3). helo is kept for the event log, may be empty. */
const struct fail *sasl_start(struct session *s, struct sasl *x, str mechanism, bool has_initial,
			      str initial, str helo, struct sasl_result *out);
/* line: what the peer sent, without CRLF: base64, or "*". */
const struct fail *sasl_step(struct session *s, struct sasl *x, str line, struct sasl_result *out);
/* SASL_FAILED as an event (login_failed). stage as in edge/event.h. Answers the id of it. */
u64 sasl_record_failure(struct session *s, const char *stage, const struct sasl_result *r);
/* Forgets an exchange under way (the session ends, the line was too long). Any time. */
void sasl_abort(struct session *s, struct sasl *x);
/* IMAP LOGIN and POP3 USER/PASS: a PLAIN exchange (RFC 4616) in one step. Never SASL_CONTINUE. */
const struct fail *sasl_password(struct session *s, str user, str password,
				 struct sasl_result *out);

#endif
