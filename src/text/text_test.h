/* What every test of this folder begins with. */
#ifndef TEXT_TEXT_TEST_H
#define TEXT_TEXT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fail.h"
#include "base/str.h"

/* Arena of the test under way. */
static struct arena *arena;

static int arena_setup(void **state)
{
	(void)state;
	arena = arena_new(64 * 1024 * 1024);
	return 0;
}

static int arena_teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static inline void check_str(str got, str want, const char *file, int line)
{
	if (str_eq(got, want))
		return;
	print_error("got  \"%.*s\"\nwant \"%.*s\"\n", STR_ARG(got), STR_ARG(want));
	_fail(file, line);
}

#define assert_str(got, literal) check_str((got), S(literal), __FILE__, __LINE__)
#define assert_same(got, want) check_str((got), (want), __FILE__, __LINE__)
#define assert_code(call, literal)                 \
	do {                                       \
		const struct fail *fail_ = (call); \
		assert_non_null(fail_);            \
		assert_str(fail_->code, literal);  \
	} while (0)
#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

#endif
