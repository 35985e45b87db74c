/* What drill.c and drill_calls.c share. */
#ifndef ATTACK_DRILL_CALLS_H
#define ATTACK_DRILL_CALLS_H

#include "base/types.h"

/* The process that is taken over. */
extern struct process *drill_self;

void drill_say(const char *try, const char *result, const char *detail);
/* Calls that are ours, about what is not. */
void drill_authority(u32 index);
/* One that is not ours, for the server hangs up; `index` counts over all of those. Says how many there are. */
void drill_forbidden(u32 index);

#endif
