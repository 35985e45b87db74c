/*
 * DNS for the processes that may not connect (edges, mda): relay's resolver over the bus (relay.dns_query), within a budget. When it is over, when there
 * is no relay, or when it does not answer, a question is answered DNS_TEMPFAIL. The last answers are kept (bus/dns_memo.h): one for all threads of the process.
 * What a payer has no room for (bus/dns_rate.h) is not asked: DNS_OVER_RATE.
 */
#ifndef BUS_RELAY_DNS_H
#define BUS_RELAY_DNS_H

#include "bus/dns_rate.h"
#include "bus/relay.h"

struct relay_dns {
	struct bus *relay;      /* borrows; NULL: nobody can be asked */
	u64 deadline;           /* of env_monotonic */
	u32 asked;              /* of relay; not what was still known */
	struct dns_payer payer; /* zeroed: nobody counts */
};

/* The budget starts now. *d must stay where it is while the source is used. */
struct dns_source relay_dns_source(struct relay_dns *d, struct bus *relay, u32 budget_ms);

#endif
