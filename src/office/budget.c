#include "office/budget.h"

#include <pthread.h>

#include "base/check.h"
#include "base/id.h"
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
	struct slot slots[BUDGET_SLOTS], edges[ID_EDGES];
};

struct budget *budget_new(struct arena *a, const struct env *e)
{
	struct budget *b = arena_new_of(a, struct budget);

	b->env = e;
	table_init(&b->hash, a, e);
	CHECK(pthread_mutex_init(&b->lock, NULL) == 0);
	return b;
}

static bool has_room(struct slot *slot, u64 window, u32 most)
{
	if (slot->window != window) {
		slot->window = window;
		slot->used = 0;
	}
	return slot->used < most;
}

static bool take(struct slot *edge, struct slot *source, u64 window, u64 *dropped)
{
	*dropped = 0;
	if (!has_room(source, window, BUDGET_EVENTS) ||
	    !has_room(edge, window, BUDGET_EDGE_EVENTS)) {
		source->dropped++;
		return false;
	}
	source->used++;
	edge->used++;
	*dropped = source->dropped;
	source->dropped = 0;
	return true;
}

static u64 window_now(const struct budget *b)
{
	return env_monotonic(b->env) / BUDGET_WINDOW_MS + 1;
}

static struct slot *slot_of(struct budget *b, str address)
{
	str network = str_slice(address, 0, address.n == 16 ? 8 : address.n);

	return &b->slots[table_hash_str(&b->hash, network) % BUDGET_SLOTS];
}

bool budget_take(struct budget *b, u32 edge, str address, u64 *dropped)
{
	u64 window = window_now(b);
	bool may;

	CHECK(pthread_mutex_lock(&b->lock) == 0);
	may = take(&b->edges[edge % ID_EDGES], slot_of(b, address), window, dropped);
	CHECK(pthread_mutex_unlock(&b->lock) == 0);
	return may;
}

void budget_give_back(struct budget *b, u32 edge, str address)
{
	struct slot *slots[] = { &b->edges[edge % ID_EDGES], slot_of(b, address) };
	u64 window = window_now(b);

	CHECK(pthread_mutex_lock(&b->lock) == 0);
	for (size_t i = 0; i < ARRAY_LEN(slots); i++)
		slots[i]->used -= slots[i]->window == window && slots[i]->used > 0;
	CHECK(pthread_mutex_unlock(&b->lock) == 0);
}
