/*
 * An instance of Postern that a command runs as its child: `dev` keeps it, `setup` and tests stop it after a moment. The command stays
 * outside, so that it can talk to the instance as any administrator would.
 */
#ifndef CTL_INSTANCE_H
#define CTL_INSTANCE_H

#include <sys/types.h>

#include "ctl/ctl_int.h"
#include "parent/parent.h"

struct instance {
	pid_t pid;
};

/* From now on SIGINT, SIGTERM, SIGHUP and SIGPIPE wait for instance_wait: what was begun is put away in order. */
void instance_hold_signals(void);
/* Forks and runs parent_run(o) in the child; waits until every process of it serves. UNAVAILABLE when it ended before. */
const struct fail *instance_start(struct arena *a, const struct parent_options *o,
				  struct instance *out);
/* SIGTERM, then waits; the exit status of parent_run, or 1. */
int instance_stop(struct instance *i);
/* Waits until it ends by itself or SIGINT, SIGTERM or SIGHUP comes, which stops it. */
int instance_wait(struct instance *i);

#endif
