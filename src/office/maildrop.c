#include "office/maildrop.h"

#include <pthread.h>

#include "base/check.h"
#include "office/table.h"

enum { MAILDROP_MAGIC = 0x504F5033, MAILDROP_ARENA = 1 << 28 };

struct holder {
	struct table_node node;
	struct holder *next_free;
	u64 account, peer, session;
};

struct maildrop {
	u32 magic;
	pthread_mutex_t lock; /* everything below */
	struct arena *arena;
	struct table holders;
	struct holder *free;
};

struct maildrop *maildrop_new(const struct env *e)
{
	struct arena *a = arena_new(MAILDROP_ARENA);
	struct maildrop *m = arena_new_of(a, struct maildrop);

	m->magic = MAILDROP_MAGIC;
	m->arena = a;
	table_init(&m->holders, a, e);
	CHECK(pthread_mutex_init(&m->lock, NULL) == 0);
	return m;
}

void maildrop_free(struct maildrop **m)
{
	struct arena *a;

	if (*m == NULL)
		return;
	CHECK_MAGIC(*m, MAILDROP_MAGIC);
	pthread_mutex_destroy(&(*m)->lock);
	a = (*m)->arena;
	arena_free(&a);
	*m = NULL;
}

static struct holder *holder_find(struct maildrop *m, u64 account)
{
	struct table_node *node = table_first(&m->holders, table_hash_u64(&m->holders, account));

	for (; node; node = table_next(node)) {
		struct holder *h = table_object(node, struct holder, node);
		if (h->account == account)
			return h;
	}
	return NULL;
}

static void holder_add(struct maildrop *m, u64 account, u64 peer, u64 session)
{
	struct holder *h = m->free ? m->free : arena_new_of(m->arena, struct holder);

	if (m->free)
		m->free = h->next_free;
	*h = (struct holder){ .account = account, .peer = peer, .session = session };
	table_add(&m->holders, &h->node, table_hash_u64(&m->holders, account));
}

static void holder_remove(struct maildrop *m, struct holder *h)
{
	table_remove(&m->holders, &h->node);
	h->next_free = m->free;
	m->free = h;
}

const struct fail *maildrop_take(struct maildrop *m, u64 account, u64 peer, u64 session)
{
	static const struct fail busy = { .what = FAIL_BUSY,
					  .kind = FAIL_TEMP,
					  .code = { (const u8 *)"4.2.0", 5 },
					  .text = { (const u8 *)"mailbox is in use", 17 } };
	struct holder *h;
	bool mine;

	CHECK(pthread_mutex_lock(&m->lock) == 0);
	h = holder_find(m, account);
	mine = h == NULL || (h->peer == peer && h->session == session);
	if (h == NULL)
		holder_add(m, account, peer, session);
	CHECK(pthread_mutex_unlock(&m->lock) == 0);
	return mine ? NULL : &busy;
}

void maildrop_give(struct maildrop *m, u64 account, u64 peer, u64 session)
{
	struct holder *h;

	CHECK(pthread_mutex_lock(&m->lock) == 0);
	h = holder_find(m, account);
	if (h && h->peer == peer && h->session == session)
		holder_remove(m, h);
	CHECK(pthread_mutex_unlock(&m->lock) == 0);
}

void maildrop_peer_gone(struct maildrop *m, u64 peer)
{
	CHECK(pthread_mutex_lock(&m->lock) == 0);
	for (size_t i = 0; i < m->holders.slots_n; i++) {
		for (struct table_node *node = m->holders.slots[i], *next; node; node = next) {
			struct holder *h = table_object(node, struct holder, node);
			next = node->next;
			if (h->peer == peer)
				holder_remove(m, h);
		}
	}
	CHECK(pthread_mutex_unlock(&m->lock) == 0);
}
