/* What every unit test includes first: cmocka, and the headers that it wants before itself. */
#ifndef BASE_UNIT_H
#define BASE_UNIT_H

#include <setjmp.h> /* cmocka's need, not ours */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/fail.h"

/* Compares a str with a literal or another str and shows both when they differ. */
#define assert_str(actual, expected)                                                  \
	do {                                                                          \
		str actual_ = (actual), expected_ = (expected);                       \
		if (!str_eq(actual_, expected_))                                      \
			fail_msg("got \"%.*s\", expected \"%.*s\"", STR_ARG(actual_), \
				 STR_ARG(expected_));                                 \
	} while (0)

/* A const struct fail * that must be NULL; shows its text when it is not. */
#define assert_ok(call)                                               \
	do {                                                          \
		const struct fail *ok_ = (call);                      \
		if (ok_)                                              \
			fail_msg("failed: %.*s", STR_ARG(ok_->text)); \
	} while (0)

/* A const struct fail * that must be of this class. */
#define assert_fail(call, class)                    \
	do {                                        \
		const struct fail *no_ = (call);    \
		assert_non_null(no_);               \
		assert_int_equal(no_->what, class); \
	} while (0)

#endif
