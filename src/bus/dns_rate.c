#include "bus/dns_rate.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/env.h"

enum { MICROSECONDS = 1000, NETWORK4 = 3, NETWORK6 = 6, KEY_MAX = 1024 };

static void table_init(struct dns_rate_table *t)
{
	for (size_t i = 0; i < DNS_RATE_SETS; i++)
		CHECK(pthread_mutex_init(&t->sets[i].lock, NULL) == 0);
}

static void table_free(struct dns_rate_table *t)
{
	for (size_t i = 0; i < DNS_RATE_SETS; i++)
		pthread_mutex_destroy(&t->sets[i].lock);
}

void dns_rate_init(struct dns_rate *r)
{
	const struct env *e = env_system();

	*r = (struct dns_rate){ .secret = { 0 } };
	e->random(e->context, r->secret, sizeof r->secret);
	table_init(&r->buckets);
	table_init(&r->known);
}

void dns_rate_free(struct dns_rate *r)
{
	table_free(&r->buckets);
	table_free(&r->known);
}

static u64 key_of(const struct dns_rate *r, struct arena *a, str name, str rest)
{
	struct buf *bytes = buf_new(a, KEY_MAX);
	struct encoder e = { .bytes = bytes };
	u8 mac[MAC_BYTES];
	u64 key = 0;

	encode_str(&e, str_lower(a, name));
	encode_str(&e, rest);
	mac_make(r->secret, buf_str(bytes), mac);
	for (size_t i = 0; i < sizeof key; i++)
		key = key << 8 | mac[i];
	return key;
}

static struct dns_rate_set *set_lock(struct dns_rate_table *t, u64 key)
{
	struct dns_rate_set *set = &t->sets[key % DNS_RATE_SETS];

	pthread_mutex_lock(&set->lock);
	return set;
}

static struct dns_rate_slot *set_find(struct dns_rate_set *set, u64 key)
{
	for (size_t w = 0; w < DNS_RATE_WAYS; w++)
		if (set->slots[w].key == key)
			return &set->slots[w];
	return NULL;
}

/* Its own slot, or the one that ends first, made empty. */
static struct dns_rate_slot *set_room(struct dns_rate_set *set, u64 key)
{
	struct dns_rate_slot *slot = set_find(set, key);

	if (slot)
		return slot;
	slot = &set->slots[0];
	for (size_t w = 1; w < DNS_RATE_WAYS; w++)
		if (set->slots[w].until < slot->until)
			slot = &set->slots[w];
	*slot = (struct dns_rate_slot){ .key = key };
	return slot;
}

/* A bucket is the time when it will be full again: each question puts it off by its cost, up to a minute from now. */
static bool bucket_take(struct dns_rate *r, u64 key, u64 rate, u64 now)
{
	const u64 most = (u64)DNS_RATE_FILL_MS * MICROSECONDS;
	struct dns_rate_set *set = set_lock(&r->buckets, key);
	struct dns_rate_slot *slot = set_room(set, key);
	u64 until = (slot->until > now ? slot->until : now) + most / rate;
	bool good = until <= now + most;

	if (good)
		slot->until = until;
	pthread_mutex_unlock(&set->lock);
	return good;
}

static bool is_known(struct dns_rate *r, u64 key, u64 now)
{
	struct dns_rate_set *set = set_lock(&r->known, key);
	struct dns_rate_slot *slot = set_find(set, key);
	bool known = slot && slot->until > now;

	pthread_mutex_unlock(&set->lock);
	return known;
}

/* Of name and type together. */
static u64 question_key(const struct dns_rate *r, struct arena *a, str name, u32 type)
{
	u8 number[4];

	mac_put(number, type, sizeof number);
	return key_of(r, a, name, str_from(number, sizeof number));
}

bool dns_rate_take(struct dns_rate *r, struct arena *a, const struct dns_payer *payer, str name,
		   u32 type, u64 now)
{
	str domain = dns_rate_domain(payer->domain.n ? payer->domain : name);
	str network = str_slice(payer->network, 0, payer->network.n == 16 ? NETWORK6 : NETWORK4);
	u64 share = payer->rate / DNS_RATE_NETWORKS, at = now * MICROSECONDS;

	if (payer->rate == 0 || is_known(r, question_key(r, a, name, type), at))
		return true;
	return bucket_take(r, key_of(r, a, domain, network), share ? share : 1, at) &&
	       bucket_take(r, key_of(r, a, domain, S("all")), payer->rate, at);
}

void dns_rate_know(struct dns_rate *r, struct arena *a, str name, u32 type, u64 now, u64 life)
{
	u64 key = question_key(r, a, name, type), until = (now + life) * MICROSECONDS;
	struct dns_rate_set *set;
	struct dns_rate_slot *slot;

	if (life == 0)
		return;
	set = set_lock(&r->known, key);
	slot = set_room(set, key);
	slot->until = until;
	pthread_mutex_unlock(&set->lock);
}

/* --- The domain ----------------------------------------------------------------------------------------------------- */

/* Where the label before `end` begins. */
static size_t label_before(str name, size_t end)
{
	while (end > 0 && name.p[end - 1] != '.')
		end--;
	return end;
}

/* How countries divide what is below them: nearly all of their registries use these words. */
static bool is_division(str label)
{
	static const char *const words[] = {
		"ac", "co",  "com", "edu", "gob", "gouv", "gov", "go",
		"gr", "mil", "ne",  "net", "nom", "or",   "org", "sch"
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq_nocase(label, str_cstr(words[i])))
			return true;
	return false;
}

str dns_rate_domain(str name)
{
	enum { COUNTRY = 2 };
	size_t end = name.n && name.p[name.n - 1] == '.' ? name.n - 1 : name.n;
	size_t last = label_before(name, end);
	size_t second = last ? label_before(name, last - 1) : last;

	name = str_slice(name, 0, end);
	if (second && end - last == COUNTRY && is_division(str_slice(name, second, last - 1)))
		second = label_before(name, second - 1);
	return str_skip(name, second);
}
