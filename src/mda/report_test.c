/* What a report says, for each kind of news; the form is text/dsn_test.c's affair. */
#include "base/unit.h"

#include "mda/mda.h"

static const str original = { (const u8 *)"Subject: secret plans\r\n\r\nthe body\r\n", 35 };

static str render_said(struct arena *a, u8 kind, const char *code, const char *remote, u8 ret,
		       const char *text)
{
	struct config *c = config_default(a);
	struct job_entry entry = { .entry = 1,
				   .address = S("far@remote.example"),
				   .original = S("alias@here.example"),
				   .orcpt = S("rfc822;first@here.example"),
				   .code = str_cstr(code),
				   .text = str_cstr(text),
				   .remote_mta = str_cstr(remote) };
	struct job job = { .id = 77,
			   .kind = kind,
			   .size = original.n,
			   .sender = S("ann@here.example"),
			   .envid = S("env-1"),
			   .ret = ret,
			   .entries = &entry,
			   .entries_n = 1,
			   .arrived = 1689999999000,
			   .expires = 1700000000000 };
	str out;

	assert_ok(mda_report_render(a, c, &job, original, 1690000000000, &out));
	return out;
}

static str render(struct arena *a, u8 kind, const char *code, const char *remote, u8 ret)
{
	return render_said(a, kind, code, remote, ret, "no\r\nBcc: everybody@remote.example");
}

static str render_of(struct arena *a, const char *text)
{
	return render_said(a, JOB_DSN_FAILURE, "5.0.0", "mx.remote.example", DSN_RET_UNSAID, text);
}

static bool has(str message, str part)
{
	return str_find_str(message, part) != SIZE_MAX;
}

static void test_news(void **state)
{
	static const struct {
		u8 kind;
		const char *code, *remote, *action;
	} rows[] = { { JOB_DSN_FAILURE, "5.1.1", "mx.remote.example", "Action: failed\r\n" },
		     { JOB_DSN_FAILURE, "4.4.7", "", "Action: failed\r\n" },
		     { JOB_DSN_FAILURE, "2.0.0", "mx.remote.example", "Action: relayed\r\n" },
		     { JOB_DSN_FAILURE, "2.1.5", "", "Action: delivered\r\n" },
		     { JOB_DSN_DELAY, "4.4.1", "", "Action: delayed\r\n" } };
	struct arena *a = arena_new(64 << 20);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		str out = render(a, rows[i].kind, rows[i].code, rows[i].remote, DSN_RET_UNSAID);
		assert_true(has(out, str_cstr(rows[i].action)));
		assert_true(has(out, str_format(a, "Status: %s\r\n", rows[i].code)));
		assert_true(has(out, S("first@here.example")));
		assert_true(has(out, S("secret plans")));
		assert_false(has(out, S("the body")));
		assert_int_equal(has(out, S("tried since Sat, 22 Jul 2023 04:26:39 +0000, then")),
				 i == 1);
		assert_false(has(out, S("\nBcc:"))); /* a reply cannot make a field */
	}
	arena_free(&a);
}

/* RFC 3464 2.3.5, 2.3.6: Remote-MTA is who reported it, and a diagnostic of type smtp is its reply. A host that could not be reached said nothing. */
static void test_who_said_it(void **state)
{
	struct arena *a = arena_new(64 << 20);
	str out = render_of(a, "550 5.1.1 nobody of this name");

	(void)state;
	assert_true(has(out, S("Remote-MTA: dns; mx.remote.example\r\n")));
	assert_true(has(out, S("Diagnostic-Code: smtp; 550 5.1.1 nobody")));
	assert_true(has(out, S("mx.remote.example said:\r\n")));
	out = render_of(a, "cannot connect: Connection refused");
	assert_false(has(out, S("Remote-MTA:")));
	assert_true(has(out, S("Diagnostic-Code: x-postern; cannot connect: Connection refused")));
	assert_true(
	    has(out, S("\r\n    mx.remote.example: cannot connect: Connection refused\r\n")));
	arena_free(&a);
}

/* More than fits is counted, not cut off in the middle of a word. */
static void test_many_recipients(void **state)
{
	enum { MANY = 3000 };
	struct arena *a = arena_new(256 << 20);
	struct job_entry *entries = arena_array_of(a, MANY, struct job_entry);
	char *said = arena_alloc(a, 20000);
	struct job job = { .id = 77,
			   .kind = JOB_DSN_FAILURE,
			   .size = original.n,
			   .sender = S("ann@here.example"),
			   .entries = entries,
			   .entries_n = MANY };
	str out;

	(void)state;
	memset(said, 'x', 20000);
	for (size_t i = 0; i < MANY; i++)
		entries[i] = (struct job_entry){ .entry = i + 1,
						 .address = S("far@remote.example"),
						 .code = S("5.1.1"),
						 .text = str_from(said, i ? 500 : 20000) };
	assert_ok(mda_report_render(a, config_default(a), &job, original, 1690000000000, &out));
	assert_true(has(out, S("more.\r\n")));
	assert_true(has(out, S("secret plans")));
	arena_free(&a);
}

static void test_full_only_when_asked(void **state)
{
	struct arena *a = arena_new(64 << 20);

	(void)state;
	assert_true(has(render(a, JOB_DSN_FAILURE, "5.1.1", "", DSN_RET_FULL), S("the body")));
	assert_false(has(render(a, JOB_DSN_FAILURE, "5.1.1", "", DSN_RET_HDRS), S("the body")));
	arena_free(&a);
}

static void test_decide(void **state)
{
	struct job job = { .id = 5 };

	(void)state;
	assert_int_equal(mda_decide(&job).special, SPECIAL_INBOX);
	job.junk = true;
	assert_int_equal(mda_decide(&job).special, SPECIAL_JUNK);
	assert_int_equal(mda_decide(&job).job, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_news),
					    cmocka_unit_test(test_who_said_it),
					    cmocka_unit_test(test_many_recipients),
					    cmocka_unit_test(test_full_only_when_asked),
					    cmocka_unit_test(test_decide) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
