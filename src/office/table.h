/*
 * table: a hash table of objects that live elsewhere. Each object holds a `struct table_node`; the table only links them, so
 * an insert never fails and a removal frees nothing. Hashes are keyed with a secret of the table's, since domains and addresses
 * are of strangers' choosing (THREATS A13). Owned by whoever holds the lock of what it is part of.
 */
#ifndef OFFICE_TABLE_H
#define OFFICE_TABLE_H

#include "base/arena.h"
#include "base/env.h"

struct table_node {
	struct table_node *next; /* in the same slot */
	u64 hash;
};

struct table {
	struct arena *arena; /* borrows; slots lie in it, outgrown ones stay until it goes */
	struct table_node **slots;
	size_t slots_n; /* a power of two */
	size_t count;
	u64 key;
};

void table_init(struct table *t, struct arena *a, const struct env *e);
u64 table_hash_str(const struct table *t, str s);
u64 table_hash_u64(const struct table *t, u64 number);
void table_add(struct table *t, struct table_node *node, u64 hash);
void table_remove(struct table *t, struct table_node *node);
/* The first node of this hash; go on with table_next. Compare the objects: hashes may be equal by chance. */
struct table_node *table_first(const struct table *t, u64 hash);
struct table_node *table_next(const struct table_node *node);

/* The object that a node lies in. */
#define table_object(node, type, member) ((type *)(void *)((u8 *)(node)-offsetof(type, member)))

#endif
