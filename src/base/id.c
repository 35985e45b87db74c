#include "base/id.h"

#include <stdatomic.h>

#include "base/arena.h"
#include "base/chars.h"

enum { SEQUENCE_BITS = 14, NODE_BITS = 8, TIME_SHIFT = SEQUENCE_BITS + NODE_BITS };
enum { ATTEMPT_SEQUENCE_BITS = 13, ATTEMPT_TIME_SHIFT = 20 };

static const u64 epoch = 1577836800000; /* 2020-01-01 00:00:00 UTC */
static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

u64 id_next(struct id_maker *m, const struct env *e)
{
	u64 now = env_now(e), sequence_mask = ((u64)1 << SEQUENCE_BITS) - 1;
	u64 node_bits = (u64)m->node << SEQUENCE_BITS;
	u64 time = now > epoch ? now - epoch : 0, last_time = m->last >> TIME_SHIFT;
	u64 sequence = (m->last & sequence_mask) + 1;

	if (time > last_time)
		sequence = 1;
	else if (sequence > sequence_mask) /* the millisecond is used up: borrow the next */
		time = last_time + 1, sequence = 1;
	else
		time = last_time;
	m->last = time << TIME_SHIFT | node_bits | sequence;
	return m->last;
}

u64 id_attempt(const struct env *e, u32 edge, u32 sequence)
{
	u64 n = sequence & (((u64)1 << ATTEMPT_SEQUENCE_BITS) - 1);

	return id_first_attempt(env_now(e)) | (u64)(edge % ID_EDGES) << ATTEMPT_SEQUENCE_BITS | n;
}

bool id_is_attempt(u64 id)
{
	return id != 0 && id < ID_ATTEMPT_END;
}

u32 id_edge(u64 attempt)
{
	return (u32)(attempt >> ATTEMPT_SEQUENCE_BITS) % ID_EDGES;
}

u64 id_next_shared(_Atomic u64 *last, u8 node, const struct env *e)
{
	u64 before = atomic_load(last), id;

	do {
		struct id_maker m = { .last = before, .node = node };
		id = id_next(&m, e);
	} while (!atomic_compare_exchange_weak(last, &before, id));
	return id;
}

u8 id_node(u64 id)
{
	return (u8)(id >> SEQUENCE_BITS);
}

u64 id_time(u64 id)
{
	return (id_is_attempt(id) ? (id >> ATTEMPT_TIME_SHIFT) * 1000 : id >> TIME_SHIFT) + epoch;
}

static u64 since_epoch(u64 ms)
{
	return ms > epoch ? ms - epoch : 0;
}

u64 id_first_message(u64 ms)
{
	return since_epoch(ms) << TIME_SHIFT;
}

/* Never 0, and never as large as a message's. */
u64 id_first_attempt(u64 ms)
{
	u64 seconds = since_epoch(ms) / 1000, most = ((u64)1 << 30) - 1;

	return (seconds < 1 ? 1 : seconds > most ? most : seconds) << ATTEMPT_TIME_SHIFT;
}

u64 id_later(u64 id, u64 ms)
{
	return id + ((ms + 1) << TIME_SHIFT);
}

u64 id_first(u64 ms)
{
	return ms > epoch ? (ms - epoch) << TIME_SHIFT : 0;
}

str id_text(struct arena *a, u64 id)
{
	int n = id_is_attempt(id) ? ID_ATTEMPT_TEXT : ID_TEXT;
	char *text = arena_alloc(a, ID_TEXT);

	for (int i = n - 1; i >= 0; i--) {
		text[i] = digits[id & 31];
		id >>= 5;
	}
	return str_from(text, (size_t)n);
}

bool id_parse(str text, u64 *id)
{
	str alphabet = str_from(digits, 32);
	u64 value = 0;

	if (text.n != ID_TEXT && text.n != ID_ATTEMPT_TEXT)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		size_t digit = str_find(alphabet, char_lower(text.p[i]));
		if (digit == SIZE_MAX ||
		    (i == 0 && digit > 15 && text.n == ID_TEXT)) /* 13 * 5 = 65 bits */
			return false;
		value = value << 5 | digit;
	}
	*id = value;
	return value != 0 && id_is_attempt(value) == (text.n == ID_ATTEMPT_TEXT);
}
