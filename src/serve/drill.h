/*
 * The jail drill (tests/attack/jail_test.py): in a build with -Ddrill=true a process that is sent a signal acts as if taken over. In
 * every other build these are nothing, and the file that fills them (tests/attack/drill.c) is not part of the program.
 */
#ifndef SERVE_DRILL_H
#define SERVE_DRILL_H

#include "serve/process.h"

#ifdef POSTERN_DRILL
void drill_prepare(void);                         /* first of all, before threads */
void drill_configured(const struct process *p);   /* as soon as its configuration is known */
bool drill_without_jail(const struct process *p); /* the control run: no jail at all */
void drill_start(struct process *p);              /* the thread that waits for the signal */
#else
static inline void drill_prepare(void)
{
}

static inline void drill_configured(const struct process *p)
{
	(void)p;
}

static inline bool drill_without_jail(const struct process *p)
{
	(void)p;
	return false;
}

static inline void drill_start(struct process *p)
{
	(void)p;
}
#endif

#endif
