/*
 * The configurations that a process has had. Whoever reads one may hold it for ever, on any thread, so none is freed; one that comes again is
 * the very same struct, so that reading a file again and again costs nothing. One thread.
 */
#ifndef CONFIG_CONFIG_HISTORY_H
#define CONFIG_CONFIG_HISTORY_H

#include "config/config.h"

struct config_known {
	const struct config_known *next;
	str encoded;
	const struct config *config;
};

struct config_history {
	const struct config_known *last;
};

/* encoded: by config_encode. a: lives as long as the process; takes only what is new. */
const struct fail *config_history_take(struct arena *a, struct config_history *h, str encoded,
				       const struct config **out);

#endif
