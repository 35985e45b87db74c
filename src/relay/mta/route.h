/*
 * Where mail for a domain goes: the smarthost, or its MX hosts, or itself (RFC 5321 5.1), as addresses that may be connected to.
 *
 * Refused for good: no such domain (5.1.2), null MX (RFC 7505: 5.1.10), we are its best MX (5.4.6), no usable address
 * (5.4.4): names that lead to loopback or private networks are not followed unless relay.local_networks (THREATS N05).
 * Anything the DNS does not know for sure (SERVFAIL, timeout, bogus) is temporary (THREATS N03).
 */
#ifndef RELAY_MTA_ROUTE_H
#define RELAY_MTA_ROUTE_H

#include "config/config.h"
#include "relay/dns/lookup.h"
#include "relay/mta/limit.h"

enum route_tls {
	ROUTE_TLS_MAY,      /* when it is offered (RFC 7435) */
	ROUTE_TLS_REQUIRED, /* STARTTLS, or no mail */
	ROUTE_TLS_IMPLICIT, /* from the first byte (RFC 8314) */
	ROUTE_TLS_NEVER,    /* a handshake failed a moment ago */
};

struct route_host {
	str name; /* or "[192.0.2.1]" */
	bool literal;
	u32 preference;             /* of its MX; 0: there is no other */
	struct dns_address address; /* of a literal */
};

struct route {
	str site; /* see site.h */
	const struct route_host *hosts;
	size_t hosts_n;
	u32 port;
	bool smarthost;
	enum route_tls tls;
};

struct router {
	const struct config *config;
	struct resolver *resolver;
	u64 dns_ms;
};

/* Our name in EHLO, and what a loop is recognised by. */
str route_own_name(const struct config *c);
/* domain: lower case A-labels, or an address literal. */
const struct fail *route_find(struct arena *a, const struct router *r, str domain,
			      struct route *out);
/* The addresses of one host to be tried, in order: families in turn, or the one in `last` after the other. At most MTA_ADDRESSES. */
struct route_order {
	bool ipv6_last, ipv4_last;
};
const struct fail *route_addresses(struct arena *a, const struct router *r,
				   const struct route *route, const struct route_host *host,
				   struct route_order order, struct dns_address *out, size_t *n);
/* "192.0.2.1", "2001:db8::1" */
str address_text(struct arena *a, const struct dns_address *address);

#endif
