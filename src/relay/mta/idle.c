#include "relay/mta/idle.h"

#include <pthread.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"

struct place {
	struct smtp_client *client; /* NULL: free */
	u64 until;
	u8 site[MTA_SITE_NAME];
	size_t site_n;
};

struct idle {
	pthread_mutex_t lock; /* protects the places; clients are closed outside it */
	struct place places[MTA_IDLE];
};

struct idle *idle_new(struct arena *a)
{
	struct idle *w = arena_new_of(a, struct idle);

	CHECK(pthread_mutex_init(&w->lock, NULL) == 0);
	return w;
}

static struct smtp_client *take_one(struct idle *w, str site)
{
	struct place *best = NULL;
	struct smtp_client *k = NULL;

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < MTA_IDLE; i++) {
		struct place *p = &w->places[i];
		if (p->client && str_eq(str_from(p->site, p->site_n), site) &&
		    (best == NULL || p->until > best->until))
			best = p;
	}
	if (best) {
		k = best->client;
		best->client = NULL;
	}
	pthread_mutex_unlock(&w->lock);
	return k;
}

struct smtp_client *idle_take(struct idle *w, str site)
{
	struct smtp_client *k;

	while ((k = take_one(w, site)) != NULL) {
		if (client_is_good(k))
			return k;
		client_free(&k);
	}
	return NULL;
}

static struct place *free_or_oldest(struct idle *w)
{
	struct place *oldest = &w->places[0];

	for (size_t i = 0; i < MTA_IDLE; i++) {
		if (w->places[i].client == NULL)
			return &w->places[i];
		if (w->places[i].until < oldest->until)
			oldest = &w->places[i];
	}
	return oldest;
}

void idle_put(struct idle *w, str site, struct smtp_client **at, u64 keep_ms)
{
	struct smtp_client *k = *at, *older;
	struct place *p;

	*at = NULL;
	if (!client_is_good(k) || keep_ms == 0) {
		client_free(&k);
		return;
	}
	CHECK(site.n <= MTA_SITE_NAME);
	pthread_mutex_lock(&w->lock);
	p = free_or_oldest(w);
	older = p->client;
	p->client = k;
	p->until = env_monotonic(env_system()) + keep_ms;
	p->site_n = site.n;
	memcpy(p->site, site.p, site.n);
	pthread_mutex_unlock(&w->lock);
	client_free(&older);
}

static struct smtp_client *take_overdue(struct idle *w, u64 now)
{
	struct smtp_client *k = NULL;

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < MTA_IDLE && k == NULL; i++)
		if (w->places[i].client && w->places[i].until <= now) {
			k = w->places[i].client;
			w->places[i].client = NULL;
		}
	pthread_mutex_unlock(&w->lock);
	return k;
}

void idle_sweep(struct idle *w, bool all)
{
	u64 now = all ? UINT64_MAX : env_monotonic(env_system());
	struct smtp_client *k;

	while ((k = take_overdue(w, now)) != NULL)
		client_free(&k);
}
