/*
 * Accepting: the caps, who is refused and how, and what happens when there are no descriptors left (THREATS F11: back off, do not spin).
 * Runs on workers; several may accept at once.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/env.h"
#include "base/log.h"
#include "serve/address_table.h"
#include "serve/server.h"

static bool service_is_tls(enum service service)
{
	static const bool tls[SERVICES] = {
#define SERVICE(NAME, name, port, role, tls_) [SERVICE_##NAME] = tls_,
#include "bus/services.tbl"
#undef SERVICE
	};

	return tls[service];
}

static void refuse(struct server *v, const struct listener *l, int fd, const struct caller *c,
		   bool per_address)
{
	const struct session_refusal why = { .service = l->service,
					     .per_address = per_address,
					     .process = v->process,
					     .address = caller_address(c),
					     .address_text = caller_text(c) };
	const struct protocol *p = v->protocols[l->service];

	if (p->too_many && !service_is_tls(l->service)) {
		struct arena *a = arena_new(SERVER_REFUSAL_BYTES);
		str text = p->too_many(a, &why);
		(void)!send(fd, text.p, text.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		arena_free(&a);
	}
	close(fd);
}

static void session_add(struct server *v, struct session *s)
{
	struct session_table *t = &v->table;

	pthread_mutex_lock(&t->lock);
	s->table_from = &t->buckets[s->id & t->mask];
	s->table_next = *s->table_from;
	if (s->table_next)
		s->table_next->table_from = &s->table_next;
	*s->table_from = s;
	pthread_mutex_unlock(&t->lock);
}

static struct session *session_begin(struct server *v, const struct listener *l, int fd,
				     const struct caller *c)
{
	struct session *s =
	    session_new(v->process, v->protocols[l->service], l->service, fd, v->next_id++);
	int on = 1;

	s->server = v;
	s->caller = *c;
	s->begin_tls = v->tls ? server_begin_tls : NULL;
	if (service_is_tls(l->service))
		session_begin_tls(s);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
		   sizeof on); /* each write of ours is a whole answer */
	atomic_store(&s->owner, OWNER_QUEUE);
	session_add(v, s);
	if (v->stopping) /* all that stood in the table have been told; it may have been too late for that */
		atomic_fetch_or(&s->wakes, WAKE_BIT_SHUTDOWN);
	return s;
}

/* NULL: refused. */
static struct session *admit(struct server *v, const struct listener *l, int fd,
			     const struct sockaddr_storage *from)
{
	struct caller c = caller_of((const struct sockaddr *)from);

	if (v->sessions++ >= v->most) {
		v->sessions--;
		refuse(v, l, fd, &c, false);
		return NULL;
	}
	if (v->addresses && c.n &&
	    !address_table_take(v->addresses, caller_address(&c), v->most_per_address)) {
		v->sessions--;
		refuse(v, l, fd, &c, true);
		return NULL;
	}
	return session_begin(v, l, fd, &c);
}

/* What a connection brought on itself; anything else is ours, and would come again at once. */
static bool passing(int error)
{
	return error == EINTR || error == ECONNABORTED || error == EPROTO || error == ENETDOWN ||
	       error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
	       error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH;
}

/* The keeper knocks again. */
static void back_off(struct server *v, int error)
{
	u64 accepting = 0;

	if (!atomic_compare_exchange_strong(&v->resume_accept, &accepting,
					    env_monotonic(env_system()) + SERVER_BACKOFF_MS))
		return;
	LOG(WARN, "serve.accept", LOG_U64("errno", (u64)error), LOG_U64("sessions", v->sessions));
	waiter_poke(v->waiter);
}

struct session *server_knock(struct server *v, const struct listener *l)
{
	struct session *first = NULL;

	while (!v->stopping) {
		struct sockaddr_storage from = { 0 };
		socklen_t n = sizeof from;
		int fd = accept4(l->fd, (struct sockaddr *)&from, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct session *s;

		if (fd < 0 && passing(errno))
			continue;
		if (fd < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				back_off(v, errno);
			break;
		}
		s = admit(v, l, fd, &from);
		if (s && first)
			waiter_push(v->waiter, s);
		else if (s)
			first = s;
	}
	return first;
}

void server_listen(struct server *v, bool on)
{
	for (size_t i = 0; i < v->listeners_n; i++) {
		struct listener *l = &v->listeners[i];
		if (on == l->armed)
			continue;
		if (on)
			l->armed = waiter_listen(v->waiter, l->fd, i);
		else
			waiter_unlisten(v->waiter, l->fd);
		l->armed = on && l->armed;
	}
}
