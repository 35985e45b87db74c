/* The pool of threads: see worker.h. */
#include "serve/worker.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/check.h"
#include "base/env.h"
#include "base/log.h"

struct workers {
	void (*run)(void *context, struct session *s);
	void *context;
	u64 most;

	pthread_mutex_t lock; /* of all below, but for the atomic ones */
	pthread_cond_t work, ended;
	struct session *first, **last;
	u64 first_since; /* when the queue's head became its head */
	u64 n, idle;
	bool stopping;
	bool any_left;  /* `left` is one */
	pthread_t left; /* the worker that ended last, to be joined by the next that ends */
	_Atomic u64 queued;
	_Atomic bool full; /* n == most */
};

static u64 now(void)
{
	return env_monotonic(env_system());
}

static void workers_release(void *object)
{
	struct workers *w = object;

	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->ended);
	pthread_mutex_destroy(&w->lock);
}

struct workers *workers_new(struct arena *a, u64 most,
			    void (*run)(void *context, struct session *s), void *context)
{
	struct workers *w = arena_new_of(a, struct workers);
	pthread_condattr_t attr;

	w->run = run;
	w->context = context;
	w->most = most;
	w->last = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->work, &attr);
	pthread_cond_init(&w->ended, &attr);
	pthread_condattr_destroy(&attr);
	arena_own(a, workers_release, w);
	return w;
}

static struct timespec after(u64 ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += (time_t)(ms / 1000);
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* The next session, or NULL: this worker is one too many. Under the lock. */
static struct session *take(struct workers *w)
{
	struct timespec until = after(WORKERS_IDLE_MS);
	struct session *s;
	int late = 0;

	w->idle++;
	while (w->first == NULL && !w->stopping && late != ETIMEDOUT)
		late = pthread_cond_timedwait(&w->work, &w->lock, &until);
	w->idle--;
	s = w->first;
	if (s == NULL)
		return NULL;
	w->first = s->next;
	if (w->first == NULL)
		w->last = &w->first;
	s->next = NULL;
	w->first_since = now();
	w->queued--;
	return s;
}

static void *work(void *arg)
{
	struct workers *w = arg;
	struct session *s;
	pthread_t before;
	bool join;

	pthread_mutex_lock(&w->lock);
	while ((s = take(w)) != NULL) {
		pthread_mutex_unlock(&w->lock);
		w->run(w->context, s);
		pthread_mutex_lock(&w->lock);
	}
	w->n--;
	w->full = false;
	before = w->left;
	join = w->any_left;
	w->left = pthread_self();
	w->any_left = true;
	pthread_cond_broadcast(&w->ended);
	pthread_mutex_unlock(&w->lock);
	if (join)
		pthread_join(before, NULL);
	return NULL;
}

/* Under the lock. Without a thread to be had, the others do the work. */
static void grow(struct workers *w)
{
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	if (w->n >= w->most || w->stopping)
		return;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WORKERS_STACK);
	error = pthread_create(&thread, &attr, work, w);
	pthread_attr_destroy(&attr);
	if (error) {
		LOG(ERROR, "serve.no_thread", LOG_U64("errno", (u64)error),
		    LOG_U64("workers", w->n));
		return;
	}
	w->n++;
	w->full = w->n == w->most;
}

static bool stuck(const struct workers *w)
{
	return w->first && w->idle == 0 && now() - w->first_since >= WORKERS_STUCK_MS;
}

void workers_push(struct workers *w, struct session *s)
{
	pthread_mutex_lock(&w->lock);
	CHECK(s->next == NULL);
	if (w->first == NULL)
		w->first_since = now();
	*w->last = s;
	w->last = &s->next;
	w->queued++;
	if ((w->idle == 0 && w->n < WORKERS_EAGER) || stuck(w))
		grow(w);
	if (w->idle)
		pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
}

bool workers_queue_empty(const struct workers *w)
{
	return w->queued == 0;
}

bool workers_overloaded(const struct workers *w)
{
	return w->full && w->queued >= w->most * WORKERS_BACKLOG;
}

int workers_tend(struct workers *w)
{
	int ms = -1;

	if (w->queued == 0)
		return -1;
	pthread_mutex_lock(&w->lock);
	if (w->first && stuck(w))
		grow(w);
	if (w->first && w->n < w->most)
		ms = WORKERS_STUCK_MS;
	pthread_mutex_unlock(&w->lock);
	return ms;
}

bool workers_stop(struct workers *w, u64 ms)
{
	struct timespec until = after(ms);
	int late = 0;
	bool all;

	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->work);
	while (w->n && late != ETIMEDOUT)
		late = pthread_cond_timedwait(&w->ended, &w->lock, &until);
	all = w->n == 0;
	pthread_mutex_unlock(&w->lock);
	if (all && w->any_left)
		pthread_join(w->left, NULL); /* who has joined all before it */
	return all;
}
