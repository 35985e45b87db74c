/* A message of any bytes with ARC fields, over a DNS that knows no key: it must never be a whole chain. */
#include "base/check.h"
#include "text/header.h"
#include "verdict/arc.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void query(void *context, struct arena *a, str name, u32 type, struct dns_answer *out)
{
	(void)context;
	(void)a;
	(void)type;
	CHECK(name.n <= 253);
	*out = (struct dns_answer){ .status = DNS_NXDOMAIN };
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	const struct dns_source dns = { .query = query };
	struct arena *a = arena_new(1 << 26);
	str message = str_from(data, size);
	size_t header = header_length(message);
	struct dkim_body *body = dkim_body_new(a);
	struct arc_verifier *v = arc_verifier_new(a, str_slice(message, 0, header), body);
	struct arc_verdict verdict;

	dkim_body_feed(body, str_skip(message, header));
	arc_verifier_finish(v, &dns, 1790000000, &verdict);
	CHECK(verdict.result == ARC_NONE || verdict.result == ARC_FAIL);
	CHECK(verdict.sets_n == 0 && verdict.reason.n > 0);
	arena_free(&a);
	return 0;
}
