/*
 * Unit tests that each have an arena of their own, `a`, made anew for every test: the tests of a file that includes this are rows
 * UNIT_TEST(name).
 */
#ifndef BASE_UNIT_ARENA_H
#define BASE_UNIT_ARENA_H

#include "base/unit.h"

static struct arena *a;

static int unit_arena_begin(void **state)
{
	(void)state;
	a = arena_new((size_t)1 << 30);
	return 0;
}

static int unit_arena_end(void **state)
{
	(void)state;
	arena_free(&a);
	return 0;
}

#define UNIT_TEST(name) cmocka_unit_test_setup_teardown(name, unit_arena_begin, unit_arena_end)

#endif
