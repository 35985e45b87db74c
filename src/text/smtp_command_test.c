#include "text/text_test.h"

#include "text/smtp_command.h"

enum { ALL = 0x3F };

static void commands_are_read(void **state)
{
	static const struct {
		str line;
		enum smtp_verb verb;
		str argument;
	} rows[] = {
		{ S("EHLO a.example"), SMTP_EHLO, S("a.example") },
		{ S("mAiL FROM:<> "), SMTP_MAIL, S("FROM:<>") },
		{ S("DATA"), SMTP_DATA, S("") },
		{ S("DATA  "), SMTP_DATA, S("") },
		{ S("NOOP  x y"), SMTP_NOOP, S("x y") },
		{ S("GET / HTTP/1.1"), SMTP_UNKNOWN, S("/ HTTP/1.1") },
		{ S(""), SMTP_UNKNOWN, S("") },
		{ S(" QUIT"), SMTP_UNKNOWN, S("QUIT") },
		{ S("QUITX"), SMTP_UNKNOWN, S("") },
	};
	struct smtp_command c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_null(smtp_command_parse(arena, rows[i].line, &c));
		assert_int_equal(c.verb, rows[i].verb);
		assert_same(c.argument, rows[i].argument);
	}
	assert_code(smtp_command_parse(arena, S("DATA x"), &c), "5.5.4");
	assert_code(smtp_command_parse(arena, S("RCPT"), &c), "5.5.4");
	assert_code(smtp_command_parse(arena, S("NOOP\0"), &c), "5.5.2");
	assert_code(smtp_command_parse(arena, S("NO\rOP"), &c), "5.5.2");
	assert_code(smtp_command_parse(arena, S("NOOP\ta"), &c), "5.5.2");
}

static void mail_is_read(void **state)
{
	str line =
	    S("FROM:<a@b> SIZE=123 body=8bitmime SMTPUTF8 RET=HDRS ENVID=a+2Bb AUTH=e+3Dc@d");
	struct smtp_mail m;

	(void)state;
	assert_null(smtp_mail_parse(arena, line, ALL, &m));
	assert_str(m.from.local, "a");
	assert_true(m.has_size && m.size == 123);
	assert_int_equal(m.body, SMTP_BODY_8BITMIME);
	assert_true(m.smtputf8);
	assert_int_equal(m.ret, SMTP_RET_HDRS);
	assert_str(m.envid, "a+b");
	assert_true(m.has_auth);
	assert_str(m.auth, "e=c@d");
	for (size_t n = 0; n < line.n; n++)
		(void)!smtp_mail_parse(arena, str_copy(arena, str_slice(line, 0, n)), ALL, &m);
	assert_null(smtp_mail_parse(arena, S("from: <> AUTH=<>"), ALL, &m));
	assert_true(m.from.null && m.has_auth && m.auth.n == 0);
	assert_null(smtp_mail_parse(arena, S("FROM:<j\xC3\xA9@b> SMTPUTF8"), ALL, &m));
	assert_true(m.from.utf8);
	assert_null(smtp_mail_parse(arena, S("FROM:<a@b> SIZE=18446744073709551615"), ALL, &m));
	assert_true(m.size == UINT64_MAX);
}

static void bad_mail_is_refused(void **state)
{
	static const struct {
		str argument, code;
	} rows[] = {
		{ S("FROM"), S("5.5.4") },
		{ S("TO:<a@b>"), S("5.5.4") },
		{ S("FROM:a@b"), S("5.1.7") },
		{ S("FROM:<a@b>x"), S("5.5.4") },
		{ S("FROM:<a@b>SIZE=1"), S("5.5.4") },
		{ S("FROM:<Postmaster>"), S("5.1.7") },
		{ S("FROM:<a@b> XYZ"), S("5.5.4") },
		{ S("FROM:<a@b> SIZE"), S("5.5.4") },
		{ S("FROM:<a@b> SIZE="), S("5.5.4") },
		{ S("FROM:<a@b> SIZE=-1"), S("5.5.4") },
		{ S("FROM:<a@b> SIZE=1e9"), S("5.5.4") },
		{ S("FROM:<a@b> SIZE=18446744073709551616"), S("5.3.4") },
		{ S("FROM:<a@b> SIZE=100000000000000000000"), S("5.5.4") },
		{ S("FROM:<a@b> SIZE=1 SIZE=1"), S("5.5.4") },
		{ S("FROM:<a@b> BODY=9BIT"), S("5.5.4") },
		{ S("FROM:<a@b> SMTPUTF8=1"), S("5.5.4") },
		{ S("FROM:<a@b> RET=BOTH"), S("5.5.4") },
		{ S("FROM:<a@b> ENVID=a+00"), S("5.5.4") },
		{ S("FROM:<a@b> ENVID=a+0Ab"), S("5.5.4") },
		{ S("FROM:<a@b> ENVID=a+4"), S("5.5.4") },
		{ S("FROM:<a@b> AUTH=nobody"), S("5.5.4") },
		{ S("FROM:<a@b> AUTH=a+0D+0Ab@c"), S("5.5.4") },
		{ S("FROM:<a@b> NOTIFY=NEVER"), S("5.5.4") },
		{ S("FROM:<j\xC3\xA9@b>"), S("5.6.7") },
	};
	struct smtp_mail m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct fail *f = smtp_mail_parse(arena, rows[i].argument, ALL, &m);
		assert_non_null(f);
		assert_same(f->code, rows[i].code);
	}
}

static void parameters_need_their_extension(void **state)
{
	static const struct {
		str argument;
		unsigned extension;
	} rows[] = {
		{ S("FROM:<a@b> SIZE=1"), SMTP_EXT_SIZE },
		{ S("FROM:<a@b> BODY=8BITMIME"), SMTP_EXT_8BITMIME },
		{ S("FROM:<a@b> BODY=BINARYMIME"), SMTP_EXT_BINARYMIME },
		{ S("FROM:<a@b> SMTPUTF8"), SMTP_EXT_SMTPUTF8 },
		{ S("FROM:<a@b> RET=FULL"), SMTP_EXT_DSN },
		{ S("FROM:<a@b> ENVID=x"), SMTP_EXT_DSN },
		{ S("FROM:<a@b> AUTH=<>"), SMTP_EXT_AUTH },
	};
	struct smtp_mail m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct fail *f =
		    smtp_mail_parse(arena, rows[i].argument, ALL & ~rows[i].extension, &m);
		assert_non_null(f);
		assert_null(smtp_mail_parse(arena, rows[i].argument, rows[i].extension, &m));
	}
	assert_int_equal(smtp_mail_parse(arena, S("FROM:<a@b> SIZE=1"), 0, &m)->what, FAIL_INVALID);
}

static void rcpt_is_read(void **state)
{
	struct smtp_rcpt r;

	(void)state;
	assert_null(smtp_rcpt_parse(arena, S("TO:<a@b> NOTIFY=success,DELAY ORCPT=rfc822;a+2Bc@d"),
				    ALL, false, &r));
	assert_int_equal(r.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY);
	assert_str(r.orcpt_type, "rfc822");
	assert_str(r.orcpt, "a+c@d");
	assert_null(smtp_rcpt_parse(arena, S("TO:<postmaster>"), 0, false, &r));
	assert_null(smtp_rcpt_parse(arena, S("TO:<a@b> ORCPT=UTF-8;\\x{E9}+40b"), ALL, false, &r));
	assert_str(r.orcpt, "\xC3\xA9@b");
	assert_null(smtp_rcpt_parse(arena, S("TO:<a@b> ORCPT=utf-8;\xC3\xA9@b"), ALL, true, &r));
	assert_str(r.orcpt, "\xC3\xA9@b");
}

static void bad_rcpt_is_refused(void **state)
{
	static const struct {
		str argument, code;
	} rows[] = {
		{ S("TO:<>"), S("5.1.3") },
		{ S("TO:<\"\"@>"), S("5.1.3") },
		{ S("TO:<j\xC3\xA9@b>"), S("5.6.7") },
		{ S("TO:<a@b> NOTIFY=NEVER,DELAY"), S("5.5.4") },
		{ S("TO:<a@b> NOTIFY=DELAY,DELAY"), S("5.5.4") },
		{ S("TO:<a@b> NOTIFY=DELAY,"), S("5.5.4") },
		{ S("TO:<a@b> NOTIFY=,DELAY"), S("5.5.4") },
		{ S("TO:<a@b> NOTIFY="), S("5.5.4") },
		{ S("TO:<a@b> ORCPT=rfc822"), S("5.5.4") },
		{ S("TO:<a@b> ORCPT=;x"), S("5.5.4") },
		{ S("TO:<a@b> ORCPT=rfc822;a+0Ab"), S("5.5.4") },
		{ S("TO:<a@b> ORCPT=rfc822;\xC3\xA9"), S("5.5.4") },
		{ S("TO:<a@b> ORCPT=utf-8;\xC3\xA9"), S("5.5.4") },
		{ S("TO:<a@b> ORCPT=utf-8;\\x{A}"), S("5.5.4") },
		{ S("TO:<a@b> ORCPT=utf-8;\\x{D800}"), S("5.5.4") },
		{ S("TO:<a@b> ORCPT=utf-8;\\x{110000}"), S("5.5.4") },
		{ S("TO:<a@b> ORCPT=utf-8;\\x"), S("5.5.4") },
		{ S("TO:<a@b> SIZE=1"), S("5.5.4") },
	};
	struct smtp_rcpt r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct fail *f = smtp_rcpt_parse(arena, rows[i].argument, ALL, false, &r);
		assert_non_null(f);
		assert_same(f->code, rows[i].code);
	}
}

/* At the limit, one above, far above. */
static void limits_hold(void **state)
{
	static const size_t envid[] = { 100, 101, 10000 }, orcpt[] = { 493, 494, 10000 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct buf *line = buf_new(arena, 20000);
		struct smtp_mail m;
		struct smtp_rcpt r;
		buf_add(line, S("FROM:<a@b> ENVID="));
		for (size_t n = 0; n < envid[i]; n++)
			buf_add_byte(line, 'x');
		assert_int_equal(smtp_mail_parse(arena, buf_str(line), ALL, &m) == NULL, i == 0);
		buf_reset(line);
		buf_add(line, S("TO:<a@b> ORCPT=rfc822;"));
		for (size_t n = 0; n < orcpt[i]; n++)
			buf_add_byte(line, 'x');
		assert_int_equal(smtp_rcpt_parse(arena, buf_str(line), ALL, false, &r) == NULL,
				 i == 0);
	}
}

static void bdat_is_read(void **state)
{
	static const str bad[] = { S(""),        S("x"),
				   S("-1"),      S("1x"),
				   S("1 LAS"),   S("1 LAST x"),
				   S("1  LAST"), S("18446744073709551616"),
				   S("LAST") };
	u64 size;
	bool last;

	(void)state;
	assert_null(smtp_bdat_parse(arena, S("0 last"), &size, &last));
	assert_true(size == 0 && last);
	assert_null(smtp_bdat_parse(arena, S("9223372036854775808"), &size, &last));
	assert_true(size == (u64)1 << 63 && !last);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_code(smtp_bdat_parse(arena, bad[i], &size, &last), "5.5.4");
}

static void ehlo_is_checked(void **state)
{
	static const str good[] = { S("a"),
				    S("a.b."),
				    S("my_pc.local"),
				    S("[192.0.2.1]"),
				    S("[IPv6:::1]"),
				    S("b\xC3\xBC"
				      "cher.example") };
	static const str bad[] = { S("a b"),  S("a(b)"), S("\"a\""), S("[1.2.3]"),  S("<a>"),
				   S("a..b"), S("\xFF"), S("a,b"),   S("[IPv6:zz]") };
	str name;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_null(smtp_ehlo_parse(arena, good[i], &name));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_code(smtp_ehlo_parse(arena, bad[i], &name), "5.5.4");
}

static void auth_is_read(void **state)
{
	str mechanism, initial;
	bool has;

	(void)state;
	assert_null(smtp_auth_parse(arena, S("plain AGEAYg=="), &mechanism, &has, &initial));
	assert_str(mechanism, "PLAIN");
	assert_true(has);
	assert_str(initial, "AGEAYg==");
	assert_null(smtp_auth_parse(arena, S("SCRAM-SHA-256"), &mechanism, &has, &initial));
	assert_false(has);
	assert_non_null(smtp_auth_parse(arena, S("PLAIN a b"), &mechanism, &has, &initial));
	assert_non_null(smtp_auth_parse(arena, S("PL:AIN"), &mechanism, &has, &initial));
	assert_non_null(
	    smtp_auth_parse(arena, S("AAAAAAAAAAAAAAAAAAAAA"), &mechanism, &has, &initial));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(commands_are_read),   TEST(mail_is_read),
		TEST(bad_mail_is_refused), TEST(parameters_need_their_extension),
		TEST(rcpt_is_read),        TEST(bad_rcpt_is_refused),
		TEST(limits_hold),         TEST(bdat_is_read),
		TEST(ehlo_is_checked),     TEST(auth_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
