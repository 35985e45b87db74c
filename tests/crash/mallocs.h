/* A heap that gives nothing, in the build of the drill (-Ddrill=true) alone: see mallocs.c. */
#ifndef TESTS_CRASH_MALLOCS_H
#define TESTS_CRASH_MALLOCS_H

#include "base/str.h"

/* From here on the file says when: FOLDER/mallocs-ROLE, of struct mallocs; without it nothing ever happens. Before the jail. */
void mallocs_share(str folder, const char *role);
/* Whether this write to a file is the one that the control's lie is about. */
bool mallocs_forgets(void);

#endif
