/* One signature field, as DKIM and as ARC read it. */
#include "base/arena.h"
#include "base/check.h"
#include "verdict/dkim_signature.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);

static void drop(void *context, const u8 *p, size_t n)
{
	(void)p;
	*(size_t *)context += n;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct arena *a = arena_new(16 << 20);
	str raw = str_format(a, "X:%.*s\r\n", STR_ARG(str_from(data, n)));
	struct dkim_signature s;
	size_t simple = 0, relaxed = 0;
	str reason;

	for (enum dkim_flavour f = DKIM_FLAVOUR_DKIM; f <= DKIM_FLAVOUR_ARC_MESSAGE; f++) {
		enum dkim_result r = dkim_signature_parse(a, str_from(data, n), f, &s, &reason);
		CHECK((r == DKIM_NONE) == (reason.n == 0));
		CHECK(r != DKIM_NONE || (s.domain.n && s.selector.n && s.names_n));
	}
	dkim_canon_signature(DKIM_SIMPLE, raw, (struct dkim_sink){ &simple, drop });
	dkim_canon_signature(DKIM_RELAXED, raw, (struct dkim_sink){ &relaxed, drop });
	CHECK(relaxed <= simple);
	arena_free(&a);
	return 0;
}
