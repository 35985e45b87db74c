/* epoll, the queue of the woken and the heap of times: see waiter.h. */
#include "serve/waiter.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/env.h"
#include "base/fd.h"
#include "base/log.h"

enum { WAITER_SESSIONS_MAX = 1 << 20 };

/* What epoll says: the id of a session, or one of these. Ids have less than 63 bits. */
#define SAYS_LISTENER ((u64)1 << 63)
#define SAYS_WOKEN UINT64_MAX

struct waiter {
	int epoll;
	int woken; /* eventfd, known to epoll: each write wakes one worker. Never read, the count means nothing */
	int poke;             /* eventfd of the keeper of times */
	pthread_mutex_t lock; /* of the heap, and of kept and heap_at of sessions */
	struct buf heap;      /* array of struct session *, by `kept` */
	u64 sleeps_until;     /* the same lock: what the keeper knew when it went to sleep */
	pthread_mutex_t queue_lock;
	struct session *first, **last;
};

static u64 now(void)
{
	return env_monotonic(env_system());
}

static void waiter_release(void *object)
{
	struct waiter *w = object;

	fd_close(&w->epoll);
	fd_close(&w->woken);
	fd_close(&w->poke);
	buf_free(&w->heap);
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->queue_lock);
}

static bool watch(struct waiter *w, int how, int fd, u32 events, u64 says)
{
	struct epoll_event e = { .events = events, .data.u64 = says };

	return epoll_ctl(w->epoll, how, fd, &e) == 0;
}

const struct fail *waiter_new(struct arena *a, struct waiter **out)
{
	struct waiter *w = arena_new_of(a, struct waiter);

	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->poke = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->last = &w->first;
	buf_init(&w->heap, WAITER_SESSIONS_MAX * sizeof(struct session *));
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->queue_lock, NULL);
	arena_own(a, waiter_release, w);
	if (w->epoll < 0 || w->poke < 0 ||
	    !watch(w, EPOLL_CTL_ADD, w->woken, EPOLLIN | EPOLLET, SAYS_WOKEN))
		return fail_errno(a, errno, "epoll");
	*out = w;
	return NULL;
}

/* Edge-triggered: one connection wakes one worker, who accepts until there is no other. */
bool waiter_listen(struct waiter *w, int fd, size_t number)
{
	return watch(w, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE,
		     SAYS_LISTENER | number);
}

void waiter_unlisten(struct waiter *w, int fd)
{
	watch(w, EPOLL_CTL_DEL, fd, 0, 0);
}

static void signal_fd(int fd)
{
	u64 one = 1;

	(void)!write(fd, &one, sizeof one);
}

void waiter_poke(struct waiter *w)
{
	signal_fd(w->poke);
}

/* --- Those that somebody woke -------------------------------------------------------------------------------------- */

/* Through epoll, so that it takes its turn behind the sockets that are ready already. */
void waiter_push(struct waiter *w, struct session *s)
{
	pthread_mutex_lock(&w->queue_lock);
	CHECK(s->next == NULL);
	*w->last = s;
	w->last = &s->next;
	pthread_mutex_unlock(&w->queue_lock);
	signal_fd(w->woken);
}

struct session *waiter_pop(struct waiter *w)
{
	struct session *s;
	bool more;

	pthread_mutex_lock(&w->queue_lock);
	s = w->first;
	if (s) {
		w->first = s->next;
		if (w->first == NULL)
			w->last = &w->first;
		s->next = NULL;
	}
	more = w->first != NULL;
	pthread_mutex_unlock(&w->queue_lock);
	if (more) /* several pushes may have become one event */
		signal_fd(w->woken);
	return s;
}

void waiter_rouse(struct waiter *w)
{
	signal_fd(w->woken);
}

/* --- The heap. All under the lock. ------------------------------------------------------------------------------- */

static struct session **heap_array(struct waiter *w)
{
	return (struct session **)(void *)w->heap.p;
}

static size_t heap_n(const struct waiter *w)
{
	return w->heap.n / sizeof(struct session *);
}

static void heap_put(struct waiter *w, size_t at, struct session *s)
{
	heap_array(w)[at] = s;
	s->heap_at = at + 1;
}

static void heap_up(struct waiter *w, size_t at, struct session *s)
{
	while (at) {
		struct session *above = heap_array(w)[(at - 1) / 2];
		if (above->kept <= s->kept)
			break;
		heap_put(w, at, above);
		at = (at - 1) / 2;
	}
	heap_put(w, at, s);
}

static void heap_down(struct waiter *w, size_t at, struct session *s)
{
	size_t n = heap_n(w), child;

	while ((child = 2 * at + 1) < n) {
		struct session **h = heap_array(w);
		if (child + 1 < n && h[child + 1]->kept < h[child]->kept)
			child++;
		if (s->kept <= h[child]->kept)
			break;
		heap_put(w, at, h[child]);
		at = child;
	}
	heap_put(w, at, s);
}

static void heap_remove(struct waiter *w, struct session *s)
{
	size_t at = s->heap_at - 1;
	struct session *last = heap_array(w)[heap_n(w) - 1];

	w->heap.n -= sizeof last;
	s->heap_at = 0;
	if (last == s)
		return;
	heap_down(w, at, last);
	heap_up(w, last->heap_at - 1, last);
}

static void heap_add(struct waiter *w, struct session *s)
{
	CHECK(buf_room(&w->heap, sizeof s) != NULL);
	buf_added(&w->heap, sizeof s);
	heap_up(w, heap_n(w) - 1, s);
}

/* The session wants to be looked at no later than at `due`. True: the keeper sleeps too long for that. */
static bool heap_keep(struct waiter *w, struct session *s, u64 due)
{
	if (s->heap_at)
		heap_remove(w, s);
	s->kept = due;
	heap_add(w, s);
	return due < w->sleeps_until;
}

/* Takes out the first whose time has come, and says when the next one's does. */
static struct session *heap_next(struct waiter *w, u64 at)
{
	struct session *s;

	if (heap_n(w) == 0)
		return NULL;
	s = heap_array(w)[0];
	if (s->kept > at)
		return NULL;
	heap_remove(w, s);
	s->kept = UINT64_MAX; /* before `due` is read: see keep_time */
	return s;
}

/* --- Parking ----------------------------------------------------------------------------------------------------- */

/* Stores `due` before it looks at `kept`, while the keeper sets `kept` before it looks at `due`: one of the two sees the other. */
static void keep_time(struct waiter *w, struct session *s)
{
	u64 due = session_due(s);
	bool late;

	atomic_store(&s->due, due);
	if (due == 0 || due >= atomic_load(&s->kept))
		return;
	pthread_mutex_lock(&w->lock);
	late = heap_keep(w, s, due);
	pthread_mutex_unlock(&w->lock);
	if (late)
		waiter_poke(w);
}

bool waiter_park(struct waiter *w, struct session *s)
{
	u32 owner = OWNER_WORKER;
	int how = s->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	session_compact(s);
	keep_time(w, s);
	s->armed = true;
	if (!watch(w, how, s->stream.fd, s->want | EPOLLONESHOT, s->id)) {
		LOG(ERROR, "serve.epoll", LOG_U64("errno", (u64)errno));
		atomic_fetch_or(&s->wakes, WAKE_BIT_KILL); /* nothing would ever wake it */
		s->armed = how == EPOLL_CTL_MOD;
		return false;
	}
	if (atomic_compare_exchange_strong(&s->owner, &owner, OWNER_WAITER))
		return true;
	atomic_store(&s->owner, OWNER_WORKER);
	return false;
}

bool waiter_claim(struct session *s)
{
	u32 owner = atomic_load(&s->owner);

	for (;;) {
		u32 next = owner == OWNER_WAITER ? OWNER_QUEUE : OWNER_WORKER_WOKEN;
		if (owner == OWNER_QUEUE || owner == OWNER_WORKER_WOKEN)
			return false;
		if (atomic_compare_exchange_weak(&s->owner, &owner, next))
			return next == OWNER_QUEUE;
	}
}

void waiter_forget(struct waiter *w, struct session *s)
{
	pthread_mutex_lock(&w->lock);
	if (s->heap_at)
		heap_remove(w, s);
	pthread_mutex_unlock(&w->lock);
}

/* --- Waiting --------------------------------------------------------------------------------------------------------- */

bool waiter_wait(struct waiter *w, struct waiter_event *out, int most_ms)
{
	struct epoll_event e;

	if (epoll_wait(w->epoll, &e, 1, most_ms) != 1)
		return false;
	*out = (struct waiter_event){ .kind = WAITER_SESSION,
				      .id = e.data.u64,
				      .hangup = (e.events & (EPOLLERR | EPOLLHUP)) != 0 };
	if (e.data.u64 == SAYS_WOKEN)
		out->kind = WAITER_WOKEN;
	else if (e.data.u64 & SAYS_LISTENER)
		*out = (struct waiter_event){ .kind = WAITER_LISTENER,
					      .listener = (size_t)(e.data.u64 & ~SAYS_LISTENER) };
	return true;
}

/* --- The keeper of times --------------------------------------------------------------------------------------------- */

/* A session that is in the heap exists while the lock is held: it is claimed under it. */
static bool time_over(struct waiter *w, u64 at, struct session **claimed)
{
	struct session *s;
	u64 due;

	*claimed = NULL;
	pthread_mutex_lock(&w->lock);
	s = heap_next(w, at);
	due = s ? atomic_load(&s->due) : 0;
	if (s && due > at)
		heap_keep(w, s, due);
	else if (s && due && waiter_claim(s))
		*claimed = s;
	pthread_mutex_unlock(&w->lock);
	return s != NULL;
}

/* Wakes those whose time has come, puts back those whose time has moved. */
static void times(struct waiter *w)
{
	u64 at = now();
	struct session *claimed;

	while (time_over(w, at, &claimed))
		if (claimed)
			waiter_push(w, claimed);
}

static int sleep_ms(struct waiter *w, int most_ms)
{
	u64 at = now(), first;
	int ms = most_ms;

	pthread_mutex_lock(&w->lock);
	first = heap_n(w) ? heap_array(w)[0]->kept : UINT64_MAX;
	if (first != UINT64_MAX) {
		u64 left = first <= at ? 0 : first - at;
		if (ms < 0 || left < (u64)ms)
			ms = left > 60000 ? 60000 : (int)left;
	}
	w->sleeps_until = ms < 0 ? UINT64_MAX : at + (u64)ms;
	pthread_mutex_unlock(&w->lock);
	return ms;
}

void waiter_keep_time(struct waiter *w, int most_ms)
{
	struct pollfd p = { .fd = w->poke, .events = POLLIN };
	u64 count;

	if (poll(&p, 1, sleep_ms(w, most_ms)) == 1)
		(void)!read(w->poke, &count, sizeof count);
	times(w);
}
