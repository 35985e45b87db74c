/*
 * iprev (RFC 8601 3): has the client's address a name, and does that name lead back to the address? Pure; at most
 * 1 + IPREV_NAMES questions.
 */
#ifndef VERDICT_IPREV_H
#define VERDICT_IPREV_H

#include "text/dns_rdata.h"
#include "text/dns.h"

enum iprev_limit { IPREV_NAMES = 4 }; /* PTR records looked at; the rest is ignored */

enum iprev_result { IPREV_PASS, IPREV_FAIL, IPREV_TEMPERROR, IPREV_PERMERROR };

struct iprev_verdict {
	enum iprev_result result;
	str name; /* that leads back; or the first one that does not; empty: there is none */
};

void iprev_check(struct arena *a, const struct dns_source *dns, const struct dns_address *client,
		 struct iprev_verdict *out);
str iprev_result_name(enum iprev_result r);

/* "1.2.0.192" or 32 nibbles, then "." and suffix: PTR questions and DNSBLs (RFC 5782 2.1, 2.4). */
str iprev_reverse(struct arena *a, const struct dns_address *client, str suffix);

#endif
