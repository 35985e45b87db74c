/*
 * The workers that carry mail out: each asks the office for a job, does it, tells how it ended, and asks again. There is always one
 * that waits for the next job; when it gets one, another takes its place, up to twice queue.deliveries at once. All calls any thread.
 */
#ifndef RELAY_MTA_MTA_H
#define RELAY_MTA_MTA_H

#include "bus/bus.h"
#include "config/config.h"
#include "relay/dns/resolver.h"
#include "relay/mta/limit.h"

struct mta;

/* Before the jail: TLS contexts, the smarthost's password file. */
const struct fail *mta_new(struct arena *a, const struct config *c, struct resolver *r,
			   const struct mta_times *times, struct mta **out);
/* After the jail: the first worker. */
const struct fail *mta_start(struct mta *m, struct bus *office);
/* Settings for jobs to come; the password stays as it was read. c lives as long as the process. */
void mta_reload(struct mta *m, const struct config *c);
/* No new jobs; returns when nothing is under way or grace_ms is over. What is cut short is due again: the office sees us go. */
void mta_stop(struct mta *m, u64 grace_ms);
/* Now and then: closes connections that were idle too long. */
void mta_sweep(struct mta *m);

#endif
