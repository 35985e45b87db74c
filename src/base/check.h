/*
 * CHECK: the answer to a bug of our own. Always on, in every build. It prints where and what
 * and aborts; the parent starts the process again. Never use it on input: that is struct fail.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include "base/types.h"

_Noreturn void check_failed(const char *file, int line, const char *what);

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

/* Objects that live long begin with `u32 magic`; public entry points call this first. */
#define CHECK_MAGIC(object, value)                        \
	(((object) != NULL && (object)->magic == (value)) \
	     ? (void)0                                    \
	     : check_failed(__FILE__, __LINE__, "magic of " #object))

#endif
