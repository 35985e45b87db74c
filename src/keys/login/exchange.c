#include "keys/login/exchange.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"

/* From anywhere on: what an edge began with the login before this one must find nothing, rather than the exchange of another session. */
void exchanges_init(struct exchanges *t)
{
	*t = (struct exchanges){ .next_number = env_random_u64(env_system()) / 2 };
	t->last = &t->first;
}

const struct fail *exchange_new(struct exchanges *t, const struct bus_peer *peer, u64 now,
				struct exchange **out)
{
	static const struct fail full = FAIL_STATIC(LIMIT, "too many logins under way");
	struct arena *a;
	struct exchange *x;

	exchanges_expire(t, now);
	if (t->n >= EXCHANGE_MAX)
		return &full;
	a = arena_new(EXCHANGE_ARENA);
	x = arena_new_of(a, struct exchange);
	*x = (struct exchange){ .arena = a,
				.number = t->next_number++,
				.peer = peer->number,
				.instance = peer->instance,
				.started = now,
				.link = t->last };
	*t->last = x;
	t->last = &x->next;
	t->n++;
	*out = x;
	return NULL;
}

struct exchange *exchange_find(struct exchanges *t, const struct bus_peer *peer, u64 number)
{
	for (struct exchange *x = t->first; x; x = x->next)
		if (x->number == number)
			return x->peer == peer->number ? x : NULL;
	return NULL;
}

static void unlink_exchange(struct exchanges *t, struct exchange *x)
{
	CHECK(t->n > 0);
	*x->link = x->next;
	if (x->next)
		x->next->link = x->link;
	else
		t->last = x->link;
	t->n--;
}

static void release(void *object)
{
	struct arena *a = object;

	arena_free(&a);
}

void exchange_take(struct exchanges *t, struct exchange *x, struct arena *a)
{
	unlink_exchange(t, x);
	arena_own(a, release, x->arena);
}

void exchange_drop(struct exchanges *t, struct exchange **x)
{
	struct arena *a = (*x)->arena;

	unlink_exchange(t, *x);
	*x = NULL;
	arena_free(&a);
}

void exchanges_drop_peer(struct exchanges *t, u64 peer)
{
	struct exchange *next;

	for (struct exchange *x = t->first; x; x = next) {
		next = x->next;
		if (x->peer == peer)
			exchange_drop(t, &x);
	}
}

void exchanges_expire(struct exchanges *t, u64 now)
{
	while (t->first && now - t->first->started > EXCHANGE_MS) {
		struct exchange *x = t->first;
		exchange_drop(t, &x);
	}
}
