/*
 * DNS answers as everybody sees them, and where they come from: relay's resolver, the bus for those who may not connect, a table
 * in tests. Records are RDATA in wire form without compression; text/dns_rdata.h reads them.
 */
#ifndef TEXT_DNS_H
#define TEXT_DNS_H

#include "base/arena.h"

enum dns_status {
	DNS_OK,
	DNS_NODATA,    /* the name exists, not with this type */
	DNS_NXDOMAIN,  /* no such name */
	DNS_TEMPFAIL,  /* SERVFAIL, timeout, no resolver */
	DNS_BOGUS,     /* DNSSEC says it was tampered with */
	DNS_OVER_RATE, /* not asked: its sender made us ask too much (bus/dns_rate.h) */
};

/* Nothing is known: neither that it is so nor that it is not. */
static inline bool dns_is_trouble(enum dns_status status)
{
	return status >= DNS_TEMPFAIL;
}

struct dns_answer {
	enum dns_status status;
	bool secure;        /* DNSSEC proved it */
	str canonical;      /* the name at the end of the CNAMEs; lower case, no trailing dot */
	const str *records; /* borrow the arena of the question */
	size_t records_n;
	u32 ttl; /* seconds */
	str why_bogus;
};

/* A place to ask. query never fails: trouble is a status. name: text without trailing dot; type: enum dns_type. Blocks within the
 * budget that whoever made it gave. */
struct dns_source {
	void *context;
	void (*query)(void *context, struct arena *a, str name, u32 type, struct dns_answer *out);
};

#endif
