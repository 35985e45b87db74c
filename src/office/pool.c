#include "office/pool.h"

#include <pthread.h>

#include "base/arena.h"
#include "base/check.h"
#include "office/table.h"

struct pool_lane {
	struct bus_call *first, **last;
	u32 running;
	struct pool_lane *next; /* in its ring, while `listed` */
	bool listed;            /* has a call that may go */
	struct ring *ring;
};

/* Lanes in the order of their turns. */
struct ring {
	struct pool_lane *first, **last;
	struct pool_lane lanes[POOL_LANES];
};

enum { PEERS, ACCOUNTS, RINGS };

struct pool {
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t wake;
	struct ring rings[RINGS];
	u32 turn; /* the ring that is first next time */
	u32 most; /* calls of one lane at once */
	bool stopping;
	struct table hash; /* for its secret alone */
};

static void ring_init(struct ring *r)
{
	r->last = &r->first;
	for (size_t i = 0; i < POOL_LANES; i++) {
		r->lanes[i].last = &r->lanes[i].first;
		r->lanes[i].ring = r;
	}
}

struct pool *pool_new(struct arena *a, const struct env *e, u32 threads)
{
	struct pool *p = arena_new_of(a, struct pool);

	CHECK(pthread_mutex_init(&p->lock, NULL) == 0);
	CHECK(pthread_cond_init(&p->wake, NULL) == 0);
	table_init(&p->hash, a, e);
	p->most = threads > 1 ? threads - 1 : 1;
	ring_init(&p->rings[PEERS]);
	ring_init(&p->rings[ACCOUNTS]);
	return p;
}

/* --- With the lock held --- */

static struct pool_lane *lane_of(struct pool *p, const struct bus_call *call)
{
	bool account = call->method->needs_ticket;
	u64 who = account ? ((const struct ticket *)call->request)->account : call->peer.number;
	u64 hash = table_hash_u64(&p->hash, who);

	return &p->rings[account ? ACCOUNTS : PEERS].lanes[hash % POOL_LANES];
}

/* To the end of its ring when it has a call that may go. */
static void lane_list(struct pool *p, struct pool_lane *l)
{
	if (l->listed || l->first == NULL || l->running == p->most)
		return;
	l->listed = true;
	l->next = NULL;
	*l->ring->last = l;
	l->ring->last = &l->next;
	CHECK(pthread_cond_signal(&p->wake) == 0);
}

static struct pool_lane *lane_next(struct ring *r)
{
	struct pool_lane *l = r->first;

	if (l == NULL)
		return NULL;
	r->first = l->next;
	if (r->first == NULL)
		r->last = &r->first;
	l->listed = false;
	return l;
}

static struct bus_call *lane_take(struct pool *p, struct pool_lane *l)
{
	struct bus_call *call = l->first;

	l->first = call->next;
	if (l->first == NULL)
		l->last = &l->first;
	l->running++;
	lane_list(p, l);
	return call;
}

static struct pool_lane *next(struct pool *p)
{
	u32 ring = p->turn;
	struct pool_lane *l = lane_next(&p->rings[ring]);

	if (l == NULL) {
		ring = (ring + 1) % RINGS;
		l = lane_next(&p->rings[ring]);
	}
	if (l)
		p->turn = (ring + 1) % RINGS;
	return l;
}

/* --- Calls come and go --- */

void pool_add(struct pool *p, struct bus_call *call)
{
	struct pool_lane *l;

	CHECK(pthread_mutex_lock(&p->lock) == 0);
	l = lane_of(p, call);
	call->next = NULL;
	*l->last = call;
	l->last = &call->next;
	lane_list(p, l);
	CHECK(pthread_mutex_unlock(&p->lock) == 0);
}

struct bus_call *pool_take(struct pool *p, struct pool_lane **lane)
{
	struct bus_call *call = NULL;

	CHECK(pthread_mutex_lock(&p->lock) == 0);
	while ((*lane = next(p)) == NULL && !p->stopping)
		CHECK(pthread_cond_wait(&p->wake, &p->lock) == 0);
	if (*lane)
		call = lane_take(p, *lane);
	CHECK(pthread_mutex_unlock(&p->lock) == 0);
	return call;
}

void pool_done(struct pool *p, struct pool_lane *lane)
{
	CHECK(pthread_mutex_lock(&p->lock) == 0);
	lane->running--;
	lane_list(p, lane);
	CHECK(pthread_mutex_unlock(&p->lock) == 0);
}

void pool_stop(struct pool *p)
{
	CHECK(pthread_mutex_lock(&p->lock) == 0);
	p->stopping = true;
	CHECK(pthread_cond_broadcast(&p->wake) == 0);
	CHECK(pthread_mutex_unlock(&p->lock) == 0);
}
