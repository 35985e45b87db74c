#include "bus/dns_memo.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "bus/relay.h"

void dns_memo_init(struct dns_memo *m)
{
	for (size_t i = 0; i < DNS_MEMO_SLOTS; i++) {
		struct dns_memo_slot *slot = &m->slots[i];
		CHECK(pthread_mutex_init(&slot->lock, NULL) == 0);
		slot->until = 0;
		buf_init(&slot->bytes, DNS_MEMO_BYTES);
	}
}

void dns_memo_free(struct dns_memo *m)
{
	for (size_t i = 0; i < DNS_MEMO_SLOTS; i++) {
		buf_free(&m->slots[i].bytes);
		pthread_mutex_destroy(&m->slots[i].lock);
	}
}

/* name: in lower case. */
static struct dns_memo_slot *slot_lock(struct dns_memo *m, str name, u32 type)
{
	struct dns_memo_slot *slot = &m->slots[crc32c(type, name) % DNS_MEMO_SLOTS];

	pthread_mutex_lock(&slot->lock);
	return slot;
}

/* The slot's answer, when it is the one to this question. Borrows the slot. */
static bool slot_read(const struct dns_memo_slot *slot, struct arena *a, str name, u32 type,
		      struct relay_dns_query_answer *out)
{
	struct decoder d = { .arena = a, .rest = buf_str(&slot->bytes) };

	if (decode_u32(&d) != type || !str_eq(decode_str(&d), name))
		return false;
	decode_relay_dns_query_answer(&d, out);
	return decoder_done(&d);
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
	struct dns_memo_slot *slot = slot_lock(m, lower, type);
	struct relay_dns_query_answer kept;
	bool found = slot->until > now && slot_read(slot, a, lower, type, &kept);

	if (found) {
		answer_copy(a, &kept, out);
		out->ttl = (u32)((slot->until - now) / 1000);
	}
	pthread_mutex_unlock(&slot->lock);
	return found;
}

static u64 lifetime(str name, const struct dns_answer *answer)
{
	u64 most = str_eq(answer->canonical, name) ? DNS_MEMO_MS : DNS_MEMO_ALIAS_MS;
	u64 told = (u64)answer->ttl * 1000;

	if (answer->status == DNS_TEMPFAIL || answer->status == DNS_BOGUS)
		return 0;
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
	u64 life = lifetime(lower, answer);
	struct dns_memo_slot *slot;

	if (life == 0)
		return;
	slot = slot_lock(m, lower, type);
	slot_write(slot, lower, type, answer);
	slot->until = slot->bytes.full ? 0 : now + life;
	pthread_mutex_unlock(&slot->lock);
}
