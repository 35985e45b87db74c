/*
 * What DMARC found out about a message, as the office counts it for the reports to the author's domain (RFC 9990) and, when the
 * administrator allows it, as one failure report (RFC 9991). Typed: the office parses nothing of it.
 *
 * Left out: messages whose domain asks for no report, those that were put off (they come again), genuine aggregate reports, and what comes
 * to the address that our own reports come from: or two reporters would tell each other of each other's reports for ever.
 */
#ifndef EDGE_MX_FACT_H
#define EDGE_MX_FACT_H

#include "config/config.h"
#include "edge/smtp/policy.h"
#include "verdict/auth.h"

enum fact_limit {
	FACT_SIGNATURES = DKIM_SIGNATURES, /* of one message */
	FACT_URIS = 5,                     /* of rua, of ruf: what we send to (RFC 9990 3.5) */
	FACT_URI = 500,                    /* bytes; longer ones are left out */
	FACT_DOMAIN = 253,
	FACT_SELECTOR = 128,
	FACT_TEXT = 300,
	FACT_HEADER = 16 * 1024, /* of a failed message; later fields are left out */
};

/* All borrowed. */
struct fact_view {
	const struct config *config;
	const struct auth_verdict *verdict;
	const struct transaction *transaction;
	struct client_info client;
	str header;   /* of the message, as it came */
	str results;  /* our Authentication-Results and Received-SPF, whole fields */
	u64 message;  /* its number */
	bool put_off; /* whatever for: a full disk too */
};

/* False: there is nothing to count. Everything in *out is made in a. */
bool fact_make(struct arena *a, const struct fact_view *x, struct dmarc_fact *out);

#endif
