/* Whatever comes in, what comes out is within the limits, and is not packed again. */
#include "report/unpack.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(UNPACK_ARENA);
	str bytes = str_from(data, size), out, again;

	if (unpack(a, bytes, &out) == NULL) {
		CHECK(out.n <= UNPACK_BYTES);
		CHECK(out.n <= UNPACK_RATIO_FREE || out.n / UNPACK_RATIO <= size);
		CHECK(unpack(a, out, &again) == NULL && again.p == out.p && again.n == out.n);
	}
	arena_free(&a);
	return 0;
}
