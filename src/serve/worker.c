/* The pool of threads: see worker.h. */
#include "serve/worker.h"

#include <pthread.h>
#include <time.h>

#include "base/check.h"
#include "base/env.h"
#include "base/log.h"

struct workers {
	struct waiter *waiter;
	void (*run)(void *context, const struct waiter_event *e);
	void *context;
	_Atomic u64 waiting; /* those in waiter_wait */
	_Atomic bool stopping;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t ended;
	u64 n, most;
	bool any_left;  /* `left` is one */
	pthread_t left; /* the worker that ended last, to be joined by the next that ends */
};

static void workers_release(void *object)
{
	struct workers *w = object;

	pthread_cond_destroy(&w->ended);
	pthread_mutex_destroy(&w->lock);
}

struct workers *workers_new(struct arena *a, struct waiter *waiter, u64 most,
			    void (*run)(void *context, const struct waiter_event *e), void *context)
{
	struct workers *w = arena_new_of(a, struct workers);

	w->waiter = waiter;
	w->run = run;
	w->context = context;
	w->most = most;
	pthread_mutex_init(&w->lock, NULL);
	env_condition_init(&w->ended);
	arena_own(a, workers_release, w);
	return w;
}

/* --- A worker ------------------------------------------------------------------------------------------------------- */

/* Who ends joins the one that ended before, so that no thread is left unjoined but one. */
static void leave(struct workers *w)
{
	pthread_t before;
	bool join;

	pthread_mutex_lock(&w->lock);
	w->n--;
	before = w->left;
	join = w->any_left;
	w->left = pthread_self();
	w->any_left = true;
	pthread_cond_broadcast(&w->ended);
	pthread_mutex_unlock(&w->lock);
	if (join)
		pthread_join(before, NULL);
}

static void *work(void *arg);

/* Without a thread to be had, the others do the work. */
static void grow(struct workers *w)
{
	pthread_attr_t attr;
	pthread_t thread;
	int error = 0;

	pthread_mutex_lock(&w->lock);
	if (w->n < w->most && !w->stopping) {
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, WORKERS_STACK);
		error = pthread_create(&thread, &attr, work, w);
		pthread_attr_destroy(&attr);
		w->n += error == 0;
	}
	pthread_mutex_unlock(&w->lock);
	if (error)
		LOG(ERROR, "serve.no_thread", LOG_U64("errno", (u64)error));
}

static void *work(void *arg)
{
	struct workers *w = arg;
	struct waiter_event e;

	for (;;) {
		bool found, last;

		atomic_fetch_add(&w->waiting, 1);
		found = waiter_wait(w->waiter, &e, WORKERS_IDLE_MS);
		last = atomic_fetch_sub(&w->waiting, 1) == 1;
		if (w->stopping || (!found && !last))
			break;
		if (found && last)
			grow(w);
		if (found)
			w->run(w->context, &e);
	}
	leave(w);
	return NULL;
}

/* --- The pool ------------------------------------------------------------------------------------------------------- */

void workers_start(struct workers *w)
{
	grow(w);
}

void workers_limit(struct workers *w, u64 most)
{
	pthread_mutex_lock(&w->lock);
	w->most = most;
	pthread_mutex_unlock(&w->lock);
}

bool workers_all_busy(const struct workers *w)
{
	return w->waiting == 0;
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

/* Each that ends lets us wake the next. */
bool workers_stop(struct workers *w, u64 ms)
{
	struct timespec until = after(ms);
	int late = 0;
	bool all;

	w->stopping = true;
	pthread_mutex_lock(&w->lock);
	while (w->n && late == 0) {
		waiter_rouse(w->waiter);
		late = pthread_cond_timedwait(&w->ended, &w->lock, &until);
	}
	all = w->n == 0;
	pthread_mutex_unlock(&w->lock);
	if (all && w->any_left)
		pthread_join(w->left, NULL); /* who has joined all before it */
	return all;
}
