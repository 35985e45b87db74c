/* Calls to relay (relay.tbl): structs, enums, stubs. */
#ifndef BUS_RELAY_H
#define BUS_RELAY_H

#include "bus/bus.h"
#include "text/dns.h" /* enum dns_status */

#define BUS_TABLE "bus/relay.tbl"
#include "bus/declare.h"

extern const struct bus_method relay_methods[];
extern const size_t relay_methods_n;

/* Waits no longer than that, whatever the relay does. */
const struct fail *relay_dns_query_within(struct arena *a, struct bus *b,
					  const struct relay_dns_query_request *q,
					  struct relay_dns_query_answer *r, u64 ms);

#endif
