/*
 * The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding. Pure: text in, text out.
 *   1. scram_client_first  parses, names the user   2. the caller finds the verifier (or a fake one)   3. scram_server_first
 *   4. scram_client_final  proves both sides
 * not: -PLUS (RFC 9266), because edge holds the TLS connection and login does not see it yet; so gs2 flag "p" is refused, and "y"
 * is right: we do not offer it.
 */
#ifndef KEYS_LOGIN_SCRAM_H
#define KEYS_LOGIN_SCRAM_H

#include "keys/login/verifier.h"

enum scram_limit { SCRAM_MESSAGE_MAX = 2048, SCRAM_NONCE_MIN = 8, SCRAM_NONCE_MAX = 512 };

struct scram {
	str name;       /* user, unescaped, not prepared */
	str authzid;    /* may be empty */
	str gs2_header; /* "n,," ... as sent */
	str first_bare; /* client-first-message-bare */
	str server_first;
	str nonce; /* the client's, then the whole */
};

/* SYNTAX for anything that RFC 5802 7 does not allow. All of it lives as long as a. */
const struct fail *scram_client_first(struct arena *a, str message, struct scram *out);
/* server_nonce: printable, without commas. Answers the message to send. */
str scram_server_first(struct arena *a, struct scram *s, const struct verifier *v,
		       str server_nonce);
/* LOGIN when the proof is wrong; else *answer is "v=..." for the client. */
const struct fail *scram_client_final(struct arena *a, const struct scram *s,
				      const struct verifier *v, str message, str *answer);

#endif
