#include "text/text_test.h"

#include "text/address.h"
#include "text/dsn.h"
#include "text/header.h"
#include "text/skeleton.h"

static const struct dsn_recipient failed = { .final = S("bob@example.net"),
					     .original_type = S("rfc822"),
					     .original = S("Bob@example.net"),
					     .action = DSN_FAILED,
					     .status = S("5.1.1"),
					     .remote_mta = S("mx.example.net"),
					     .diagnostic = S("550 5.1.1 no such user"),
					     .last_attempt = 1795289107000 };

static struct dsn example(void)
{
	return (struct dsn){
		.from_name = S("Mail Delivery System"),
		.from = S("MAILER-DAEMON@mx.example.org"),
		.to = S("alice@example.org"),
		.subject = S("Your message could not be delivered"),
		.message_id = S("<1@mx.example.org>"),
		.date = 1795289107000,
		.text = S("Your message was not delivered.\n"),
		.language = S("en"),
		.reporting_mta = S("mx.example.org"),
		.envelope_id = S("QQ314159"),
		.arrival = 1795289100000,
		.recipients = &failed,
		.recipients_n = 1,
		.original = S("Subject: hello\r\nFrom: alice@example.org\r\n\r\nsecret body\r\n")
	};
}

static str print(const struct dsn *d)
{
	struct buf *out = buf_new(arena, 1 << 20);

	assert_null(dsn_print(arena, d, out));
	assert_false(out->full);
	return buf_str(out);
}

static const struct skeleton *parse(str message)
{
	struct skeleton_parser *p = skeleton_parser_new(arena);
	const struct skeleton *s = NULL;

	assert_null(skeleton_feed(p, message));
	assert_null(skeleton_finish(p, &s));
	assert_false(s->flags &
		     (SKELETON_BROKEN_MIME | SKELETON_CUT | SKELETON_NUL | SKELETON_LONG_LINE));
	return s;
}

static str body(str message, const struct skeleton_part *part)
{
	return str_slice(message, part->body_at, part->end);
}

static void report_is_written(void **state)
{
	struct dsn d = example();
	str text = print(&d);
	const struct skeleton *s = parse(text);

	(void)state;
	assert_int_equal(s->parts_n, 4);
	assert_str(s->parts[0].subtype, "REPORT");
	assert_str(body(text, &s->parts[1]), "Your message was not delivered.\r\n");
	assert_str(s->parts[2].subtype, "DELIVERY-STATUS");
	assert_str(body(text, &s->parts[2]),
		   "Original-Envelope-Id: QQ314159\r\n"
		   "Reporting-MTA: dns; mx.example.org\r\n"
		   "Arrival-Date: Sat, 21 Nov 2026 19:25:00 +0000\r\n"
		   "\r\n"
		   "Original-Recipient: rfc822; Bob@example.net\r\n"
		   "Final-Recipient: rfc822; bob@example.net\r\n"
		   "Action: failed\r\n"
		   "Status: 5.1.1\r\n"
		   "Remote-MTA: dns; mx.example.net\r\n"
		   "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
		   "Last-Attempt-Date: Sat, 21 Nov 2026 19:25:07 +0000\r\n");
	assert_str(s->parts[3].type, "TEXT");
	assert_str(s->parts[3].subtype, "RFC822-HEADERS");
	assert_str(body(text, &s->parts[3]), "Subject: hello\r\nFrom: alice@example.org\r\n\r\n");
	assert_str(s->envelope.to[0].mailbox, "alice");
}

static void whole_message_goes_back_on_failure_only(void **state)
{
	struct dsn d = example();
	struct dsn_recipient delayed = failed;
	str text;

	(void)state;
	d.return_full = true;
	text = print(&d);
	assert_true(str_find_str(text, S("Content-Type: message/rfc822\r\n")) != SIZE_MAX);
	assert_true(str_find_str(text, S("secret body")) != SIZE_MAX);
	delayed.action = DSN_DELAYED;
	delayed.status = S("4.4.1");
	delayed.remote_mta = STR_NONE;
	delayed.will_retry_until = 1795289107000;
	d.recipients = &delayed;
	text = print(&d);
	assert_true(str_find_str(text, S("secret body")) == SIZE_MAX);
	assert_true(str_find_str(text, S("Will-Retry-Until: Sat, 21")) != SIZE_MAX);
	assert_true(str_find_str(text, S("Diagnostic-Code: x-postern;")) != SIZE_MAX);
}

static void utf8_is_told(void **state)
{
	struct dsn_recipient r = failed;
	struct dsn d = example();
	str text;

	(void)state;
	r.final = S("j\xC3\xA9@example.net");
	d.recipients = &r;
	d.subject = S("Niet bezorgd: caf\xC3\xA9");
	d.text = S("caf\xC3\xA9\n");
	text = print(&d);
	assert_true(str_is_ascii(text));
	assert_true(str_find_str(text, S("Final-Recipient: utf-8; j\\x{E9}@example.net\r\n")) !=
		    SIZE_MAX);
	assert_str(parse(text)->preview, "caf\xC3\xA9");
	d.utf8 = true;
	d.original = S("Subject: \xC3\xA9\r\n\r\n");
	text = print(&d);
	assert_true(str_find_str(text, S("Final-Recipient: utf-8; j\xC3\xA9@example.net\r\n")) !=
		    SIZE_MAX);
	assert_true(str_find_str(text, S("message/global-delivery-status")) != SIZE_MAX);
	assert_true(str_find_str(text, S("report-type=global-delivery-status")) != SIZE_MAX);
	assert_true(str_find_str(text, S("message/global-headers")) != SIZE_MAX);
	parse(text);
}

/* THREATS S18, H11: whatever a peer said, the status part has the same fields. */
static void peers_cannot_add_lines(void **state)
{
	struct dsn_recipient r = failed;
	struct dsn d = example();
	str text, status;
	const struct skeleton *s;
	size_t fields = 0;
	struct header_field f;

	(void)state;
	r.diagnostic = S("550 no\r\nAction: delivered\r\n\r\n--x\0 \x1B[0m\xFF");
	r.remote_mta = S("mx\r\nAction: delivered");
	d.recipients = &r;
	text = print(&d);
	s = parse(text);
	status = body(text, &s->parts[2]);
	while (header_next(&status, &f))
		fields++;
	assert_int_equal(fields, 3);
	for (fields = 0; header_next(&status, &f); fields++)
		assert_true(f.name.n > 0);
	assert_int_equal(fields, 7);
}

static void bad_values_are_refused(void **state)
{
	static const str statuses[] = { S(""),          S("5"),       S("5.1"),
					S("3.1.1"),     S("5.1.1.1"), S("5.1234.1"),
					S("5.1.1\r\n"), S("5..1"),    S("5.1.") };
	struct dsn_recipient r = failed;
	struct dsn d = example();
	struct buf *out = buf_new(arena, 1 << 20);

	(void)state;
	d.recipients = &r;
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		r.status = statuses[i];
		assert_non_null(dsn_print(arena, &d, out));
	}
	r = failed;
	d.to = STR_NONE;
	assert_non_null(dsn_print(arena, &d, out));
	d = example();
	d.recipients_n = 0;
	assert_non_null(dsn_print(arena, &d, out));
	d = example();
	d.message_id = S("<1@x>\r\nBcc: y");
	assert_non_null(dsn_print(arena, &d, out));
}

static void boundary_is_free(void **state)
{
	struct dsn d = example();
	str first = print(&d), boundary = S("=_report_1a201a23ab8_0");
	const struct skeleton *s = parse(first);

	(void)state;
	for (size_t i = 0; i < s->parts[0].params_n; i++)
		if (str_eq(s->parts[0].params[i].name, S("boundary")))
			boundary = s->parts[0].params[i].value;
	d.original = str_format(arena, "A: b\r\n\r\n--%.*s\r\n\r\nevil\r\n", STR_ARG(boundary));
	d.return_full = true;
	/* Controls are taken out of the text: that must not make one. */
	d.text = str_format(arena, "--\x01%.*s\n", STR_ARG(boundary));
	s = parse(print(&d));
	assert_int_equal(s->parts_n, 5); /* the message and its own part */
}

static void output_is_bounded(void **state)
{
	struct dsn d = example();

	(void)state;
	for (size_t max = 0; max < 1500; max += 7) {
		struct buf *out = buf_new(arena, max);
		const struct fail *f = dsn_print(arena, &d, out);
		assert_true(out->n <= max);
		assert_true(out->full || f == NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(report_is_written),      TEST(whole_message_goes_back_on_failure_only),
		TEST(utf8_is_told),           TEST(peers_cannot_add_lines),
		TEST(bad_values_are_refused), TEST(boundary_is_free),
		TEST(output_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
