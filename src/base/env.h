/*
 * Where time and chance come from. The queue, the scheduler and the store core get a
 * `const struct env *` and ask nobody else, so that a simulator can run them with a clock and a
 * seed of its own (ARCHITECTURE 7). Everyone else uses env_system().
 */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include <pthread.h>

#include "base/types.h"

/* Places where a test may make the store fail; env_system never does. */
enum env_fault { ENV_FAULT_WRITE, ENV_FAULT_SYNC, ENV_FAULT_COMMIT, ENV_FAULT_FOLDER_SYNC };

struct env {
	void *context;
	u64 (*now)(void *context);       /* milliseconds since 1970, UTC */
	u64 (*monotonic)(void *context); /* milliseconds; never goes back */
	void (*random)(void *context, void *out, size_t n);
	int (*fault)(void *context, enum env_fault where); /* 0, or the errno to fail with */
};

/* The real ones. Random aborts when the kernel cannot give any (THREATS A18). */
const struct env *env_system(void);

u64 env_now(const struct env *e);
u64 env_monotonic(const struct env *e);
u64 env_random_u64(const struct env *e);
/* Evenly in [0, bound); bound > 0. */
u64 env_random_below(const struct env *e, u64 bound);
int env_fault(const struct env *e, enum env_fault where);

/* A condition whose timed waits go by CLOCK_MONOTONIC: the world's clock may be set back by a day. */
void env_condition_init(pthread_cond_t *c);

#endif
