/*
 * Message and job ids: 64 bits = 42 of milliseconds since 2020-01-01 UTC, 8 of node, 14 of sequence
 * (ARCHITECTURE 9). Written as 13 characters of base32 (0-9, a-z without i l o u; case does not
 * matter when read). They rise in time, are never 0, and are made by the office alone.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/env.h"
#include "base/str.h"

enum { ID_TEXT = 13 };

struct id_maker {
	u64 last;
	u8 node;
};

/* Greater than every id this maker gave before, even when the clock went back. One thread. */
u64 id_next(struct id_maker *m, const struct env *e);
str id_text(struct arena *a, u64 id);
bool id_parse(str text, u64 *id) NODISCARD;
u64 id_time(u64 id); /* milliseconds since 1970 */
/* Above every id that a maker gives in the `ms` milliseconds after this one. */
u64 id_later(u64 id, u64 ms);

#endif
