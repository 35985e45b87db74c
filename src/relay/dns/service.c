#include "relay/dns/service.h"

#include "base/arena.h"

/* On the resolver's thread: copies what the answer borrows, and sends it. */
static void query_answered(void *context, const struct dns_answer *from)
{
	struct bus_call *call = context;
	struct relay_dns_query_answer *to = call->answer;
	str *records = arena_array_of(call->arena, from->records_n, str);

	for (size_t i = 0; i < from->records_n; i++)
		records[i] = str_copy(call->arena, from->records[i]);
	to->status = (u8)from->status;
	to->secure = from->secure;
	to->canonical = str_copy(call->arena, from->canonical);
	to->why_bogus = str_copy(call->arena, from->why_bogus);
	to->records = records;
	to->records_n = from->records_n;
	to->ttl = from->ttl;
	bus_answer(&call, NULL);
}

static void dispatch(void *context, struct bus_call *call)
{
	const struct relay_dns_query_request *q = call->request;
	u64 budget = q->budget_ms > 0 && q->budget_ms < RESOLVER_BUDGET_MS ? q->budget_ms
									   : RESOLVER_BUDGET_MS;

	resolver_ask(context, q->name, q->type, budget, query_answered, call);
}

static void gone(void *context, const struct bus_peer *peer)
{
	(void)context; /* questions under way are answered into nowhere */
	(void)peer;
}

struct bus_server *dns_service_new(struct resolver *r)
{
	return bus_server_new(relay_methods, relay_methods_n, dispatch, gone, r);
}
