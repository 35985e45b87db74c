#include "office/budget.h"

#include <pthread.h>

#include "base/check.h"
#include "office/table.h"

struct slot {
	u64 window; /* number of the window it counts in */
	u32 used;
	u64 dropped;
};

struct budget {
	pthread_mutex_t lock;
	const struct env *env;
	struct table hash; /* only its key is used */
	struct slot slots[BUDGET_SLOTS];
};

struct budget *budget_new(struct arena *a, const struct env *e)
{
	struct budget *b = arena_new_of(a, struct budget);

	b->env = e;
	table_init(&b->hash, a, e);
	CHECK(pthread_mutex_init(&b->lock, NULL) == 0);
	return b;
}

static size_t take(struct slot *slot, u64 window, size_t n, u64 *dropped)
{
	size_t room;

	if (slot->window != window) {
		slot->window = window;
		slot->used = 0;
	}
	room = BUDGET_EVENTS - slot->used;
	room = room < n ? room : n;
	slot->used += (u32)room;
	*dropped = room ? slot->dropped : 0;
	if (room)
		slot->dropped = 0;
	slot->dropped += n - room;
	return room;
}

size_t budget_take(struct budget *b, str address, size_t n, u64 *dropped)
{
	u64 window = env_monotonic(b->env) / BUDGET_WINDOW_MS + 1;
	str network = str_slice(address, 0, address.n == 16 ? 8 : address.n);
	size_t kept;

	CHECK(pthread_mutex_lock(&b->lock) == 0);
	kept =
	    take(&b->slots[table_hash_str(&b->hash, network) % BUDGET_SLOTS], window, n, dropped);
	CHECK(pthread_mutex_unlock(&b->lock) == 0);
	return kept;
}
