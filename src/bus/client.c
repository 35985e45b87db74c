/*
 * The calling side of the bus: see bus.h.
 *
 * No thread reads for the others. Of the threads that wait for answers one leads: it reads the socket and hands each frame to the
 * thread it belongs to; with its own answer it leaves and wakes another to lead. So a lone caller switches to nobody,
 * and in a crowd an answer costs one wake-up.
 *
 * A link is one socketpair; bus_replace makes a new one, and calls under way keep the old until they have failed. b->lock protects
 * everything but the socket itself: the leader alone receives, sends are atomic. Who is woken is woken after the lock was let go, or it would
 * run into it and sleep again: so what wakes belongs to the link, which the waker keeps, and not to the call, which may be over by then.
 */
#include "bus/bus.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "base/fd.h"
#include "bus/failure.h"
#include "bus/frame.h"

enum { BUS_MAGIC = 0x42555321, BUCKETS = 128, RETRY_MS = 1, WAIT_STEP_MS = 10 };

/* Wakes the thread of one call, and of another after it: one that wakes for nothing looks and sleeps on. */
struct bell {
	pthread_cond_t wake;
	struct bell *next; /* among those that no call has */
};

/* One call that waits; lies on its thread's stack. */
struct wait {
	struct wait *chain; /* in its bucket */
	struct wait *older; /* among the followers */
	struct wait **at;   /* what points to us among the followers */
	struct bell *bell;
	struct bell *heir; /* of who leads after us: to be rung when the lock is let go */
	u64 sequence;
	u64 deadline; /* 0: none */
	u32 number;
	bool done;
	struct arena *arena; /* of the frame */
	struct frame frame;
};

struct link {
	struct arena *arena;
	int fd;
	unsigned users; /* the bus itself and each call */
	bool dead, led;
	u64 last; /* sequence given out */
	struct wait *buckets[BUCKETS];
	struct wait *followers; /* newest first: its stack is warm */
	struct bell *bells;     /* that no call has */
	u8 *scratch;            /* the leader's */
};

struct bus {
	u32 magic;
	struct arena *arena; /* this struct lies in it */
	pthread_mutex_t lock;
	struct link *link; /* NULL: no server now */
	u64 lost;          /* monotonic time when the link died; 0: it lives */
	u64 servers;       /* links there were */
};

static const struct fail unavailable =
    FAIL_STATIC(UNAVAILABLE, "a part of this system is restarting, try again");
static const struct fail timeout = FAIL_STATIC(TIMEOUT, "a part of this system took too long");
static const struct fail too_large = FAIL_STATIC(LIMIT, "a request too large for this system");

/* --- Links: the lock is held --------------------------------------------------------------------------------- */

static struct link *link_new(int fd)
{
	struct arena *a = arena_new(sizeof(struct link) + BUS_FRAME);
	struct link *l = arena_new_of(a, struct link);

	l->arena = a;
	l->fd = arena_own_fd(a, fd);
	l->users = 1;
	l->scratch = arena_alloc(a, BUS_FRAME);
	return l;
}

static void link_release(struct link *l)
{
	struct arena *a = l->arena;

	if (--l->users == 0)
		arena_free(&a);
}

static void bell_release(void *object)
{
	struct bell *bell = object;

	pthread_cond_destroy(&bell->wake);
}

static struct bell *bell_take(struct link *l)
{
	struct bell *bell = l->bells;

	if (bell) {
		l->bells = bell->next;
		return bell;
	}
	bell = arena_new_of(l->arena, struct bell);
	env_condition_init(&bell->wake);
	arena_own(l->arena, bell_release, bell);
	return bell;
}

static void bell_give(struct link *l, struct bell *bell)
{
	bell->next = l->bells;
	l->bells = bell;
}

static void bell_ring(struct bell *bell)
{
	if (bell)
		pthread_cond_signal(&bell->wake);
}

static void link_end(struct bus *b, struct link *l)
{
	if (l->dead)
		return;
	l->dead = true;
	shutdown(l->fd, SHUT_RDWR); /* a leader in poll wakes up */
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct wait *w = l->buckets[i]; w; w = w->chain)
			bell_ring(w->bell);
	if (b->link == l) {
		b->link = NULL;
		b->lost = env_monotonic(env_system());
		link_release(l);
	}
}

static void wait_add(struct link *l, struct wait *w)
{
	struct wait **bucket = &l->buckets[w->sequence % BUCKETS];

	w->bell = bell_take(l);
	w->chain = *bucket;
	*bucket = w;
}

static void wait_remove(struct link *l, struct wait *w)
{
	struct wait **at = &l->buckets[w->sequence % BUCKETS];

	while (*at != w)
		at = &(*at)->chain;
	*at = w->chain;
	bell_give(l, w->bell);
}

static struct wait *wait_find(struct link *l, u64 sequence)
{
	struct wait *w = l->buckets[sequence % BUCKETS];

	while (w && w->sequence != sequence)
		w = w->chain;
	return w;
}

/* False when no call of ours can have this answer. The answer to a call that gave up is dropped. *wake: whose it is, unless our own. */
static bool frame_deliver(struct link *l, const struct wait *self, struct arena *a,
			  const struct frame *f, struct bell **wake)
{
	struct wait *w = wait_find(l, f->sequence);

	if (w == NULL || w->done || w->number != f->number) {
		bool known = w == NULL && f->sequence != 0 && f->sequence <= l->last;
		arena_free(&a);
		return known;
	}
	w->arena = a;
	w->frame = *f;
	w->done = true;
	if (w != self)
		*wake = w->bell;
	return true;
}

/* --- Waiting ------------------------------------------------------------------------------------------------- */

static bool wait_is_over(const struct wait *w, const struct link *l)
{
	return w->done || l->dead || (w->deadline && env_monotonic(env_system()) >= w->deadline);
}

static int wait_ms(const struct wait *w)
{
	u64 now = env_monotonic(env_system());

	if (w->deadline == 0)
		return -1;
	return w->deadline > now ? (int)(w->deadline - now) : 0;
}

/* Reads for everybody until our own wait is over. */
static void link_lead(struct bus *b, struct link *l, struct wait *w)
{
	struct pollfd p = { .fd = l->fd, .events = POLLIN };
	struct bell *wake = NULL;
	struct arena *a = NULL;
	struct frame f;

	l->led = true;
	while (!wait_is_over(w, l)) {
		enum frame_result got = FRAME_AGAIN;

		pthread_mutex_unlock(&b->lock);
		bell_ring(wake);
		wake = NULL;
		if (poll(&p, 1, wait_ms(w)) > 0)
			got = frame_receive(l->fd, l->scratch, &a, &f);
		pthread_mutex_lock(&b->lock);
		if (got == FRAME_OK && !frame_deliver(l, w, a, &f, &wake))
			got = FRAME_BAD;
		if (got == FRAME_END || got == FRAME_BAD)
			link_end(b, l);
	}
	bell_ring(wake); /* our own time was over just now */
	l->led = false;
}

static void link_follow(struct bus *b, struct link *l, struct wait *w)
{
	struct timespec until = { (time_t)(w->deadline / 1000),
				  (long)(w->deadline % 1000) * 1000000 };

	w->older = l->followers;
	w->at = &l->followers;
	if (w->older)
		w->older->at = &w->older;
	l->followers = w;
	if (w->deadline)
		pthread_cond_timedwait(&w->bell->wake, &b->lock, &until);
	else
		pthread_cond_wait(&w->bell->wake, &b->lock);
	*w->at = w->older;
	if (w->older)
		w->older->at = w->at;
}

static void wait_for_answer(struct bus *b, struct link *l, struct wait *w)
{
	while (!wait_is_over(w, l)) {
		if (l->led)
			link_follow(b, l, w);
		else
			link_lead(b, l, w);
	}
	if (!l->led && l->followers)
		w->heir = l->followers->bell;
}

static void wait_budget(struct wait *w, const struct bus_method *m)
{
	if (m->mode != BUS_PARK)
		w->deadline = env_monotonic(env_system()) + BUS_CALL_MS;
}

static void wait_init(struct wait *w, const struct bus_method *m)
{
	*w = (struct wait){ .number = m->number };
	wait_budget(w, m);
}

/* --- Calling ------------------------------------------------------------------------------------------------- */

static struct link *call_begin(struct bus *b, struct wait *w)
{
	struct link *l;

	pthread_mutex_lock(&b->lock);
	l = b->link;
	if (l) {
		l->users++;
		w->sequence = ++l->last;
		wait_add(l, w);
	}
	pthread_mutex_unlock(&b->lock);
	return l;
}

/* Blocks while the server takes nothing; a dead link wakes the poll. */
static enum frame_result call_send(struct link *l, const struct wait *w, const struct frame_out *o)
{
	struct pollfd p = { .fd = l->fd, .events = POLLOUT };
	enum frame_result sent;

	while ((sent = frame_send(o, l->fd)) == FRAME_AGAIN) {
		if (wait_ms(w) == 0)
			return FRAME_AGAIN;
		if (poll(&p, 1, wait_ms(w)) > 0 && frame_send(o, l->fd) == FRAME_OK)
			return FRAME_OK;
		poll(NULL, 0, RETRY_MS); /* short of kernel memory: do not spin */
	}
	return sent;
}

static enum frame_result call_request(struct link *l, const struct wait *w,
				      const struct bus_method *m, const void *request)
{
	struct frame_out o;
	enum frame_result sent = FRAME_BAD;

	frame_begin(&o, w->sequence, m->number, FRAME_INLINE);
	m->encode_request(&o.encoder, request);
	if (frame_end(&o))
		sent = call_send(l, w, &o);
	frame_free(&o);
	return sent;
}

/* From here on nobody but its thread sees w; NULL when it has its answer. */
static const struct fail *call_finish(struct bus *b, struct link *l, struct wait *w,
				      enum frame_result sent)
{
	const struct fail *f = NULL;

	pthread_mutex_lock(&b->lock);
	if (sent == FRAME_END)
		link_end(b, l);
	if (sent == FRAME_OK)
		wait_for_answer(b, l, w);
	wait_remove(l, w);
	if (!w->done)
		f = sent == FRAME_BAD ? &too_large : l->dead ? &unavailable : &timeout;
	pthread_mutex_unlock(&b->lock);
	bell_ring(w->heir); /* we still keep the link */
	return f;
}

static void call_end(struct bus *b, struct link *l, bool nonsense)
{
	pthread_mutex_lock(&b->lock);
	if (nonsense)
		link_end(b, l);
	link_release(l);
	pthread_mutex_unlock(&b->lock);
}

static void release_arena(void *object)
{
	struct arena *a = object;

	arena_free(&a);
}

/* The answer's own arena joins the caller's, so that nothing is copied. False: the server spoke nonsense. */
static bool answer_decode(struct arena *a, struct wait *w, const struct bus_method *m, void *answer,
			  const struct fail **f)
{
	struct decoder d = frame_decoder(w->arena, &w->frame);

	arena_own(a, release_arena, w->arena);
	*f = NULL;
	if (w->frame.form == FRAME_FAIL) {
		*f = failure_decode(&d);
		return *f != NULL;
	}
	m->decode_answer(&d, answer);
	return decoder_done(&d);
}

/* Waits, then ends the call whatever came of it. */
static const struct fail *call_answer(struct arena *a, struct bus *b, struct link *l,
				      struct wait *w, const struct bus_method *m,
				      enum frame_result sent, void *answer)
{
	const struct fail *f = call_finish(b, l, w, sent);
	bool nonsense = f == NULL && !answer_decode(a, w, m, answer, &f);

	call_end(b, l, nonsense);
	return nonsense ? &unavailable : f;
}

static const struct fail *call(struct arena *a, struct bus *b, struct wait *w,
			       const struct bus_method *m, const void *request, void *answer)
{
	struct link *l;

	CHECK_MAGIC(b, BUS_MAGIC);
	l = call_begin(b, w);
	if (l == NULL)
		return &unavailable;
	return call_answer(a, b, l, w, m, call_request(l, w, m, request), answer);
}

const struct fail *bus_call(struct arena *a, struct bus *b, const struct bus_method *m,
			    const void *request, void *answer)
{
	struct wait w;

	wait_init(&w, m);
	return call(a, b, &w, m, request, answer);
}

const struct fail *bus_call_within(struct arena *a, struct bus *b, const struct bus_method *m,
				   const void *request, void *answer, u64 ms)
{
	struct wait w;

	wait_init(&w, m);
	w.deadline = env_monotonic(env_system()) + ms;
	return call(a, b, &w, m, request, answer);
}

/* --- Calls whose answer is fetched later ----------------------------------------------------------------------- */

struct bus_pending {
	struct bus *bus;
	struct link *link; /* NULL: there was none, or the answer was taken */
	const struct bus_method *method;
	struct arena *arena;
	struct wait wait;
	enum frame_result sent;
};

/* Nobody took it. */
static void pending_drop(void *object)
{
	struct bus_pending *p = object;

	if (p->link == NULL)
		return;
	pthread_mutex_lock(&p->bus->lock);
	wait_remove(p->link, &p->wait);
	link_release(p->link);
	pthread_mutex_unlock(&p->bus->lock);
	arena_free(&p->wait.arena);
}

struct bus_pending *bus_call_start(struct arena *a, struct bus *b, const struct bus_method *m,
				   const void *request)
{
	struct bus_pending *p = arena_new_of(a, struct bus_pending);

	CHECK_MAGIC(b, BUS_MAGIC);
	*p = (struct bus_pending){ .bus = b, .method = m, .arena = a };
	wait_init(&p->wait, m);
	p->link = call_begin(b, &p->wait);
	if (p->link == NULL)
		return p;
	arena_own(a, pending_drop, p);
	p->sent = call_request(p->link, &p->wait, m, request);
	return p;
}

const struct fail *bus_call_take(struct bus_pending *p, void *answer)
{
	struct link *l = p->link;

	if (l == NULL)
		return &unavailable;
	p->link = NULL;
	wait_budget(&p->wait, p->method); /* the answer may lie unread since long */
	return call_answer(p->arena, p->bus, l, &p->wait, p->method, p->sent, answer);
}

/* --- The bus itself ------------------------------------------------------------------------------------------ */

struct bus *bus_new(int fd)
{
	struct arena *a = arena_new(sizeof(struct bus));
	struct bus *b = arena_new_of(a, struct bus);

	b->magic = BUS_MAGIC;
	b->arena = a;
	pthread_mutex_init(&b->lock, NULL);
	bus_replace(b, fd);
	return b;
}

void bus_free(struct bus **at)
{
	struct bus *b = *at;
	struct arena *a;

	if (b == NULL)
		return;
	bus_replace(b, -1);
	pthread_mutex_destroy(&b->lock);
	a = b->arena;
	arena_free(&a);
	*at = NULL;
}

void bus_replace(struct bus *b, int fd)
{
	CHECK_MAGIC(b, BUS_MAGIC);
	pthread_mutex_lock(&b->lock);
	if (b->link)
		link_end(b, b->link);
	b->link = fd >= 0 ? link_new(fd) : NULL;
	b->servers += fd >= 0;
	b->lost = fd >= 0 ? 0 : env_monotonic(env_system());
	pthread_mutex_unlock(&b->lock);
}

u64 bus_lost_ms(struct bus *b)
{
	u64 lost;

	CHECK_MAGIC(b, BUS_MAGIC);
	pthread_mutex_lock(&b->lock);
	lost = b->lost ? env_monotonic(env_system()) - b->lost : 0;
	pthread_mutex_unlock(&b->lock);
	return lost;
}

bool bus_wait(struct bus *b, u64 until)
{
	do {
		if (env_monotonic(env_system()) >= until)
			return false;
		poll(NULL, 0, WAIT_STEP_MS);
	} while (bus_lost_ms(b) > 0);
	return true;
}

u64 bus_servers(struct bus *b)
{
	u64 servers;

	CHECK_MAGIC(b, BUS_MAGIC);
	pthread_mutex_lock(&b->lock);
	servers = b->servers;
	pthread_mutex_unlock(&b->lock);
	return servers;
}
