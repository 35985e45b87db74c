/*
 * Permits (bus/types.tbl): for which domain keys sign may sign, in the office's words. The office gives one to whom it has just vouched
 * for an address (sender_check, with a ticket) or given a report to write (next_job); it names the bearer, so that nobody else can use
 * it, and ends soon, by the clock that nobody sets (one machine, one boot: parent makes a new secret at each start). Nothing in it is secret. mac = HMAC-SHA-256 over a label, the numbers little-endian, and the domain.
 *
 * Within its time a permit signs any number of messages of that domain: what its bearer could have had by asking again.
 */
#ifndef BUS_PERMIT_H
#define BUS_PERMIT_H

#include "base/env.h"
#include "bus/bus.h"
#include "bus/mac.h"

enum permit_limit {
	PERMIT_MS =
	    5 * 60 *
	    1000, /* from the office's answer to the last signature: a long report has to be rendered */
	PERMIT_DOMAIN = 255, /* bytes */
};

/* For this peer, for `domain` (lower-case A-labels), from now on. It lives as long as the arena. */
void permit_make(struct arena *a, const u8 secret[MAC_SECRET], str domain,
		 const struct bus_peer *peer, const struct env *e, struct permit *out);
/* DENIED when the office did not make it, for this peer, or not lately. */
const struct fail *permit_check(const u8 secret[MAC_SECRET], const struct permit *p,
				const struct bus_peer *peer, const struct env *e);

#endif
