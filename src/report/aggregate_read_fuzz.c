/* Any XML is refused with an empty struct, or is a report whose every text is clean and which crosses the bus unchanged. */
#include "report/aggregate_read.h"

#include "base/check.h"
#include "base/codec.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check_report(struct arena *a, const struct aggregate_report *r)
{
	CHECK(r->report_id.n && r->policy.domain.n && r->records_n && r->begin <= r->end);
	CHECK(r->org.n <= AGGREGATE_TEXT && str_is_utf8(r->org));
	for (size_t i = 0; i < r->records_n; i++) {
		CHECK(r->records[i].disposition <= AGGREGATE_REJECT);
		CHECK(r->records[i].source.n == 0 || r->records[i].source.n == 4 ||
		      r->records[i].source.n == 16);
		CHECK(str_is_utf8(r->records[i].header_from));
	}
	CHECK(arena_check(a) == NULL);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(256 * 1024 * 1024);
	str bytes = str_from(data, size);
	struct aggregate_report r;
	u64 before = 0, after = 0;

	aggregate_looks_like(bytes);
	if (aggregate_read(a, bytes, &r)) {
		CHECK(r.records_n == 0 && r.report_id.n == 0);
	} else {
		check_report(a, &r);
		for (size_t i = 0; i < r.records_n; i++)
			before += r.records[i].count;
		aggregate_fold(a, &r, 2);
		for (size_t i = 0; i < r.records_n; i++)
			after += r.records[i].count;
		CHECK(before == after && r.records_n <= 2 + AGGREGATE_SUMS);
	}
	arena_free(&a);
	return 0;
}
