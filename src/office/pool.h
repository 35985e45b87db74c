/*
 * The calls that wait for a thread of the office, in lanes: one an account (calls with a ticket), one a peer (the others). Lanes take
 * turns, accounts and peers alternating, and no lane has all threads at once: whoever asks for much, or for what takes long,
 * keeps himself waiting and not the others (THREATS I06, ISO). Lanes are found by a hash with a secret; who meets in one shares it.
 */
#ifndef OFFICE_POOL_H
#define OFFICE_POOL_H

#include "base/env.h"
#include "bus/bus.h"

enum pool_limit { POOL_LANES = 256 /* of accounts, and of peers */ };

struct pool;
struct pool_lane;

/* threads: how many will take. Lives as long as the arena. */
struct pool *pool_new(struct arena *a, const struct env *e, u32 threads);
void pool_add(struct pool *p, struct bus_call *call); /* any thread */
/* Waits for a call; NULL after pool_stop when none is left. lane: for pool_done once the call was served. */
struct bus_call *pool_take(struct pool *p, struct pool_lane **lane);
void pool_done(struct pool *p, struct pool_lane *lane);
void pool_stop(struct pool *p);

#endif
