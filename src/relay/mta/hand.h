/*
 * The jobs in this process's hands, and how those ended that the office has not heard of. An office that restarts knows of no leases: it gives
 * out again what is under way here, and what went out while nobody could be told. The first is not begun a second time, and the second
 * is told instead of sent again (README). Bounded: the oldest untold result goes first, and its mail twice. Any thread.
 */
#ifndef RELAY_MTA_HAND_H
#define RELAY_MTA_HAND_H

#include "bus/office.h"

struct hands;

/* One job under way; lies on its worker's stack. */
struct hand {
	struct hand *next;
	u64 job;
	bool again; /* an office gave it out to us once more */
};

struct hands *hands_new(struct arena *a);
/* False: the job is under way here already. Its end will be told; whoever gave it out again has its answer then. */
bool hand_take(struct hands *h, struct hand *mine, u64 job);
/* How this very attempt ended, when that is known and untold. */
bool hand_untold(struct hands *h, struct arena *a, const struct job *job,
		 struct office_attempt_done_request *done);
/* Told. True: the job was given out again meanwhile, perhaps after the office had heard. */
bool hand_give(struct hands *h, struct hand *mine);
/* The office did not take it: kept when something was delivered, and mine is given; true: not yet, the job was given out again
 * meanwhile, so tell it now. */
bool hand_keep(struct hands *h, struct hand *mine, u32 attempts,
	       const struct office_attempt_done_request *done);

#endif
