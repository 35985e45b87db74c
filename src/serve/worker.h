/*
 * Workers: threads that wait for work and do it. There are as many as the work needs, up to a limit: when the last one that waited has
 * found something, one more is started (they block in bus calls), and one ends that found nothing for a while, if another waits.
 */
#ifndef SERVE_WORKER_H
#define SERVE_WORKER_H

#include "serve/waiter.h"

struct workers;

enum worker_limit {
	WORKERS_IDLE_MS = 5 * 1000, /* nothing to do for so long: one less */
	WORKERS_STACK = 512 * 1024,
};

/* run is called on a worker. Lives as long as the arena. */
struct workers *workers_new(struct arena *a, struct waiter *waiter, u64 most,
			    void (*run)(void *context, const struct waiter_event *e),
			    void *context);
void workers_start(struct workers *w);
void workers_limit(struct workers *w,
		   u64 most); /* those that are too many end when they have nothing to do */
bool workers_all_busy(const struct workers *w); /* nobody waits, so somebody may have to */
bool workers_stop(struct workers *w, u64 ms);   /* false: some are still busy */

#endif
