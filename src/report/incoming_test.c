/* Which part of a mail is the report, and what is read of a mail that was cut. */
#include "report/incoming.h"

#include "base/unit_arena.h"
#include "report/feedback.h"
#include "text/encoding.h"

static const struct fail *look(str mail, struct incoming_report *out)
{
	struct skeleton_parser *p = skeleton_parser_new(a);
	const struct skeleton *s;

	assert_ok(skeleton_feed(p, mail));
	assert_ok(skeleton_finish(p, &s));
	return incoming_read(a, mail, s, out);
}

#define MIXED "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
#define PART(type, content) "--x\r\nContent-Type: " type "\r\n\r\n" content "\r\n"
#define END "--x--\r\n"
#define DMARC(id)                                                                            \
	"<feedback><report_metadata><org_name>O</org_name><report_id>" id "</report_id>"     \
	"<date_range><begin>1</begin><end>2</end></date_range></report_metadata>"            \
	"<policy_published><domain>e.example</domain><p>none</p></policy_published><record>" \
	"<row><source_ip>192.0.2.1</source_ip><count>1</count></row></record></feedback>"
#define TLS                                                                                 \
	"{\"report-id\":\"t\",\"date-range\":{\"start-datetime\":\"2026-11-20T00:00:00Z\"," \
	"\"end-datetime\":\"2026-11-20T23:59:59Z\"},\"policies\":[{\"policy\":"             \
	"{\"policy-type\":\"sts\",\"policy-domain\":\"e.example\"},\"summary\":{}}]}"
#define FEEDBACK                                                    \
	"Feedback-Type: abuse\r\nUser-Agent: u/1\r\nVersion: 1\r\n" \
	"Original-Rcpt-To: <to@e.example>\r\nSource-IP: 192.0.2.1\r\n"

static void test_found(void **state)
{
	struct incoming_report r;

	(void)state;
	assert_ok(look(S(MIXED PART("text/plain", "see below")
			     PART("application/octet-stream; name=logo.gz", "no gzip at all")
				 PART("text/xml", DMARC("1")) PART("text/xml", DMARC("2")) END),
		       &r));
	assert_int_equal(r.kind, INCOMING_AGGREGATE);
	assert_str(r.aggregate.report_id, S("1")); /* the first counts */
	assert_ok(look(S(MIXED PART("application/tlsrpt+json", TLS) END), &r));
	assert_int_equal(r.kind, INCOMING_TLS);
	assert_ok(look(
	    S(MIXED PART("text/xml", DMARC("1")) PART("message/feedback-report", FEEDBACK) END),
	    &r));
	assert_int_equal(r.kind, INCOMING_FEEDBACK);
	assert_ok(look(S("From: a@b.example\r\nContent-Type: text/xml\r\n\r\n" DMARC("3")), &r));
	assert_str(r.aggregate.report_id, S("3"));
}

static void test_ordinary(void **state)
{
	struct incoming_report r;

	(void)state;
	assert_ok(look(S("From: a@b.example\r\n\r\nhello\r\n"), &r));
	assert_int_equal(r.kind, INCOMING_NOTHING);
	assert_ok(look(S(MIXED PART("text/xml", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>")
			     PART("text/plain; name=x.txt", DMARC("1")) END),
		       &r));
	assert_int_equal(r.kind, INCOMING_NOTHING);
}

/* What was meant as a report and is broken ends the search: several large ones would be as many times the work. */
static void test_broken(void **state)
{
	struct incoming_report r;

	(void)state;
	assert_fail(look(S(MIXED PART("text/xml", "<feedback><x></feedback>")
			       PART("text/xml", DMARC("2")) END),
			 &r),
		    FAIL_SYNTAX);
	assert_int_equal(r.kind, INCOMING_NOTHING);
	assert_int_equal(r.aggregate.records_n, 0);
	assert_fail(look(S(MIXED PART("message/feedback-report", "Version: 1\r\n") END), &r),
		    FAIL_SYNTAX);
	assert_int_equal(r.kind, INCOMING_NOTHING);
}

static void test_parts_are_bounded(void **state)
{
	struct buf *mail = buf_new(a, 1 << 20);
	struct incoming_report r;

	(void)state;
	buf_add(mail, S(MIXED));
	for (int i = 0; i < INCOMING_PARTS; i++)
		buf_add(mail, S(PART("application/zip", "no zip")));
	buf_add(mail, S(PART("text/xml", DMARC("1")) END));
	assert_ok(look(buf_str(mail), &r));
	assert_int_equal(r.kind, INCOMING_NOTHING);
}

/* A complaint about a long mail comes cut, at any byte: what is there of it is read. */
static void test_cut_complaint(void **state)
{
	str mail =
	    S(MIXED PART("text/plain", "a complaint") PART("message/feedback-report", FEEDBACK)
		  PART("message/rfc822", "From: x@e.example\r\nSubject: s\r\n"
					 "Message-ID: <1@e.example>\r\n\r\nbody") END);
	size_t whole = str_find_str(mail, S("User-Agent")), named = 0;
	struct incoming_report r;

	(void)state;
	for (size_t n = 0; n <= mail.n; n++) {
		const struct fail *f = look(str_slice(mail, 0, n), &r);
		assert_int_equal(r.kind == INCOMING_FEEDBACK, r.feedback.type.n > 0);
		if (n >= whole) {
			assert_null(f);
			assert_int_equal(r.feedback.kind, FEEDBACK_ABUSE);
		}
		named += str_eq(r.feedback.message_id, S("1@e.example"));
	}
	assert_in_range(named, 10, 100);
	assert_str(r.feedback.original_to[0], S("to@e.example"));
}

static void test_long_complaint(void **state)
{
	struct buf *fields = buf_new(a, FEEDBACK_BYTES + 1000);
	struct feedback_report r;

	(void)state;
	buf_add(fields, S(FEEDBACK));
	while (fields->n < FEEDBACK_BYTES - 100)
		buf_add(fields, S("Reported-Domain: e.example\r\n"));
	assert_ok(feedback_read(a, buf_str(fields), STR_NONE, &r));
	assert_int_equal(r.domains_n, FEEDBACK_LIST);
	while (fields->n <= FEEDBACK_BYTES)
		buf_add(fields, S("Reported-Domain: e.example\r\n"));
	assert_fail(feedback_read(a, buf_str(fields), STR_NONE, &r), FAIL_TOO_LARGE);
	assert_ok(feedback_read(a, S("Feedback-Type: abuse\r\nIncidents: 18446744073709551615\r\n"),
				STR_NONE, &r));
	assert_int_equal(r.incidents, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT_TEST(test_found),         UNIT_TEST(test_ordinary),
		UNIT_TEST(test_broken),        UNIT_TEST(test_parts_are_bounded),
		UNIT_TEST(test_cut_complaint), UNIT_TEST(test_long_complaint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
