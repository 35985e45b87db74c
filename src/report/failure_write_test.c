/* What a failure report shows of a message, and what it hides. */
#include "base/unit.h"

#include "base/buf.h"
#include "report/failure_write.h"

static const u8 key[FAILURE_KEY] = "a key that only this test knows";

static bool has(str text, const char *part)
{
	return str_find_str(text, str_cstr(part)) != SIZE_MAX;
}

static str redact(struct arena *a, const char *header)
{
	struct buf *out = buf_new(a, FAILURE_HEADER);

	failure_redact(a, str_cstr(header), key, out);
	return buf_str(out);
}

static void test_hidden(void **state)
{
	struct arena *a = arena_new(1 << 22);
	str out =
	    redact(a, "Received: from x (Hello joe@helo.example) by mx\r\n"
		      "\tfor <alice.secret@ours.example>; Sat, 21 Nov 2026 12:00:00 +0000\r\n"
		      "From: \"Joe Private\" <joe.private@author.example>\r\n"
		      "Sender: =?utf-8?q?Joe?= <\"joe private\"@author.example>\r\n"
		      "To: Alice <alice.secret@ours.example>\r\n"
		      "Cc: bob@ours.example\r\n"
		      "Subject: our merger\r\n"
		      "X-Spam: yes\r\n"
		      "Message-ID: <id-77@author.example>\r\n"
		      "DKIM-Signature: v=1; d=author.example; i=joe.private@author.example;\r\n"
		      "\ts=s1; b=abc\r\n"
		      "DKIM-Signature: v=1; d=z.example; z=From:=20joe=40author.example; b=abc\r\n"
		      "Return-Path: <joe.private@author.example>\r\n");

	(void)state;
	assert_false(has(out, "alice"));
	assert_false(has(out, "Alice"));
	assert_false(has(out, "joe"));
	assert_false(has(out, "Joe"));
	assert_false(has(out, "bob"));
	assert_false(has(out, "private"));
	assert_false(has(out, "merger"));
	assert_false(has(out, "Subject"));
	assert_false(has(out, "X-Spam"));
	assert_false(has(out, "z.example"));
	assert_true(has(out, "<id-77@author.example>"));
	assert_true(has(out, "@ours.example>; Sat, 21 Nov 2026"));
	assert_true(has(out, "d=author.example; i="));
	arena_free(&a);
}

/* A quote inside of a quoted local part is not where it begins; nor is one that our own results quoted once more. */
static void test_quoted(void **state)
{
	struct arena *a = arena_new(1 << 22);
	str out =
	    redact(a, "Return-Path: <\"joe.secret\\\"private\"@author.example>\r\n"
		      "Authentication-Results: mx; spf=fail\r\n"
		      " smtp.mailfrom=\"\\\"joe.secret\\\\\\\"private\\\"@author.example\"\r\n");

	(void)state;
	assert_false(has(out, "secret"));
	assert_false(has(out, "private"));
	assert_true(has(out, "Return-Path: <"));
	assert_true(has(out, "@author.example>"));
	assert_true(has(out, "spf=fail\r\n smtp.mailfrom="));
	arena_free(&a);
}

/* RFC 6590 4: the same person looks the same, others do not, and another key gives other words. */
static void test_hash(void **state)
{
	static const u8 other[FAILURE_KEY] = "another key";
	struct arena *a = arena_new(1 << 22);
	struct buf *by_other = buf_new(a, 1024);
	str one = redact(a, "From: joe@a.example\r\n"),
	    upper = redact(a, "From: JOE@a.example\r\n"),
	    ann = redact(a, "From: ann@a.example\r\n");

	(void)state;
	assert_true(str_eq(one, upper));
	assert_false(str_eq(one, ann));
	failure_redact(a, S("From: joe@a.example\r\n"), other, by_other);
	assert_false(str_eq(one, buf_str(by_other)));
	arena_free(&a);
}

static void test_odd_bytes(void **state)
{
	struct arena *a = arena_new(1 << 22);
	struct buf *long_line = buf_new(a, 4096);
	str out;

	(void)state;
	out = redact(a, "Received: from \xFF\x01 by @ @@ \"@x\r\n");
	for (size_t i = 0; i < out.n; i++)
		assert_true(out.p[i] < 0x7F && (out.p[i] >= ' ' || str_has(S("\r\n\t"), out.p[i])));
	buf_add(long_line, S("Received: "));
	for (int i = 0; i < 1000; i++)
		buf_add_byte(long_line, 'x');
	buf_add(long_line, S("\r\nDate: x\r\n"));
	out = STR_NONE;
	{
		struct buf *short_out = buf_new(a, FAILURE_HEADER);
		failure_redact(a, buf_str(long_line), key, short_out);
		out = buf_str(short_out);
	}
	assert_true(str_eq(out, S("Date: x\r\n")));
	arena_free(&a);
}

static void test_mail(void **state)
{
	static const str to[] = { { (const u8 *)"ruf@author.example", 18 } };
	struct arena *a = arena_new(1 << 24);
	struct buf *out = buf_new(a, 1 << 20);
	struct failure_mail m = { .org = S("Ours"),
				  .from = S("dmarc@ours.example"),
				  .message_id = S("<1@ours.example>"),
				  .to = to,
				  .to_n = 1,
				  .now = 1790000000000,
				  .arrival = 1789999999000,
				  .domain = S("author.example"),
				  .source = S("\xC0\x00\x02\x01"),
				  .port = 4711,
				  .mail_from = S("joe@bounce.example"),
				  .results =
				      S("mx.ours.example; dmarc=fail header.from=author.example"),
				  .spf_aligned = true,
				  .disposition = AGGREGATE_REJECT,
				  .dkim_domain = S("author.example"),
				  .dkim_selector = S("s1"),
				  .dkim_identity = S("joe@sub.author.example"),
				  .spf_domain = S("bounce.example"),
				  .spf_record = S("v=spf1 \"-all"),
				  .header = S("From: joe@author.example\r\n\r\n") };
	static const char *const parts[] = {
		"Content-Type: multipart/report; report-type=feedback-report;",
		"\r\nFeedback-Type: auth-failure\r\n",
		"\r\nAuth-Failure: dmarc\r\n",
		"\r\nIdentity-Alignment: dkim\r\n",
		"\r\nDelivery-Result: reject\r\n",
		"\r\nSource-IP: 192.0.2.1\r\n",
		"\r\nSource-Port: 4711\r\n",
		"\r\nReported-Domain: author.example\r\n",
		"\r\nDKIM-Domain: author.example\r\n",
		"\r\nDKIM-Selector: s1\r\n",
		"\r\nDKIM-Identity: @sub.author.example\r\n",
		"\r\nSPF-DNS: txt : bounce.example : \"v=spf1 \\\"-all\"\r\n",
		"\r\nContent-Type: text/rfc822-headers\r\n",
		"\r\nAuto-Submitted: auto-generated\r\n",
	};

	(void)state;
	assert_ok(failure_mail_write(a, &m, key, out));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!has(buf_str(out), parts[i]))
			fail_msg("missing: %s in\n%.*s", parts[i], STR_ARG(buf_str(out)));
	assert_false(has(buf_str(out), "joe"));
	m.to_n = 0;
	assert_fail(failure_mail_write(a, &m, key, out), FAIL_INVALID);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_hidden),
					    cmocka_unit_test(test_quoted),
					    cmocka_unit_test(test_hash),
					    cmocka_unit_test(test_odd_bytes),
					    cmocka_unit_test(test_mail) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
