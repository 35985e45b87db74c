#include "text/text_test.h"

#include "text/smtp_reply.h"

/* Lines separated by '\n'; NULL and *out, or the fail. */
static const struct fail *read_reply(str lines, struct smtp_reply *out, bool *done)
{
	struct smtp_reply_reader r;

	smtp_reply_start(&r, arena);
	*done = false;
	while (lines.n && !*done) {
		str line = str_slice(lines, 0, str_find(lines, '\n'));
		TRY(smtp_reply_feed(&r, line, done, out));
		lines = str_skip(lines, line.n + 1);
	}
	return NULL;
}

static void replies_are_read(void **state)
{
	static const struct {
		str lines, status, text;
	} rows[] = {
		{ S("250 ok"), S("2.0.0"), S("250 ok") },
		{ S("250"), S("2.0.0"), S("250") },
		{ S("550 5.1.1 no such user"), S("5.1.1"), S("550 5.1.1 no such user") },
		{ S("550-5.1.1 no\n550 5.1.1 user"), S("5.1.1"), S("550 5.1.1 no user") },
		{ S("550 5.1.1"), S("5.1.1"), S("550 5.1.1") },
		{ S("550 4.1.1 odd"), S("5.0.0"), S("550 4.1.1 odd") },
		{ S("550 5.1.1x odd"), S("5.0.0"), S("550 5.1.1x odd") },
		{ S("550 5.1234.1 odd"), S("5.0.0"), S("550 5.1234.1 odd") },
		{ S("421 a\r\0b"), S("4.0.0"), S("421 a??b") },
		{ S("550 \xFFz"), S("5.0.0"), S("550 ?z") },
		{ S("550 \xC3\xA9"), S("5.0.0"), S("550 \xC3\xA9") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct smtp_reply reply;
		bool done;
		assert_null(read_reply(rows[i].lines, &reply, &done));
		assert_true(done);
		assert_same(smtp_reply_status(arena, &reply), rows[i].status);
		assert_same(smtp_reply_text(arena, &reply), rows[i].text);
		assert_true(smtp_reply_is(smtp_reply_text(arena, &reply)));
		for (size_t n = 0; n < rows[i].lines.n; n++)
			(void)!read_reply(str_copy(arena, str_slice(rows[i].lines, 0, n)), &reply,
					  &done);
	}
}

static void bad_replies_are_refused(void **state)
{
	static const str bad[] = { S("25"),     S("x50 a"),        S("150 a"),
				   S("999 a"),  S("260 a"),        S("250x"),
				   S("-250 a"), S("250-a\n550 b"), S("HTTP/1.1 200 OK"),
				   S("2 50 a") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct smtp_reply reply;
		bool done;
		assert_code(read_reply(bad[i], &reply, &done), "4.5.0");
	}
}

static void limits_hold(void **state)
{
	struct smtp_reply_reader r;
	struct smtp_reply reply;
	bool done;
	u8 line[SMTP_REPLY_LINE + 1];

	(void)state;
	memset(line, 'a', sizeof line);
	memcpy(line, "250-", 4);
	smtp_reply_start(&r, arena);
	for (size_t i = 0; i < SMTP_REPLY_LINES; i++)
		assert_null(smtp_reply_feed(&r, str_from(line, SMTP_REPLY_LINE), &done, &reply));
	assert_int_equal(smtp_reply_text(arena, &reply).n, SMTP_REPLY_TEXT);
	assert_code(smtp_reply_feed(&r, S("250 a"), &done, &reply), "4.5.0");
	smtp_reply_start(&r, arena);
	assert_code(smtp_reply_feed(&r, str_from(line, sizeof line), &done, &reply), "4.5.0");
}

static void extensions_are_found(void **state)
{
	struct smtp_reply reply;
	bool done;
	str params;

	(void)state;
	assert_null(read_reply(S("250-SIZE greets\n250-size 1000\n250-AUTH  PLAIN LOGIN \n250 DSN"),
			       &reply, &done));
	assert_true(smtp_reply_extension(&reply, S("SIZE"), &params));
	assert_str(params, "1000");
	assert_true(smtp_reply_extension(&reply, S("AUTH"), &params));
	assert_str(params, "PLAIN LOGIN");
	assert_true(smtp_reply_extension(&reply, S("dsn"), &params));
	assert_str(params, "");
	assert_false(smtp_reply_extension(&reply, S("STARTTLS"), &params));
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(replies_are_read), TEST(bad_replies_are_refused),
					    TEST(limits_hold), TEST(extensions_are_found) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
