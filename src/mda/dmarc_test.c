/* Who gets a DMARC report: own organization, those who said yes, nobody else (RFC 9990 4); and what the report says. */
#include "base/unit.h"

#include "base/scan.h"
#include "mda/dmarc.h"
#include "report/aggregate.h"
#include "text/dns_rdata.h"
#include "verdict/dkim.h"

static struct arena *a;

static int start(void **state)
{
	(void)state;
	a = arena_new(1 << 28);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	arena_free(&a);
	return 0;
}

/* --- DNS --------------------------------------------------------------------------------------------------------- */

static const struct zone_row {
	const char *name, *text;
	enum dns_status status;
} zone[] = {
	{ "_dmarc.org.example", "v=DMARC1; p=none", 0 },
	{ "_dmarc.sub.org.example", "v=DMARC1; p=none", 0 },
	{ "_dmarc.example", "v=DMARC1; p=none; psd=y", 0 },
	{ "org.example._report._dmarc.yes.example", "v=DMARC1", 0 },
	{ "org.example._report._dmarc.semicolon.example", "v=DMARC1;", 0 },
	{ "org.example._report._dmarc.noise.example", "hello", 0 },
	{ "org.example._report._dmarc.noise.example", "v=DMARC1", 0 },
	{ "org.example._report._dmarc.wrong.example", "v=spf1 -all", 0 },
	{ "org.example._report._dmarc.late.example", "p=none; v=DMARC1", 0 },
	{ "org.example._report._dmarc.other.example", "v=DMARC1; rua=mailto:new@other.example!1k",
	  0 },
	{ "org.example._report._dmarc.thief.example", "v=DMARC1; rua=mailto:victim@yes.example",
	  0 },
	{ "org.example._report._dmarc.both.example",
	  "v=DMARC1; rua=mailto:x@both.example,mailto:victim@yes.example", 0 },
	{ "org.example._report._dmarc.sick.example", NULL, DNS_TEMPFAIL },
	{ "org.example._report._dmarc.forged.example", NULL, DNS_BOGUS },
	{ "_dmarc.deaf.example", NULL, DNS_TEMPFAIL },
	{ "org.example._report._dmarc.ruf.example", "v=DMARC1; ruf=mailto:f@ruf.example", 0 },
};

static void query(void *context, struct arena *to, str name, u32 type, struct dns_answer *out)
{
	str *records = arena_array_of(to, ARRAY_LEN(zone), str);

	(void)context;
	assert_true(name.n <= RDATA_NAME_TEXT);
	*out = (struct dns_answer){ .status = DNS_NXDOMAIN, .records = records };
	for (size_t i = 0; type == DNS_TYPE_TXT && i < ARRAY_LEN(zone); i++) {
		struct buf *rdata = buf_new(to, 512);
		if (!str_eq(name, str_cstr(zone[i].name)))
			continue;
		out->status = zone[i].status;
		if (zone[i].text == NULL)
			continue;
		buf_add_byte(rdata, (u8)str_cstr(zone[i].text).n);
		buf_add(rdata, str_cstr(zone[i].text));
		records[out->records_n++] = buf_str(rdata);
	}
}

static const struct dns_source dns = { .query = query };

/* --- Destinations ------------------------------------------------------------------------------------------------- */

static struct destinations find(const char *domain, const char *uris, bool failures)
{
	str list[10], rest = str_cstr(uris);
	struct destinations d;
	size_t n = 0;

	while (rest.n > 0) {
		struct scan s = scan_of(rest);
		if (!scan_until(&s, ' ', &list[n]))
			list[n] = rest, s.rest = STR_NONE;
		rest = s.rest.n ? str_skip(s.rest, 1) : STR_NONE;
		n++;
	}
	destinations_find(a, &dns, str_cstr(domain), list, n, failures, &d);
	return d;
}

static str joined(const struct destinations *d)
{
	struct buf *out = buf_new(a, 4096);

	for (size_t i = 0; i < d->n; i++)
		buf_printf(out, "%s%.*s", i ? " " : "", STR_ARG(d->list[i].address));
	return buf_str(out);
}

static void test_destinations(void **state)
{
	static const struct {
		const char *uris, *who;
		bool undecided, all;
	} rows[] = {
		{ "mailto:r@org.example", "r@org.example", false, true },
		{ "mailto:r@deep.in.org.example", "r@deep.in.org.example", false, true },
		{ "mailto:r@sub.org.example", "r@sub.org.example", false, true },
		{ "mailto:r@yes.example", "r@yes.example", false, true },
		{ "mailto:r@semicolon.example", "r@semicolon.example", false, true },
		{ "mailto:r@noise.example", "r@noise.example", false, true },
		{ "mailto:r@wrong.example", "", false, false },
		{ "mailto:r@late.example", "", false, false },
		{ "mailto:r@nobody.example", "", false, false },
		{ "mailto:r@notorg.example", "", false, false },
		{ "mailto:r@other.example", "new@other.example", false, true },
		{ "mailto:r@thief.example", "", false, false },
		{ "mailto:r@both.example", "", false, false },
		{ "mailto:r@sick.example", "", true, false },
		{ "mailto:r@forged.example", "", true, false },
		{ "mailto:r@deaf.example", "", true, false },
		{ "mailto:r@sick.example mailto:r@yes.example", "r@yes.example", true, false },
		{ "mailto:r@org.example mailto:r@org.example mailto:r@ORG.example", "r@org.example",
		  false, true },
		{ "ftp://x.example mailto:r@org.example", "r@org.example", false, false },
		{ "mailto:1@org.example mailto:2@org.example mailto:3@org.example"
		  " mailto:4@org.example mailto:5@org.example mailto:6@org.example",
		  "1@org.example 2@org.example 3@org.example 4@org.example 5@org.example", false,
		  false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct destinations d = find("org.example", rows[i].uris, false);
		if (!str_eq(joined(&d), str_cstr(rows[i].who)) ||
		    d.undecided != rows[i].undecided || (d.why->n == 0) != rows[i].all)
			fail_msg("%s: got %.*s, %d, why: %.*s", rows[i].uris, STR_ARG(joined(&d)),
				 d.undecided, STR_ARG(buf_str(d.why)));
	}
	assert_int_equal(find("org.example", "mailto:r@other.example!5m", false).list[0].limit,
			 1024); /* its word, not the asker's */
	assert_int_equal(find("org.example", "mailto:x@ruf.example", true).n, 1);
}

/* A name that no zone can hold is no permission. */
static void test_long_name(void **state)
{
	struct buf *domain = buf_new(a, 300), *uri = buf_new(a, 300);
	str uris[1];
	struct destinations d;

	(void)state;
	while (domain->n < 240)
		buf_add(domain, S("aaaaaaaaa."));
	buf_add(domain, S("example"));
	buf_add(uri, S("mailto:r@yes.example"));
	uris[0] = buf_str(uri);
	destinations_find(a, &dns, buf_str(domain), uris, 1, false, &d);
	assert_int_equal(d.n, 0);
}

/* --- Outcomes ------------------------------------------------------------------------------------------------------ */

static struct office_report_commit_request write_report(const char *uri, u32 attempt, u64 most)
{
	static u8 source[4] = { 192, 0, 2, 1 };
	struct config *c = config_default(a);
	struct dmarc_writer w = {
		.dns = &dns, .config = c, .key = (const u8 *)"", .now = 1790000000000
	};
	struct dmarc_row *row = arena_new_of(a, struct dmarc_row);
	str *rua = arena_new_of(a, str);
	struct office_report_next_answer r = {
		.id = 77,
		.attempt = attempt,
		.begin = 1789948800,
		.end = 1790035199,
		.published = { .domain = S("org.example"), .fo = 1, .rua = rua, .rua_n = 1 },
		.rows = row,
		.rows_n = 1
	};
	struct office_report_commit_request q;

	c->dmarc_report_from = S("dmarc@ours.example");
	c->dmarc_report_size = most;
	*rua = str_cstr(uri);
	*row = (struct dmarc_row){ .source = str_from(source, 4),
				   .header_from = S("org.example"),
				   .count = 1 };
	assert_ok(dmarc_report_write(a, &w, &r, &q));
	assert_int_equal(q.id, 77);
	assert_int_equal(q.attempt, attempt);
	return q;
}

static void test_outcomes(void **state)
{
	struct office_report_commit_request q;

	(void)state;
	q = write_report("mailto:r@org.example", 1, 1 << 20);
	assert_int_equal(q.outcome, REPORT_OUTCOME_LATER); /* nobody signs here */
	assert_int_not_equal(str_find_str(q.why, S("no active DKIM key of ours.example")),
			     SIZE_MAX);
	assert_int_equal(q.recipients_n, 0);
	q = write_report("mailto:r@org.example!100", 1, 1 << 20);
	assert_int_equal(q.outcome, REPORT_OUTCOME_NONE);
	assert_int_not_equal(str_find_str(q.why, S("takes 100 bytes")), SIZE_MAX);
	q = write_report("mailto:r@org.example!1k", 1, 1 << 20);
	assert_int_equal(q.outcome, REPORT_OUTCOME_LATER); /* it fits */
	q = write_report("mailto:r@org.example", 1, 1000);
	assert_int_equal(q.outcome, REPORT_OUTCOME_NONE);
	assert_int_not_equal(str_find_str(q.why, S("dmarc.report_size")), SIZE_MAX);
	q = write_report("mailto:r@nobody.example", 1, 1 << 20);
	assert_int_equal(q.outcome, REPORT_OUTCOME_NONE);
	q = write_report("mailto:r@sick.example", 1, 1 << 20);
	assert_int_equal(q.outcome, REPORT_OUTCOME_LATER);
	q = write_report("mailto:r@sick.example", DMARC_PATIENCE, 1 << 20);
	assert_int_equal(q.outcome, REPORT_OUTCOME_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_destinations),
					    cmocka_unit_test(test_long_name),
					    cmocka_unit_test(test_outcomes) };

	return cmocka_run_group_tests(tests, start, stop);
}
