/*
 * A server: listeners, the waiter on the caller's thread, workers. What a session goes through between two runs is here; see serve.h
 * for the laws.
 */
#include "serve/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>

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

/* Off all lists but the graves'. Notices were unsubscribed from by the protocol's close(); no id leads to it any more. */
static void retire(struct server *v, struct session *s)
{
	pthread_mutex_lock(&v->table.lock);
	*s->table_from = s->table_next;
	if (s->table_next)
		s->table_next->table_from = s->table_from;
	pthread_mutex_unlock(&v->table.lock);
	if (v->addresses && s->address_n)
		address_table_give(v->addresses, str_from(s->address, s->address_n));
	waiter_forget(v->waiter, s);
	waiter_bury(v->waiter, s);
	v->sessions--;
	if (v->stopping)
		waiter_poke(v->waiter);
}

static bool crowded(struct session *s)
{
	return !workers_queue_empty(s->server->workers);
}

/* A peer that answered within SERVER_CHATTY_MS last time is given as long again: cheaper than epoll and two switches of threads. */
static bool lingers(struct server *v, struct session *s)
{
	struct pollfd p = { .fd = s->stream.fd, .events = POLLIN };

	if (!s->chatty || s->want != EPOLLIN || !workers_queue_empty(v->workers) || v->stopping)
		return false;
	s->chatty = poll(&p, 1, SERVER_CHATTY_MS) == 1;
	return s->chatty;
}

static void run(void *context, struct session *s)
{
	struct server *v = context;

	atomic_store(&s->owner, OWNER_WORKER);
	if (s->quiet_since)
		s->chatty = now() - s->quiet_since <= SERVER_CHATTY_MS;
	for (;;) {
		switch (session_run(s, crowded)) {
		case SESSION_END:
			retire(v, s);
			return;
		case SESSION_YIELD:
			s->quiet_since = 0;
			atomic_store(&s->owner, OWNER_QUEUE);
			workers_push(v->workers, s);
			return;
		case SESSION_PARK:
			if (lingers(v, s))
				break;
			s->quiet_since = now();
			if (waiter_park(v->waiter, s))
				return; /* law 4: it may already be another's */
			break;
		}
	}
}

static void ready(void *context, struct session *s)
{
	struct server *v = context;

	workers_push(v->workers, s);
}

/* --- Wakes ------------------------------------------------------------------------------------------------------- */

/* Under the lock of the table, so that the session exists. */
static void wake(struct server *v, struct session *s, u32 bit)
{
	atomic_fetch_or(&s->wakes, bit);
	if (waiter_claim(s))
		workers_push(v->workers, s);
}

static void wake_all(struct server *v, u32 bit)
{
	pthread_mutex_lock(&v->table.lock);
	for (u64 i = 0; i <= v->table.mask; i++)
		for (struct session *s = v->table.buckets[i]; s; s = s->table_next)
			wake(v, s, bit);
	pthread_mutex_unlock(&v->table.lock);
	waiter_poke(v->waiter); /* it sees to it that there are workers enough */
}

void session_wake(struct server *v, u64 session)
{
	struct session *s;

	pthread_mutex_lock(&v->table.lock);
	s = v->table.buckets[session & v->table.mask];
	while (s && s->id != session)
		s = s->table_next;
	if (s)
		wake(v, s, WAKE_BIT_NOTICE);
	pthread_mutex_unlock(&v->table.lock);
	if (!workers_queue_empty(v->workers))
		waiter_poke(v->waiter);
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
			.magic = LISTENER_MAGIC,
			.fd = p->listeners[i].fd,
			.service = p->listeners[i].service,
			.server = v,
		};
	}
}

struct server *server_new(struct process *p, const struct protocol *const protocols[SERVICES],
			  struct tls_server *tls)
{
	struct server *v = arena_new_of(p->arena, struct server);
	const struct waiter_calls calls = { .context = v, .ready = ready, .knock = server_knock };
	const struct fail *f;

	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets with write() */
	v->process = p;
	v->protocols = protocols;
	v->tls = tls;
	v->next_id = env_random_u64(env_system()) >> 24; /* not those of the process before */
	server_reload(v, p->config);
	v->workers = workers_new(p->arena, p->config->limit_workers, run, v);
	table_init(p->arena, &v->table, p->config->limit_connections);
	listeners_init(v, p);
	f = waiter_new(p->arena, &calls, &v->waiter);
	if (f == NULL && p->address_table >= 0)
		f = address_table_open(p->arena, p->address_table,
				       address_table_column(p->instance, p->role == ROLE_CLIENT),
				       &v->addresses);
	if (f)
		LOG(ERROR, "serve.new", LOG_FAIL("why", f));
	CHECK(f == NULL);
	return v;
}

void server_reload(struct server *v, const struct config *c)
{
	atomic_store(&v->most, c->limit_connections);
	atomic_store(&v->most_per_address, c->limit_connections_per_address);
}

static int sooner(int a, int b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

static void accept_again(struct server *v)
{
	if (v->resume_accept && v->resume_accept <= now()) {
		v->resume_accept = 0;
		server_listen(v, true);
	}
}

/* Until no session is left, or the time is over. */
static void run_down(struct server *v, u64 ms)
{
	u64 end = now() + ms;

	while (v->sessions && now() < end)
		waiter_turn(v->waiter, sooner(workers_tend(v->workers), 50));
}

void server_run(struct server *v)
{
	server_listen(v, true);
	while (!v->stopping) {
		accept_again(v);
		waiter_turn(v->waiter, sooner(workers_tend(v->workers),
					      v->resume_accept ? SERVER_BACKOFF_MS : -1));
	}
	server_listen(v, false);
	wake_all(v, WAKE_BIT_SHUTDOWN);
	run_down(v, SERVER_STOP_MS);
	wake_all(v, WAKE_BIT_KILL);
	run_down(v, SERVER_KILL_MS);
	if (!workers_stop(v->workers, SERVER_KILL_MS))
		LOG(WARN, "serve.stop", LOG_U64("sessions", v->sessions));
	waiter_turn(v->waiter, 0);
}

void server_stop(struct server *v)
{
	atomic_store(&v->stopping, true);
	waiter_poke(v->waiter);
}
