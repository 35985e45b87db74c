/* Any mail: an ordinary one, a report of which only what its kind says is filled and which crosses the bus unchanged, or a reason. */
#include "report/incoming.h"

#include "base/check.h"
#include "report/aggregate_read.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check_report(struct arena *a, const struct incoming_report *r)
{
	struct buf *bytes = buf_new(a, INCOMING_BYTES), *again = buf_new(a, INCOMING_BYTES);
	struct encoder e = { .bytes = bytes }, f = { .bytes = again };
	struct decoder d = { .arena = a };
	struct incoming_report copy = { 0 };

	CHECK((r->kind == INCOMING_AGGREGATE) == (r->aggregate.records_n > 0));
	CHECK((r->kind == INCOMING_FEEDBACK) == (r->feedback.type.n > 0));
	CHECK((r->kind == INCOMING_TLS) == (r->tls.policies_n > 0));
	encode_incoming_report(&e, r);
	CHECK(!bytes->full);
	d.rest = buf_str(bytes);
	decode_incoming_report(&d, &copy);
	CHECK(decoder_done(&d));
	encode_incoming_report(&f, &copy);
	CHECK(str_eq(buf_str(bytes), buf_str(again)));
}

static void look(struct arena *a, str message)
{
	struct skeleton_parser *p = skeleton_parser_new(a);
	struct incoming_report r;
	const struct skeleton *s;

	if (skeleton_feed(p, message) || skeleton_finish(p, &s))
		return;
	if (incoming_read(a, message, s, &r)) {
		CHECK(r.kind == INCOMING_NOTHING && r.aggregate.records_n == 0 &&
		      r.tls.policies_n == 0);
		return;
	}
	CHECK(arena_check(a) == NULL);
	aggregate_fold(a, &r.aggregate, 2);
	check_report(a, &r);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(INCOMING_ARENA);

	look(a, str_from(data, size));
	arena_free(&a);
	return 0;
}
