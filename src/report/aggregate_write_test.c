/* Our own reports: well-formed whatever is in them, in the form that RFC 9990 3.6.2 asks for. The schema is proved in tests/chain. */
#include "base/unit.h"

#include <zlib.h>

#include "base/buf.h"
#include "report/aggregate_read.h"
#include "report/aggregate_write.h"
#include "text/encoding.h"
#include "text/header.h"

static struct aggregate_reason reason = { .type = AGGREGATE_MAILING_LIST,
					  .comment = { (const u8 *)"a <list> & \"more\"", 17 } };
static struct aggregate_dkim dkim = { .domain = { (const u8 *)"a.example", 9 },
				      .selector = { (const u8 *)"s1", 2 },
				      .result = AGGREGATE_RESULT_PASS };
static struct aggregate_spf spf = { .domain = { (const u8 *)"b.example", 9 },
				    .result = AGGREGATE_RESULT_SOFTFAIL };

static struct aggregate_record record_of(str source)
{
	return (struct aggregate_record){ .source = source,
					  .count = 7,
					  .disposition = AGGREGATE_QUARANTINE,
					  .dkim = true,
					  .reasons = &reason,
					  .reasons_n = 1,
					  .header_from = S("a.example"),
					  .dkim_results = &dkim,
					  .dkim_results_n = 1,
					  .spf_results = &spf,
					  .spf_results_n = 1 };
}

static struct aggregate_report report_of(const struct aggregate_record *records, size_t n)
{
	return (struct aggregate_report){ .org = S("Ours]]> & Sons\x01\xFF"),
					  .email = S("dmarc@ours.example"),
					  .report_id = S("01kb5q3z9w0c4"),
					  .begin = 1789948800000,
					  .end = 1790035199000,
					  .policy = { .domain = S("a.example"),
						      .discovery = AGGREGATE_TREEWALK,
						      .p = AGGREGATE_POLICY_REJECT,
						      .np = AGGREGATE_POLICY_QUARANTINE,
						      .strict_spf = true,
						      .fo = S("1:d") },
					  .records = records,
					  .records_n = n };
}

static bool has(str text, const char *part)
{
	return str_find_str(text, str_cstr(part)) != SIZE_MAX;
}

static void test_xml(void **state)
{
	static const u8 v6[16] = { 0x20, 0x01, 0x0D, 0xB8, [15] = 1 };
	struct aggregate_record records[2] = { record_of(S("\xC0\x00\x02\x01")),
					       record_of(str_from(v6, 16)) };
	struct aggregate_report r = report_of(records, 2);
	struct arena *a = arena_new(1 << 22);
	struct buf *out = buf_new(a, 1 << 20);
	static const char *const parts[] = {
		"<org_name>Ours]]&gt; &amp; Sons\?\?</org_name>",
		"<begin>1789948800</begin>",
		"<end>1790035199</end>",
		"<p>reject</p>",
		"<np>quarantine</np>",
		"<adkim>r</adkim>",
		"<aspf>s</aspf>",
		"<fo>1:d</fo>",
		"<source_ip>192.0.2.1</source_ip>",
		"<source_ip>2001:db8::1</source_ip>",
		"<count>7</count>",
		"<comment>a &lt;list&gt; &amp; \"more\"</comment>",
		"<envelope_from></envelope_from>",
		"<scope>mfrom</scope>",
		"<result>softfail</result>",
	};

	(void)state;
	aggregate_write(&r, out);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!has(buf_str(out), parts[i]))
			fail_msg("missing %s in\n%.*s", parts[i], STR_ARG(buf_str(out)));
	assert_false(has(buf_str(out), "<sp>")); /* it was not said */
	arena_free(&a);
}

/* What one prints the other reads: all fields, whatever bytes they hold that XML can hold. */
static void test_round_trip(void **state)
{
	static const u8 v6[16] = { 0x20, 0x01, 0x0D, 0xB8, [15] = 1 };
	struct aggregate_record records[2] = { record_of(S("\xC0\x00\x02\x01")),
					       record_of(str_from(v6, 16)) };
	struct aggregate_report r = report_of(records, 2), back;
	struct arena *a = arena_new(1 << 24);
	struct buf *out = buf_new(a, 1 << 20);

	(void)state;
	r.org = S("Ours]]> & <Sons> \"x\"");
	r.generator = S("Postern");
	records[1].envelope_from = S("b.example");
	records[1].reasons_n = 0;
	aggregate_write(&r, out);
	assert_ok(aggregate_read(a, buf_str(out), &back));
	assert_str(back.org, r.org);
	assert_str(back.email, r.email);
	assert_str(back.report_id, r.report_id);
	assert_str(back.generator, r.generator);
	assert_int_equal(back.begin, r.begin);
	assert_int_equal(back.end, r.end);
	assert_str(back.policy.domain, r.policy.domain);
	assert_int_equal(back.policy.discovery, r.policy.discovery);
	assert_int_equal(back.policy.p, r.policy.p);
	assert_int_equal(back.policy.np, r.policy.np);
	assert_int_equal(back.policy.strict_spf, r.policy.strict_spf);
	assert_int_equal(back.policy.strict_dkim, r.policy.strict_dkim);
	assert_str(back.policy.fo, r.policy.fo);
	assert_int_equal(back.records_n, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct aggregate_record *x = &back.records[i], *y = &records[i];
		assert_str(x->source, y->source);
		assert_int_equal(x->count, y->count);
		assert_int_equal(x->disposition, y->disposition);
		assert_int_equal(x->dkim, y->dkim);
		assert_int_equal(x->spf, y->spf);
		assert_int_equal(x->reasons_n, y->reasons_n);
		assert_str(x->header_from, y->header_from);
		assert_str(x->envelope_from, y->envelope_from);
		assert_int_equal(x->dkim_results_n, 1);
		assert_str(x->dkim_results[0].selector, dkim.selector);
		assert_int_equal(x->dkim_results[0].result, dkim.result);
		assert_int_equal(x->spf_results_n, 1);
		assert_int_equal(x->spf_results[0].result, spf.result);
		assert_false(x->spf_results[0].helo);
	}
	assert_int_equal(back.records[0].reasons[0].type, reason.type);
	assert_str(back.records[0].reasons[0].comment, reason.comment);
	arena_free(&a);
}

static str gunzip(struct arena *a, str bytes)
{
	z_stream z = { .next_in = (z_const Bytef *)(uintptr_t)bytes.p, .avail_in = (uInt)bytes.n };
	struct buf *out = buf_new(a, 64 << 20);

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_out = buf_room(out, 32 << 20);
	z.avail_out = 32 << 20;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.avail_in, 0);
	buf_added(out, (32 << 20) - z.avail_out);
	inflateEnd(&z);
	return buf_str(out);
}

/* Thousands of rows: what was packed is what comes out, and the mail holds it byte for byte. */
static void test_mail(void **state)
{
	enum { ROWS = 20000 };
	static const str to[] = { { (const u8 *)"r@a.example", 11 },
				  { (const u8 *)"s@c.example", 11 } };
	struct arena *a = arena_new(1 << 28);
	struct aggregate_record *records = arena_array_of(a, ROWS, struct aggregate_record);
	struct aggregate_report r = report_of(records, ROWS);
	struct aggregate_mail m = { .report = &r,
				    .submitter = S("ours.example"),
				    .to = to,
				    .to_n = 2,
				    .message_id = S("<1@ours.example>"),
				    .now = 1790040000000 };
	struct buf *xml = buf_new(a, AGGREGATE_XML), *mail = buf_new(a, 16 << 20),
		   *gzip = buf_new(a, 16 << 20);
	struct header_field f;
	str text;

	(void)state;
	r.org = S("Ours");
	for (size_t i = 0; i < ROWS; i++) {
		records[i] = record_of(S("\xC0\x00\x02\x01"));
		records[i].count = i + 1;
	}
	aggregate_write(&r, xml);
	assert_ok(aggregate_pack(a, &r, &m.packed));
	assert_ok(aggregate_mail_write(a, &m, mail));
	text = buf_str(mail);
	assert_true(header_find(text, S("Subject"), 0, &f));
	assert_str(
	    header_unfold(a, f.value),
	    S("Report Domain: a.example Submitter: ours.example Report-ID: <01kb5q3z9w0c4>"));
	assert_true(
	    has(text,
		"filename=\"ours.example!a.example!1789948800!1790035199!01kb5q3z9w0c4.xml.gz\"") ||
	    has(text,
		"filename=ours.example!a.example!1789948800!1790035199!01kb5q3z9w0c4.xml.gz"));
	{
		struct base64_reader reader = { 0 };
		base64_read(&reader, m.packed, gzip);
		base64_finish(&reader, gzip);
	}
	assert_true(str_eq(gunzip(a, buf_str(gzip)), buf_str(xml)));
	assert_true(str_find_str(text, m.packed) != SIZE_MAX);
	m.to_n = 0;
	assert_fail(aggregate_mail_write(a, &m, mail), FAIL_INVALID);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_xml),
					    cmocka_unit_test(test_round_trip),
					    cmocka_unit_test(test_mail) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
