/* The blocking side of the resolver: a question, and somewhere to wait for its answer. */
#include <pthread.h>

#include "base/arena.h"
#include "base/check.h"
#include "relay/dns/resolver.h"

enum { WAIT_BUDGET = 256 * 1024 };

/* The answer has an arena of its own because the resolver's thread fills it while the asker goes on using his. */
struct dns_wait {
	struct arena *arena;
	struct dns_answer answer;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
};

static void answer_copy(struct arena *a, const struct dns_answer *from, struct dns_answer *to)
{
	str *records = arena_array_of(a, from->records_n, str);

	*to = *from;
	to->canonical = str_copy(a, from->canonical);
	to->why_bogus = str_copy(a, from->why_bogus);
	for (size_t i = 0; i < from->records_n; i++)
		records[i] = str_copy(a, from->records[i]);
	to->records = records;
}

static void wait_done(void *context, const struct dns_answer *answer)
{
	struct dns_wait *w = context;

	pthread_mutex_lock(&w->lock);
	answer_copy(w->arena, answer, &w->answer);
	w->done = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

struct dns_answer dns_answer_of(struct dns_wait *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->done)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
	return w->answer;
}

static void wait_release(void *object)
{
	struct dns_wait *w = object;

	dns_answer_of(w);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	arena_free(&w->arena);
}

struct dns_wait *dns_ask(struct arena *a, struct resolver *r, str name, u32 type, u64 budget_ms)
{
	struct dns_wait *w = arena_new_of(a, struct dns_wait);

	w->arena = arena_new(WAIT_BUDGET);
	CHECK(pthread_mutex_init(&w->lock, NULL) == 0 && pthread_cond_init(&w->changed, NULL) == 0);
	arena_own(a, wait_release, w);
	resolver_ask(r, name, type, budget_ms, wait_done, w);
	return w;
}

struct dns_answer dns_lookup(struct arena *a, struct resolver *r, str name, u32 type, u64 budget_ms)
{
	return dns_answer_of(dns_ask(a, r, name, type, budget_ms));
}
