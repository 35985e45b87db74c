#include "bus/relay_dns.h"

#include "base/env.h"
#include "base/log.h"
#include "bus/dns_memo.h"

enum { ANSWER_MS = 500 }; /* the relay keeps the budget itself; one that stands still does not */

/* One for the process: what DNS says does not depend on who asks. */
static struct dns_memo memo;
static struct dns_rate rate;
static pthread_once_t memo_once = PTHREAD_ONCE_INIT;

static void memo_make(void)
{
	dns_memo_init(&memo);
	dns_rate_init(&rate);
}

static void query(void *context, struct arena *a, str name, u32 type, struct dns_answer *out)
{
	struct relay_dns *d = context;
	struct relay_dns_query_request q = { .name = name, .type = type };
	struct relay_dns_query_answer r;
	u64 now = env_monotonic(env_system());
	const struct fail *f;

	*out = (struct dns_answer){ .status = DNS_TEMPFAIL };
	if (!d->relay || now >= d->deadline || dns_memo_find(&memo, a, name, type, now, out))
		return;
	if (!dns_rate_take(&rate, a, &d->payer, name, type, now)) {
		out->status = DNS_OVER_RATE;
		return;
	}
	d->asked++;
	q.budget_ms = (u32)(d->deadline - now);
	f = relay_dns_query_within(a, d->relay, &q, &r, q.budget_ms + ANSWER_MS);
	if (f) {
		LOG(WARN, "relay.dns", LOG_STR("name", name), LOG_FAIL("why", f));
		return;
	}
	if (r.status > DNS_BOGUS)
		return;
	*out = (struct dns_answer){ .status = (enum dns_status)r.status,
				    .secure = r.secure,
				    .canonical = r.canonical,
				    .records = r.records,
				    .records_n = r.records_n,
				    .ttl = r.ttl,
				    .why_bogus = r.why_bogus };
	now = env_monotonic(env_system());
	dns_memo_put(&memo, a, name, type, now, out);
	if (d->payer.rate)
		dns_rate_know(&rate, a, name, type, now,
			      dns_answer_life(name, out, DNS_RATE_KNOWN_MS));
}

struct dns_source relay_dns_source(struct relay_dns *d, struct bus *relay, u32 budget_ms)
{
	pthread_once(&memo_once, memo_make);
	*d = (struct relay_dns){ .relay = relay,
				 .deadline = env_monotonic(env_system()) + budget_ms };
	return (struct dns_source){ .context = d, .query = query };
}
