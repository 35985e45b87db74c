/* A report with hostile values everywhere is refused, or is a report of just the parts and
 * fields it must have. */
#include "text/dsn.h"

#include "base/arena.h"
#include "base/check.h"
#include "text/header.h"
#include "text/skeleton.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check_report(struct arena *a, str message)
{
	struct skeleton_parser *p = skeleton_parser_new(a);
	const struct skeleton *s;
	struct header_field f;
	str status;
	size_t n = 0;

	if (skeleton_feed(p, message) || skeleton_finish(p, &s))
		return; /* a header over the limits */
	CHECK(s->parts_n >= 4 && str_eq(s->parts[0].subtype, S("REPORT")));
	CHECK(str_eq(s->parts[1].subtype, S("PLAIN")));
	CHECK(str_ends_nocase(s->parts[2].subtype, S("DELIVERY-STATUS")));
	for (size_t i = 4; i < s->parts_n; i++)
		CHECK(s->parts[i].depth > 1);
	status = str_slice(message, s->parts[2].body_at, s->parts[2].end);
	while (header_next(&status, &f))
		n++;
	CHECK(n == 2);
	for (n = 0; header_next(&status, &f); n++)
		CHECK(f.name.n > 0);
	CHECK(n >= 3 && n <= 8);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(256 * 1024 * 1024);
	str x = str_from(data, size), half = str_skip(x, size / 2);
	struct dsn_recipient r = { .final = S("a@b"),
				   .original = size && data[0] & 1 ? half : S("c@d"),
				   .status = S("5.0.0"),
				   .remote_mta = half,
				   .diagnostic = x };
	struct dsn d = { .from = S("d@e"),
			 .to = S("f@g"),
			 .subject = size && data[0] & 2 ? x : S("s"),
			 .message_id = S("<h@i>"),
			 .date = 1,
			 .text = x,
			 .reporting_mta = S("j"),
			 .arrival = 1,
			 .recipients = &r,
			 .recipients_n = 1,
			 .original = half,
			 .return_full = size && data[0] & 4,
			 .utf8 = size && data[0] & 8 };
	struct buf *out = buf_new(a, 1 << 20);

	if (dsn_print(a, &d, out) == NULL && !out->full)
		check_report(a, buf_str(out));
	arena_free(&a);
	return 0;
}
