#include "relay/mta/delivery.h"

#include "base/arena.h"
#include "base/env.h"
#include "text/json.h"

enum { EVENT_ARGUMENTS = 4096 };

struct attempt {
	struct arena *arena;
	const struct delivery_tools *tools;
	const struct job *job;
	struct body body;
	struct route route;
	struct client_transaction transaction;
	const struct fail *doubt; /* the latest TEMP reason why a host was of no use */
	const struct fail
	    *better; /* the doubt about hosts of a better preference than the one that is tried */
	const struct fail *no; /* the latest PERM one */
	bool ourselves;        /* a loop: no other host is tried */
	u32 connects;
	str remote_mta, tls; /* of the server that we spoke with last */
	struct event_record *events;
	size_t events_n;
};

/* --- Events --------------------------------------------------------------------------------------------------- */

static void put(struct json *j, const char *key, str value)
{
	if (value.n == 0)
		return;
	json_key(j, key);
	json_str(j, value);
}

/* Why a host was of no use, or that it was: `postern trace` tells it. */
static void note(struct attempt *d, const char *code, str host, str address, str tls, str text)
{
	struct buf *arguments = buf_new(d->arena, EVENT_ARGUMENTS);
	struct json j = json_to(arguments);

	if (d->events_n == MTA_EVENTS)
		return;
	json_object(&j);
	put(&j, "site", d->route.site.n ? d->route.site : d->job->domain);
	put(&j, "domain",
	    d->job->domain); /* whose mail it was: several domains may have one site */
	put(&j, "host", host);
	put(&j, "address", address);
	put(&j, "tls", tls);
	put(&j, "text", text);
	json_object_end(&j);
	d->events[d->events_n++] = (struct event_record){
		.time = env_now(env_system()),
		.message = d->job->message,
		.stage = S("relay"),
		.code = str_cstr(code),
		.arguments = arguments->full ? S("{}") : buf_str(arguments),
	};
}

/* --- Fates ---------------------------------------------------------------------------------------------------- */

static bool pending(const struct attempt *d)
{
	for (size_t i = 0; i < d->transaction.recipients_n; i++)
		if (d->transaction.recipients[i].fate == FATE_PENDING)
			return true;
	return false;
}

static void settle_pending(struct attempt *d, const struct fail *f)
{
	for (size_t i = 0; i < d->transaction.recipients_n; i++) {
		struct client_recipient *r = &d->transaction.recipients[i];
		if (r->fate != FATE_PENDING)
			continue;
		r->fate = f->kind == FAIL_PERM ? FATE_PERM : FATE_TEMP;
		r->code = f->code;
		r->text = f->text;
	}
}

static void host_failed(struct attempt *d, str host, str address, str tls, const struct fail *f)
{
	note(d, "attempt", host, address, tls, f->text);
	d->remote_mta = host;
	if (f->kind == FAIL_PERM)
		d->no = f;
	else
		d->doubt = f;
	d->ourselves |= f->what == FAIL_CONFLICT;
}

/* A doubt anywhere outweighs a refusal elsewhere: the sender's mail is not given up while a host may yet take it. Where we met ourselves
 * only those before us may (RFC 5321 5.1). */
static void settle_rest(struct attempt *d)
{
	static const struct fail none = FAIL_STATIC(UNAVAILABLE, "no server could be tried");

	const struct fail *doubt = d->ourselves ? d->better : d->doubt;

	settle_pending(d, doubt ? doubt : d->no ? d->no : &none);
}

/* --- One connection ------------------------------------------------------------------------------------------- */

/* As many transactions as it takes; afterwards the connection is kept for the next job, or closed. */
static void deliver_over(struct attempt *d, struct smtp_client *k)
{
	const struct fail *f = NULL;

	d->remote_mta = str_copy(d->arena, client_host(k));
	d->tls = str_copy(d->arena, client_tls(k));
	str address = str_copy(d->arena, client_address(k));
	note(d, "tls_used", d->remote_mta, address, d->tls.n ? d->tls : S("none"), STR_NONE);
	while (f == NULL && pending(d))
		f = client_send(d->arena, k, &d->transaction);
	if (f)
		host_failed(d, d->remote_mta, address, d->tls, f);
	idle_put(d->tools->idle, d->route.site, &k, f ? 0 : d->tools->times->idle);
}

static void deliver_over_idle(struct attempt *d)
{
	struct smtp_client *k;

	while (pending(d) && (k = idle_take(d->tools->idle, d->route.site)) != NULL) {
		if (client_reset(k))
			deliver_over(d, k);
		else
			idle_put(d->tools->idle, d->route.site, &k,
				 0); /* it went away: no fault of anyone */
	}
}

/* A password goes to nobody whose certificate does not prove the name, but in closed networks (relay.local_networks). */
static struct client_login smarthost_login(const struct attempt *d)
{
	const struct config *c = d->tools->config;

	if (!d->route.smarthost)
		return (struct client_login){ .user = STR_NONE };
	return (struct client_login){ c->relay_smarthost_user, d->tools->password,
				      !c->relay_local_networks };
}

static const struct fail *connect_to(struct attempt *d, struct client_target *t,
				     struct smtp_client **k)
{
	bool tls_failed;
	const struct fail *f;

	if (t->login.user.n && t->login.password.n == 0)
		return fail_code(d->arena, FAIL_UNAVAILABLE, "4.3.5",
				 "relay.smarthost_password_file could not be read, or is empty");
	d->connects++;
	f = client_open(d->arena, t, k, &tls_failed);
	if (f == NULL || !tls_failed || t->login.user.n)
		return f;
	/* RFC 7435: opportunistic TLS must not cost us the mail. Once more, in clear. */
	note(d, "tls_failed", t->host, address_text(d->arena, &t->address), STR_NONE, f->text);
	t->tls = ROUTE_TLS_NEVER;
	d->connects++;
	return client_open(d->arena, t, k, &tls_failed);
}

static void try_address(struct attempt *d, const struct route_host *host,
			const struct dns_address *address)
{
	struct client_target t = { .host = host->name,
				   .address = *address,
				   .port = d->route.port,
				   .tls = d->route.tls,
				   .login = smarthost_login(d),
				   .own_name = route_own_name(d->tools->config),
				   .contexts = d->tools->contexts,
				   .times = d->tools->times };
	struct smtp_client *k;
	const struct fail *f;

	f = connect_to(d, &t, &k);
	/* Only what never got an answer speaks against the family. */
	site_family_seen(d->tools->sites, d->route.site, address->family,
			 f == NULL || !str_eq(f->code, S("4.4.1")), d->tools->times->family);
	if (f == NULL)
		deliver_over(d, k);
	else
		host_failed(d, host->name, address_text(d->arena, address), STR_NONE, f);
}

/* --- All hosts ------------------------------------------------------------------------------------------------ */

static bool go_on(const struct attempt *d)
{
	return pending(d) && !d->ourselves && d->connects < MTA_CONNECTS;
}

static void try_host(struct attempt *d, const struct route_host *host)
{
	const struct router router = { d->tools->config, d->tools->resolver, d->tools->times->dns };
	struct route_order order = {
		site_family_is_bad(d->tools->sites, d->route.site, ADDRESS_IPV6),
		site_family_is_bad(d->tools->sites, d->route.site, ADDRESS_IPV4),
	};
	struct dns_address addresses[MTA_ADDRESSES];
	size_t n;
	const struct fail *f =
	    route_addresses(d->arena, &router, &d->route, host, order, addresses, &n);

	if (f)
		host_failed(d, host->name, STR_NONE, STR_NONE, f);
	for (size_t i = 0; i < n && go_on(d); i++)
		try_address(d, host, &addresses[i]);
}

static void deliver(struct attempt *d)
{
	deliver_over_idle(d);
	for (size_t i = 0; i < d->route.hosts_n && go_on(d); i++) {
		if (i > 0 && d->route.hosts[i].preference > d->route.hosts[i - 1].preference)
			d->better = d->doubt;
		try_host(d, &d->route.hosts[i]);
	}
	settle_rest(d);
}

/* --- Results -------------------------------------------------------------------------------------------------- */

static void report(const struct attempt *d, enum attempt_outcome unsettled,
		   struct office_attempt_done_request *out)
{
	static const u8 outcome[] = { [FATE_DELIVERED] = ATTEMPT_DELIVERED,
				      [FATE_TEMP] = ATTEMPT_TEMP,
				      [FATE_PERM] = ATTEMPT_PERM };
	size_t n = d->transaction.recipients_n;
	struct attempt_result *results = arena_array_of(d->arena, n, struct attempt_result);

	for (size_t i = 0; i < n; i++) {
		const struct client_recipient *r = &d->transaction.recipients[i];
		bool settled = r->fate != FATE_PENDING;
		results[i] = (struct attempt_result){
			.entry = r->entry->entry,
			.outcome = settled ? outcome[r->fate] : (u8)unsettled,
			.code = r->code,
			.text = r->text,
		};
	}
	*out = (struct office_attempt_done_request){ .job = d->job->id,
						     .site = d->route.site,
						     .remote_mta = d->remote_mta,
						     .tls = d->tls,
						     .dsn = d->transaction.dsn,
						     .results = results,
						     .results_n = n,
						     .events = d->events,
						     .events_n = d->events_n };
}

static struct attempt *delivery_new(struct arena *a, const struct delivery_tools *tools,
				    const struct job *job)
{
	struct attempt *d = arena_new_of(a, struct attempt);
	struct client_recipient *list = arena_array_of(a, job->entries_n, struct client_recipient);

	for (size_t i = 0; i < job->entries_n; i++)
		list[i].entry = &job->entries[i];
	*d = (struct attempt){ .arena = a, .tools = tools, .job = job };
	d->transaction = (struct client_transaction){
		.job = job, .body = &d->body, .recipients = list, .recipients_n = job->entries_n
	};
	d->events = arena_array_of(a, MTA_EVENTS, struct event_record);
	return d;
}

void delivery_refuse(struct arena *a, const struct job *job, const struct fail *f,
		     struct office_attempt_done_request *out)
{
	struct attempt *d = delivery_new(a, NULL, job);

	note(d, "attempt", STR_NONE, STR_NONE, STR_NONE, f->text);
	settle_pending(d, f);
	report(d, ATTEMPT_TEMP, out);
}

void delivery_run(struct arena *a, const struct delivery_tools *tools, const struct job *job,
		  str message, struct office_attempt_done_request *out)
{
	struct router router = { tools->config, tools->resolver, tools->times->dns };
	struct attempt *d = delivery_new(a, tools, job);
	const struct fail *f;

	d->body = body_inspect(message);
	if (d->body.bare || job->body_type == BODY_BINARYMIME)
		f = fail_code(a, FAIL_INVALID, "5.6.1",
			      "the message has a CR or LF that stands alone, or is binary");
	else
		f = route_find(a, &router, job->domain, &d->route);
	if (f) {
		delivery_refuse(a, job, f, out);
		return;
	}
	if (site_enter(tools->sites, d->route.site, tools->config->queue_per_site)) {
		deliver(d);
		site_leave(tools->sites, d->route.site);
	}
	report(d, ATTEMPT_BUSY, out);
}
