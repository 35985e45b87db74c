/* The configuration: every type, every kind of error, the sample, the pipe. POSTERN_WRITE=1 writes the sample anew. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/fd.h"
#include "config/config_history.h"
#include "config/endpoint.h"

#define SAMPLE "conf/postern.conf"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(8 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static struct config *parse(const char *text)
{
	struct config *c = NULL;
	const struct fail *f = config_parse(arena, S("t.conf"), str_cstr(text), &c);

	if (f)
		fail_msg("%.*s", STR_ARG(f->text));
	return c;
}

static void test_defaults(void **state)
{
	struct config *c = config_default(arena);

	(void)state;
	assert_true(str_eq(c->server_data, S("/var/lib/postern")));
	assert_int_equal(c->listen_smtp.n, 2);
	assert_true(str_eq(c->listen_smtp.items[1], S("[::]:25")));
	assert_int_equal(c->listen_pop3.n, 0);
	assert_int_equal(c->mail_size, 50 << 20);
	assert_int_equal(c->queue_expire, 5 * 86400000ULL);
	assert_int_equal(c->limit_workers, 64);
	assert_false(c->login_plaintext);
	assert_null(config_check(arena, c));
}

static void test_every_type(void **state)
{
	struct config *c = parse("# head\r\n"
				 "\n"
				 "[server] # why not\n"
				 "  hostname = \"mx.example.org\"\t# ours\n"
				 "data=\"/srv/a \\\"b\\\" \\\\c\"\n"
				 "edges = 4\n"
				 "log = \"warn\"\n"
				 "[mail]\n"
				 "size = \"10M\"\n"
				 "quota = 0\n"
				 "subaddress = \"\"\n"
				 "[login]\n"
				 "plaintext = true\n"
				 "[queue]\n"
				 "retry_first = \"1500ms\"\n"
				 "expire = \"36h\"\n"
				 "[listen]\n"
				 "smtp = []\n"
				 "imap = [ \"127.0.0.1:143\", # four\n"
				 "         \"[::1]:143\",\n"
				 "       ]\n"
				 "[reports]\n"
				 "[relay]\n"
				 "helo = \"mx.example.org\"");

	(void)state;
	assert_true(str_eq(c->server_hostname, S("mx.example.org")));
	assert_true(str_eq(c->server_data, S("/srv/a \"b\" \\c")));
	assert_int_equal(c->server_edges, 4);
	assert_int_equal(c->mail_size, 10 << 20);
	assert_int_equal(c->mail_quota, 0);
	assert_int_equal(c->mail_subaddress.n, 0);
	assert_true(c->login_plaintext);
	assert_int_equal(c->queue_retry_first, 1500);
	assert_int_equal(c->queue_expire, 36 * 3600000);
	assert_int_equal(c->listen_smtp.n, 0);
	assert_int_equal(c->listen_imap.n, 2);
	assert_true(str_eq(c->server_log, S("warn")));
}

struct refused {
	const char *text, *error;
};

static void all_refused(const struct refused *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct config *c = NULL;
		const struct fail *f = config_parse(arena, S("t.conf"), str_cstr(rows[i].text), &c);

		assert_null(c);
		if (f == NULL)
			fail_msg("believed: %s", rows[i].text);
		if (!str_eq(f->text, str_cstr(rows[i].error)))
			fail_msg("%.*s\ninstead of\n%s", STR_ARG(f->text), rows[i].error);
		assert_int_equal(f->what, FAIL_SYNTAX);
		arena_reset(arena);
	}
}

static void test_errors(void **state)
{
	static const struct refused rows[] = {
		{ "[limit]\nworkers = many",
		  "t.conf:2: limit.workers: expected a number from 2 to 1000, not \"many\"" },
		{ "[limit]\nworkers = 1",
		  "t.conf:2: limit.workers: expected a number from 2 to 1000, not \"1\"" },
		{ "[limit]\nworkers = 1001",
		  "t.conf:2: limit.workers: expected a number from 2 to 1000, not \"1001\"" },
		{ "[limit]\nworkers = 99999999999999999999",
		  "t.conf:2: limit.workers: expected a number from 2 to 1000, not "
		  "\"99999999999999999999\"" },
		{ "[limit]\nworkers = \"64\"",
		  "t.conf:2: limit.workers: expected a number from 2 to 1000, not \"64\"" },
		{ "[mail]\nsize = \"50X\"",
		  "t.conf:2: mail.size: expected a size from 64K to 1G, such as \"50M\", not \"50X\"" },
		{ "[mail]\nsize = \"18446744073709551615G\"",
		  "t.conf:2: mail.size: expected a size from 64K to 1G, such as \"50M\", not "
		  "\"18446744073709551615G\"" },
		{ "[queue]\n\n\nexpire = \"5\"",
		  "t.conf:4: queue.expire: expected a time from 1s to 30d, such as \"5m\", not \"5\"" },
		{ "[queue]\nexpire = [\"5d\"]",
		  "t.conf:2: queue.expire: expected a time from 1s to 30d, such as \"5m\"" },
		{ "[login]\nplaintext = maybe",
		  "t.conf:2: login.plaintext: expected true or false, not \"maybe\"" },
		{ "[login]\nplaintext = \"true\"",
		  "t.conf:2: login.plaintext: expected true or false, not \"true\"" },
		{ "[login]\nplaintext = yes",
		  "t.conf:2: login.plaintext: expected true or false, not \"yes\"" },
		{ "[server]\nhostname = \"\"",
		  "t.conf:2: server.hostname: expected a text in quotes of 1 to 253 bytes, not \"\"" },
		{ "[server]\nhostname = \"a b\"",
		  "t.conf:2: server.hostname: expected a host name in ASCII, not \"a b\"" },
		{ "[server]\nhostname = mx",
		  "t.conf:2: server.hostname: expected a text in quotes of 1 to 253 bytes, not \"mx\"" },
		{ "[server]\ndata = \"x\"",
		  "t.conf:2: server.data: expected a path that begins with /, not \"x\"" },
		{ "[server]\nlog = \"loud\"",
		  "t.conf:2: server.log: expected debug, info, warn or error, not \"loud\"" },
		{ "[tls]\nminimum = \"1.1\"",
		  "t.conf:2: tls.minimum: expected \"1.2\" or \"1.3\", not \"1.1\"" },
		{ "[record]\nlanguage = \"de\"",
		  "t.conf:2: record.language: expected \"en\" or \"nl\", not \"de\"" },
		{ "[listen]\nsmtp = \"0.0.0.0:25\"",
		  "t.conf:2: listen.smtp: expected a list of at most 64 texts, such as [\"one\", "
		  "\"two\"], not \"0.0.0.0:25\"" },
		{ "[listen]\nsmtp = [\"localhost:25\"]",
		  "t.conf:2: listen.smtp: expected numeric addresses with ports, such as "
		  "\"0.0.0.0:25\" or \"[::]:25\"" },
		{ "[listen]\nsmtp = [\"a\" \"b\"]",
		  "t.conf:2: a list: expected , or ], not \"b\"]" },
		{ "[listen]\nsmtp = [25]",
		  "t.conf:2: a list: expected a text in quotes or ], not 25]" },
		{ "[listen]\nsmtp = [\"a\",\n",
		  "t.conf:3: a list: expected a text in quotes or ], not " },
		{ "[listen]\nsmtp = [\"\"]",
		  "t.conf:2: listen.smtp: expected a list of at most 64 texts, such as [\"one\", "
		  "\"two\"]" },
		{ "[server]\nedges = 1\nedges = 2", "t.conf:3: set a second time: edges" },
		{ "[server]\nedges = 1\n[mail]\n[server]\nedges = 1",
		  "t.conf:4: the section stands there a second time: server" },
		{ "[mail]\n[server]\n[server]\n",
		  "t.conf:3: the section stands there a second time: server" },
		{ "[server]\nport = 1", "t.conf:2: section [server] has no setting \"port\"" },
		{ "[servers]\n", "t.conf:1: there is no section servers" },
		{ "[server\n", "t.conf:1: expected [SECTION], not [server" },
		{ "edges = 1", "t.conf:1: a setting before the first [SECTION]: edges" },
		{ "[server]\n= 1", "t.conf:2: expected NAME = VALUE or [SECTION], not = 1" },
		{ "[server]\nedges 1", "t.conf:2: expected = after edges" },
		{ "[server]\nedges =\n", "t.conf:2: expected a value, not " },
		{ "[server]\nedges = 1 2\n", "t.conf:2: expected the end of the line, not 2" },
		{ "[server] edges = 1\n", "t.conf:1: expected the end of the line, not edges = 1" },
		{ "[server]\ndata = \"/x\n", "t.conf:2: a text without its closing quote" },
		{ "[server]\ndata = \"/\\n\"", "t.conf:2: after \\ only \" or \\ can stand" },
		{ "[server]\ndata = \"/\tx\"", "t.conf:2: a control character in a text" },
		{ "[server]\ndata = \"/\xff\"", "t.conf:2: a text that is not UTF-8" },
		{ "[server]\rdata = \"/\"",
		  "t.conf:1: expected the end of the line, not data = \"/\"" },
	};

	(void)state;
	all_refused(rows, ARRAY_LEN(rows));
}

/* What would only be ignored where it is used. */
static void test_values_of_no_effect(void **state)
{
	static const struct refused rows[] = {
		{ "[server]\nhostname = \"a..b\"",
		  "t.conf:2: server.hostname: expected a host name in ASCII, not \"a..b\"" },
		{ "[relay]\nhelo = \"mx.example.org.\"",
		  "t.conf:2: relay.helo: expected a host name in ASCII, not \"mx.example.org.\"" },
		{ "[auth]\ndnsbl = [\"zen.example:many\"]",
		  "t.conf:2: auth.dnsbl: expected \"ZONE:WEIGHT\" or \"ZONE=127.0.0.2:WEIGHT\", "
		  "a weight from -1000 to 1000" },
		{ "[auth]\ndnsbl = [\"zen.example=10.0.0.2:5\"]",
		  "t.conf:2: auth.dnsbl: expected \"ZONE:WEIGHT\" or \"ZONE=127.0.0.2:WEIGHT\", "
		  "a weight from -1000 to 1000" },
		{ "[auth]\nmailing_lists = [\"ann@lists.example\"]",
		  "t.conf:2: auth.mailing_lists: expected domains" },
		{ "[auth]\ntrusted_sealers = [\"-\"]",
		  "t.conf:2: auth.trusted_sealers: expected domains" },
		{ "[dmarc]\nreport_from = \"dmarc\"",
		  "t.conf:2: dmarc.report_from: expected an address of mail, not \"dmarc\"" },
		{ "[reports]\naddresses = [\"dmarc@\"]",
		  "t.conf:2: reports.addresses: expected addresses, or what stands before the @ "
		  "alone" },
		{ "[reports]\nown_addresses = [\"192.0.2.1\", \"mx.example.org\"]",
		  "t.conf:2: reports.own_addresses: expected IP addresses" },
		{ "\xEF\xBB\xBF[server]\n",
		  "t.conf:1: a byte order mark: save the file as UTF-8 without one" },
	};

	(void)state;
	all_refused(rows, ARRAY_LEN(rows));
}

static void test_nul_and_size(void **state)
{
	struct config *c;
	size_t n = (1 << 20) + 1;
	u8 *spaces = arena_alloc(arena, n);

	(void)state;
	assert_non_null(config_parse(arena, S("t"), S("[server]\n\0"), &c));
	memset(spaces, '\n', n);
	assert_non_null(config_parse(arena, S("t"), str_from(spaces, n), &c));
	assert_null(config_parse(arena, S("t"), str_from(spaces, n - 1), &c));
}

static void test_set(void **state)
{
	static const char *const good[] = {
		"queue.retry_first=2s", " mail.size = 1M ",
		"login.plaintext=yes",  "listen.smtp=127.0.0.1:10025  [::1]:10025",
		"listen.imap=",         "server.edges=2"
	};
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "x", "\"x\": expected SECTION.NAME=VALUE" },
		{ "x=1", "x: there is no such setting" },
		{ "server.x=1", "server.x: there is no such setting" },
		{ "server.edges=0", "server.edges: expected a number from 1 to 64, not \"0\"" },
		{ "server.log=loud",
		  "server.log: expected debug, info, warn or error, not \"loud\"" },
	};
	struct config *c = config_default(arena);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_null(config_set(arena, c, str_cstr(good[i])));
	assert_int_equal(c->queue_retry_first, 2000);
	assert_int_equal(c->mail_size, 1 << 20);
	assert_true(c->login_plaintext);
	assert_int_equal(c->listen_smtp.n, 2);
	assert_int_equal(c->listen_imap.n, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct fail *f = config_set(arena, c, str_cstr(bad[i].text));

		assert_non_null(f);
		assert_true(str_eq(f->text, str_cstr(bad[i].error)));
	}
}

static void test_rules_between(void **state)
{
	static const char *const bad[] = {
		"[relay]\nsmarthost_user = \"me\"",
		"[relay]\nsmarthost = \"h.example:587\"\nsmarthost_user = \"me\"",
		"[relay]\nsmarthost_password_file = \"/x\"",
		("[relay]\nsmarthost = \"h.example:587\"\nsmarthost_user = \"me\"\n"
		 "smarthost_password_file = \"/x\"\nsmarthost_tls = \"may\""),
		"[queue]\nretry_first = \"3h\"",
		"[queue]\nexpire = \"1h\"",
		"[listen]\nsmtp = [\"127.0.0.1:25\"]\nlmtp = [\"127.0.0.1:25\"]",
	};

	struct config *c;
	const struct fail *f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_non_null(config_check(arena, parse(bad[i])));
	f = config_load(arena, S("t.conf"), str_cstr(bad[4]), &c);
	assert_true(
	    str_eq(f->text, S("t.conf: queue.retry_first must not be over queue.retry_most")));
	parse("[auth]\ndnsbl = [\"zen.example:5\", \"a.b=127.0.0.4:7\", \"white.example:-3\"]\n"
	      "mailing_lists = [\"lists.example\"]\ntrusted_sealers = [\"b\303\274cher.example\"]\n"
	      "[dmarc]\nreport_from = \"dmarc@example.org\"\n[relay]\nhelo = \"\"\n[reports]\n"
	      "addresses = [\"tls-rpt\", \"a.b+c@example.org\"]\n"
	      "own_addresses = [\"192.0.2.1\", \"2001:db8::1\"]");
	assert_null(config_check(
	    arena, parse("[relay]\nsmarthost = \"h.example:587\"\nsmarthost_user = \"me\"\n"
			 "smarthost_password_file = \"/x\"")));
}

static void test_pipe(void **state)
{
	struct config *c = parse("[listen]\nsmtp = [\"127.0.0.1:1\"]\n[mail]\nhops = 20"), *d;
	str bytes = config_encode(arena, c);

	(void)state;
	assert_null(config_decode(arena, bytes, &d));
	assert_int_equal(d->mail_hops, 20);
	assert_true(str_eq(d->listen_smtp.items[0], S("127.0.0.1:1")));
	assert_true(str_eq(config_encode(arena, d), bytes));
	for (size_t n = 0; n < bytes.n; n++)
		assert_non_null(config_decode(arena, str_slice(bytes, 0, n), &d));
}

/* What config show prints is a file again, with the same meaning. */
/* A file that is read again is no new configuration, also when there was another one in between. */
static void test_history(void **state)
{
	struct config_history h = { .last = NULL };
	const struct config *first, *second, *again;
	struct config *c;
	str one, two;

	(void)state;
	c = config_default(arena);
	one = config_encode(arena, c);
	c->limit_workers++;
	two = config_encode(arena, c);
	assert_null(config_history_take(arena, &h, one, &first));
	assert_null(config_history_take(arena, &h, two, &second));
	assert_int_equal(second->limit_workers, first->limit_workers + 1);
	assert_null(config_history_take(arena, &h, one, &again));
	assert_ptr_equal(again, first);
	assert_null(config_history_take(arena, &h, two, &again));
	assert_ptr_equal(again, second);
	assert_non_null(config_history_take(arena, &h, S("nonsense"), &again));
	assert_ptr_equal(again, second);
}

static void test_print(void **state)
{
	struct config *c = parse(
			  "[server]\ndata = \"/a\\\"\\\\\"\n[queue]\nexpire = \"90s\"\n"
			  "delay_notice = \"1s\"\n[mail]\nsize = \"100K\"\n[dns]\nservers = []"),
		      *d;
	struct buf *all = buf_new(arena, 1 << 16), *changed = buf_new(arena, 1 << 16);

	(void)state;
	config_print(all, c, true);
	config_print(changed, c, false);
	assert_null(config_parse(arena, S("all"), buf_str(all), &d));
	assert_true(str_eq(config_encode(arena, d), config_encode(arena, c)));
	assert_null(config_parse(arena, S("changed"), buf_str(changed), &d));
	assert_true(str_eq(config_encode(arena, d), config_encode(arena, c)));
	assert_true(str_eq(buf_str(changed),
			   S("[server]\ndata = \"/a\\\"\\\\\"\n\n[mail]\nsize = \"100K\"\n\n"
			     "[queue]\nexpire = \"90s\"\ndelay_notice = \"1s\"\n")));
	buf_reset(changed);
	config_print_json(changed, c, false);
	assert_true(str_eq(buf_str(changed),
			   S("{\"server\":{\"data\":\"/a\\\"\\\\\"},\"mail\":{\"size\":102400},"
			     "\"queue\":{\"expire\":90000,\"delay_notice\":1000}}\n")));
	config_print_manual(all);
	assert_false(all->full);
}

/* The sample as it is, and with its # taken away. */
static void test_sample_is_the_defaults(void **state)
{
	struct buf *sample = buf_new(arena, 1 << 16), *bare = buf_new(arena, 1 << 16);
	struct config *c, *d = config_default(arena);
	str text;

	(void)state;
	config_print_sample(sample);
	text = buf_str(sample);
	for (size_t i = 0; i < text.n; i++)
		if (!(text.p[i] == '#' && i + 1 < text.n && text.p[i + 1] != ' '))
			buf_add_byte(bare, text.p[i]);
	assert_null(config_parse(arena, S("sample"), text, &c));
	assert_true(str_eq(config_encode(arena, c), config_encode(arena, d)));
	assert_null(config_parse(arena, S("bare"), buf_str(bare), &c));
	assert_true(str_eq(config_encode(arena, c), config_encode(arena, d)));
}

static void test_sample_is_checked_in(void **state)
{
	struct buf *sample = buf_new(arena, 1 << 16);
	int fd;
	str text = STR_NONE;

	(void)state;
	config_print_sample(sample);
	if (getenv("POSTERN_WRITE")) {
		fd = open(SAMPLE, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		assert_true(fd_write_all(fd, buf_str(sample)));
		close(fd);
	}
	fd = open(SAMPLE, O_RDONLY);
	assert_true(fd >= 0);
	assert_null(fd_read(arena, fd, 0, (size_t)lseek(fd, 0, SEEK_END), &text));
	close(fd);
	assert_true(str_eq(text, buf_str(sample)));
}

static void test_endpoint(void **state)
{
	static const char *const bad[] = { "",
					   "25",
					   ":25",
					   "127.0.0.1",
					   "127.0.0.1:",
					   "127.0.0.1:0",
					   "127.0.0.1:65536",
					   "127.1:25",
					   "::1:25",
					   "[::1]25",
					   "[::1]:",
					   "[fe80::1%lo]:1",
					   "127.0.0.1:25 ",
					   "[127.0.0.1]:25" };
	struct endpoint e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(endpoint_parse(str_cstr(bad[i]), &e));
	assert_true(endpoint_parse(S("[2001:db8::1]:65535"), &e));
	assert_int_equal(e.address_n, 16);
	assert_int_equal(e.port, 65535);
	assert_true(endpoint_parse(S("192.0.2.1:25"), &e));
	assert_int_equal(e.address_n, 4);
	assert_memory_equal(e.address, "\xC0\0\2\1", 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_every_type),
		TEST(test_errors),
		TEST(test_values_of_no_effect),
		TEST(test_nul_and_size),
		TEST(test_set),
		TEST(test_rules_between),
		TEST(test_pipe),
		TEST(test_history),
		TEST(test_print),
		TEST(test_sample_is_the_defaults),
		TEST(test_sample_is_checked_in),
		TEST(test_endpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
