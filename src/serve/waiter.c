/* epoll, the heap of times and the graves: see waiter.h. */
#include "serve/waiter.h"

#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/env.h"
#include "base/fd.h"
#include "base/log.h"

enum { WAITER_BATCH = 256, WAITER_SESSIONS_MAX = 1 << 20 };

struct waiter {
	struct waiter_calls calls;
	int epoll, poke;
	pthread_mutex_t lock; /* of the heap, and of kept and heap_at of sessions */
	struct buf heap;      /* array of struct session *, by `kept` */
	u64 sleeps_until;     /* the same lock: what the waiter knew when it went to sleep */
	pthread_mutex_t graves_lock;
	struct session *graves;
};

static u64 now(void)
{
	return env_monotonic(env_system());
}

static void waiter_release(void *object)
{
	struct waiter *w = object;

	fd_close(&w->epoll);
	fd_close(&w->poke);
	buf_free(&w->heap);
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->graves_lock);
}

static bool watch(struct waiter *w, int how, int fd, u32 events, void *what)
{
	struct epoll_event e = { .events = events, .data.ptr = what };

	return epoll_ctl(w->epoll, how, fd, &e) == 0;
}

const struct fail *waiter_new(struct arena *a, const struct waiter_calls *calls,
			      struct waiter **out)
{
	struct waiter *w = arena_new_of(a, struct waiter);

	w->calls = *calls;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->poke = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	buf_init(&w->heap, WAITER_SESSIONS_MAX * sizeof(struct session *));
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->graves_lock, NULL);
	arena_own(a, waiter_release, w);
	if (w->epoll < 0 || w->poke < 0 || !watch(w, EPOLL_CTL_ADD, w->poke, EPOLLIN, NULL))
		return fail_errno(a, errno, "epoll");
	*out = w;
	return NULL;
}

bool waiter_listen(struct waiter *w, int fd, void *listener)
{
	return watch(w, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, listener);
}

void waiter_unlisten(struct waiter *w, int fd)
{
	watch(w, EPOLL_CTL_DEL, fd, 0, NULL);
}

void waiter_poke(struct waiter *w)
{
	u64 one = 1;

	(void)!write(w->poke, &one, sizeof one); /* full: it is awake anyhow */
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

/* The session wants to be looked at no later than at `due`. True: the waiter sleeps too long for that. */
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

/* Stores `due` before it looks at `kept`, while the waiter sets `kept` before it looks at `due`: one of the two sees the other. */
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
	if (!watch(w, how, s->stream.fd, s->want | EPOLLONESHOT, s)) {
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

void waiter_bury(struct waiter *w, struct session *s)
{
	bool first;

	pthread_mutex_lock(&w->graves_lock);
	first = w->graves == NULL;
	s->next = w->graves;
	w->graves = s;
	pthread_mutex_unlock(&w->graves_lock);
	if (first)
		waiter_poke(w);
}

/* --- The waiter's thread ----------------------------------------------------------------------------------------- */

static void wake(struct waiter *w, struct session *s, u32 bits)
{
	if (bits)
		atomic_fetch_or(&s->wakes, bits);
	if (waiter_claim(s))
		w->calls.ready(w->calls.context, s);
}

/* Wakes those whose time has come, puts back those whose time has moved. */
static void times(struct waiter *w)
{
	u64 at = now();
	struct session *s;

	for (;;) {
		u64 due;
		pthread_mutex_lock(&w->lock);
		s = heap_next(w, at);
		due = s ? atomic_load(&s->due) : 0;
		if (s && due > at)
			heap_keep(w, s, due);
		pthread_mutex_unlock(&w->lock);
		if (s == NULL)
			return;
		if (due && due <= at)
			wake(w, s, 0);
	}
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

static void event(struct waiter *w, const struct epoll_event *e)
{
	u64 count;

	if (e->data.ptr == NULL)
		(void)!read(w->poke, &count, sizeof count);
	else if (*(u32 *)e->data.ptr == SESSION_MAGIC)
		wake(w, e->data.ptr, e->events & (EPOLLERR | EPOLLHUP) ? WAKE_BIT_HANGUP : 0);
	else
		w->calls.knock(w->calls.context, e->data.ptr);
}

/* Their sockets were closed before they were buried, so the batches to come do not name them; the one before may have. */
static void free_graves(struct waiter *w)
{
	struct session *s, *next;

	pthread_mutex_lock(&w->graves_lock);
	s = w->graves;
	w->graves = NULL;
	pthread_mutex_unlock(&w->graves_lock);
	for (; s; s = next) {
		next = s->next;
		session_free(s);
	}
}

void waiter_turn(struct waiter *w, int most_ms)
{
	struct epoll_event events[WAITER_BATCH];
	int n = epoll_wait(w->epoll, events, WAITER_BATCH, sleep_ms(w, most_ms));

	for (int i = 0; i < n; i++)
		event(w, &events[i]);
	times(w);
	free_graves(w);
}
