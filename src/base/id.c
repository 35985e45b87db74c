#include "base/id.h"

#include "base/arena.h"
#include "base/chars.h"

enum { SEQUENCE_BITS = 14, NODE_BITS = 8, TIME_SHIFT = SEQUENCE_BITS + NODE_BITS };

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

u64 id_time(u64 id)
{
	return (id >> TIME_SHIFT) + epoch;
}

u64 id_later(u64 id, u64 ms)
{
	return id + ((ms + 1) << TIME_SHIFT);
}

str id_text(struct arena *a, u64 id)
{
	char *text = arena_alloc(a, ID_TEXT);

	for (int i = ID_TEXT - 1; i >= 0; i--) {
		text[i] = digits[id & 31];
		id >>= 5;
	}
	return str_from(text, ID_TEXT);
}

bool id_parse(str text, u64 *id)
{
	str alphabet = str_from(digits, 32);
	u64 value = 0;

	if (text.n != ID_TEXT)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		size_t digit = str_find(alphabet, char_lower(text.p[i]));
		if (digit == SIZE_MAX || (i == 0 && digit > 15)) /* 13 * 5 = 65 bits */
			return false;
		value = value << 5 | digit;
	}
	*id = value;
	return value != 0;
}
