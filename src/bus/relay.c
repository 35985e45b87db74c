/* Encoders, decoders, methods and stubs of relay.tbl. */
#include "bus/relay.h"

#define BUS_TABLE "bus/relay.tbl"
#define BUS_METHODS relay_methods
#define BUS_METHODS_N relay_methods_n
#include "bus/stubs.h"

const struct fail *relay_dns_query_within(struct arena *a, struct bus *b,
					  const struct relay_dns_query_request *q,
					  struct relay_dns_query_answer *r, u64 ms)
{
	return bus_call_within(a, b, &relay_methods[INDEX_dns_query], q, r, ms);
}
