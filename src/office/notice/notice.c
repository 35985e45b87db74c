#include "office/notice/notice.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/log.h"
#include "bus/office.h"
#include "office/table.h"

enum { NOTICE_MAGIC = 0x4E4F5449, NOTICE_ARENA = 1 << 30 };

struct watch {
	struct table_node by_account, by_number;
	struct watch *next_free;
	u64 account, mailbox, peer, number;
	u32 instance;
};

struct edge {
	int fd;
	bool overflow; /* it missed something and has not been told so yet */
};

struct notice {
	u32 magic;
	struct arena *arena;
	pthread_mutex_t lock; /* everything below */
	struct table accounts, numbers;
	struct watch *free;
	struct edge edges[NOTICE_EDGES];
};

static void lock(struct notice *n)
{
	CHECK_MAGIC(n, NOTICE_MAGIC);
	CHECK(pthread_mutex_lock(&n->lock) == 0);
}

static void unlock_notice(struct notice *n)
{
	CHECK(pthread_mutex_unlock(&n->lock) == 0);
}

struct notice *notice_new(const struct env *e)
{
	struct arena *a = arena_new(NOTICE_ARENA);
	struct notice *n = arena_new_of(a, struct notice);

	n->magic = NOTICE_MAGIC;
	n->arena = a;
	table_init(&n->accounts, a, e);
	table_init(&n->numbers, a, e);
	for (size_t i = 0; i < NOTICE_EDGES; i++)
		n->edges[i].fd = -1;
	CHECK(pthread_mutex_init(&n->lock, NULL) == 0);
	return n;
}

void notice_free(struct notice **at)
{
	struct notice *n = *at;
	struct arena *a;

	if (n == NULL)
		return;
	CHECK_MAGIC(n, NOTICE_MAGIC);
	for (size_t i = 0; i < NOTICE_EDGES; i++)
		fd_close(&n->edges[i].fd);
	pthread_mutex_destroy(&n->lock);
	a = n->arena;
	arena_free(&a);
	*at = NULL;
}

/* --- Sending ----------------------------------------------------------------------------------------------- */

static bool send_number(struct edge *edge, u64 number)
{
	u8 bytes[8];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (u8)(number >> 8 * i);
	return send(edge->fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	       (ssize_t)sizeof bytes;
}

static void tell(struct notice *n, u32 instance, u64 number)
{
	struct edge *edge = &n->edges[instance];

	if (edge->fd < 0 ||
	    edge->overflow) /* "look everywhere" is still to come: it covers this too */
		return;
	if (send_number(edge, number))
		return;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
		edge->overflow = true;
	else
		fd_close(&edge->fd); /* its other end is gone: parent brings a new one */
}

void notice_retry(struct notice *n)
{
	lock(n);
	for (size_t i = 0; i < NOTICE_EDGES; i++) {
		struct edge *edge = &n->edges[i];
		if (edge->overflow && edge->fd >= 0)
			edge->overflow = !send_number(edge, NOTICE_OVERFLOW);
	}
	unlock_notice(n);
}

void notice_edge(struct notice *n, u32 instance, int fd)
{
	if (instance >= NOTICE_EDGES) {
		LOG(WARN, "notice.too_many_edges", LOG_U64("instance", instance));
		fd_close(&fd);
		return;
	}
	lock(n);
	fd_close(&n->edges[instance].fd);
	n->edges[instance] = (struct edge){ .fd = fd };
	unlock_notice(n);
}

/* --- Watches ----------------------------------------------------------------------------------------------- */

static u64 number_hash(const struct notice *n, u64 peer, u64 number)
{
	return table_hash_u64(&n->numbers, number ^ table_hash_u64(&n->numbers, peer));
}

static struct watch *watch_find(struct notice *n, u64 peer, u64 number)
{
	struct table_node *node = table_first(&n->numbers, number_hash(n, peer, number));

	for (; node; node = table_next(node)) {
		struct watch *w = table_object(node, struct watch, by_number);
		if (w->peer == peer && w->number == number)
			return w;
	}
	return NULL;
}

static void watch_remove(struct notice *n, struct watch *w)
{
	table_remove(&n->accounts, &w->by_account);
	table_remove(&n->numbers, &w->by_number);
	w->next_free = n->free;
	n->free = w;
}

static struct watch *watch_new(struct notice *n)
{
	struct watch *w = n->free;

	if (w == NULL)
		return arena_new_of(n->arena, struct watch);
	n->free = w->next_free;
	return w;
}

/* A number that is used again means the new place only. */
static void watch_add(struct notice *n, const struct watch *wanted)
{
	struct watch *w = watch_find(n, wanted->peer, wanted->number);

	if (w)
		watch_remove(n, w);
	w = watch_new(n);
	*w = *wanted;
	table_add(&n->accounts, &w->by_account, table_hash_u64(&n->accounts, w->account));
	table_add(&n->numbers, &w->by_number, number_hash(n, w->peer, w->number));
}

static bool is_full(const struct notice *n, u64 account)
{
	struct table_node *node = table_first(&n->accounts, table_hash_u64(&n->accounts, account));
	size_t watches = 0;

	for (; node; node = table_next(node))
		watches += table_object(node, struct watch, by_account)->account == account;
	return watches >= NOTICE_ACCOUNT || n->numbers.count >= NOTICE_WATCHES;
}

const struct fail *notice_watch(struct notice *n, struct arena *a, const struct bus_peer *peer,
				u64 account, u64 mailbox, u64 watch)
{
	struct watch wanted = { .account = account,
				.mailbox = mailbox,
				.peer = peer->number,
				.number = watch,
				.instance = peer->instance };
	bool full;

	if (peer->instance >= NOTICE_EDGES || watch == NOTICE_OVERFLOW)
		return fail_new(a, FAIL_INVALID, "not a watch that can be");
	lock(n);
	full = is_full(n, account);
	if (!full)
		watch_add(n, &wanted);
	unlock_notice(n);
	return full ? fail_new(a, FAIL_LIMIT, "too many watches") : NULL;
}

void notice_unwatch(struct notice *n, const struct bus_peer *peer, u64 watch)
{
	struct watch *w;

	lock(n);
	w = watch_find(n, peer->number, watch);
	if (w)
		watch_remove(n, w);
	unlock_notice(n);
}

void notice_peer_gone(struct notice *n, u64 peer)
{
	lock(n);
	for (size_t i = 0; i < n->numbers.slots_n; i++) {
		for (struct table_node *node = n->numbers.slots[i], *next; node; node = next) {
			struct watch *w = table_object(node, struct watch, by_number);
			next = node->next;
			if (w->peer == peer)
				watch_remove(n, w);
		}
	}
	unlock_notice(n);
}

void notice_changed(struct notice *n, u64 account, u64 mailbox)
{
	struct table_node *node;

	lock(n);
	node = table_first(&n->accounts, table_hash_u64(&n->accounts, account));
	for (; node; node = table_next(node)) {
		const struct watch *w = table_object(node, struct watch, by_account);
		if (w->account == account && (w->mailbox == 0 || w->mailbox == mailbox))
			tell(n, w->instance, w->number);
	}
	unlock_notice(n);
}
