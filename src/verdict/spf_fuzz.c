/*
 * A whole check over records of a stranger. The input is lines: the first is HELO, the second MAIL FROM, each other one a TXT record;
 * a question picks its answer by a hash of its name, so that includes and redirects lead anywhere. Addresses always match.
 */
#include "base/arena.h"
#include "base/check.h"
#include "verdict/spf_int.h"
#include "verdict/spf_width.h"
#include "verdict/zone_test.h"

enum { LINES = 16 };

struct lines {
	str line[LINES];
	size_t n;
};

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);

static void answer(void *context, struct arena *a, str name, u32 type, struct dns_answer *out)
{
	const struct lines *l = context;
	str *record = arena_new_of(a, str);
	u32 hash = 17;

	CHECK(spf_name_is_possible(name));
	for (size_t i = 0; i < name.n; i++)
		hash = hash * 31 + name.p[i];
	*out = (struct dns_answer){ .records = record, .records_n = 1 };
	if (type == DNS_TYPE_TXT && l->n > 2)
		*record = zone_txt(a, l->line[2 + hash % (l->n - 2)]);
	else if (type == DNS_TYPE_A && hash % 3)
		*record = S("\300\0\2\1");
	else if (type == DNS_TYPE_PTR || type == DNS_TYPE_MX)
		*record = str_skip(S("\0\12\4host\7example\0"), type == DNS_TYPE_PTR ? 2 : 0);
	else
		*out = (struct dns_answer){ .status = hash % 5 ? DNS_NODATA : DNS_TEMPFAIL };
}

static void check_line(str s)
{
	for (size_t i = 0; i < s.n; i++)
		CHECK(char_is(s.p[i], CHAR_VCHAR) || s.p[i] == ' ');
}

/* The same records, looked at by their owner. */
static void check_width(struct arena *a, const struct dns_source *source)
{
	struct spf_width w;

	spf_width_of(a, source, S("x.example"), &w);
	CHECK(w.parts_n <= SPF_WIDTH_PARTS && w.findings_n <= SPF_WIDTH_FINDINGS);
	check_line(w.record);
	for (size_t i = 0; i < w.findings_n; i++)
		check_line(spf_warning_text(a, &w.findings[i]));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct arena *a = arena_new(16 << 20);
	str rest = str_from(data, n);
	struct lines l = { .n = 0 };
	struct dns_source source = { .context = &l, .query = answer };
	struct buf *out = buf_new(a, 65536);
	struct header_builder h;
	struct spf_verdict v;

	while (rest.n && l.n < LINES) {
		size_t end = str_find(rest, '\n');
		l.line[l.n++] = str_slice(rest, 0, end);
		rest = end == SIZE_MAX ? STR_NONE : str_skip(rest, end + 1);
	}
	struct spf_query q = { .client = { .bytes = { 192, 0, 2, 1 } },
			       .helo = l.line[0],
			       .mail_from = l.line[1] };
	spf_check(a, &source, &q, &v);
	check_width(a, &source);
	CHECK(v.terms <= SPF_TERMS + 1 && v.voids <= SPF_VOID + 1 && v.lookups_n <= SPF_QUESTIONS);
	check_line(v.explanation);
	check_line(v.reason);
	check_line(v.mechanism);
	check_line(v.domain);
	header_builder_init(&h, out);
	spf_put_received(a, &h, &q, &v);
	CHECK(!h.bad && header_count(buf_str(out), S("Received-SPF")) == 1);
	arena_free(&a);
	return 0;
}
