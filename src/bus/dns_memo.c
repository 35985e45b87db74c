#include "bus/dns_memo.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "bus/relay.h"

void dns_memo_init(struct dns_memo *m)
{
	*m = (struct dns_memo){ 0 };
	for (size_t i = 0; i < DNS_MEMO_SETS; i++) {
		CHECK(pthread_mutex_init(&m->sets[i].lock, NULL) == 0);
		for (size_t w = 0; w < DNS_MEMO_WAYS; w++)
			buf_init(&m->sets[i].slots[w].bytes, DNS_MEMO_BYTES);
	}
}

void dns_memo_free(struct dns_memo *m)
{
	for (size_t i = 0; i < DNS_MEMO_SETS; i++) {
		for (size_t w = 0; w < DNS_MEMO_WAYS; w++)
			buf_free(&m->sets[i].slots[w].bytes);
		pthread_mutex_destroy(&m->sets[i].lock);
	}
}

/* name: in lower case. */
static struct dns_memo_set *set_lock(struct dns_memo *m, str name, u32 type)
{
	struct dns_memo_set *set = &m->sets[crc32c(type, name) % DNS_MEMO_SETS];

	pthread_mutex_lock(&set->lock);
	set->turn++;
	return set;
}

/* Is it about this question? Then *answer is what follows. Borrows the slot. */
static bool slot_is_of(const struct dns_memo_slot *slot, str name, u32 type, struct decoder *answer)
{
	*answer = (struct decoder){ .rest = buf_str(&slot->bytes) };
	return slot->until > 0 && decode_u32(answer) == type && str_eq(decode_str(answer), name);
}

static struct dns_memo_slot *set_find(struct dns_memo_set *set, str name, u32 type,
				      struct decoder *answer)
{
	for (size_t w = 0; w < DNS_MEMO_WAYS; w++)
		if (slot_is_of(&set->slots[w], name, type, answer))
			return &set->slots[w];
	return NULL;
}

/* Where a new answer goes: the place of the old one, or of the one that was not asked for the longest (an empty one was never). */
static struct dns_memo_slot *set_room(struct dns_memo_set *set, str name, u32 type)
{
	struct decoder unused;
	struct dns_memo_slot *slot = set_find(set, name, type, &unused);

	if (slot)
		return slot;
	slot = &set->slots[0];
	for (size_t w = 1; w < DNS_MEMO_WAYS; w++)
		if (set->slots[w].asked < slot->asked)
			slot = &set->slots[w];
	return slot;
}

static void answer_copy(struct arena *a, const struct relay_dns_query_answer *from,
			struct dns_answer *to)
{
	str *records = arena_array_of(a, from->records_n, str);

	for (size_t i = 0; i < from->records_n; i++)
		records[i] = str_copy(a, from->records[i]);
	*to = (struct dns_answer){ .status = (enum dns_status)from->status,
				   .secure = from->secure,
				   .canonical = str_copy(a, from->canonical),
				   .records = records,
				   .records_n = from->records_n };
}

bool dns_memo_find(struct dns_memo *m, struct arena *a, str name, u32 type, u64 now,
		   struct dns_answer *out)
{
	str lower = str_lower(a, name);
	struct dns_memo_set *set = set_lock(m, lower, type);
	struct relay_dns_query_answer kept;
	struct decoder d;
	struct dns_memo_slot *slot = set_find(set, lower, type, &d);
	bool found = slot && slot->until > now;

	if (found) {
		d.arena = a;
		decode_relay_dns_query_answer(&d, &kept);
		CHECK(decoder_done(&d)); /* we wrote it */
		answer_copy(a, &kept, out);
		out->ttl = (u32)((slot->until - now) / 1000);
		slot->asked = set->turn;
	}
	pthread_mutex_unlock(&set->lock);
	return found;
}

u64 dns_answer_life(str name, const struct dns_answer *answer, u64 most)
{
	u64 told = (u64)answer->ttl * 1000;

	if (dns_is_trouble(answer->status))
		return 0;
	if (!str_eq_nocase(answer->canonical, name))
		most = DNS_MEMO_ALIAS_MS;
	return told < most ? told : most;
}

static void slot_write(struct dns_memo_slot *slot, str name, u32 type,
		       const struct dns_answer *answer)
{
	struct encoder e = { .bytes = &slot->bytes };
	const struct relay_dns_query_answer kept = { .status = (u8)answer->status,
						     .secure = answer->secure,
						     .canonical = answer->canonical,
						     .records = answer->records,
						     .records_n = answer->records_n };

	buf_reset(&slot->bytes);
	encode_u32(&e, type);
	encode_str(&e, name);
	encode_relay_dns_query_answer(&e, &kept);
}

void dns_memo_put(struct dns_memo *m, struct arena *a, str name, u32 type, u64 now,
		  const struct dns_answer *answer)
{
	str lower = str_lower(a, name);
	u64 life = dns_answer_life(lower, answer, DNS_MEMO_MS);
	struct dns_memo_set *set;
	struct dns_memo_slot *slot;

	if (life == 0)
		return;
	set = set_lock(m, lower, type);
	slot = set_room(set, lower, type);
	slot_write(slot, lower, type, answer);
	slot->until = slot->bytes.full ? 0 : now + life;
	slot->asked = slot->until ? set->turn : 0;
	pthread_mutex_unlock(&set->lock);
}
