/*
 * The office process: it keeps the mail, the queue, the directory and the events, and answers typed calls about them. It speaks to nobody
 * first, and parses nothing that came from outside (ARCHITECTURE 2, Rule 0).
 *
 * Threads:
 *   bus      takes calls; serves the quick ones, hands others to the pool; parks next_job. Never blocks.
 *   pool     OFFICE_THREADS: tickets, reads (each on a read-only connection), the checks that come before a write
 *   writer   the store's: one transaction for all writes that wait (store/writer.h); answers them
 *   clock    the queue's: hands out jobs when they are due
 *   tick     now and then: notices that were missed, events that are old
 *   control  peers, reload, stop (serve/process.h)
 */
#include "office/office_int.h"

#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "bus/permit.h"
#include "bus/ticket.h"
#include "office/store/store_outgoing.h"

#define SERVE_FUNCTIONS
#include "bus/server.h"
#include "bus/office.tbl"
#include "bus/server_end.h"

static const bus_serve_function functions[] = {
#define SERVE_ROWS
#include "bus/server.h"
#include "bus/office.tbl"
#include "bus/server_end.h"
};

/* --- Calls ------------------------------------------------------------------------------------------------- */

/* THREATS P04: whose account it is comes from a ticket that login made for this very edge, never from what the edge says. */
const struct fail *office_ticket_check(struct bus_call *call, const struct ticket *ticket)
{
	struct office *o = office_of(call);
	struct directory_account account;

	TRY(ticket_check(o->process->ticket_secret, ticket, &call->peer, o->env));
	if (!directory_account_by_id(o->directory, call->arena, ticket->account, &account) ||
	    account.suspended ||
	    (account.generation != ticket->generation &&
	     account.generation != ACCOUNT_GENERATION_ANY))
		return &ticket_void;
	return NULL;
}

void office_permit_give(const struct bus_call *call, str domain, struct permit *out)
{
	const struct office *o = office_of(call);

	if (directory_has_domain(o->directory, domain))
		permit_make(call->arena, o->process->permit_secret, domain, &call->peer, o->env,
			    out);
}

static void serve(struct bus_call *call)
{
	const struct fail *f = NULL;

	if (call->method->needs_ticket)
		f = office_ticket_check(call, call->request);
	if (f)
		bus_answer(&call, f);
	else
		bus_serve(functions, ARRAY_LEN(functions), call);
}

bool office_pool_instead(struct bus_call *call)
{
	struct office_call *mine = office_call_of(call);

	if (mine->pooled)
		return false;
	mine->pooled = true;
	pool_add(mine->office->pool, call);
	return true;
}

static void *pool_run(void *context)
{
	struct pool *p = ((struct office *)context)->pool;
	struct pool_lane *lane;
	struct bus_call *call;

	while ((call = pool_take(p, &lane)) != NULL) {
		serve(call);
		pool_done(p, lane);
	}
	return NULL;
}

/* The bus thread. What waits for nothing is served here: to wake another thread would cost more than most of it. */
static void dispatch(void *context, struct bus_call *call)
{
	struct office_call *mine = arena_new_of(call->arena, struct office_call);

	mine->office = context;
	call->context = mine;
	if (call->method->mode == BUS_PARK || call->method->mode == BUS_QUICK)
		serve(call);
	else
		pool_add(mine->office->pool, call);
}

static void peer_gone(void *context, const struct bus_peer *peer)
{
	struct office *o = context;

	queue_peer_gone(o->queue, peer->number);
	notice_peer_gone(o->notice, peer->number);
	maildrop_peer_gone(o->maildrop, peer->number);
	office_report_peer_gone(o, peer->number);
}

/* --- Writes ------------------------------------------------------------------------------------------------ */

static const struct fail *write_run(struct tx *t, struct write_job *job)
{
	struct office_write *w = (struct office_write *)(void *)job;

	queue_changes_init(&w->changes, w->call->arena);
	return w->run(t, w);
}

static void write_done(struct write_job *job, const struct fail *f)
{
	struct office_write *w = (struct office_write *)(void *)job;
	struct bus_call *call = w->call;

	if (f == NULL && w->changes.first)
		queue_apply(w->office->queue, &w->changes);
	if (f == NULL && w->more && w->more(w)) {
		writer_submit(w->office->store, &w->job);
		return;
	}
	if (w->after)
		w->after(w, f);
	bus_answer(&call, f); /* frees the arena, and w with it */
}

static struct office_write *write_new(struct bus_call *call, office_write_run *run, void *context,
				      bool frees)
{
	struct office_write *w = arena_new_of(call->arena, struct office_write);

	w->job = (struct write_job){
		.run = write_run, .done = write_done, .arena = call->arena, .frees = frees
	};
	w->office = office_of(call);
	w->call = call;
	w->run = run;
	w->context = context;
	return w;
}

const struct fail *office_write(struct bus_call *call, office_write_run *run,
				void (*after)(struct office_write *, const struct fail *),
				void *context, bool frees)
{
	struct office_write *w = write_new(call, run, context, frees);

	w->after = after;
	writer_submit(w->office->store, &w->job);
	return BUS_LATER;
}

const struct fail *office_write_more(struct bus_call *call, office_write_run *run,
				     bool (*more)(struct office_write *w), void *context,
				     bool frees)
{
	struct office_write *w = write_new(call, run, context, frees);

	w->more = more;
	writer_submit(w->office->store, &w->job);
	return BUS_LATER;
}

/* --- Threads ----------------------------------------------------------------------------------------------- */

static void *clock_run(void *context)
{
	queue_run(((struct office *)context)->queue);
	return NULL;
}

struct expiry {
	struct write_job job;
	struct office *office;
	struct store_event_keep keep;
	bool more;
};

static const struct fail *expire_run(struct tx *t, struct write_job *job)
{
	struct expiry *e = (struct expiry *)(void *)job;

	bool reports;

	TRY(store_event_expire(t, &e->keep, &e->more));
	TRY(store_received_expire(t));
	TRY(store_outgoing_expire(t, &reports));
	e->more |= reports;
	return NULL;
}

static void expire_done(struct write_job *job, const struct fail *f)
{
	const struct expiry *e = (const struct expiry *)(const void *)job;
	struct arena *a = job->arena;

	if (f)
		LOG(WARN, "office.expire_failed", LOG_FAIL("why", f));
	else if (e->more)
		atomic_store(&e->office->expire_first, e->keep.attempts_first);
	arena_free(&a);
}

/* One slice each time, and the next with the next tick when there is one: what is old can wait, those who write cannot. */
static void expire(struct office *o)
{
	struct arena *a = arena_new(16 << 20);
	struct expiry *e = arena_new_of(a, struct expiry);
	const struct config *c = atomic_load(&o->config);

	*e = (struct expiry){
		.job = { .run = expire_run, .done = expire_done, .arena = a, .frees = true },
		.office = o,
		.keep = { .messages_ms = c->record_keep,
			  .attempts_ms = c->record_keep_refused,
			  .attempts_most = c->record_refused_most,
			  .attempts_first = atomic_exchange(&o->expire_first, 0) }
	};
	writer_submit(o->store, &e->job);
}

static bool is_stopping(struct office *o)
{
	bool stopping;

	CHECK(pthread_mutex_lock(&o->lock) == 0);
	stopping = o->stopping;
	CHECK(pthread_mutex_unlock(&o->lock) == 0);
	return stopping;
}

/* An orderly end has tenths of a second for us (parent/README.md): nobody sleeps through it. */
static void rest(struct office *o)
{
	u64 until = env_monotonic(o->env) + OFFICE_TICK_MS;
	struct timespec t = { (time_t)(until / 1000), (long)(until % 1000) * 1000000 };
	int late = 0;

	CHECK(pthread_mutex_lock(&o->lock) == 0);
	while (!o->stopping && late == 0)
		late = pthread_cond_timedwait(&o->stop, &o->lock, &t);
	CHECK(pthread_mutex_unlock(&o->lock) == 0);
}

/* While nobody waits for it. */
static void warm(struct office *o)
{
	struct arena *a = arena_new(16 << 20);
	const struct fail *f;
	struct tx t;
	u32 packed;

	f = store_read_begin(o->store, a, &t);
	if (f == NULL) {
		f = store_mailboxes_warm(&t, &packed);
		store_read_end(&t);
	}
	if (f)
		LOG(WARN, "office.warm_failed", LOG_FAIL("why", f));
	arena_free(&a);
}

static void *tick_run(void *context)
{
	struct office *o = context;
	u64 next = env_monotonic(o->env);

	warm(o);
	while (!is_stopping(o)) {
		notice_retry(o->notice);
		office_report_tick(o);
		if (env_monotonic(o->env) >= next || atomic_load(&o->expire_first)) {
			expire(o);
			next = env_monotonic(o->env) + OFFICE_EXPIRE_MS;
		}
		rest(o);
	}
	return NULL;
}

/* --- The store's words ------------------------------------------------------------------------------------- */

static void store_changed(void *context, u64 account, u64 mailbox, u64 modseq)
{
	(void)modseq;
	notice_changed(((struct office *)context)->notice, account, mailbox);
}

/* Nothing that was written since the last commit can be trusted: parent starts us again, from disk. */
static void store_broken(void *context, const struct fail *why)
{
	(void)context;
	LOG(ERROR, "office.store_broken", LOG_FAIL("why", why));
	log_flush();
	_exit(1);
}

/* --- Start and end ----------------------------------------------------------------------------------------- */

static struct queue_options queue_options(struct office *o, const struct config *c)
{
	return (struct queue_options){ .store = o->store,
				       .directory = o->directory,
				       .policy = { .retry_first = c->queue_retry_first,
						   .retry_most = c->queue_retry_most,
						   .expire = c->queue_expire,
						   .delay_notice = c->queue_delay_notice },
				       .per_site = (u32)c->queue_per_site,
				       .deliveries = (u32)c->queue_deliveries,
				       .hops = (u32)c->mail_hops,
				       .recipients = (u32)c->mail_recipients,
				       .size = c->mail_size };
}

static void load_domain(void *context, str name)
{
	directory_add_domain(context, name);
}

static void load_account(void *context, const struct store_account *a)
{
	directory_add_account(context, &(struct directory_account){ .id = a->id,
								    .generation = a->generation,
								    .quota = a->quota,
								    .address = a->address,
								    .suspended = a->suspended });
}

static void load_alias(void *context, str address, const str *targets, size_t n, bool suspended)
{
	directory_add_alias(context, address, targets, n);
	if (suspended)
		directory_suspend_alias(context, address);
}

static void load_bad(void *context, const char *kind, str name, const char *why)
{
	(void)context;
	LOG(ERROR, "directory.damaged", LOG_CSTR("kind", kind), LOG_STR("name", name),
	    LOG_CSTR("why", why));
}

static const struct fail *directory_load(struct office *o)
{
	struct store_directory_reader reader = { .context = o->directory,
						 .domain = load_domain,
						 .account = load_account,
						 .alias = load_alias,
						 .bad = load_bad };
	struct arena *a = arena_new((size_t)1 << 30);
	const struct fail *f;
	struct tx t;

	f = store_read_begin(o->store, a, &t);
	if (f == NULL) {
		f = store_directory_read(&t, &reader);
		store_read_end(&t);
	}
	if (f)
		f = fail_because(o->process->arena, f, "the directory could not be read");
	arena_free(&a);
	return f;
}

static const struct fail *queue_begin(struct office *o)
{
	const struct config *c = o->process->config;
	struct queue_options options = queue_options(o, c);
	struct arena *a = arena_new((size_t)1 << 30);
	const struct fail *f;

	o->queue = queue_new(&options);
	f = queue_load(o->queue, a);
	if (f)
		f = fail_because(o->process->arena, f, "the queue could not be read");
	arena_free(&a);
	return f;
}

static const struct fail *open_all(struct office *o, const char *folder)
{
	struct process *p = o->process;
	/* The office of a parent that was killed sees that it is alone, and ends (serve/process.c). */
	struct store_options options = { .folder = folder,
					 .patience_ms = OFFICE_LOCK_MS,
					 .changed = store_changed,
					 .broken = store_broken,
					 .context = o };

	TRY(store_open(p->arena, &options, &o->store));
	o->directory = directory_new(o->env, p->config->mail_subaddress);
	directory_set_reports(o->directory, p->config->reports_addresses.items,
			      p->config->reports_addresses.n);
	TRY(directory_load(o));
	return queue_begin(o);
}

static const struct fail *thread_start(struct office *o, pthread_t *thread, void *(*run)(void *))
{
	if (pthread_create(thread, NULL, run, o) != 0)
		return fail_new(o->process->arena, FAIL_LIMIT, "no more threads");
	return NULL;
}

static const struct fail *threads_start(struct office *o)
{
	writer_start(o->store);
	for (size_t i = 0; i < OFFICE_THREADS; i++)
		TRY(thread_start(o, &o->threads[i], pool_run));
	TRY(thread_start(o, &o->clock, clock_run));
	return thread_start(o, &o->tick, tick_run);
}

/* What came before the stop is done, acknowledged or not; then the database is closed as it should be. */
static void threads_stop(struct office *o)
{
	queue_stop(o->queue);
	CHECK(pthread_mutex_lock(&o->lock) == 0);
	o->stopping = true;
	CHECK(pthread_cond_signal(&o->stop) == 0);
	CHECK(pthread_mutex_unlock(&o->lock) == 0);
	pool_stop(o->pool);
	for (size_t i = 0; i < OFFICE_THREADS; i++)
		pthread_join(o->threads[i], NULL);
	pthread_join(o->clock, NULL);
	pthread_join(o->tick, NULL);
	writer_stop(o->store);
	store_close(&o->store);
}

static void peer_new(struct process *p, u32 role, u32 instance, int fd, int notices)
{
	struct office *o = p->state;

	if (notices >= 0)
		notice_edge(o->notice, instance, notices);
	bus_server_add(o->server, fd, role, instance);
}

static void reload(struct process *p, const struct config *config)
{
	struct office *o = p->state;
	struct queue_options options = queue_options(o, config);

	atomic_store(&o->config, config);
	queue_configure(o->queue, &options);
	directory_set_subaddress(o->directory, config->mail_subaddress);
	directory_set_reports(o->directory, config->reports_addresses.items,
			      config->reports_addresses.n);
}

static void stop(struct process *p)
{
	bus_server_stop(((struct office *)p->state)->server);
}

const struct fail *office_before_jail(struct process *p)
{
	struct office *o = arena_new_of(p->arena, struct office);

	sql_before_jail();
	mac_before_jail();
	o->process = p;
	o->env = env_system();
	o->pool = pool_new(p->arena, o->env, OFFICE_THREADS);
	atomic_store(&o->config, p->config);
	CHECK(pthread_mutex_init(&o->lock, NULL) == 0);
	env_condition_init(&o->stop);
	o->notice = notice_new(o->env);
	o->maildrop = maildrop_new(o->env);
	o->budget = budget_new(p->arena, o->env);
	p->state = o;
	return NULL;
}

const struct fail *office_after_jail(struct process *p)
{
	struct office *o = p->state;

	TRY(open_all(o, p->folder[0] ? p->folder : "/"));
	o->server = bus_server_new(office_methods, office_methods_n, dispatch, peer_gone, o);
	if (p->ctl >= 0)
		bus_server_listen(o->server, p->ctl, CALLER_CTL);
	TRY(threads_start(o));
	p->peer = peer_new;
	p->reload = reload;
	p->stop = stop;
	process_ready(p);
	bus_server_run(o->server);
	threads_stop(o);
	return NULL; /* the server stays until the process ends: peers are told by the end of their sockets */
}
