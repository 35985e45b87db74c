/*
 * The SMTP client: one connection to one server, and transactions over it, straight-line and blocking.
 *
 * RFC 5321 (client side), 3207, 2920 (MAIL, RCPT and DATA in one go), 1870, 6152, 6531, 3461 (parameters passed on), 4954 (PLAIN and
 * LOGIN, inside TLS only). not: CHUNKING, because DATA does the same with one less thing to go wrong.
 * not: conversion for a peer without 8BITMIME (RFC 6152 3 allows either), because it breaks signatures: 5.6.3.
 *
 * The server is hostile until proven otherwise (THREATS S26): replies are bounded in bytes, lines and time; a reply that is none ends
 * the connection. What a fail says of a reply lives in the arena of the call.
 */
#ifndef RELAY_MTA_CLIENT_H
#define RELAY_MTA_CLIENT_H

#include "bus/office.h"
#include "relay/mta/body.h"
#include "relay/mta/connection.h"
#include "relay/mta/route.h"
#include "relay/mta/tls.h"

struct smtp_client;

/* Who we are, to a server. Borrowed for the call. */
struct client_login {
	str user, password; /* user empty: no login */
	bool verify;        /* the certificate, before the password is sent */
};

struct client_target {
	str host; /* for SNI and people */
	struct dns_address address;
	u32 port;
	enum route_tls tls;
	struct client_login login;
	str own_name;
	const struct tls_client *contexts;
	const struct mta_times *times;
};

enum recipient_fate { FATE_PENDING, FATE_DELIVERED, FATE_TEMP, FATE_PERM };

struct client_recipient {
	const struct job_entry *entry;
	enum recipient_fate fate;
	str code, text; /* what was said last; FATE_PENDING: nothing yet */
};

struct client_transaction {
	const struct job *job;
	const struct body *body;
	struct client_recipient *recipients;
	size_t recipients_n;
	bool dsn; /* out: the server took the DSN parameters */
};

/*
 * Connects, greets, starts TLS, logs in. The client owns an arena of its own, and lives until client_free. On a fail *out is NULL;
 * class CONFLICT: the server is ourselves (5.4.6). *tls_failed: only the handshake failed, and clear text was allowed.
 */
const struct fail *client_open(struct arena *a, const struct client_target *t,
			       struct smtp_client **out, bool *tls_failed);
/* The same over a socket that is connected already; takes fd. */
const struct fail *client_adopt(struct arena *a, int fd, const struct client_target *t,
				struct smtp_client **out, bool *tls_failed);
void client_free(
    struct smtp_client **k); /* with QUIT when the server still listens; never waits for it */

/*
 * One transaction for at most MTA_RECIPIENTS pending recipients: settles the fate of some, at least one, or fails. A fail means that
 * the connection is gone and those still pending may be tried elsewhere. Call again while there are pending ones.
 */
const struct fail *client_send(struct arena *a, struct smtp_client *k,
			       struct client_transaction *t);
/* Between two messages: RSET, which also shows that the server is still there. */
bool client_reset(struct smtp_client *k);
/* May take another message: neither used up nor closing. */
bool client_is_good(struct smtp_client *k);

str client_host(const struct smtp_client *k);
str client_address(const struct smtp_client *k);
str client_tls(const struct smtp_client *k); /* see connection_tls_text */

#endif
