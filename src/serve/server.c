/*
 * A server: listeners, the waiter, workers, and the keeper of times on the caller's thread. What a session goes through between two runs
 * is here; see serve.h for the laws.
 */
#include "serve/server.h"

#include <signal.h>

#include "base/check.h"
#include "base/env.h"
#include "base/fd.h"
#include "base/log.h"
#include "serve/address_table.h"
#include "serve/tls.h"

static u64 now(void)
{
	return env_monotonic(env_system());
}

/* --- A session between two runs --------------------------------------------------------------------------------- */

/* Under the lock of the table. */
static struct session *find(struct server *v, u64 id)
{
	struct session *s = v->table.buckets[id & v->table.mask];

	while (s && s->id != id)
		s = s->table_next;
	return s;
}

/* Law 5: off the table and out of the heap nobody can reach it any more. Notices were unsubscribed from by the protocol's close(). */
static void retire(struct server *v, struct session *s)
{
	pthread_mutex_lock(&v->table.lock);
	*s->table_from = s->table_next;
	if (s->table_next)
		s->table_next->table_from = s->table_from;
	pthread_mutex_unlock(&v->table.lock);
	waiter_forget(v->waiter, s);
	if (v->addresses && s->caller.n)
		address_table_give(v->addresses, caller_address(&s->caller));
	session_free(s);
	v->sessions--;
	if (v->stopping)
		waiter_poke(v->waiter);
}

static bool crowded(struct session *s)
{
	return workers_all_busy(s->server->workers);
}

static void run(struct server *v, struct session *s)
{
	atomic_store(&s->owner, OWNER_WORKER);
	for (;;) {
		switch (session_run(s, crowded)) {
		case SESSION_END:
			retire(v, s);
			return;
		case SESSION_YIELD:
			atomic_store(&s->owner, OWNER_QUEUE);
			waiter_push(v->waiter, s);
			return;
		case SESSION_PARK:
			if (waiter_park(v->waiter, s))
				return; /* law 4: it may already be another's */
			break;
		}
	}
}

/* Its socket is ready: ours to run, if it was parked and is there at all. */
static struct session *claim(struct server *v, const struct waiter_event *e)
{
	struct session *s;

	pthread_mutex_lock(&v->table.lock);
	s = find(v, e->id);
	if (s && e->hangup)
		atomic_fetch_or(&s->wakes, WAKE_BIT_HANGUP);
	if (s && !waiter_claim(s))
		s = NULL;
	pthread_mutex_unlock(&v->table.lock);
	return s;
}

/* What a worker does with what it was told. */
static void work(void *context, const struct waiter_event *e)
{
	struct server *v = context;
	struct session *s = NULL;

	switch (e->kind) {
	case WAITER_SESSION:
		s = claim(v, e);
		break;
	case WAITER_LISTENER:
		s = server_knock(v, &v->listeners[e->listener]);
		break;
	case WAITER_WOKEN:
		s = waiter_pop(v->waiter);
		break;
	}
	if (s)
		run(v, s);
}

/* --- Wakes ------------------------------------------------------------------------------------------------------- */

/* Under the lock of the table, so that the session exists. */
static void wake(struct server *v, struct session *s, u32 bit)
{
	atomic_fetch_or(&s->wakes, bit);
	if (waiter_claim(s))
		waiter_push(v->waiter, s);
}

static void wake_all(struct server *v, u32 bit)
{
	pthread_mutex_lock(&v->table.lock);
	for (u64 i = 0; i <= v->table.mask; i++)
		for (struct session *s = v->table.buckets[i]; s; s = s->table_next)
			wake(v, s, bit);
	pthread_mutex_unlock(&v->table.lock);
}

void session_wake(struct server *v, u64 session)
{
	struct session *s;

	pthread_mutex_lock(&v->table.lock);
	s = find(v, session);
	if (s)
		wake(v, s, WAKE_BIT_NOTICE);
	pthread_mutex_unlock(&v->table.lock);
}

void session_wake_all(struct server *v)
{
	wake_all(v, WAKE_BIT_NOTICE);
}

/* --- The server -------------------------------------------------------------------------------------------------- */

static void table_release(void *object)
{
	struct session_table *t = object;

	pthread_mutex_destroy(&t->lock);
}

static void table_init(struct arena *a, struct session_table *t, u64 most)
{
	u64 n = 64;

	while (n < most && n < 65536)
		n *= 2;
	t->mask = n - 1;
	t->buckets = arena_array_of(a, n, struct session *);
	pthread_mutex_init(&t->lock, NULL);
	arena_own(a, table_release, t);
}

static void listeners_init(struct server *v, struct process *p)
{
	v->listeners = arena_array_of(p->arena, p->listeners_n, struct listener);
	v->listeners_n = p->listeners_n;
	for (size_t i = 0; i < p->listeners_n; i++) {
		CHECK(v->protocols[p->listeners[i].service] != NULL);
		CHECK(fd_nonblock(p->listeners[i].fd));
		v->listeners[i] = (struct listener){
			.fd = p->listeners[i].fd,
			.service = p->listeners[i].service,
		};
	}
}

struct server *server_new(struct process *p, const struct protocol *const protocols[SERVICES],
			  struct tls_server *tls)
{
	struct server *v = arena_new_of(p->arena, struct server);
	const struct fail *f;

	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets with write() */
	v->process = p;
	v->protocols = protocols;
	v->tls = tls;
	v->next_id = env_random_u64(env_system()) >> 24; /* not those of the process before */
	server_reload(v, p->config);
	table_init(p->arena, &v->table, p->config->limit_connections);
	listeners_init(v, p);
	f = waiter_new(p->arena, &v->waiter);
	if (f == NULL && p->address_table >= 0)
		f = address_table_open(p->arena, p->address_table,
				       address_table_column(p->instance, p->role == ROLE_CLIENT),
				       &v->addresses);
	if (f)
		LOG(ERROR, "serve.new", LOG_FAIL("why", f));
	CHECK(f == NULL);
	v->workers = workers_new(p->arena, v->waiter, p->config->limit_workers, work, v);
	return v;
}

void server_reload(struct server *v, const struct config *c)
{
	atomic_store(&v->most, c->limit_connections);
	atomic_store(&v->most_per_address, c->limit_connections_per_address);
	if (v->workers)
		workers_limit(v->workers, c->limit_workers);
}

/* Descriptors may have come free: what waits to be accepted makes itself known anew. */
static void accept_again(struct server *v)
{
	u64 at = v->resume_accept;

	if (at == 0 || at > now())
		return;
	v->resume_accept = 0;
	server_listen(v, false);
	server_listen(v, true);
}

/* Until no session is left, or the time is over. */
static void run_down(struct server *v, u64 ms)
{
	u64 end = now() + ms;

	while (v->sessions && now() < end)
		waiter_keep_time(v->waiter, SERVER_LOOK_MS);
}

void server_run(struct server *v)
{
	workers_start(v->workers);
	server_listen(v, true);
	while (!v->stopping) {
		accept_again(v);
		waiter_keep_time(v->waiter, v->resume_accept ? SERVER_BACKOFF_MS : -1);
	}
	server_listen(v, false);
	wake_all(v, WAKE_BIT_SHUTDOWN);
	run_down(v, SERVER_STOP_MS);
	wake_all(v, WAKE_BIT_KILL);
	run_down(v, SERVER_KILL_MS);
	if (!workers_stop(v->workers, SERVER_KILL_MS))
		LOG(WARN, "serve.stop", LOG_U64("sessions", v->sessions));
}

void server_stop(struct server *v)
{
	atomic_store(&v->stopping, true);
	waiter_poke(v->waiter);
}
