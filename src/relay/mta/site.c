#include "relay/mta/site.h"

#include <pthread.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/env.h"

struct site {
	u8 key[MTA_SITE_NAME];
	u8 key_n; /* 0: a free place */
	u32 active;
	u64 used;         /* when last; the oldest idle one goes first */
	u64 bad_until[2]; /* by enum address_family */
};

struct sites {
	pthread_mutex_t lock; /* protects all of it */
	struct site table[MTA_SITES];
};

struct sites *sites_new(struct arena *a)
{
	struct sites *s = arena_new_of(a, struct sites);

	CHECK(pthread_mutex_init(&s->lock, NULL) == 0);
	return s;
}

/* FNV-1a: a collision only makes two sites share one limit. */
static u64 hash(str s)
{
	u64 h = 0xCBF29CE484222325;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ s.p[i]) * 0x100000001B3;
	return h;
}

static str *sorted(struct arena *a, const str *hosts, size_t n)
{
	str *list = arena_array_of(a, n, str);

	for (size_t i = 0; i < n; i++) {
		size_t to = i;
		for (; to > 0 && str_cmp_nocase(list[to - 1], hosts[i]) > 0; to--)
			list[to] = list[to - 1];
		list[to] = hosts[i];
	}
	return list;
}

str site_key(struct arena *a, const str *hosts, size_t n, u32 port)
{
	const str *list = sorted(a, hosts, n);
	struct buf *key = buf_new(a, (n + 1) * 256);

	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_add_byte(key, ',');
		buf_add(key, list[i]);
	}
	if (port != 25)
		buf_printf(key, ":%u", port);
	str all = str_lower(a, buf_str(key));
	if (all.n <= MTA_SITE_NAME)
		return all;
	return str_format(a, "%.*s#%016llx", STR_ARG(str_slice(all, 0, MTA_SITE_NAME - 17)),
			  (unsigned long long)hash(all));
}

static struct site *find(struct sites *s, str key)
{
	for (size_t i = 0; i < MTA_SITES; i++)
		if (s->table[i].key_n == key.n && memcmp(s->table[i].key, key.p, key.n) == 0)
			return &s->table[i];
	return NULL;
}

/* The free place, or the idle site that was used longest ago. NULL: all are busy. */
static struct site *place(struct sites *s)
{
	struct site *oldest = NULL;

	for (size_t i = 0; i < MTA_SITES; i++) {
		struct site *t = &s->table[i];
		if (t->active == 0 && (oldest == NULL || t->used < oldest->used))
			oldest = t;
	}
	return oldest;
}

static struct site *find_or_make(struct sites *s, str key)
{
	struct site *t = find(s, key);

	CHECK(key.n > 0 && key.n <= MTA_SITE_NAME);
	if (t == NULL && (t = place(s)) != NULL) {
		*t = (struct site){ .key_n = (u8)key.n };
		memcpy(t->key, key.p, key.n);
	}
	if (t)
		t->used = env_monotonic(env_system());
	return t;
}

bool site_enter(struct sites *s, str key, u64 most)
{
	struct site *t;
	bool in;

	pthread_mutex_lock(&s->lock);
	t = find_or_make(s, key);
	in = t && t->active < most;
	if (in)
		t->active++;
	pthread_mutex_unlock(&s->lock);
	return in;
}

void site_leave(struct sites *s, str key)
{
	struct site *t;

	pthread_mutex_lock(&s->lock);
	t = find(s, key);
	CHECK(t && t->active > 0);
	t->active--;
	pthread_mutex_unlock(&s->lock);
}

void site_family_seen(struct sites *s, str key, enum address_family family, bool good,
		      u64 remember_ms)
{
	struct site *t;

	pthread_mutex_lock(&s->lock);
	t = find_or_make(s, key);
	if (t)
		t->bad_until[family] = good ? 0 : env_monotonic(env_system()) + remember_ms;
	pthread_mutex_unlock(&s->lock);
}

bool site_family_is_bad(struct sites *s, str key, enum address_family family)
{
	const struct site *t;
	bool bad;

	pthread_mutex_lock(&s->lock);
	t = find(s, key);
	bad = t && t->bad_until[family] > env_monotonic(env_system());
	pthread_mutex_unlock(&s->lock);
	return bad;
}
