/*
 * The answering side of the bus: see bus.h.
 *
 * One thread (bus_server_run) reads all peers and hands decoded calls to dispatch; any thread answers. An answer is sent at once
 * by the thread that gives it; what the socket does not take is kept in order and flushed on EPOLLOUT. A connection is
 * closed by the running thread alone; others mark it (shutdown) and let the thread find out. Calls keep their
 * connection in memory by a count, so an answer may come after the peer's death or the server's end.
 */
#include "bus/server.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/fd.h"
#include "base/log.h"
#include "bus/failure.h"
#include "bus/frame.h"

enum {
	SERVER_MAGIC = 0x53525642,
	CONNECTION_MAGIC = 0x434F4E42,
	NUMBERS = 1024,   /* method numbers are below it */
	EVENTS = 64,      /* of one epoll_wait */
	TURN_FRAMES = 64, /* of one peer before the next has its turn */
	UNDER_WAY_LOW = BUS_UNDER_WAY / 2,
	UNSENT_ARENA = 8 * 1024,    /* of an answer that waits: the descriptors */
	UNSENT_OVERHEAD = 4 * 1024, /* what it costs beside its bytes */
};

enum source_kind { SOURCE_STOP, SOURCE_LISTENER, SOURCE_PEER };

/* What an epoll event is about; first member of what it is part of. */
struct source {
	enum source_kind kind;
};

/* An answer that was not taken yet. */
struct unsent {
	struct unsent *next;
	struct arena *arena; /* holds this struct too, owns the descriptors */
	struct frame_out frame;
	size_t bytes;
};

struct listener {
	struct source source;
	struct listener *next;
	int fd;
	u32 role;
	unsigned peers;
	bool paused;
};

struct bus_connection {
	struct source source;
	u32 magic;
	struct arena *arena;
	struct bus_server *server;
	struct bus_peer peer;
	struct listener *listener;         /* NULL when it came by bus_server_add */
	struct bus_connection *next, **at; /* in the server's list, under its lock */

	pthread_mutex_t lock; /* protects what follows */
	int fd;
	unsigned users; /* the server and each call */
	unsigned under_way;
	size_t under_way_bytes;
	bool dead;
	_Atomic bool
	    paused; /* enough calls under way: not read from; the running thread looks without the lock */
	struct unsent *first, **last;
	size_t unsent_bytes, unsent_fds;
};

struct bus_server {
	u32 magic;
	struct arena *arena;
	int epoll;
	struct source stop;
	int stop_fd;
	const struct bus_method *by_number[NUMBERS];
	void (*dispatch)(void *context, struct bus_call *call);
	void (*gone)(void *context, const struct bus_peer *peer);
	void *context;
	u8 scratch[BUS_FRAME]; /* the running thread's */

	pthread_mutex_t lock; /* protects what follows */
	struct bus_connection *connections;
	struct listener *listeners;
	u64 last_peer;
};

const struct fail bus_later = FAIL_STATIC(INTERNAL, "answered later");

void bus_serve(const bus_serve_function *table, size_t n, struct bus_call *call)
{
	u32 number = call->method->number;
	const struct fail *f;

	CHECK(number < n && table[number] != NULL);
	f = table[number](call);
	if (f != BUS_LATER)
		bus_answer(&call, f);
}

/* --- Connections --------------------------------------------------------------------------------------------- */

static void release_lock(void *object)
{
	pthread_mutex_destroy(object);
}

static struct bus_connection *connection_new(struct bus_server *s, int fd, u32 role, u32 instance)
{
	struct arena *a = arena_new(sizeof(struct bus_connection));
	struct bus_connection *c = arena_new_of(a, struct bus_connection);

	*c = (struct bus_connection){ .source = { SOURCE_PEER },
				      .magic = CONNECTION_MAGIC,
				      .arena = a,
				      .server = s,
				      .peer = { .role = role, .instance = instance },
				      .fd = fd,
				      .users = 1,
				      .last = &c->first };
	pthread_mutex_init(&c->lock, NULL);
	arena_own(a, release_lock, &c->lock);
	return c;
}

/* Gives up one use; c->lock is held and left. */
static void connection_unlock_release(struct bus_connection *c)
{
	struct arena *a = c->arena;
	bool last = --c->users == 0;

	pthread_mutex_unlock(&c->lock);
	if (last)
		arena_free(&a);
}

/* The lock is held. The running thread sees the hang-up and closes. */
static void connection_condemn(struct bus_connection *c)
{
	if (!c->dead)
		shutdown(c->fd, SHUT_RDWR);
	c->dead = true;
}

/* The lock is held. */
static void connection_arm(struct bus_connection *c)
{
	struct epoll_event e = { .data.ptr = c };

	if (c->fd < 0)
		return;
	e.events = (c->paused ? 0 : EPOLLIN) | (c->first ? EPOLLOUT : 0);
	epoll_ctl(c->server->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void unsent_free(struct unsent *u)
{
	struct arena *a = u->arena;

	frame_free(&u->frame);
	arena_free(&a);
}

static void listener_arm(struct listener *l, struct bus_server *s, bool paused)
{
	struct epoll_event e = { .events = paused ? 0 : EPOLLIN, .data.ptr = l };

	l->paused = paused;
	epoll_ctl(s->epoll, EPOLL_CTL_MOD, l->fd, &e);
}

/* On the running thread, or when it has ended. */
static void connection_close(struct bus_connection *c)
{
	struct bus_server *s = c->server;
	struct bus_peer peer = c->peer;

	pthread_mutex_lock(&s->lock);
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	pthread_mutex_unlock(&s->lock);
	if (c->listener) {
		c->listener->peers--;
		listener_arm(c->listener, s, false);
	}
	pthread_mutex_lock(&c->lock);
	c->dead = true;
	fd_close(&c->fd);
	while (c->first) {
		struct unsent *u = c->first;
		c->first = u->next;
		unsent_free(u);
	}
	connection_unlock_release(c);
	if (s->gone)
		s->gone(s->context, &peer);
}

/* --- Answers ------------------------------------------------------------------------------------------------- */

static void flush(struct bus_connection *c)
{
	pthread_mutex_lock(&c->lock);
	while (c->first && !c->dead) {
		struct unsent *u = c->first;
		enum frame_result sent = frame_send(&u->frame, c->fd);

		if (sent == FRAME_AGAIN)
			break;
		if (sent != FRAME_OK)
			connection_condemn(c);
		c->unsent_bytes -= u->bytes;
		c->unsent_fds -= u->frame.encoder.fds_n;
		c->first = u->next;
		if (c->first == NULL)
			c->last = &c->first;
		unsent_free(u);
	}
	connection_arm(c);
	pthread_mutex_unlock(&c->lock);
}

/* Descriptors of the answer may be closed by their owner before the peer reads: keep our own. */
static bool keep_fds(struct arena *a, struct encoder *e)
{
	for (u32 i = 0; i < e->fds_n; i++) {
		int fd = fcntl(e->fds[i], F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return false;
		e->fds[i] = arena_own_fd(a, fd);
	}
	return true;
}

/* Takes the frame; what the call brought does not wait with its answer. */
static struct unsent *unsent_new(struct frame_out *o)
{
	struct arena *a = arena_new(UNSENT_ARENA);
	struct unsent *u = arena_new_of(a, struct unsent);

	u->arena = a;
	u->frame = *o;
	u->frame.encoder.bytes = &u->frame.bytes;
	u->bytes = UNSENT_OVERHEAD + o->bytes.n + o->file_bytes;
	return u;
}

/* The lock is held. Takes the frame. An answer of any size may be the last one over the bound. */
static void keep(struct bus_connection *c, struct frame_out *o)
{
	struct unsent *u = unsent_new(o);
	struct encoder *e = &u->frame.encoder;

	if (c->unsent_bytes > BUS_UNSENT || c->unsent_fds + e->fds_n > BUS_UNSENT_FDS ||
	    !keep_fds(u->arena, e)) {
		connection_condemn(c);
		unsent_free(u);
		return;
	}
	c->unsent_bytes += u->bytes;
	c->unsent_fds += e->fds_n;
	*c->last = u;
	c->last = &u->next;
	connection_arm(c);
}

/* The lock is held. Takes both. */
static void deliver(struct bus_connection *c, struct arena *a, struct frame_out *o)
{
	enum frame_result sent = FRAME_AGAIN;

	if (!c->dead && c->first == NULL)
		sent = frame_send(o, c->fd);
	if (sent == FRAME_BAD || sent == FRAME_END)
		connection_condemn(c);
	if (!c->dead && sent == FRAME_AGAIN)
		keep(c, o);
	else
		frame_free(o);
	arena_free(&a);
}

static void encode(struct frame_out *o, const struct bus_call *call, const struct fail *f)
{
	static const struct fail too_large = FAIL_STATIC(LIMIT, "an answer too large");

	if (f == NULL) {
		frame_begin(o, call->sequence, call->method->number, FRAME_INLINE);
		call->method->encode_answer(&o->encoder, call->answer);
		if (frame_end(o))
			return;
		frame_free(o);
		f = &too_large;
	}
	frame_begin(o, call->sequence, call->method->number, FRAME_FAIL);
	failure_encode(&o->encoder, f);
	CHECK(frame_end(o));
}

void bus_answer(struct bus_call **at, const struct fail *f)
{
	struct bus_call *call = *at;
	struct bus_connection *c = call->connection;
	size_t bytes = call->bytes;
	struct frame_out o;

	CHECK_MAGIC(c, CONNECTION_MAGIC);
	*at = NULL;
	encode(&o, call, f);
	pthread_mutex_lock(&c->lock);
	deliver(c, call->arena, &o);
	c->under_way--;
	c->under_way_bytes -= bytes;
	if (c->paused && c->under_way <= UNDER_WAY_LOW &&
	    c->under_way_bytes < BUS_UNDER_WAY_BYTES && !c->dead) {
		c->paused = false;
		connection_arm(c);
	}
	connection_unlock_release(c);
}

bool bus_peer_is_gone(const struct bus_call *call)
{
	struct bus_connection *c = call->connection;
	bool gone;

	CHECK_MAGIC(c, CONNECTION_MAGIC);
	pthread_mutex_lock(&c->lock);
	gone = c->dead;
	pthread_mutex_unlock(&c->lock);
	return gone;
}

/* --- Calls --------------------------------------------------------------------------------------------------- */

static struct bus_call *call_decode(struct bus_connection *c, struct arena *a,
				    const struct frame *f)
{
	const struct bus_method *m = f->number < NUMBERS ? c->server->by_number[f->number] : NULL;
	struct decoder d = frame_decoder(a, f);
	struct bus_call *call;

	if (m == NULL || !(m->callers & c->peer.role) || f->form != FRAME_INLINE)
		return NULL;
	call = arena_new_of(a, struct bus_call);
	call->request = arena_alloc(a, m->request_size);
	m->decode_request(&d, call->request);
	if (!decoder_done(&d))
		return NULL;
	call->arena = a;
	call->method = m;
	call->peer = c->peer;
	call->answer = arena_alloc(a, m->answer_size);
	call->connection = c;
	call->sequence = f->sequence;
	call->bytes = f->body.n + arena_used(a);
	return call;
}

static void call_count(struct bus_connection *c, const struct bus_call *call)
{
	pthread_mutex_lock(&c->lock);
	c->users++;
	c->under_way++;
	c->under_way_bytes += call->bytes;
	if (c->under_way >= BUS_UNDER_WAY || c->under_way_bytes >= BUS_UNDER_WAY_BYTES) {
		c->paused = true;
		connection_arm(c);
	}
	pthread_mutex_unlock(&c->lock);
}

static void complain(const struct bus_connection *c, const struct frame *f)
{
	LOG(ERROR, "bus.nonsense", LOG_U64("role", c->peer.role),
	    LOG_U64("instance", c->peer.instance), LOG_U64("call", f->number));
}

/* False when the connection is to be closed. */
static bool connection_read_one(struct bus_connection *c, bool *more)
{
	struct arena *a = NULL;
	struct frame f = { 0 };
	struct bus_call *call;
	enum frame_result got = frame_receive(c->fd, c->server->scratch, &a, &f);

	*more = got == FRAME_OK;
	if (got == FRAME_AGAIN || got == FRAME_END)
		return got == FRAME_AGAIN;
	call = got == FRAME_OK ? call_decode(c, a, &f) : NULL;
	if (call == NULL) {
		complain(c, &f);
		arena_free(&a);
		return false;
	}
	call_count(c, call);
	c->server->dispatch(c->server->context, call);
	return true;
}

static void connection_event(struct bus_connection *c, u32 events)
{
	bool more = (events & EPOLLIN) != 0;

	CHECK_MAGIC(c, CONNECTION_MAGIC);
	if (events & EPOLLOUT)
		flush(c);
	for (int i = 0; i < TURN_FRAMES && more && !c->paused; i++) {
		if (!connection_read_one(c, &more)) {
			connection_close(c);
			return;
		}
	}
	if (events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLIN))
		connection_close(c);
}

/* --- The server ---------------------------------------------------------------------------------------------- */

static void epoll_add(struct bus_server *s, int fd, struct source *source)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = source };

	CHECK(epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) == 0);
}

struct bus_server *bus_server_new(const struct bus_method *methods, size_t n,
				  void (*dispatch)(void *context, struct bus_call *call),
				  void (*gone)(void *context, const struct bus_peer *peer),
				  void *context)
{
	struct arena *a = arena_new(sizeof(struct bus_server));
	struct bus_server *s = arena_new_of(a, struct bus_server);

	s->magic = SERVER_MAGIC;
	s->arena = a;
	s->dispatch = dispatch;
	s->gone = gone;
	s->context = context;
	pthread_mutex_init(&s->lock, NULL);
	for (size_t i = 0; i < n; i++) {
		CHECK(methods[i].number < NUMBERS && s->by_number[methods[i].number] == NULL);
		s->by_number[methods[i].number] = &methods[i];
	}
	s->epoll = arena_own_fd(a, epoll_create1(EPOLL_CLOEXEC));
	s->stop_fd = arena_own_fd(a, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	s->stop.kind = SOURCE_STOP;
	epoll_add(s, s->stop_fd, &s->stop);
	return s;
}

static void connection_add(struct bus_server *s, struct bus_connection *c)
{
	pthread_mutex_lock(&s->lock);
	c->peer.number = ++s->last_peer;
	c->next = s->connections;
	c->at = &s->connections;
	if (c->next)
		c->next->at = &c->next;
	s->connections = c;
	pthread_mutex_unlock(&s->lock);
	epoll_add(s, c->fd, &c->source);
}

void bus_server_add(struct bus_server *s, int fd, u32 role, u32 instance)
{
	CHECK_MAGIC(s, SERVER_MAGIC);
	connection_add(s, connection_new(s, fd, role, instance));
}

void bus_server_listen(struct bus_server *s, int fd, u32 role)
{
	struct listener *l;

	CHECK_MAGIC(s, SERVER_MAGIC);
	CHECK(fd_nonblock(fd));
	pthread_mutex_lock(&s->lock);
	l = arena_new_of(s->arena, struct listener);
	*l = (struct listener){ .source = { SOURCE_LISTENER },
				.next = s->listeners,
				.fd = arena_own_fd(s->arena, fd),
				.role = role };
	s->listeners = l;
	pthread_mutex_unlock(&s->lock);
	epoll_add(s, fd, &l->source);
}

static bool may_connect(int fd)
{
	struct ucred who;
	socklen_t n = sizeof who;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

static void listener_event(struct bus_server *s, struct listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	struct bus_connection *c;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			listener_arm(l, s, l->peers > 0); /* until one of them goes */
		return;
	}
	if (!may_connect(fd)) {
		close(fd);
		return;
	}
	c = connection_new(s, fd, l->role, 0);
	c->listener = l;
	if (++l->peers == BUS_CTL_PEERS)
		listener_arm(l, s, true);
	connection_add(s, c);
}

/* True when it was the order to stop. */
static bool source_event(struct bus_server *s, struct source *source, u32 events)
{
	switch (source->kind) {
	case SOURCE_STOP:
		return true;
	case SOURCE_LISTENER:
		listener_event(s, (struct listener *)source);
		return false;
	case SOURCE_PEER:
		connection_event((struct bus_connection *)source, events);
		return false;
	}
	return false;
}

void bus_server_run(struct bus_server *s)
{
	struct epoll_event e[EVENTS];
	bool stop = false;

	CHECK_MAGIC(s, SERVER_MAGIC);
	while (!stop) {
		int n = epoll_wait(s->epoll, e, EVENTS, -1);

		CHECK(n >= 0 || errno == EINTR);
		for (int i = 0; i < n; i++)
			stop |= source_event(s, e[i].data.ptr, e[i].events);
	}
}

void bus_server_stop(struct bus_server *s)
{
	CHECK_MAGIC(s, SERVER_MAGIC);
	eventfd_write(s->stop_fd, 1);
}

void bus_server_free(struct bus_server **at)
{
	struct bus_server *s = *at;
	struct arena *a;

	if (s == NULL)
		return;
	CHECK_MAGIC(s, SERVER_MAGIC);
	while (s->connections)
		connection_close(s->connections);
	pthread_mutex_destroy(&s->lock);
	a = s->arena;
	arena_free(&a);
	*at = NULL;
}
