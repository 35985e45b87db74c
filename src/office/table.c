#include "office/table.h"

#include <string.h>

#include "base/check.h"

enum { TABLE_FIRST = 64 };

void table_init(struct table *t, struct arena *a, const struct env *e)
{
	*t = (struct table){ .arena = a, .slots_n = TABLE_FIRST, .key = env_random_u64(e) };
	t->slots = arena_array_of(a, t->slots_n, struct table_node *);
}

/* 64 x 64 -> 128 bits, folded: every bit of the input reaches every bit of the answer. */
static u64 mix(u64 a, u64 b)
{
	__extension__ unsigned __int128 product = (unsigned __int128)a * b;

	return (u64)product ^ (u64)(product >> 64);
}

u64 table_hash_u64(const struct table *t, u64 number)
{
	return mix(number ^ t->key, 0x9E3779B97F4A7C15) ^ t->key;
}

u64 table_hash_str(const struct table *t, str s)
{
	u64 hash = t->key ^ s.n;

	while (s.n) {
		u64 word = 0;
		size_t n = s.n < sizeof word ? s.n : sizeof word;
		memcpy(&word, s.p, n);
		hash = mix(hash ^ word, t->key | 1) + 0xD6E8FEB86659FD93;
		s = str_skip(s, n);
	}
	return table_hash_u64(t, hash);
}

static struct table_node **slot_of(const struct table *t, u64 hash)
{
	return &t->slots[hash & (t->slots_n - 1)];
}

static void table_grow(struct table *t)
{
	struct table_node **old = t->slots;
	size_t old_n = t->slots_n;

	t->slots_n *= 2;
	t->slots = arena_array_of(t->arena, t->slots_n, struct table_node *);
	for (size_t i = 0; i < old_n; i++) {
		for (struct table_node *node = old[i], *next; node; node = next) {
			struct table_node **slot = slot_of(t, node->hash);
			next = node->next;
			node->next = *slot;
			*slot = node;
		}
	}
}

void table_add(struct table *t, struct table_node *node, u64 hash)
{
	struct table_node **slot;

	if (t->count >= t->slots_n)
		table_grow(t);
	slot = slot_of(t, hash);
	node->hash = hash;
	node->next = *slot;
	*slot = node;
	t->count++;
}

void table_remove(struct table *t, struct table_node *node)
{
	struct table_node **at = slot_of(t, node->hash);

	while (*at && *at != node)
		at = &(*at)->next;
	CHECK(*at == node);
	*at = node->next;
	node->next = NULL;
	t->count--;
}

struct table_node *table_first(const struct table *t, u64 hash)
{
	struct table_node *node = *slot_of(t, hash);

	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct table_node *table_next(const struct table_node *node)
{
	u64 hash = node->hash;

	for (node = node->next; node && node->hash != hash; node = node->next)
		;
	return (struct table_node *)(uintptr_t)node;
}
