/*
 * budget: how many events may be added (ARCHITECTURE 9: a flood must not write the database full). By source, an address, IPv6 by its /64: sources
 * share slots by a keyed hash, so a flood can at worst silence some others' refusals, never those of accepted mail, which are not
 * counted here. And by the edge that tells of them, since one that was taken over names any source. Fixed memory. Any thread.
 */
#ifndef OFFICE_BUDGET_H
#define OFFICE_BUDGET_H

#include "base/env.h"
#include "base/str.h"

enum budget_limit {
	BUDGET_SLOTS = 4096,
	BUDGET_EVENTS = 120,        /* of one source in a window */
	BUDGET_EDGE_EVENTS = 30000, /* of one edge */
	BUDGET_WINDOW_MS = 60 * 1000,
};

struct arena;
struct budget;
struct budget *budget_new(struct arena *a, const struct env *e);
/* May one more be kept now. *dropped: when it may, how many of this source were not since the last that might, to be told in one event.
 * edge: below ID_EDGES. */
bool budget_take(struct budget *b, u32 edge, str address, u64 *dropped);
/* One that was taken could not be written, and will be asked for again. */
void budget_give_back(struct budget *b, u32 edge, str address);

#endif
