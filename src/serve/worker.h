/*
 * Workers: threads that run sessions from one queue. There are as many as the work needs, up to a limit: one more is started when
 * a session has waited while all were busy (they block in bus calls), and one ends that had nothing to do for a while.
 */
#ifndef SERVE_WORKER_H
#define SERVE_WORKER_H

#include "serve/session_int.h"

struct workers;

enum worker_limit {
	WORKERS_EAGER = 2,          /* started without waiting for need to show */
	WORKERS_STUCK_MS = 2,       /* a session waited so long: one more */
	WORKERS_IDLE_MS = 5 * 1000, /* nothing to do for so long: one less */
	WORKERS_BACKLOG =
	    16, /* sessions waiting for each worker of a full house: new peers are refused */
	WORKERS_STACK = 512 * 1024,
};

/* run is called on a worker; it owns the session until it gives it away. Lives as long as the arena. */
struct workers *workers_new(struct arena *a, u64 most,
			    void (*run)(void *context, struct session *s), void *context);
void workers_push(struct workers *w, struct session *s); /* OWNER_QUEUE; any thread */
bool workers_queue_empty(const struct workers *w);
bool workers_overloaded(const struct workers *w);
/* Called now and then by the waiter: starts a worker when sessions are stuck. How long it may stay away; -1: for ever. */
int workers_tend(struct workers *w);
bool workers_stop(struct workers *w, u64 ms); /* false: some are still busy */

#endif
