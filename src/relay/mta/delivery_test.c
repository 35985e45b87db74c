/* Whole attempts against scripted servers: every stage with every way to fail, TLS, login, loops, sizes, many recipients, reuse. */
#include <signal.h>

#include "relay/mta/fake_test.h"

#include "base/env.h"
#include "relay/mta/delivery.h"

#define HELLO "> 220 fake ESMTP\n< EHLO me.test\n> 250-fake\n> 250 8BITMIME\n"
#define PIPELINED \
	"> 220 fake ESMTP\n< EHLO me.test\n> 250-fake\n> 250-PIPELINING\n> 250-SIZE 1000000\n> 250 8BITMIME\n"
#define ENVELOPE \
	"< MAIL FROM:<s@me.test>\n> 250 ok\n< RCPT TO:<r@[127.0.0.1]>\n> 250 ok\n< DATA\n> 354 go\n"

#define TIMES(ms)                                                                       \
	{                                                                               \
		.connect = (ms), .greeting = (ms), .handshake = (ms), .command = (ms),  \
		.mail = (ms), .rcpt = (ms), .data = (ms), .block = (ms), .final = (ms), \
		.quit = 50, .dns = (ms), .idle = 2000, .family = 1000                   \
	}
/* Servers that are to be waited for in vain get the first, so that a busy machine fails no test. */
static const struct mta_times fast = TIMES(500), patient = TIMES(4000);

static struct tls_client contexts; /* slow to make */

/* One attempt's surroundings. */
struct scene {
	struct arena *arena;
	struct fake fake;
	struct config *config;
	struct delivery_tools tools;
	struct job job;
	struct job_entry entries[200];
	str message;
	struct office_attempt_done_request done;
};

static void scene_init(struct scene *s, const char *script)
{
	memset(s, 0, sizeof *s);
	s->arena = arena_new(64 << 20);
	s->config = config_default(s->arena);
	s->config->server_hostname = S("me.test");
	s->config->relay_local_networks = true;
	s->tools = (struct delivery_tools){ .config = s->config,
					    .times = &patient,
					    .sites = sites_new(s->arena),
					    .idle = idle_new(s->arena),
					    .contexts = &contexts,
					    .password = S("secret") };
	s->entries[0] = (struct job_entry){ .entry = 7, .address = S("r@[127.0.0.1]") };
	s->job = (struct job){ .id = 1,
			       .message = 2,
			       .sender = S("s@me.test"),
			       .domain = S("[127.0.0.1]"),
			       .entries = s->entries,
			       .entries_n = 1 };
	s->message = S("Subject: x\r\n\r\nbody\r\n");
	fake_start(&s->fake, script);
	s->config->relay_port = s->fake.port;
}

static void scene_run(struct scene *s)
{
	delivery_run(s->arena, &s->tools, &s->job, s->message, &s->done);
	assert_int_equal(s->done.results_n, s->job.entries_n);
}

static void scene_end(struct scene *s)
{
	idle_sweep(s->tools.idle, true);
	arena_free(&s->arena);
	fake_stop(&s->fake);
}

static void expect(struct scene *s, size_t i, enum attempt_outcome outcome, const char *code)
{
	const struct attempt_result *r = &s->done.results[i];

	if (r->outcome != outcome || !str_eq(r->code, str_cstr(code)))
		fail_msg("outcome %u %.*s %.*s, expected %u %s; script:\n%s", r->outcome,
			 STR_ARG(r->code), STR_ARG(r->text), outcome, code, s->fake.script);
}

static void attempt_within(const struct mta_times *times, const char *script,
			   enum attempt_outcome outcome, const char *code)
{
	struct scene s;

	scene_init(&s, script);
	s.tools.times = times;
	scene_run(&s);
	expect(&s, 0, outcome, code);
	scene_end(&s);
}

static void attempt(const char *script, enum attempt_outcome outcome, const char *code)
{
	attempt_within(&patient, script, outcome, code);
}

static void test_delivered(void **state)
{
	(void)state;
	struct scene s;

	scene_init(&s, HELLO ENVELOPE ". x\n> 250 2.0.0 queued as 1\n< QUIT\n");
	s.message = S(".leading\r\n..two\r\nmiddle . dot\r\n.\r\nend");
	scene_run(&s);
	expect(&s, 0, ATTEMPT_DELIVERED, "2.0.0");
	assert_str(s.done.results[0].text, S("250 2.0.0 queued as 1"));
	assert_int_equal(s.done.results[0].entry, 7);
	assert_str(s.done.remote_mta, S("[127.0.0.1]"));
	idle_sweep(s.tools.idle, true);
	fake_join(&s.fake);
	assert_str(buf_str(&s.fake.message),
		   S("..leading\r\n...two\r\nmiddle . dot\r\n..\r\nend\r\n"));
	scene_end(&s);
}

/* A large message, which the server answers before it has all of it. */
static void answered_early(const char *hello, const char *early, enum attempt_outcome outcome,
			   const char *code)
{
	enum { LINE = 64, LINES = 1 << 18 };
	struct scene s;
	char script[1024];
	u8 *message;

	snprintf(script, sizeof script, "%s" ENVELOPE "early %s", hello, early);
	scene_init(&s, script);
	message = arena_alloc(s.arena, (size_t)LINE * LINES);
	memset(message, 'x', (size_t)LINE * LINES);
	for (size_t i = 0; i < LINES; i++)
		memcpy(message + i * LINE + LINE - 2, "\r\n", 2);
	memcpy(message, "\r\n", 2);
	s.message = str_from(message, (size_t)LINE * LINES);
	scene_run(&s);
	expect(&s, 0, outcome, code);
	fake_join(&s.fake);
	assert_true(s.fake.drained < s.message.n / 2);
	scene_end(&s);
}

#define OVER_TLS                                                                                \
	"> 220 fake\n< EHLO\n> 250-fake\n> 250 STARTTLS\n< STARTTLS\n> 220 go\ntls\n< EHLO\n> " \
	"250 fake\n"

/* RFC 5321 4.2.5 has no such answer, but many give it: "552 too large" in the middle, and then they close, or read on. */
static void test_answered_early(void **state)
{
	static const char *const hellos[] = { HELLO, OVER_TLS };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hellos); i++) {
		answered_early(hellos[i], "552 5.3.4 too large\nclose", ATTEMPT_PERM, "5.3.4");
		answered_early(hellos[i], "552 5.3.4 too large", ATTEMPT_PERM, "5.3.4");
		answered_early(hellos[i], "452 4.3.1 full\nclose", ATTEMPT_TEMP, "4.3.1");
		answered_early(hellos[i], "421 4.3.2 down\nclose", ATTEMPT_TEMP, "4.3.2");
		answered_early(hellos[i], "250 2.0.0 no message yet", ATTEMPT_TEMP, "4.5.0");
		answered_early(hellos[i], "552\nclose", ATTEMPT_PERM, "5.0.0");
		answered_early(hellos[i], "what\nclose", ATTEMPT_TEMP, "4.4.2");
	}
}

/* THREATS F18, S26: at each stage everything that can go wrong. %s stands for the fault. */
static void test_stages(void **state)
{
	(void)state;
	static const struct {
		const char *before;
		bool final; /* after the dot: no doubt may make us lose it, so always temporary */
	} stages[] = {
		{ "", false },
		{ "> 220 fake\n< EHLO\n", false },
		{ HELLO "< MAIL\n", false },
		{ HELLO "< MAIL\n> 250 ok\n< RCPT\n", false },
		{ HELLO "< MAIL\n> 250 ok\n< RCPT\n> 250 ok\n< DATA\n", false },
		{ HELLO ENVELOPE ".\n", true },
		{ PIPELINED "< MAIL\n< RCPT\n< DATA\n", false },
		{ PIPELINED "< MAIL\n< RCPT\n< DATA\n> 250 ok\n> 250 ok\n", false },
		{ PIPELINED "< MAIL\n< RCPT\n< DATA\n> 250 ok\n> 250 ok\n> 354 go\n.\n", true },
	};
	static const struct {
		const char *fault, *code;
		bool slow;
	} faults[] = {
		{ "stall", "4.4.2", true },
		{ "close", "4.4.2", false },
		{ "rst", "4.4.2", false },
		{ "endless", "4.5.0", false },
		{ "lines", "4.5.0", false },
		{ "drip", "4.4.2", true },
		{ "bytes", "4.5.0", false },
		{ "> 421 4.3.2 closing", "4.3.2", false },
		{ "> 999 what", "4.5.0", false },
		{ "> 150 what", "4.5.0", false },
		{ "> 25", "4.5.0", false },
		{ "> ", "4.5.0", false },
		{ "> 334 out of place", "4.5.0", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(stages); i++)
		for (size_t j = 0; j < ARRAY_LEN(faults); j++) {
			struct arena *a = arena_new(1 << 20);
			str script = str_format(a, "%s%s\n", stages[i].before, faults[j].fault);
			bool lost =
			    stages[i].final && !str_starts(str_cstr(faults[j].fault), S("> 421"));
			attempt_within(faults[j].slow ? &fast : &patient, cstr(a, script),
				       ATTEMPT_TEMP, lost ? "4.4.2" : faults[j].code);
			arena_free(&a);
		}
}

static void test_refusals(void **state)
{
	(void)state;
	/* A greeting of 5xx: no other host to try, so it counts. */
	attempt("> 554 5.7.1 go away\n", ATTEMPT_PERM, "5.7.1");
	attempt("> 450 4.7.1 later\n", ATTEMPT_TEMP, "4.7.1");
	attempt("> 220 x\n< EHLO\n> 550 no\n< HELO me.test\n> 550 5.7.2 no\n", ATTEMPT_PERM,
		"5.7.2");
	attempt(HELLO "< MAIL\n> 550 5.1.8 no\n< RSET\n> 250 ok\n", ATTEMPT_PERM, "5.1.8");
	attempt(HELLO "< MAIL\n> 451 4.3.0 no\n< RSET\n> 250 ok\n", ATTEMPT_TEMP, "4.3.0");
	attempt(HELLO "< MAIL\n> 250 ok\n< RCPT\n> 550 5.1.1 unknown\n< RSET\n> 250 ok\n",
		ATTEMPT_PERM, "5.1.1");
	attempt(HELLO "< MAIL\n> 250 ok\n< RCPT\n> 450 greylisted\n< RSET\n> 250 ok\n",
		ATTEMPT_TEMP, "4.0.0");
	attempt(HELLO
		"< MAIL\n> 250 ok\n< RCPT\n> 250 ok\n< DATA\n> 554 5.7.0 no\n< RSET\n> 250 ok\n",
		ATTEMPT_PERM, "5.7.0");
	attempt(HELLO ENVELOPE ".\n> 554 5.7.1 spam\n", ATTEMPT_PERM, "5.7.1");
	attempt(HELLO ENVELOPE ".\n> 452 4.3.1 full\n", ATTEMPT_TEMP, "4.3.1");
	/* The reply code decides, whatever the enhanced one says. */
	attempt(HELLO ENVELOPE ".\n> 452 5.3.1 full\n", ATTEMPT_TEMP, "4.0.0");
	/* HELO does for a server that knows no EHLO. */
	attempt("> 220 x\n< EHLO\n> 502 what\n< HELO me.test\n> 250 x\n" ENVELOPE ".\n> 250 ok\n",
		ATTEMPT_DELIVERED, "2.0.0");
	/* Pipelined: DATA was taken though nobody was: an empty message ends it. */
	attempt(PIPELINED
		"< MAIL\n< RCPT\n< DATA\n> 250 ok\n> 550 5.1.1 no\n> 354 go\n< .\n> 554 none\n",
		ATTEMPT_PERM, "5.1.1");
	attempt(PIPELINED
		"< MAIL\n< RCPT\n< DATA\n> 550 5.1.8 no\n> 503 no\n> 503 no\n< RSET\n> 250 ok\n",
		ATTEMPT_PERM, "5.1.8");
}

static void test_loops(void **state)
{
	(void)state;
	attempt("> 220 me.test ESMTP\n", ATTEMPT_PERM, "5.4.6");
	attempt("> 220 x\n< EHLO\n> 250 ME.TEST hello\n", ATTEMPT_PERM, "5.4.6");
}

static void test_starttls(void **state)
{
	(void)state;
	struct scene s;

	scene_init(&s, "> 220 fake\n< EHLO\n> 250-fake\n> 250 STARTTLS\n< STARTTLS\n> 220 go\ntls\n"
		       "< EHLO me.test\n> 250 fake\n" ENVELOPE ".\n> 250 ok\n");
	scene_run(&s);
	expect(&s, 0, ATTEMPT_DELIVERED, "2.0.0");
	assert_true(str_starts(s.done.tls, S("TLSv1.3 ")));
	scene_end(&s);
	/* Refused: goes on in clear. */
	attempt("> 220 x\n< EHLO\n> 250-x\n> 250 STARTTLS\n< STARTTLS\n> 454 no\n" ENVELOPE
		".\n> 250 ok\n",
		ATTEMPT_DELIVERED, "2.0.0");
	/* The handshake fails: once more, without. */
	attempt("> 220 x\n< EHLO\n> 250-x\n> 250 STARTTLS\n< STARTTLS\n> 220 go\nclose\n--\n"
		"> 220 x\n< EHLO\n> 250-x\n> 250 STARTTLS\n" ENVELOPE ".\n> 250 ok\n",
		ATTEMPT_DELIVERED, "2.0.0");
	attempt("> 220 x\n< EHLO\n> 250-x\n> 250 STARTTLS\n< STARTTLS\n> 220 go\nbytes\nclose\n--\n"
		"> 220 x\n< EHLO\n> 250-x\n> 250 STARTTLS\n" ENVELOPE ".\n> 250 ok\n",
		ATTEMPT_DELIVERED, "2.0.0");
}

/* THREATS T02: what came in clear behind "220 go" is never taken for an answer inside TLS. */
static void test_injection(void **state)
{
	(void)state;
	struct scene s;

	scene_init(&s, "> 220 fake\n< EHLO\n> 250-fake\n> 250 STARTTLS\n< STARTTLS\n"
		       "inject\nstall\n");
	s.config->relay_smarthost = str_format(s.arena, "127.0.0.1:%u", s.fake.port);
	s.config->relay_smarthost_user = S("joe");
	scene_run(&s);
	assert_int_equal(s.done.results[0].outcome, ATTEMPT_TEMP);
	assert_true(str_eq(s.done.results[0].code, S("4.7.0")) ||
		    str_eq(s.done.results[0].code, S("4.7.5")));
	scene_end(&s);
}

static void smarthost(struct scene *s, const char *script, const char *tls)
{
	scene_init(s, script);
	s->config->relay_smarthost = str_format(s->arena, "127.0.0.1:%u", s->fake.port);
	s->config->relay_smarthost_user = S("joe");
	s->config->relay_smarthost_tls = str_cstr(tls);
}

static void test_smarthost(void **state)
{
	(void)state;
	static const char plain[] =
	    "> 250-x\n> 250 AUTH LOGIN PLAIN\n< AUTH PLAIN AGpvZQBzZWNyZXQ=\n> 235 ok\n" ENVELOPE
	    ".\n> 250 ok\n";
	struct arena *a = arena_new(1 << 20);
	struct scene s;

	smarthost(&s, cstr(a, str_format(a, "tls\n> 220 x\n< EHLO\n%s", plain)), "implicit");
	scene_run(&s);
	expect(&s, 0, ATTEMPT_DELIVERED, "2.0.0");
	scene_end(&s);
	smarthost(
	    &s,
	    "> 220 x\n< EHLO\n> 250-x\n> 250-AUTH PLAIN\n> 250 STARTTLS\n< STARTTLS\n> 220 go\ntls\n< EHLO\n"
	    "> 250-x\n> 250 AUTH LOGIN\n< AUTH LOGIN\n> 334 VXNlcg==\n< am9l\n> 334 UGFzcw==\n"
	    "< c2VjcmV0\n> 535 5.7.8 wrong\n",
	    "may");
	scene_run(&s);
	expect(&s, 0, ATTEMPT_TEMP, "4.7.8");
	scene_end(&s);
	/* THREATS T04: TLS is needed for a password, and stripping it costs a delay, never the password. */
	smarthost(&s, "> 220 x\n< EHLO\n> 250-x\n> 250 AUTH PLAIN\n", "may");
	scene_run(&s);
	expect(&s, 0, ATTEMPT_TEMP, "4.7.4");
	scene_end(&s);
	/* No password could be read: nothing is said to anybody, and no mail goes back for it. */
	smarthost(&s, "", "starttls");
	s.tools.password = STR_NONE;
	scene_run(&s);
	expect(&s, 0, ATTEMPT_TEMP, "4.3.5");
	assert_int_equal(s.fake.connections, 0);
	scene_end(&s);
	/* Outside closed networks the certificate must be good. */
	smarthost(&s, "tls\n", "implicit");
	s.config->relay_local_networks = false;
	scene_run(&s);
	expect(&s, 0, ATTEMPT_TEMP, "4.7.5");
	fake_join(&s.fake);
	assert_string_equal(s.fake.wrong, "handshake"); /* we did not go through with it */
	s.fake.wrong[0] = 0;
	scene_end(&s);
	arena_free(&a);
}

static void test_what_the_peer_cannot_take(void **state)
{
	(void)state;
	struct scene s;

	scene_init(&s, "> 220 x\n< EHLO\n> 250-x\n> 250 SIZE 10\n");
	scene_run(&s);
	expect(&s, 0, ATTEMPT_PERM, "5.3.4");
	scene_end(&s);
	scene_init(&s, "> 220 x\n< EHLO\n> 250 x\n");
	s.message = S("Subject: x\r\n\r\ngr\303\274n\r\n");
	scene_run(&s);
	expect(&s, 0, ATTEMPT_PERM, "5.6.3");
	scene_end(&s);
	scene_init(&s, HELLO);
	s.entries[0].address = S("gr\303\274n@[127.0.0.1]");
	scene_run(&s);
	expect(&s, 0, ATTEMPT_PERM, "5.6.7");
	scene_end(&s);
	/* THREATS S02 */
	scene_init(&s, "");
	s.message = S("Subject: x\r\n\r\na\n.\nMAIL FROM:<evil>\r\n");
	scene_run(&s);
	expect(&s, 0, ATTEMPT_PERM, "5.6.1");
	scene_end(&s);
	scene_init(&s, HELLO);
	s.entries[0].address = S("a\r\nDATA@[127.0.0.1]");
	scene_run(&s);
	expect(&s, 0, ATTEMPT_PERM, "5.5.4");
	scene_end(&s);
}

static void test_parameters(void **state)
{
	(void)state;
	struct scene s;

	scene_init(
	    &s, "> 220 x\n< EHLO\n> 250-x\n> 250-SIZE\n> 250-8BITMIME\n> 250-SMTPUTF8\n> 250 DSN\n"
		"< MAIL FROM:<s@me.test> SIZE=19 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb\n"
		"> 250 ok\n"
		"< RCPT TO:<r@[127.0.0.1]> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+3Dy@z\n> 250 ok\n"
		"< DATA\n> 354 go\n.\n> 250 ok\n");
	s.job.smtputf8 = true;
	s.job.ret = DSN_RET_HDRS;
	s.job.envid = S("a+b");
	s.entries[0].notify = DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY;
	s.entries[0].orcpt = S("rfc822;x=y@z");
	s.message = S("Subject: \303\274\r\n\r\nbody");
	s.message.n = 19;
	scene_run(&s);
	expect(&s, 0, ATTEMPT_DELIVERED, "2.0.0");
	assert_true(s.done.dsn);
	scene_end(&s);
}

/* Some are taken, some are not, some are too many for one transaction (RFC 5321 4.5.3.1.10). */
static void test_recipients(void **state)
{
	(void)state;
	struct scene s;

	scene_init(
	    &s, PIPELINED
	    "< MAIL\n< RCPT TO:<1@\n< RCPT TO:<2@\n< RCPT TO:<3@\n< RCPT TO:<4@\n< DATA\n"
	    "> 250 ok\n> 250 ok\n> 550 5.1.1 who\n> 451 4.2.1 later\n> 452 4.5.3 too many\n> 354 go\n"
	    ".\n> 250 2.0.0 first\n< MAIL\n< RCPT TO:<4@\n< DATA\n> 250 ok\n> 250 ok\n> 354 go\n.\n"
	    "> 250 2.0.0 second\n");
	for (u64 i = 0; i < 4; i++)
		s.entries[i] = (struct job_entry){
			.entry = i, .address = str_format(s.arena, "%u@[127.0.0.1]", (u32)i + 1)
		};
	s.job.entries_n = 4;
	scene_run(&s);
	expect(&s, 0, ATTEMPT_DELIVERED, "2.0.0");
	expect(&s, 1, ATTEMPT_PERM, "5.1.1");
	expect(&s, 2, ATTEMPT_TEMP, "4.2.1");
	expect(&s, 3, ATTEMPT_DELIVERED, "2.0.0");
	assert_str(s.done.results[3].text, S("250 2.0.0 second"));
	scene_end(&s);
}

static void test_reuse(void **state)
{
	(void)state;
	struct scene s;

	scene_init(&s, HELLO ENVELOPE ".\n> 250 one\n< RSET\n> 250 ok\n" ENVELOPE
				      ".\n> 250 two\nclose\n--\n" HELLO ENVELOPE
				      ".\n> 250 three\n< QUIT\n");
	for (int i = 0; i < 3; i++) {
		scene_run(&s);
		expect(&s, 0, ATTEMPT_DELIVERED, "2.0.0");
		poll(NULL, 0, 50);
	}
	assert_int_equal(s.fake.connections, 2);
	scene_end(&s);
}

static void test_busy(void **state)
{
	(void)state;
	struct scene s;

	scene_init(&s, "");
	s.config->queue_per_site = 1;
	str key = site_key(s.arena, &s.job.domain, 1, s.fake.port);
	assert_true(site_enter(s.tools.sites, key, 1));
	scene_run(&s);
	assert_int_equal(s.done.results[0].outcome, ATTEMPT_BUSY);
	site_leave(s.tools.sites, key);
	scene_end(&s);
}

/* THREATS N05, Q14 */
static void test_private_addresses(void **state)
{
	(void)state;
	static const char *const domains[] = { "[127.0.0.1]", "[10.0.0.1]", "[IPv6:::1]",
					       "[IPv6:::ffff:127.0.0.1]", "[0.0.0.0]" };
	struct scene s;

	scene_init(&s, "");
	s.config->relay_local_networks = false;
	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		s.job.domain = str_cstr(domains[i]);
		scene_run(&s);
		expect(&s, 0, ATTEMPT_PERM, "5.4.4");
	}
	s.job.domain = S("[300.0.0.1]");
	scene_run(&s);
	expect(&s, 0, ATTEMPT_PERM, "5.1.2");
	assert_int_equal(s.fake.connections, 0);
	scene_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivered),
		cmocka_unit_test(test_answered_early),
		cmocka_unit_test(test_stages),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_injection),
		cmocka_unit_test(test_smarthost),
		cmocka_unit_test(test_what_the_peer_cannot_take),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_private_addresses),
	};

	struct arena *a = arena_new(1 << 20);

	signal(SIGPIPE, SIG_IGN);
	if (tls_client_new(a, &contexts) != NULL)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&a);
	return failed;
}
