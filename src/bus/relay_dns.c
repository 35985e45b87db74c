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

/* Within the budget, also when a relay begins anew meanwhile: what DNS says must not depend on a reload. */
static const struct fail *ask(struct relay_dns *d, struct arena *a,
			      struct relay_dns_query_request *q, struct relay_dns_query_answer *r)
{
	u64 now = env_monotonic(env_system()), until = now + BUS_RESTART_MS;
	const struct fail *f;

	if (until > d->deadline)
		until = d->deadline;
	do {
		q->budget_ms = (u32)(d->deadline - now);
		f = relay_dns_query_within(a, d->relay, q, r, q->budget_ms + ANSWER_MS);
		if (f == NULL || f->what != FAIL_UNAVAILABLE || !bus_wait(d->relay, until))
			return f;
		now = env_monotonic(env_system());
	} while (now < d->deadline);
	return f;
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
	f = ask(d, a, &q, &r);
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
