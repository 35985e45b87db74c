/*
 * Events on their way to the office (edge/event.h), of all sessions of this process: a thread sends what gathered every OUTBOX_GATHER_MS in
 * one call, so that a flood of refusals is a trickle of commits, no session waits for one, and what a reply names is found within moments.
 * While the office's disk is full they wait here. Bounded: beyond OUTBOX_WAITING records more are dropped, and counted in the log. Any thread may put.
 */
#ifndef EDGE_OUTBOX_H
#define EDGE_OUTBOX_H

#include "bus/office.h"

enum outbox_limit {
	OUTBOX_GATHER_MS = 100,
	OUTBOX_CALL = 256, /* records, or facts, at which one call is full */
	OUTBOX_WAITING = 8192,
	OUTBOX_TRIES = 3,      /* offices that one call is shown to */
	OUTBOX_FULL_MS = 1000, /* until what had no room on the disk is shown again */
};

/* Of one session's turn. Everything lives in its arena, which goes with it. */
struct outbox_parcel {
	struct outbox_parcel *next;
	struct arena *arena;
	const struct event_record *records;
	size_t n;
	const struct dmarc_fact *facts;
	size_t facts_n;
};

struct outbox;
struct outbox *outbox_start(struct arena *a, struct bus *office);
void outbox_put(struct outbox *o, struct outbox_parcel *p); /* takes; never waits for the office */
void outbox_stop(struct outbox *o);                         /* sends what is there, once */

#endif
