/* Faults from within, in the build of the drill (-Ddrill=true) alone: see faults.c. */
#ifndef TESTS_CRASH_FAULTS_H
#define TESTS_CRASH_FAULTS_H

#include "base/types.h"

enum fault {
	FAULT_SHORT,     /* amount of 100 reads and writes take a part of what they were given */
	FAULT_INTERRUPT, /* amount of 100 calls that may be interrupted are */
	FAULT_SLOW, /* each sync takes amount milliseconds more, each write to a file a tenth of it */
	FAULT_CLOCK, /* the clock of the world is (amount - FAULT_CLOCK_NOW) hours ahead */
	FAULTS
};
enum { FAULT_CLOCK_NOW = 100000 };

void fault_set(enum fault what, u32 amount);

#endif
