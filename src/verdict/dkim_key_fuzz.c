/* One key record of a stranger: read, and used once when it can be. */
#include "base/arena.h"
#include "base/check.h"
#include "verdict/dkim_key.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	static const u8 digest[DKIM_DIGEST];
	struct arena *a = arena_new(16 << 20);
	struct dkim_key k;
	str reason = STR_NONE;

	if (dkim_key_parse(a, str_from(data, n), &k, &reason) == DKIM_NONE) {
		CHECK(k.bits == 256 || (k.bits >= DKIM_RSA_MIN && k.bits <= DKIM_RSA_MAX));
		CHECK(!dkim_key_verify(&k, digest, S("no signature at all")));
	} else {
		CHECK(reason.n);
	}
	arena_free(&a);
	return 0;
}
