/*
 * The resolver: libunbound, validating, asked asynchronously (its blocking calls cost thirty times as much: DEPENDENCIES 0.4).
 * One context and one thread of ours for the whole process; libunbound runs a thread of its own beside it and forks nothing.
 *
 * A question is always answered: at the latest when its budget is over, with DNS_TEMPFAIL. Any thread may ask.
 * Without trust anchors nothing is validated: answers are insecure, never bogus.
 */
#ifndef RELAY_DNS_RESOLVER_H
#define RELAY_DNS_RESOLVER_H

#include "bus/relay.h"
#include "config/config.h"
#include "text/dns.h"

struct resolver;

enum resolver_limit {
	RESOLVER_PENDING =
	    2000, /* questions at once, those given up included; beyond it TEMPFAIL at once */
	RESOLVER_RECORDS = 256,         /* of one answer; the rest is left out (THREATS N02, N05) */
	RESOLVER_NAME = 254,            /* characters of a name, its trailing dot included */
	RESOLVER_BUDGET_MS = 20 * 1000, /* what a question gets that names no budget */
	RESOLVER_SWEEP_MS = 100,        /* how late the end of a budget may be seen */
};

/* Before the jail: reads the anchors' files and the settings. A missing file is logged and left out, so that mail flows
 * (unvalidated) on a machine without the root key; a damaged one is an error. Lives until resolver_free. */
const struct fail *resolver_new(struct arena *a, const struct config *c, struct resolver **out);
/* After the jail. */
const struct fail *resolver_start(struct resolver *r);
/* Answers what is pending with TEMPFAIL and ends both threads. Nobody may ask any more. */
void resolver_free(struct resolver **r);

/* answer is borrowed for the call alone. done runs on the resolver's thread (on the caller's own when the question could not even
 * be asked) and must not block. */
void resolver_ask(struct resolver *r, str name, u32 type, u64 budget_ms,
		  void (*done)(void *context, const struct dns_answer *answer), void *context);

/* The same as a blocking call: the answer lives as long as the arena. */
struct dns_answer dns_lookup(struct arena *a, struct resolver *r, str name, u32 type,
			     u64 budget_ms);

/* Asked now, waited for later: two questions that take the time of one. The wait belongs to the arena, which waits for the answer
 * before it goes, should nobody have done so. */
struct dns_wait;
struct dns_wait *dns_ask(struct arena *a, struct resolver *r, str name, u32 type, u64 budget_ms);
struct dns_answer dns_answer_of(struct dns_wait *w);

#endif
