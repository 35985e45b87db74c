// What clang-tidy is told of every file but base/fail.c (tools/analyze.py): a fail that was made is there. It does not see into other files, and
// would think that a function may fail and say it had not, with its out-parameters unset.
#include "base/fail.h"

static inline const struct fail *analyze_made(const struct fail *f)
{
	if (!f)
		__builtin_unreachable();
	return f;
}

#define fail_new(...) analyze_made(fail_new(__VA_ARGS__))
#define fail_code(...) analyze_made(fail_code(__VA_ARGS__))
#define fail_because(...) analyze_made(fail_because(__VA_ARGS__))
#define fail_errno(...) analyze_made(fail_errno(__VA_ARGS__))
