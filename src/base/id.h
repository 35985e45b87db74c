/*
 * Message and job ids: 64 bits = 42 of milliseconds since 2020-01-01 UTC, 8 of node, 14 of sequence
 * (ARCHITECTURE 9). Written as 13 characters of base32 (0-9, a-z without i l o u; case does not
 * matter when read). They rise in time and are never 0. The office makes them as node 0;
 * each edge, for the messages that come in through it, as a node of its own.
 *
 * Attempts: what was refused became no message, so the edge that refused it gives it an id by itself: 50 bits = 30 of seconds since
 * 2020, 7 of the edge, 13 of sequence; written as 10 characters. No message has an id that small: those of 2020-01-04 were larger.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/env.h"
#include "base/str.h"

enum { ID_TEXT = 13, ID_ATTEMPT_TEXT = 10, ID_EDGES = 128 };

struct id_maker {
	u64 last;
	u8 node;
};

/* Greater than every id this maker gave before, even when the clock went back. One thread. */
u64 id_next(struct id_maker *m, const struct env *e);
/* The same for any number of threads: *last is what this node made before, at first 0. */
u64 id_next_shared(_Atomic u64 *last, u8 node, const struct env *e);
u8 id_node(u64 id);
/* The first that no attempt has. */
#define ID_ATTEMPT_END ((u64)1 << 50)

u64 id_attempt(const struct env *e, u32 edge, u32 sequence);
bool id_is_attempt(u64 id);
u32 id_edge(u64 attempt);
str id_text(struct arena *a, u64 id); /* of both kinds */
bool id_parse(str text, u64 *id) NODISCARD;
u64 id_time(u64 id); /* milliseconds since 1970; of an attempt to the second */
/* No id of that kind that was given before this time is as large as this. */
u64 id_first_message(u64 ms);
u64 id_first_attempt(u64 ms);
/* Above every id that a maker gives in the `ms` milliseconds after this one. */
u64 id_later(u64 id, u64 ms);
u64 id_first(u64 ms); /* not above any id made from then on */

#endif
