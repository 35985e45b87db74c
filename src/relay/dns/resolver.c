/*
 * Who owns a query: it is in the list from resolver_ask until libunbound calls back, and is freed then. A query whose budget ends
 * earlier is answered by the sweep and stays in the list (`answered`) until the callback. Callback and sweep run on one thread, so
 * nothing but the list itself needs the lock. A query that libunbound did not take is left to the sweep as well.
 */
#include "relay/dns/resolver.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unbound.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "base/fd.h"
#include "base/log.h"
#include "relay/dns/anchors.h"
#include "text/dns_rdata.h"

enum {
	RESOLVER_MAGIC = 0x52534C56,
	QUERY_BUDGET = 256 * 1024,
	CLASS_IN = 1,
	PROBE_MS = 5000,   /* what needs no other server takes no time at all, */
	PROBE_SWEEPS = 20, /* unless we all stood still */
};

struct query {
	struct query *next, *previous;
	struct resolver *resolver;
	struct arena *arena;
	u64 deadline;
	bool answered;
	bool stillborn; /* libunbound did not take it: no callback will come */
	void (*done)(void *context, const struct dns_answer *answer);
	void *context;
};

struct resolver {
	u32 magic;
	struct arena *arena;
	struct ub_ctx *unbound;
	int wake; /* eventfd: the first query of many, or stopping */
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* protects what follows */
	struct query *queries;
	size_t queries_n;
	bool stopping;
	/* Of our thread alone. */
	bool probing;
	u64 probe_deadline;
	unsigned probe_sweeps;
};

/* --- The list ------------------------------------------------------------------------------------------------- */

static void resolver_wake(struct resolver *r)
{
	const u64 one = 1;

	while (write(r->wake, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static bool query_link(struct query *q)
{
	struct resolver *r = q->resolver;
	bool room;

	pthread_mutex_lock(&r->lock);
	room = r->queries_n < RESOLVER_PENDING && !r->stopping;
	if (room) {
		q->next = r->queries;
		if (q->next)
			q->next->previous = q;
		r->queries = q;
		r->queries_n++;
	}
	pthread_mutex_unlock(&r->lock);
	return room;
}

static void query_unlink(struct query *q)
{
	struct resolver *r = q->resolver;

	pthread_mutex_lock(&r->lock);
	if (q->previous)
		q->previous->next = q->next;
	else
		r->queries = q->next;
	if (q->next)
		q->next->previous = q->previous;
	r->queries_n--;
	pthread_mutex_unlock(&r->lock);
}

static void query_free(struct query *q)
{
	struct arena *a = q->arena;

	arena_free(&a);
}

static void query_give_up(struct query *q)
{
	static const struct dns_answer none = { .status = DNS_TEMPFAIL };

	if (!q->answered)
		q->done(q->context, &none);
	q->answered = true;
}

/* --- Answers -------------------------------------------------------------------------------------------------- */

/* When libunbound (1.17) has no memory for an answer it says "no error, no data": with no arrays, or with the length of a record that it
 * has not copied. That is no answer: SPF and DMARC would pass whom a record refuses. */
static bool result_whole(const struct ub_result *u)
{
	return u->havedata || (u->data && u->len && u->data[0] == NULL && u->len[0] == 0);
}

static enum dns_status result_status(const struct ub_result *u)
{
	if (u->bogus)
		return DNS_BOGUS;
	if (u->havedata)
		return DNS_OK;
	if (!result_whole(u))
		return DNS_TEMPFAIL;
	if (u->nxdomain)
		return DNS_NXDOMAIN;
	/* Anything but NOERROR (SERVFAIL, REFUSED, ...) says nothing about the name: never a reason to bounce (THREATS N03). */
	return u->rcode == 0 ? DNS_NODATA : DNS_TEMPFAIL;
}

static str plain_name(struct arena *a, const char *name)
{
	str s = str_cstr(name);

	if (s.n && s.p[s.n - 1] == '.')
		s.n--;
	return str_lower(a, s);
}

static void result_records(struct arena *a, const struct ub_result *u, struct dns_answer *out)
{
	str *records;
	size_t n = 0;

	while (n < RESOLVER_RECORDS && u->data[n])
		n++;
	records = arena_array_of(a, n, str);
	for (size_t i = 0; i < n; i++)
		records[i] = str_from(u->data[i], u->len[i] < 0 ? 0 : (size_t)u->len[i]);
	out->records = records;
	out->records_n = n;
}

static struct dns_answer result_answer(struct arena *a, const struct ub_result *u)
{
	struct dns_answer answer = { .status = result_status(u), .secure = u->secure != 0 };

	answer.ttl = u->ttl > 0 ? (u32)u->ttl : 0;
	answer.canonical = plain_name(a, u->canonname ? u->canonname : u->qname);
	answer.why_bogus = str_cstr(u->why_bogus);
	if (answer.status == DNS_OK)
		result_records(a, u, &answer);
	return answer;
}

/* libunbound's callback, on our thread, in ub_process. */
static void query_done(void *context, int error, struct ub_result *u)
{
	struct query *q = context;

	query_unlink(q);
	if (error != 0 || u == NULL) {
		query_give_up(q);
	} else if (!q->answered) {
		struct dns_answer answer = result_answer(q->arena, u);
		q->done(q->context, &answer);
	}
	ub_resolve_free(u);
	query_free(q);
}

/* A name as libunbound wants it. NULL: nothing that DNS could know. */
static const char *query_name(struct arena *a, str name)
{
	if (name.n == 0 || name.n > RESOLVER_NAME || !str_is_ascii(name) || str_has(name, '\\'))
		return NULL;
	return cstr(a, name);
}

/* The sweep answers it and lets it go. */
static void query_stillborn(struct query *q)
{
	struct resolver *r = q->resolver;

	pthread_mutex_lock(&r->lock);
	q->stillborn = true;
	q->deadline = 0;
	pthread_mutex_unlock(&r->lock);
	resolver_wake(r);
}

void resolver_ask(struct resolver *r, str name, u32 type, u64 budget_ms,
		  void (*done)(void *context, const struct dns_answer *answer), void *context)
{
	struct arena *a = arena_new(QUERY_BUDGET);
	struct query *q = arena_new_of(a, struct query);
	const char *text = query_name(a, name);
	bool linked;

	CHECK_MAGIC(r, RESOLVER_MAGIC);
	*q = (struct query){ .resolver = r, .arena = a, .done = done, .context = context };
	q->deadline = env_monotonic(env_system()) + (budget_ms ? budget_ms : RESOLVER_BUDGET_MS);
	linked = text && type > 0 && type <= UINT16_MAX && query_link(q);
	if (linked) {
		resolver_wake(r);
		if (ub_resolve_async(r->unbound, text, (int)type, CLASS_IN, q, query_done, NULL))
			query_stillborn(q);
		return; /* q may be gone by now */
	}
	query_give_up(q);
	query_free(q);
}

/* --- The thread ----------------------------------------------------------------------------------------------- */

/* The next query whose budget is over; *any tells whether there are queries at all. Only this thread takes queries out of the
 * list, so what it returns stays. */
static struct query *queries_overdue(struct resolver *r, bool *any)
{
	u64 now = env_monotonic(env_system());
	struct query *q;

	pthread_mutex_lock(&r->lock);
	*any = r->queries != NULL;
	q = r->queries;
	while (q && ((q->answered && !q->stillborn) || q->deadline > now))
		q = q->next;
	pthread_mutex_unlock(&r->lock);
	return q;
}

static void probe_done(void *context, int error, struct ub_result *u)
{
	struct resolver *r = context;

	(void)error;
	r->probing = false;
	ub_resolve_free(u);
}

/* A question that libunbound knows the answer of. */
static void probe(struct resolver *r, u64 now)
{
	if (r->probing ||
	    ub_resolve_async(r->unbound, "localhost", DNS_TYPE_A, CLASS_IN, r, probe_done, NULL))
		return;
	r->probing = true;
	r->probe_deadline = now + PROBE_MS;
	r->probe_sweeps = 0;
}

/* A name server that is silent is no news; but libunbound's thread, once it had no memory for a question, hears no other (1.17: the length
 * of the next is read where the rest of that one is). Whoever comes in our place has a new one. */
static void probe_check(struct resolver *r, u64 now)
{
	if (r->probing && now >= r->probe_deadline && r->probe_sweeps++ >= PROBE_SWEEPS)
		check_failed(__FILE__, __LINE__, "libunbound hears no question any more");
}

static bool queries_sweep(struct resolver *r)
{
	u64 now = env_monotonic(env_system());
	struct query *q;
	bool any;

	probe_check(r, now);
	while ((q = queries_overdue(r, &any)) != NULL) {
		probe(r, now);
		query_give_up(q);
		if (q->stillborn) {
			query_unlink(q);
			query_free(q);
		}
	}
	return any || r->probing;
}

static bool resolver_stopping(struct resolver *r)
{
	bool stopping;

	pthread_mutex_lock(&r->lock);
	stopping = r->stopping;
	pthread_mutex_unlock(&r->lock);
	return stopping;
}

static void *resolver_run(void *context)
{
	struct resolver *r = context;
	struct pollfd p[] = { { .fd = ub_fd(r->unbound), .events = POLLIN },
			      { .fd = r->wake, .events = POLLIN } };
	u64 count;

	while (!resolver_stopping(r)) {
		int timeout = queries_sweep(r) ? RESOLVER_SWEEP_MS : -1;
		if (poll(p, ARRAY_LEN(p), timeout) <= 0)
			continue;
		if (p[1].revents && read(r->wake, &count, sizeof count) < 0 && errno != EAGAIN)
			break;
		if (p[0].revents && ub_process(r->unbound) != 0)
			check_failed(__FILE__, __LINE__, "libunbound's pipe failed");
	}
	return NULL;
}

/* --- Making and ending ---------------------------------------------------------------------------------------- */

static const struct fail *set(struct arena *a, struct ub_ctx *u, const char *key, const char *value)
{
	int error = ub_ctx_set_option(u, key, value);

	return error ? fail_new(a, FAIL_INTERNAL, "resolver: %s %s: %s", key, value,
				ub_strerror(error))
		     : NULL;
}

/* Small caches: this process shares 60 MiB with all others. The rest are bounds against hostile servers. */
static const struct fail *set_options(struct arena *a, struct ub_ctx *u)
{
	static const char *const options[][2] = {
		{ "msg-cache-size:", "4m" },          { "rrset-cache-size:", "8m" },
		{ "key-cache-size:", "1m" },          { "neg-cache-size:", "512k" },
		{ "edns-buffer-size:", "1232" },      { "harden-glue:", "yes" },
		{ "harden-dnssec-stripped:", "yes" }, { "unwanted-reply-threshold:", "10000000" },
		{ "cache-max-ttl:", "86400" },        { "cache-max-negative-ttl:", "900" },
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		TRY(set(a, u, options[i][0], options[i][1]));
	return NULL;
}

/* "HOST:PORT" or "[v6]:PORT" as libunbound has it: "HOST@PORT". */
static const char *server_text(struct arena *a, str server)
{
	size_t colon = str_find_last(server, ':');
	str host = str_slice(server, 0, colon), port = S("53");

	if (colon != SIZE_MAX)
		port = str_skip(server, colon + 1);
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_slice(host, 1, host.n - 1);
	return cstr(a, str_format(a, "%.*s@%.*s", STR_ARG(host), STR_ARG(port)));
}

/* Only these are asked. They may serve zones that libunbound would answer itself: *.test and private reverse ones. */
static const struct fail *set_servers(struct arena *a, struct ub_ctx *u, const struct config *c)
{
	if (c->dns_servers.n == 0)
		return NULL;
	TRY(set(a, u, "do-not-query-localhost:", "no"));
	TRY(set(a, u, "unblock-lan-zones:", "yes"));
	for (size_t i = 0; i < c->dns_servers.n; i++) {
		const char *text = server_text(a, c->dns_servers.items[i]);
		if (text == NULL || ub_ctx_set_fwd(u, text) != 0)
			return fail_new(a, FAIL_INVALID,
					"dns.servers: expected ADDRESS:PORT, not \"%.*s\"",
					STR_ARG(c->dns_servers.items[i]));
	}
	return NULL;
}

static const struct fail *set_anchors(struct arena *a, struct ub_ctx *u, const struct config *c)
{
	struct anchors *anchors = arena_new_of(a, struct anchors);

	for (size_t i = 0; i < c->dns_trust_anchors.n; i++) {
		const struct fail *f = anchors_read(a, c->dns_trust_anchors.items[i], anchors);
		if (f && f->what != FAIL_NOT_FOUND)
			return f;
		if (f)
			LOG(WARN, "dns.anchors", LOG_FAIL("why", f));
	}
	for (size_t i = 0; i < anchors->n; i++)
		if (ub_ctx_add_ta(u, anchors->records[i]) != 0)
			return fail_new(a, FAIL_INVALID, "dns.trust_anchors: not usable: %.60s",
					anchors->records[i]);
	return NULL;
}

static void unbound_delete(void *u)
{
	ub_ctx_delete(u);
}

const struct fail *resolver_new(struct arena *a, const struct config *c, struct resolver **out)
{
	struct resolver *r = arena_new_of(a, struct resolver);

	*r = (struct resolver){ .magic = RESOLVER_MAGIC, .arena = arena_new(QUERY_BUDGET) };
	r->unbound = ub_ctx_create();
	if (r->unbound == NULL)
		return fail_new(a, FAIL_INTERNAL, "resolver: cannot be made");
	arena_own(r->arena, unbound_delete, r->unbound);
	r->wake = arena_own_fd(r->arena, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	CHECK(r->wake >= 0 && pthread_mutex_init(&r->lock, NULL) == 0);
	*out = r;
	ub_ctx_debugout(r->unbound, NULL); /* our log has lines of its own form */
	ub_ctx_debuglevel(r->unbound, 0);
	if (ub_ctx_async(r->unbound, 1) != 0)
		return fail_new(a, FAIL_INTERNAL, "resolver: no threads");
	TRY(set_options(a, r->unbound));
	TRY(set_servers(a, r->unbound, c));
	TRY(set_anchors(a, r->unbound, c));
	/* Ends configuration, here where files may still be read. And *.test is asked, not made up. */
	if (ub_ctx_zone_remove(r->unbound, "test.") != 0)
		return fail_new(a, FAIL_INVALID,
				"resolver: dns.trust_anchors or dns.servers not usable");
	return NULL;
}

const struct fail *resolver_start(struct resolver *r)
{
	CHECK_MAGIC(r, RESOLVER_MAGIC);
	if (pthread_create(&r->thread, NULL, resolver_run, r) != 0)
		return fail_new(r->arena, FAIL_LIMIT, "resolver: no thread");
	r->started = true;
	return NULL;
}

void resolver_free(struct resolver **at)
{
	struct resolver *r = *at;
	struct query *next;

	if (r == NULL)
		return;
	CHECK_MAGIC(r, RESOLVER_MAGIC);
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_mutex_unlock(&r->lock);
	resolver_wake(r);
	if (r->started)
		pthread_join(r->thread, NULL);
	for (struct query *q = r->queries; q; q = q->next)
		query_give_up(q);
	struct query *left = r->queries;
	arena_free(&r->arena); /* libunbound's thread ends; no callback comes any more */
	for (; left; left = next) {
		next = left->next;
		query_free(left);
	}
	pthread_mutex_destroy(&r->lock);
	r->magic = 0;
	*at = NULL;
}
