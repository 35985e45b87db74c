/* Any JSON is refused with an empty struct, or is a report whose policies name their domains. */
#include "report/tlsrpt.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(256 * 1024 * 1024);
	struct tlsrpt_report r;

	tlsrpt_looks_like(str_from(data, size));
	if (tlsrpt_read(a, str_from(data, size), &r)) {
		CHECK(r.policies_n == 0);
	} else {
		CHECK(r.policies_n && r.report_id.n && r.begin <= r.end);
		for (size_t i = 0; i < r.policies_n; i++)
			CHECK(r.policies[i].domain.n && str_is_utf8(r.policies[i].domain));
	}
	arena_free(&a);
	return 0;
}
