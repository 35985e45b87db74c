/* The questions a mail client has, typed: what the RDATA cannot be is dropped, what remains is bounded and in order. */
#ifndef RELAY_DNS_LOOKUP_H
#define RELAY_DNS_LOOKUP_H

#include "base/env.h"
#include "text/dns_rdata.h"
#include "relay/dns/resolver.h"

enum lookup_limit {
	LOOKUP_MX = 20,        /* hosts kept, the best ones (THREATS N05) */
	LOOKUP_ADDRESSES = 16, /* of one host and family */
};

struct dns_mx_list {
	enum dns_status status; /* DNS_OK: there is at least one host, or null_mx */
	bool secure;
	bool null_mx;               /* RFC 7505: the domain takes no mail; hosts_n is 0 */
	const struct dns_mx *hosts; /* by preference; equal ones in random order (RFC 5321 5.1) */
	size_t hosts_n;
	str why_bogus;
};

/* OK when there is an address of either family, even when the other one's question failed. */
struct dns_address_list {
	enum dns_status status;
	bool secure; /* all of it */
	const struct dns_address *ipv6, *ipv4;
	size_t ipv6_n, ipv4_n;
	str why_bogus;
};

struct dns_text_list {
	enum dns_status status;
	bool secure;
	const str *items; /* TXT: joined strings; PTR: host names */
	size_t n;
};

struct dns_tlsa_list {
	enum dns_status status;
	bool secure;
	const struct dns_tlsa *records;
	size_t n;
};

struct dns_mx_list dns_lookup_mx(struct arena *a, struct resolver *r, str domain, u64 budget_ms);
struct dns_address_list dns_lookup_addresses(struct arena *a, struct resolver *r, str host,
					     u64 budget_ms);
struct dns_text_list dns_lookup_txt(struct arena *a, struct resolver *r, str name, u64 budget_ms);
/* Of an address: the name under in-addr.arpa or ip6.arpa is made here. */
struct dns_text_list dns_lookup_ptr(struct arena *a, struct resolver *r,
				    const struct dns_address *address, u64 budget_ms);
/* RFC 7672 2.2: _PORT._tcp.HOST. */
struct dns_tlsa_list dns_lookup_tlsa(struct arena *a, struct resolver *r, str host, u32 port,
				     u64 budget_ms);

/* By preference; equal ones shuffled. */
void dns_mx_sort(struct dns_mx *hosts, size_t n, const struct env *e);
str dns_reverse_name(struct arena *a, const struct dns_address *address);

#endif
