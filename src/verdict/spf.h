/*
 * SPF (RFC 7208): may this client send for this domain? Pure: DNS answers in, verdict and reasons out. No clock, no I/O of its own;
 * time is bounded by the dns_source, whose answer is DNS_TEMPFAIL once its budget is over.
 *
 * Where RFC 7208 leaves a choice:
 *  - a target name that DNS cannot hold (empty or long labels, not ASCII: RFC 8616 4) matches nothing; for include and
 *    redirect it is permerror (4.8);
 *  - a term is void once at most, when the first question it asks comes back empty: an MX host without an AAAA record is no
 *    fault of the domain's (4.6.4);
 *  - over 10 MX records, or an MX host with over 10 addresses: permerror (4.6.4);
 *  - not: 10 terms of 10 names each, because that is 110 questions for one message: past SPF_QUESTIONS it is permerror (THREATS
 *    D08).
 */
#ifndef VERDICT_SPF_H
#define VERDICT_SPF_H

#include "text/dns_rdata.h"
#include "text/dns.h"
#include "text/header.h"

enum spf_limit {
	SPF_TERMS = 10,        /* include, a, mx, ptr, exists, redirect; RFC 7208 4.6.4 */
	SPF_VOID = 2,          /* terms whose question had no answer */
	SPF_MX = 10,           /* MX records of one term */
	SPF_MX_ADDRESSES = 10, /* addresses of one MX host */
	SPF_PTR = 10,          /* PTR records looked at; the rest is ignored */
	SPF_HUGE4 = 8,         /* bits: a shorter prefix is a huge set, of IPv4 addresses */
	SPF_HUGE6 = 20,        /* the same of IPv6 */
	SPF_QUESTIONS = 40,    /* of one check, all together */
	SPF_EXPANSION = 4096,  /* octets of an expanded macro string */
	SPF_EXPLANATION = 400, /* characters of it that are shown */
	SPF_LOCAL = 128, /* octets of a local part that macros see; RFC 5321 4.5.3.1.1 has 64 */
	SPF_VALUE =
	    384, /* octets of what a macro letter stands for: SPF_LOCAL, '@' and a name at most */
};

enum spf_result {
	SPF_NONE,
	SPF_NEUTRAL,
	SPF_PASS,
	SPF_FAIL,
	SPF_SOFTFAIL,
	SPF_TEMPERROR,
	SPF_PERMERROR,
};

/* Whose name was checked (RFC 7208 2.3, 2.4). With the null sender MAIL FROM is postmaster at the HELO name: SPF_HELO. */
enum spf_identity { SPF_MAILFROM, SPF_HELO };

struct spf_query {
	struct dns_address client; /* an IPv4-mapped IPv6 address counts as IPv4 */
	str helo;                  /* as the client said it */
	str mail_from;             /* local@domain; "" is the null sender */
	str receiver;              /* our host name, for the macro r; may be empty */
	u64 now;                   /* seconds since 1970, for the macro t */
};

struct spf_lookup {
	str name;
	u32 type; /* enum dns_type: TXT, A, AAAA, MX or PTR, nothing else (THREATS D09) */
	enum dns_status status;
};

/* All text is one line of printable ASCII. Lives as long as the arena and the query. */
struct spf_verdict {
	enum spf_result result;
	enum spf_identity identity;
	str domain; /* that was checked, lower case, A-labels; as given when it is no domain name */
	str record; /* that decided first: the domain's own; empty without one */
	str mechanism; /* of the domain's own record, "default" when none matched; empty without a record */
	str explanation; /* exp= of the domain, only with SPF_FAIL; a stranger's words: show it as such */
	str reason; /* one English sentence */
	bool
	    huge; /* with SPF_PASS: what matched lets in so many that it vouches for nobody (THREATS D10) */
	unsigned terms, voids;
	const struct spf_lookup *lookups; /* in order */
	size_t lookups_n;
};

/* Checks MAIL FROM, or HELO when the sender is null. */
void spf_check(struct arena *a, const struct dns_source *source, const struct spf_query *q,
	       struct spf_verdict *out);
/* The name that spf_check() looks at, as it was given. */
str spf_identity_domain(const struct spf_query *q);
/* Checks HELO, whoever the sender is. */
void spf_check_helo(struct arena *a, const struct dns_source *source, const struct spf_query *q,
		    struct spf_verdict *out);

/* "pass", "softfail", ... as in RFC 7208 2.6 and RFC 8601 2.7.2. */
str spf_result_name(enum spf_result result);
str spf_identity_name(enum spf_identity identity); /* "mailfrom", "helo" */

/* Received-SPF (RFC 7208 9.1). Nothing of a peer's can break out of its quotes. */
void spf_put_received(struct arena *a, struct header_builder *h, const struct spf_query *q,
		      const struct spf_verdict *v);

#endif
