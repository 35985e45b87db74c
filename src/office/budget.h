/*
 * budget: how many events a source may add (ARCHITECTURE 9: a flood must not write the database full). A source is an address, IPv6 by
 * its /64. Fixed memory: sources share slots by a keyed hash, so a flood can at worst silence some others' refusals, never
 * those of accepted mail, which are not counted here. Any thread.
 */
#ifndef OFFICE_BUDGET_H
#define OFFICE_BUDGET_H

#include "base/env.h"
#include "base/str.h"

enum budget_limit {
	BUDGET_SLOTS = 4096,
	BUDGET_EVENTS = 120, /* of one source in a window */
	BUDGET_WINDOW_MS = 60 * 1000,
};

struct arena;
struct budget;
struct budget *budget_new(struct arena *a, const struct env *e);
/* How many of n events may be kept now. *dropped: how many were not since the last answer over 0, to be told in one event. */
size_t budget_take(struct budget *b, str address, size_t n, u64 *dropped);

#endif
