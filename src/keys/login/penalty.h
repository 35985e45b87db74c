/*
 * Slows guessers down, per address (IPv4 whole, IPv6 /64) and per account name. A fixed table: no number of guessers makes it grow
 * (THREATS A02). Counts halve every PENALTY_HALF_MS. A name under attack from elsewhere does not slow an address that has logged in
 * to it before, nor do the failures of others behind one address refuse who has (A04): nobody can lock a victim out.
 *
 * Thread-safe. Names need not exist: unknown and known ones are counted alike (A01).
 */
#ifndef KEYS_LOGIN_PENALTY_H
#define KEYS_LOGIN_PENALTY_H

#include "base/env.h"
#include "base/str.h"

enum penalty_limit {
	PENALTY_SLOTS = 8192, /* addresses, names and known pairs together */
	PENALTY_FREE = 2,     /* failures that cost nothing extra: people mistype */
	PENALTY_FIRST_MS = 500,
	PENALTY_MOST_MS = 8000,
	PENALTY_REFUSE =
	    60, /* failures of one address from which we no longer look at its passwords: but at those for a name that has logged
	         * in from there and has not so many failures itself */
	PENALTY_HALF_MS = 5 * 60 * 1000,
};

struct penalty;

struct penalty *penalty_new(struct arena *a, const struct env *e);
/* How long a failed attempt is to wait now, in milliseconds. *refuse: fail it without looking. */
u32 penalty_delay(struct penalty *p, str address, str name, bool *refuse);
void penalty_failed(struct penalty *p, str address, str name);
void penalty_succeeded(struct penalty *p, str address, str name);

#endif
