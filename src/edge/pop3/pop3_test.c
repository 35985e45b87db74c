/* Whole sessions against a fake office and login: each command, states, stuffing, what an unclean end leaves. */
#include "base/unit.h"

#include "base/log.h"
#include "edge/pop3/pop3.h"
#include "edge/talk_test.h"

static const char two_lines[] = "Subject: a\r\n\r\none\r\n.two\r\n";
static const char dots[] = "Subject: b\r\n\r\n.\r\n..\r\n.x\r\nend\r\n";

/* A script: lines that begin with '>' are sent, '<' are expected, with '*' for any bytes. */
static void run(struct talk *t, const char *script)
{
	struct arena *a = arena_new(8 << 20);
	str rest = str_cstr(script), line;

	while (rest.n) {
		size_t n = str_find(rest, '\n');
		str step = str_slice(rest, 0, n), text = str_skip(step, 2);
		rest = n == SIZE_MAX ? STR_NONE : str_skip(rest, n + 1);
		if (step.p[0] == '>') {
			talk_send(t, text);
			talk_send(t, S("\r\n"));
			continue;
		}
		if (!talk_line(t, a, &line))
			fail_msg("the session ended before \"%.*s\"", STR_ARG(text));
		if (!talk_matches(text, line))
			fail_msg("got \"%.*s\", expected \"%.*s\"", STR_ARG(line), STR_ARG(text));
	}
	arena_free(&a);
}

static struct fake *fake_with_mail(void)
{
	struct fake *x = fake_new();

	fake_fill(x, "INBOX", str_cstr(two_lines), 1);
	fake_fill(x, "INBOX", str_cstr(dots), 1);
	return x;
}

#define LOG_IN "< +OK *\n> USER alice@example.test\n< +OK *\n> PASS alice\n< +OK 2 messages\n"

static void check_script(const char *script)
{
	struct fake *x = fake_with_mail();
	struct talk t;

	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	run(&t, script);
	talk_end(&t);
	assert_false(x->locked); /* given back, however it ended */
	fake_free(&x);
}

static void test_before_login(void **state)
{
	(void)state;
	check_script(
	    "< +OK *\n> CAPA\n< +OK\n< TOP\n< UIDL\n< RESP-CODES\n< AUTH-RESP-CODE\n< PIPELINING\n"
	    "< EXPIRE NEVER\n< IMPLEMENTATION *\n< STLS\n< USER\n< SASL *PLAIN*\n< .\n"
	    "> STAT\n< -ERR *\n> RETR 1\n< -ERR *\n> PASS alice\n< -ERR *\n> NONSENSE\n< -ERR *\n"
	    "> USER\n< -ERR *\n> user a b\n< *\n> QUIT x\n< -ERR *\n> QUIT\n< +OK *\n");
}

static void test_login(void **state)
{
	(void)state;
	check_script(LOG_IN "> USER x\n< -ERR *\n> AUTH PLAIN\n< -ERR *\n> QUIT\n< +OK *\n");
	check_script(
	    "< +OK *\n> AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZQ==\n< +OK *\n> NOOP\n< +OK *\n");
	check_script(
	    "< +OK *\n> AUTH PLAIN\n< + *\n> AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZQ==\n< +OK *\n");
	check_script(
	    "< +OK *\n> AUTH PLAIN\n< + *\n> *\n< -ERR authentication cancelled\n> AUTH PLAIN !\n< -ERR *\n> AUTH X\n< -ERR *\n");
	check_script("< +OK *\n> USER alice@example.test\n< +OK *\n> PASS wrong\n< -ERR [AUTH] *\n"
		     "> USER alice@example.test\n< +OK *\n> PASS alice\n< +OK *\n");
}

/* RFC 1939 7: PASS comes immediately after a USER that was taken; what begins a login anew forgets it. */
static void test_a_name_does_not_outlive_its_login(void **state)
{
	(void)state;
	check_script(
	    "< +OK *\n> USER alice@example.test\n< +OK *\n> AUTH PLAIN\n< + *\n> *\n< -ERR *\n"
	    "> PASS alice\n< -ERR *\n");
	check_script(
	    "< +OK *\n> USER alice@example.test\n< +OK *\n> AUTH X\n< -ERR *\n> PASS alice\n< -ERR *\n");
	check_script(
	    "< +OK *\n> USER alice@example.test\n< +OK *\n> USER\n< -ERR *\n> PASS alice\n< -ERR *\n");
}

static void test_listings(void **state)
{
	(void)state;
	check_script(
	    LOG_IN "> STAT\n< +OK 2 *\n> LIST\n< +OK\n< 1 *\n< 2 *\n< .\n> LIST 2\n< +OK 2 *\n"
		   "> LIST 3\n< -ERR *\n> LIST 0\n< -ERR *\n> LIST 99999999999999999999\n< -ERR *\n"
		   "> UIDL\n< +OK\n< 1 *\n< 2 *\n< .\n> UIDL 1 2\n< -ERR *\n> QUIT\n< +OK *\n");
}

static void test_retrieval(void **state)
{
	(void)state;
	check_script(
	    LOG_IN
	    "> RETR 1\n< +OK *\n< Return-Path: *\n< Subject: a\n< \n< one\n< ..two\n< .\n"
	    "> RETR 2\n< +OK *\n< Return-Path: *\n< Subject: b\n< \n< ..\n< ...\n< ..x\n< end\n< .\n"
	    "> TOP 2 0\n< +OK *\n< Return-Path: *\n< Subject: b\n< \n< .\n"
	    "> TOP 2 2\n< +OK *\n< Return-Path: *\n< Subject: b\n< \n< ..\n< ...\n< .\n"
	    "> TOP 2 100\n< +OK *\n< Return-Path: *\n< Subject: b\n< \n< ..\n< ...\n< ..x\n< end\n< .\n"
	    "> TOP 2\n< -ERR *\n> TOP 9 1\n< -ERR *\n> NOOP\n< +OK *\n");
}

static void test_deletion(void **state)
{
	struct fake *x = fake_with_mail();
	struct talk t;

	(void)state;
	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	run(&t, LOG_IN
	    "> DELE 1\n< +OK *\n> DELE 1\n< -ERR *\n> RETR 1\n< -ERR *\n> STAT\n< +OK 1 *\n"
	    "> RSET\n< +OK *\n> STAT\n< +OK 2 *\n> DELE 2\n< +OK *\n> LIST\n< +OK\n< 1 *\n< .\n");
	talk_end(&t); /* without QUIT: RFC 1939 6 */
	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	run(&t, LOG_IN "> DELE 2\n< +OK *\n> QUIT\n< +OK *\n");
	talk_end(&t);
	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	run(&t, "< +OK *\n> USER alice@example.test\n< +OK *\n> PASS alice\n< +OK 1 messages\n"
		"> TOP 1 0\n< +OK *\n< *\n< Subject: a\n");
	talk_end(&t);
	fake_free(&x);
}

static void test_one_session_holds_the_maildrop(void **state)
{
	struct fake *x = fake_with_mail();
	struct talk t, u;

	(void)state;
	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	run(&t, LOG_IN);
	talk_start(&u, x, SERVICE_POP3, &pop3_protocol);
	run(&u, "< +OK *\n> USER alice@example.test\n< +OK *\n> PASS alice\n< -ERR [IN-USE] *\n");
	talk_end(&u);
	run(&t, "> NOOP\n< +OK *\n");
	talk_end(&t);
	fake_free(&x);
}

/* Who has heard the answer to QUIT may come again at once. */
static void test_quit_lets_the_next_in(void **state)
{
	struct fake *x = fake_with_mail();

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct talk t;

		talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
		run(&t, LOG_IN "> QUIT\n< +OK *\n");
		assert_false(x->locked);
		talk_end(&t);
	}
	fake_free(&x);
}

/* Another password, or a ticket whose time is over, ends no lock: it is given back without one. */
static void test_lock_is_given_back_without_a_ticket(void **state)
{
	struct fake *x = fake_with_mail();
	struct talk t;

	(void)state;
	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	run(&t, LOG_IN);
	x->expired = true;
	run(&t, "> RETR 1\n< -ERR [AUTH] *\n> QUIT\n< +OK *\n");
	talk_end(&t);
	assert_false(x->locked);
	fake_free(&x);
}

/* A thousand USERs cost no more than one; errors are counted and end it. */
static void test_bad_clients(void **state)
{
	struct fake *x = fake_with_mail();
	struct talk t;
	struct arena *a = arena_new(64 << 20);
	str line, last = STR_NONE;

	(void)state;
	x->peers.config->limit_errors = 5;
	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	for (int i = 0; i < 1000; i++)
		talk_send(&t,
			  S("USER somebody.with.a.long.name.that.would.add.up@example.test\r\n"));
	for (int i = 0; i < 1001; i++)
		assert_true(talk_line(&t, a, &line) && str_starts(line, S("+OK")));
	for (int i = 0; i < 10; i++)
		talk_send(&t, S("BAD\r\n"));
	while (talk_line(&t, a, &line))
		last = line;
	assert_true(talk_matches(S("-ERR *goodbye (id *)"), last));
	talk_end(&t);
	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	talk_send(&t, S("NOOP\nUSER x\r\n")); /* a bare LF ends it: nothing behind it is obeyed */
	assert_true(talk_line(&t, a, &line) && talk_line(&t, a, &line));
	assert_true(str_starts(line, S("-ERR")));
	assert_false(talk_line(&t, a, &line));
	talk_end(&t);
	arena_free(&a);
	fake_free(&x);
}

/* A response that is too long ends the exchange: what comes next is a command again. */
static void test_long_response(void **state)
{
	struct arena *a = arena_new(8 << 20);
	struct fake *x = fake_with_mail();
	struct talk t;
	str line;

	(void)state;
	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	run(&t, "< +OK *\n> AUTH LOGIN\n< + *\n");
	for (int i = 0; i < 200; i++)
		talk_send(
		    &t,
		    S("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
	talk_send(&t, S("\r\n"));
	assert_true(talk_line(&t, a, &line));
	assert_str(line, S("-ERR line too long"));
	run(&t, "> CAPA\n< +OK*\n");
	talk_end(&t);
	arena_free(&a);
	fake_free(&x);
}

/* RFC 2449 8.1.1: IN-USE says that another session has the maildrop; a login that must wait is something else. */
static void test_too_many_logins(void **state)
{
	struct fake *x = fake_with_mail();
	struct talk t;

	(void)state;
	x->peers.crowded = true;
	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	run(&t,
	    "< +OK *\n> USER alice@example.test\n< +OK *\n> PASS alice\n< -ERR [SYS/TEMP] too many logins at once\n");
	talk_end(&t);
	fake_free(&x);
}

/* Commands give the idle time anew, not the time to log in. */
static void test_slow_login(void **state)
{
	struct arena *a = arena_new(8 << 20);
	struct fake *x = fake_with_mail();
	struct talk t;
	int commands = 0;
	str line = STR_NONE;

	(void)state;
	x->peers.config->limit_login_time = 400;
	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	while (commands < 50 && talk_line(&t, a, &line) && str_starts(line, S("+OK"))) {
		usleep(100 * 1000);
		talk_send(&t, S("USER x\r\n"));
		commands++;
	}
	assert_str(line, S("-ERR [SYS/TEMP] too slow to log in"));
	talk_end(&t);
	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	run(&t, LOG_IN);
	usleep(500 * 1000);
	run(&t, "> NOOP\n< +OK *\n");
	talk_end(&t);
	arena_free(&a);
	fake_free(&x);
}

static int quiet(void **state)
{
	(void)state;
	log_name("test", LOG_ERROR);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_login),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_a_name_does_not_outlive_its_login),
		cmocka_unit_test(test_listings),
		cmocka_unit_test(test_retrieval),
		cmocka_unit_test(test_deletion),
		cmocka_unit_test(test_one_session_holds_the_maildrop),
		cmocka_unit_test(test_quit_lets_the_next_in),
		cmocka_unit_test(test_lock_is_given_back_without_a_ticket),
		cmocka_unit_test(test_bad_clients),
		cmocka_unit_test(test_too_many_logins),
		cmocka_unit_test(test_slow_login),
		cmocka_unit_test(test_long_response),
	};

	return cmocka_run_group_tests(tests, quiet, NULL);
}
