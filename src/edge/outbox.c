#include "edge/outbox.h"

#include <pthread.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "base/log.h"

struct outbox {
	struct bus *office;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	struct outbox_parcel *first, **last;
	size_t waiting; /* records and facts */
	u64 dropped;
	bool stopping;
};

static size_t weight(const struct outbox_parcel *p)
{
	return p->n + p->facts_n;
}

static void parcel_free(struct outbox_parcel *p)
{
	struct arena *a = p->arena;

	arena_free(&a);
}

/* Until the first parcel, then a moment more: others may come. False: it is over and nothing is left. */
static bool wait_for_parcels(struct outbox *o)
{
	struct timespec until;

	while (!o->first && !o->stopping)
		pthread_cond_wait(&o->changed, &o->lock);
	CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
	until.tv_nsec += OUTBOX_GATHER_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (o->waiting < OUTBOX_CALL && !o->stopping &&
	       pthread_cond_timedwait(&o->changed, &o->lock, &until) == 0)
		;
	return o->first != NULL;
}

/* The first parcels, as many as one call takes; the rest stays. */
static struct outbox_parcel *take(struct outbox *o)
{
	struct outbox_parcel *list = o->first, **end = &list;
	size_t n = 0;

	for (; *end && (end == &list || n + weight(*end) <= OUTBOX_CALL); end = &(*end)->next)
		n += weight(*end);
	o->first = *end;
	*end = NULL;
	if (!o->first)
		o->last = &o->first;
	o->waiting -= n;
	return list;
}

static bool is_stopping(struct outbox *o)
{
	bool stopping;

	pthread_mutex_lock(&o->lock);
	stopping = o->stopping;
	pthread_mutex_unlock(&o->lock);
	return stopping;
}

/* While the office begins anew they wait: our replies name them. Not for ever, should it be they that end it. */
static const struct fail *add_patiently(struct outbox *o, struct arena *a,
					const struct office_event_add_request *q)
{
	struct office_event_add_answer r;
	const struct fail *f = office_event_add(a, o->office, q, &r);

	for (int i = 1; i < OUTBOX_TRIES && f && f->what == FAIL_UNAVAILABLE; i++) {
		while (!bus_wait(o->office, env_monotonic(env_system()) + OUTBOX_GATHER_MS))
			if (is_stopping(o))
				return f;
		f = office_event_add(a, o->office, q, &r);
	}
	return f;
}

/* All of them in one call. False: there is no room for them now. */
static bool send_parcels(struct outbox *o, const struct outbox_parcel *list)
{
	struct arena *a = arena_new(4 << 20);
	struct office_event_add_request q = { .events_n = 0 };
	struct event_record *records;
	struct dmarc_fact *facts;
	const struct fail *f;
	bool full;

	for (const struct outbox_parcel *p = list; p; p = p->next) {
		q.events_n += p->n;
		q.facts_n += p->facts_n;
	}
	q.events = records = arena_array_of(a, q.events_n, struct event_record);
	q.facts = facts = arena_array_of(a, q.facts_n, struct dmarc_fact);
	for (const struct outbox_parcel *p = list; p; p = p->next) {
		for (size_t i = 0; i < p->n; i++)
			*records++ = p->records[i];
		for (size_t i = 0; i < p->facts_n; i++)
			*facts++ = p->facts[i];
	}
	f = add_patiently(o, a, &q);
	full = f && f->what == FAIL_STORAGE && !is_stopping(o);
	if (f && !full)
		LOG(WARN, "edge.events_lost", LOG_U64("count", q.events_n), LOG_FAIL("why", f));
	arena_free(&a);
	return !full;
}

/* In front of those that came meanwhile, as before; then a pause. */
static void keep_for_later(struct outbox *o, struct outbox_parcel *list)
{
	u64 until = env_monotonic(env_system()) + OUTBOX_FULL_MS;
	struct timespec end = { .tv_sec = (time_t)(until / 1000),
				.tv_nsec = (long)(until % 1000) * 1000000L };
	struct outbox_parcel *last = list;

	for (o->waiting += weight(last); last->next; o->waiting += weight(last))
		last = last->next;
	last->next = o->first;
	if (!o->first)
		o->last = &last->next;
	o->first = list;
	while (!o->stopping && pthread_cond_timedwait(&o->changed, &o->lock, &end) == 0)
		;
}

static void free_parcels(struct outbox_parcel *list)
{
	while (list) {
		struct outbox_parcel *next = list->next;
		parcel_free(list);
		list = next;
	}
}

static void *run(void *context)
{
	struct outbox *o = context;

	pthread_mutex_lock(&o->lock);
	while (wait_for_parcels(o)) {
		struct outbox_parcel *list = take(o);
		u64 dropped = o->dropped;
		bool sent;
		o->dropped = 0;
		pthread_mutex_unlock(&o->lock);
		if (dropped)
			LOG(WARN, "edge.events_dropped", LOG_U64("count", dropped));
		sent = send_parcels(o, list);
		if (sent)
			free_parcels(list);
		pthread_mutex_lock(&o->lock);
		if (!sent)
			keep_for_later(o, list);
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

struct outbox *outbox_start(struct arena *a, struct bus *office)
{
	struct outbox *o = arena_new_of(a, struct outbox);

	o->office = office;
	o->last = &o->first;
	CHECK(pthread_mutex_init(&o->lock, NULL) == 0);
	env_condition_init(&o->changed);
	CHECK(pthread_create(&o->thread, NULL, run, o) == 0);
	return o;
}

void outbox_put(struct outbox *o, struct outbox_parcel *p)
{
	size_t n = weight(p);
	bool room;

	pthread_mutex_lock(&o->lock);
	room = o->waiting + n <= OUTBOX_WAITING && !o->stopping;
	if (room) {
		p->next = NULL;
		*o->last = p;
		o->last = &p->next;
		o->waiting += n;
		pthread_cond_signal(&o->changed);
	} else {
		o->dropped += n;
	}
	pthread_mutex_unlock(&o->lock);
	if (!room)
		parcel_free(p);
}

void outbox_stop(struct outbox *o)
{
	pthread_mutex_lock(&o->lock);
	o->stopping = true;
	pthread_cond_signal(&o->changed);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	pthread_cond_destroy(&o->changed);
	pthread_mutex_destroy(&o->lock);
}
