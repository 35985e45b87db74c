/* The readers of reports: what they forgive, what they refuse, and every cut of every report. */
#include "base/unit_arena.h"

#include <string.h>

#include "report/aggregate_read.h"
#include "report/feedback.h"
#include "report/tlsrpt.h"

#define METADATA                                                                 \
	"<report_metadata><org_name> Org &amp; Co </org_name><email>a@b</email>" \
	"<report_id>id-1</report_id><date_range><begin>1795132800</begin>"       \
	"<end>1795219199</end></date_range><error>odd</error></report_metadata>"
#define POLICY                                                                         \
	"<policy_published><domain>Example.ORG.</domain><adkim>s</adkim><p>reject</p>" \
	"<sp>none</sp><np>quarantine</np><testing>y</testing>"                         \
	"<discovery_method>treewalk</discovery_method></policy_published>"
#define ROW(ip, count, disposition, dkim, spf)                                         \
	"<row><source_ip>" ip "</source_ip><count>" count "</count><policy_evaluated>" \
	"<disposition>" disposition "</disposition><dkim>" dkim "</dkim><spf>" spf     \
	"</spf><reason><type>mailing_list</type><comment>a list</comment></reason>"    \
	"</policy_evaluated></row>"
#define RESULTS                                                                             \
	"<identifiers><header_from>EXAMPLE.org</header_from><envelope_from/></identifiers>" \
	"<auth_results><dkim><domain>example.org</domain><selector>s</selector>"            \
	"<result>pass</result></dkim><spf><domain>example.org</domain><scope>helo</scope>"  \
	"<result>hardfail</result></spf></auth_results>"
#define RECORD(ip, count) \
	"<record>" ROW(ip, count, "quarantine", "pass", "fail") RESULTS "</record>"
#define REPORT(root, end, record) "<" root ">" METADATA POLICY record "</" end ">"

static void aggregate_is_read(void **state)
{
	struct aggregate_report r;
	const struct aggregate_record *one;

	(void)state;
	assert_ok(
	    aggregate_read(a, S(REPORT("feedback", "feedback", RECORD("192.0.2.1", "7"))), &r));
	assert_str(r.org, S("Org & Co"));
	assert_str(r.errors[0], S("odd"));
	assert_int_equal(r.begin, 1795132800000);
	assert_str(r.policy.domain, S("example.org"));
	assert_int_equal(r.policy.p, AGGREGATE_POLICY_REJECT);
	assert_int_equal(r.policy.sp, AGGREGATE_POLICY_NONE);
	assert_int_equal(r.policy.np, AGGREGATE_POLICY_QUARANTINE);
	assert_true(r.policy.testing && r.policy.strict_dkim && !r.policy.strict_spf);
	assert_int_equal(r.policy.discovery, AGGREGATE_TREEWALK);
	assert_int_equal(r.policy.percent, 100);
	assert_int_equal(r.records_n, 1);
	one = r.records;
	assert_str(one->source, S("\xC0\x00\x02\x01"));
	assert_int_equal(one->count, 7);
	assert_true(one->dkim && !one->spf);
	assert_int_equal(one->disposition, AGGREGATE_QUARANTINE);
	assert_str(one->header_from, S("example.org"));
	assert_int_equal(one->reasons[0].type, AGGREGATE_MAILING_LIST);
	assert_str(one->reasons[0].comment, S("a list"));
	assert_str(one->dkim_results[0].selector, S("s"));
	assert_int_equal(one->spf_results[0].result, AGGREGATE_RESULT_FAIL);
	assert_true(one->spf_results[0].helo);
}

#define NS "urn:ietf:params:xml:ns:dmarc-2.0"
static void namespaces_and_extensions(void **state)
{
	static const str good[] = {
		S(REPORT("feedback xmlns='" NS "'", "feedback", RECORD("::1", "1"))),
		S(REPORT("n:feedback xmlns:n='http://dmarc.org/dmarc-xml/0.1'", "n:feedback",
			 RECORD("::1", "1"))),
		S(REPORT("feedback xmlns:x='urn:x'", "feedback",
			 "<x:count>9</x:count><extension><x:y><row/></x:y></extension>"
			 "<record><x:row><count>99</count></x:row>" ROW("::1", "1", "none", "pass",
									"pass") RESULTS
			 "<x:record><row><count>5</count></row></x:record></record>")),
		S("\xEF\xBB\xBF<?xml version='1.0' encoding='windows-1252'?><!-- \xA0 -->" REPORT(
		    "feedback", "feedback", RECORD("::1", "1"))),
		S(REPORT("feedback", "feedback",
			 "<record>" ROW("::1", "1", "never heard", "maybe", "") "</record>")),
	};
	struct aggregate_report r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (i == 3)
			continue; /* a mark and another encoding contradict each other */
		assert_ok(aggregate_read(a, good[i], &r));
		assert_int_equal(r.records_n, 1);
		assert_int_equal(r.records[0].count, 1);
		assert_int_equal(r.records[0].source.n, 16);
	}
	assert_int_equal(r.records[0].disposition, AGGREGATE_NONE);
	assert_ok(aggregate_read(a, str_skip(good[3], 3), &r));
}

static void bad_aggregates_are_refused(void **state)
{
	static const str bad[] = {
		S(""),
		S("<html/>"),
		S("<feedback/>"),
		S("<feedback>" METADATA POLICY "</feedback>"),
		S("<feedback>" METADATA RECORD("::1", "1") "</feedback>"),
		S("<feedback>" POLICY RECORD("::1", "1") "</feedback>"),
		S(REPORT("feedback", "feedback", RECORD("::1", "-1"))),
		S(REPORT("feedback", "feedback", RECORD("::1", "9999999999999999999999"))),
		S(REPORT("feedback", "feedback", RECORD("::1", "1")) "<more/>"),
		S(REPORT("feedback", "feedback", "<record>&unknown;</record>")),
		S("<!DOCTYPE feedback [<!ENTITY a 'x'>]>" REPORT("feedback", "feedback",
								 RECORD("::1", "1"))),
		S("<!DOCTYPE feedback SYSTEM 'file:///etc/passwd'>" REPORT("feedback", "feedback",
									   RECORD("::1", "1"))),
		S(REPORT("feedback", "feedback", "<record>\xFF</record>")),
	};
	struct aggregate_report r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_fail(aggregate_read(a, bad[i], &r), FAIL_SYNTAX);
		assert_int_equal(r.records_n, 0);
	}
}

static void hostile_xml_is_bounded(void **state)
{
	struct buf *b = buf_new(a, 64 << 20);
	struct aggregate_report r;

	(void)state;
	buf_add(b, S("<feedback>"));
	for (int i = 0; i < 1000; i++)
		buf_add(b, S("<a>"));
	assert_fail(aggregate_read(a, buf_str(b), &r), FAIL_TOO_LARGE);
	buf_reset(b);
	buf_add(b, S("<feedback>"));
	for (int i = 0; i <= AGGREGATE_STRANGE + 1; i++)
		buf_printf(b, "<e%d/>", i);
	assert_fail(aggregate_read(a, buf_str(b), &r), FAIL_TOO_LARGE);
	buf_reset(b);
	buf_add(b, S("<feedback a='"));
	memset(buf_room(b, 8 << 20), 'x', 8 << 20);
	buf_added(b, 8 << 20);
	assert_fail(aggregate_read(a, buf_str(b), &r), FAIL_TOO_LARGE);
	buf_reset(b);
	buf_add(b, S("<feedback>" METADATA POLICY));
	for (int i = 0; i <= AGGREGATE_RECORDS; i++)
		buf_add(b, S("<record><row><count>1</count></row></record>"));
	assert_fail(aggregate_read(a, buf_str(b), &r), FAIL_TOO_LARGE);
}

static void folding_keeps_the_sum(void **state)
{
	struct aggregate_record *records = arena_array_of(a, 1000, struct aggregate_record);
	struct aggregate_report r = { .records = records, .records_n = 1000 };
	u64 sum = 0;

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		records[i] = (struct aggregate_record){ .source = S("\x01\x02\x03\x04"),
							.count = i,
							.dkim = i & 1,
							.disposition = AGGREGATE_REJECT };
	aggregate_fold(a, &r, 10);
	assert_int_equal(r.records_n, 12);
	assert_int_equal(r.records[0].count, 999);
	assert_int_equal(r.records[11].source.n, 0);
	for (size_t i = 0; i < r.records_n; i++)
		sum += r.records[i].count;
	assert_int_equal(sum, 499500);
}

#define TLS                                                                                         \
	"{\"organization-name\":\"O\",\"date-range\":{\"start-datetime\":\"2026-11-20T00:00:00Z\"," \
	"\"end-datetime\":\"2026-11-20T23:59:59+01:00\"},\"report-id\":\"r\",\"x\":[{}],"           \
	"\"policies\":[{\"policy\":{\"policy-type\":\"sts\",\"policy-domain\":\"Example.org\","     \
	"\"mx-host\":\"*.mx\"},\"summary\":{\"total-successful-session-count\":\"12\","             \
	"\"total-failure-session-count\":3},\"failure-details\":[{\"result-type\":\"a\\nb\","       \
	"\"failed-session-count\":3}]}]}"

static void tls_reports_are_read(void **state)
{
	struct tlsrpt_report r;

	(void)state;
	assert_ok(tlsrpt_read(a, S(TLS), &r));
	assert_int_equal(r.end - r.begin, (u64)23 * 3600000 - 1000);
	assert_int_equal(r.policies[0].type, TLSRPT_POLICY_STS);
	assert_int_equal(r.policies[0].successful, 12);
	assert_int_equal(r.policies[0].failed, 3);
	assert_str(r.policies[0].domain, S("example.org"));
	assert_str(r.policies[0].mx_hosts[0], S("*.mx"));
	assert_str(r.policies[0].failures[0].type, S("a b"));
}

static void hostile_json_is_refused(void **state)
{
	static const str bad[] = { S("{}"),
				   S("[]"),
				   S("{"),
				   S("nul"),
				   S("{\"a\":1,\"a\":2}"),
				   S("{\"policies\":[]}"),
				   S("{\"report-id\":\"\xFF\"}") };
	struct buf *b = buf_new(a, 16 << 20);
	struct tlsrpt_report r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_fail(tlsrpt_read(a, bad[i], &r), FAIL_SYNTAX);
	for (int i = 0; i < 3000000; i++)
		buf_add_byte(b, '[');
	assert_fail(tlsrpt_read(a, buf_str(b), &r), FAIL_TOO_LARGE);
	buf_reset(b);
	buf_add(b, S("{\"x\":["));
	for (int i = 0; i < 1000000; i++)
		buf_add(b, S("[],"));
	assert_fail(tlsrpt_read(a, buf_str(b), &r), FAIL_TOO_LARGE);
}

static void feedback_is_read(void **state)
{
	struct feedback_report r;

	(void)state;
	assert_ok(feedback_read(
	    a,
	    S("Feedback-Type: auth-failure\r\nVersion: 1\r\nUser-Agent: x/1\r\n"
	      "Original-Mail-From: <a@example.org>\r\nOriginal-Rcpt-To: <b@c>\r\n"
	      "Original-Rcpt-To: d@e\r\nSource-IP: [IPv6:2001:db8::1]\r\nIncidents: 4\r\n"
	      "Reporting-MTA: dns; mx.c\r\nArrival-Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
	      "Auth-Failure: dmarc\r\nReported-Domain: Example.org\r\n"),
	    S("From: \"A\" <a@Example.ORG>\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n"
	      "Message-ID: <m@x>\r\n\r\nFrom: no\r\n"),
	    &r));
	assert_int_equal(r.kind, FEEDBACK_AUTH_FAILURE);
	assert_str(r.original_from, S("a@example.org"));
	assert_int_equal(r.original_to_n, 2);
	assert_str(r.original_to[0], S("b@c"));
	assert_int_equal(r.source.n, 16);
	assert_int_equal(r.incidents, 4);
	assert_str(r.reporting_mta, S("mx.c"));
	assert_int_equal(r.arrival, 1795168800000);
	assert_str(r.domains[0], S("example.org"));
	assert_str(r.header_from, S("example.org"));
	assert_str(r.subject, S("caf\xC3\xA9"));
	assert_str(r.message_id, S("m@x"));
	assert_fail(feedback_read(a, S("Version: 1\r\n"), STR_NONE, &r), FAIL_SYNTAX);
	assert_ok(feedback_read(a, S("Feedback-Type: zombie\r\n"), STR_NONE, &r));
	assert_int_equal(r.kind, FEEDBACK_OTHER);
	assert_str(r.type, S("zombie"));
}

static void cut_at_every_byte(void **state)
{
	str xml = S(REPORT("feedback", "feedback", RECORD("192.0.2.1", "7")));
	struct aggregate_report report;
	struct tlsrpt_report t;

	(void)state;
	for (size_t n = 0; n < xml.n; n++)
		assert_non_null(aggregate_read(a, str_slice(xml, 0, n), &report));
	for (size_t n = 0; n < S(TLS).n; n++)
		assert_non_null(tlsrpt_read(a, str_slice(S(TLS), 0, n), &t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT_TEST(aggregate_is_read),          UNIT_TEST(namespaces_and_extensions),
		UNIT_TEST(bad_aggregates_are_refused), UNIT_TEST(hostile_xml_is_bounded),
		UNIT_TEST(folding_keeps_the_sum),      UNIT_TEST(tls_reports_are_read),
		UNIT_TEST(hostile_json_is_refused),    UNIT_TEST(feedback_is_read),
		UNIT_TEST(cut_at_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
