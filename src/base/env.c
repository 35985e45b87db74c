#include "base/env.h"

#include <sys/random.h>
#include <time.h>

#include "base/check.h"

static u64 milliseconds(clockid_t clock)
{
	struct timespec t;

	CHECK(clock_gettime(clock, &t) == 0);
	return (u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000;
}

static u64 system_now(void *context)
{
	(void)context;
	return milliseconds(CLOCK_REALTIME);
}

static u64 system_monotonic(void *context)
{
	(void)context;
	return milliseconds(CLOCK_MONOTONIC);
}

static void system_random(void *context, void *out, size_t n)
{
	u8 *p = out;

	(void)context;
	while (n) {
		ssize_t got = getrandom(p, n > 256 ? 256 : n, 0);
		CHECK(got > 0);
		p += got;
		n -= (size_t)got;
	}
}

static int system_fault(void *context, enum env_fault where)
{
	(void)context;
	(void)where;
	return 0;
}

const struct env *env_system(void)
{
	static const struct env system_env = {
		.now = system_now,
		.monotonic = system_monotonic,
		.random = system_random,
		.fault = system_fault,
	};

	return &system_env;
}

u64 env_now(const struct env *e)
{
	return e->now(e->context);
}

u64 env_monotonic(const struct env *e)
{
	return e->monotonic(e->context);
}

u64 env_random_u64(const struct env *e)
{
	u64 value;

	e->random(e->context, &value, sizeof value);
	return value;
}

u64 env_random_below(const struct env *e, u64 bound)
{
	u64 limit = UINT64_MAX - UINT64_MAX % bound, value;

	CHECK(bound > 0);
	do
		value = env_random_u64(e);
	while (value >= limit);
	return value % bound;
}

int env_fault(const struct env *e, enum env_fault where)
{
	return e->fault(e->context, where);
}

void env_condition_init(pthread_cond_t *c)
{
	pthread_condattr_t attributes;

	CHECK(pthread_condattr_init(&attributes) == 0);
	CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
	CHECK(pthread_cond_init(c, &attributes) == 0);
	pthread_condattr_destroy(&attributes);
}
