/* Sessions per address in shared memory: see address_table.h. */
#include "serve/address_table.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "base/fd.h"

enum { TABLE_MAGIC = 0x41445452, HASHES = 2, SLOTS_BITS = 14, SLOTS = 1 << SLOTS_BITS };

struct column {
	_Atomic u16 slots[HASHES][SLOTS];
};

/* The memory file. Written by parent once, but for the counters. */
struct shared {
	u32 magic, columns;
	u64 multiply[HASHES], add[HASHES];
	struct column column[];
};

struct address_table {
	struct shared *shared;
	size_t size;
	u32 columns, mine; /* ours: an edge gone mad may write over what is shared */
	u64 multiply[HASHES], add[HASHES];
};

static size_t size_of(u32 columns)
{
	return sizeof(struct shared) + columns * sizeof(struct column);
}

const struct fail *address_table_new(struct arena *a, u32 columns, int *fd)
{
	struct shared head = { .magic = TABLE_MAGIC, .columns = columns };

	CHECK(columns > 0 && columns <= ADDRESS_TABLE_COLUMNS);
	for (size_t i = 0; i < HASHES; i++) {
		head.multiply[i] = env_random_u64(env_system()) | 1;
		head.add[i] = env_random_u64(env_system());
	}
	*fd = arena_own_fd(a, fd_memory("addresses"));
	if (*fd < 0 || ftruncate(*fd, (off_t)size_of(columns)) != 0 ||
	    !fd_pwrite_all(*fd, str_from(&head, sizeof head), 0))
		return fail_errno(a, errno, "table of addresses");
	return NULL;
}

u32 address_table_column(u32 instance, bool is_client)
{
	return 2 * instance + is_client;
}

static void unmap(void *object)
{
	struct address_table *t = object;

	munmap(t->shared, t->size);
}

const struct fail *address_table_open(struct arena *a, int fd, u32 column,
				      struct address_table **out)
{
	static const struct fail bad = FAIL_STATIC(CORRUPT, "a table of addresses that is none");
	struct address_table *t = arena_new_of(a, struct address_table);
	struct shared head;
	struct stat st;

	if (!fd_pread_all(fd, &head, sizeof head, 0) || head.magic != TABLE_MAGIC ||
	    head.columns > ADDRESS_TABLE_COLUMNS || column >= head.columns || fstat(fd, &st) != 0 ||
	    (u64)st.st_size != size_of(head.columns))
		return &bad;
	t->size = size_of(head.columns);
	t->shared = mmap(NULL, t->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (t->shared == MAP_FAILED)
		return fail_errno(a, errno, "mapping the table of addresses");
	t->columns = head.columns;
	t->mine = column;
	memcpy(t->multiply, head.multiply, sizeof t->multiply);
	memcpy(t->add, head.add, sizeof t->add);
	arena_own(a, unmap, t);
	*out = t;
	return NULL;
}

/* IPv4 (mapped or not) by itself, IPv6 by its first 64 bits. */
static u64 key_of(str address)
{
	static const u8 mapped[12] = { [10] = 0xFF, [11] = 0xFF };
	u64 key = 0;

	CHECK(address.n == 4 || address.n == 16);
	if (address.n == 16 && memcmp(address.p, mapped, sizeof mapped) == 0)
		address = str_skip(address, sizeof mapped);
	for (size_t i = 0; i < 8 && i < address.n; i++)
		key = key << 8 | address.p[i];
	return key; /* IPv4 is below 2^32, where no IPv6 address is that a peer can have */
}

/* Multiply-shift: by odd secret factors, and the top bits are what all bits of the key have gone into. */
static size_t slot_of(const struct address_table *t, size_t i, u64 key)
{
	return (size_t)((t->multiply[i] * key + t->add[i]) >> (64 - SLOTS_BITS));
}

static u64 sum(const struct address_table *t, size_t i, size_t slot)
{
	u64 n = 0;

	for (u32 c = 0; c < t->columns; c++)
		n += atomic_load_explicit(&t->shared->column[c].slots[i][slot],
					  memory_order_relaxed);
	return n;
}

static void count(struct address_table *t, u64 key, u16 change)
{
	struct column *c = &t->shared->column[t->mine];

	for (size_t i = 0; i < HASHES; i++)
		atomic_fetch_add(&c->slots[i][slot_of(t, i, key)], change);
}

bool address_table_take(struct address_table *t, str address, u64 most)
{
	u64 key = key_of(address), least = UINT64_MAX;

	count(t, key, 1);
	for (size_t i = 0; i < HASHES; i++) {
		u64 n = sum(t, i, slot_of(t, i, key));
		least = n < least ? n : least;
	}
	if (least <= most)
		return true;
	count(t, key, (u16)-1);
	return false;
}

void address_table_give(struct address_table *t, str address)
{
	count(t, key_of(address), (u16)-1);
}

void address_table_clear(struct address_table *t, u32 column)
{
	CHECK(column < t->columns);
	for (size_t i = 0; i < HASHES; i++)
		for (size_t k = 0; k < SLOTS; k++)
			if (atomic_load_explicit(&t->shared->column[column].slots[i][k],
						 memory_order_relaxed))
				atomic_store(&t->shared->column[column].slots[i][k], 0);
}
