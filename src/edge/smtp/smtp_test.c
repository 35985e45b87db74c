/* Whole sessions: every verb, the order of verbs, limits, LMTP, submission. Each table row is a line and the start of its reply. */
#include "base/unit.h"
#include <malloc.h>
#include <poll.h>

#include "base/env.h"
#include "edge/smtp/fake_test.h"
#include "edge/smtp/smtp_int.h"

struct line {
	const char *say, *hear; /* say NULL: nothing, hear a reply */
};

static struct talk *open_talk(struct fake *x, enum service service)
{
	static struct talk t;

	talk_open(&t, x, service);
	talk_start(&t);
	return &t;
}

static void check_line(struct talk *t, const struct line *l)
{
	str reply;

	if (l->say)
		talk_send(t, str_cstr(l->say));
	if (l->say)
		talk_send(t, S("\r\n"));
	reply = talk_reply(t);
	if (!str_starts(reply, str_cstr(l->hear)))
		fail_msg("\"%s\": expected \"%s\", got \"%.*s\"", l->say, l->hear, STR_ARG(reply));
}

/* A script, then the end; gives what the session still said. */
static str run(struct fake *x, enum service service, const struct line *lines, size_t n)
{
	struct talk *t = open_talk(x, service);

	for (size_t i = 0; i < n; i++)
		check_line(t, &lines[i]);
	return talk_end(t);
}
#define RUN(x, service, ...)                                      \
	run((x), (service), (const struct line[]){ __VA_ARGS__ }, \
	    ARRAY_LEN(((const struct line[]){ __VA_ARGS__ })))

#define GREETED                                             \
	{ NULL, "220 mx.example.test " },                   \
	{                                                   \
		"EHLO c.example", "250-mx.example.test\r\n" \
	}
#define LOGIN "AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZQ=="

static str last_bytes(const struct fake *x)
{
	return x->kept[(x->committed - 1) % FAKE_KEPT].bytes;
}

static bool has(str text, const char *needle)
{
	return str_find_str(text, str_cstr(needle)) != SIZE_MAX;
}

/* --- Mail in --------------------------------------------------------------------------------------------------------- */

static void test_one_mail(void **state)
{
	struct fake *x = *state;
	str bytes;

	assert_str(
	    RUN(x, SERVICE_SMTP, GREETED,
		{ "MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME", "250 2.1.0" },
		{ "RCPT TO:<ALICE@Example.Test> NOTIFY=NEVER", "250 2.1.5" }, { "DATA", "354 " },
		{ "Subject: x\r\n\r\n..dot\r\n.", "250 2.0.0 taken as " }, { "QUIT", "221 2.0.0" }),
	    STR_NONE);
	assert_int_equal(x->committed, 1);
	assert_str(x->kept[0].sender, S("a@b.example"));
	assert_str(x->kept[0].recipients, S("alice@example.test"));
	assert_int_equal(x->kept[0].body_type, BODY_8BITMIME);
	assert_false(x->kept[0].has_ticket);
	bytes = last_bytes(x);
	assert_true(str_starts(bytes, S("Received: from c.example ")));
	assert_true(has(bytes, "by mx.example.test"));
	assert_true(has(bytes, "with ESMTP"));
	assert_true(has(bytes, "for <alice@example.test>;"));
	assert_true(str_ends_nocase(bytes, S("Subject: x\r\n\r\n.dot\r\n")));
	assert_false(has(bytes, "Date:"));
}

static void test_chunks(void **state)
{
	struct fake *x = *state;

	RUN(x, SERVICE_SMTP, GREETED, { "MAIL FROM:<>", "250 " },
	    { "RCPT TO:<alice@example.test>", "250 " }, { "RCPT TO:<bob@example.test>", "250 " },
	    { "RCPT TO:<bob@example.test>", "250 " }, { "BDAT 12\r\nSubject: x", "250 2.0.0 12 " },
	    { "BDAT 5\r\n\r\n.", "250 " }, { "BDAT 0", "250 " },
	    { "BDAT 5 LAST\r\nhey", "250 2.0.0 taken" });
	assert_int_equal(x->committed, 1);
	assert_str(x->kept[0].recipients, S("alice@example.test bob@example.test"));
	assert_true(str_ends_nocase(last_bytes(x), S("Subject: x\r\n\r\n.\r\nhey\r\n")));
}

static void test_chunks_in_a_row(void **state)
{
	struct fake *x = *state;
	struct talk *t = open_talk(x, SERVICE_SMTP);
	const struct line first[] = { GREETED };
	str rest;

	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		check_line(t, &first[i]);
	talk_send(
	    t,
	    S("MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.test>\r\nBDAT 4\r\nA: bBDAT 6 LAST\r\n\r\n\r\n"
	      "x\r\nQUIT\r\n"));
	rest = talk_end(t);
	/* 4 octets "A: b", 6 octets "\r\n\r\nx\r", then LF alone */
	assert_true(has(rest, "554 5.6.0"));
	assert_int_equal(x->committed, 0);
}

static void test_refusals(void **state)
{
	struct fake *x = *state;

	RUN(x, SERVICE_SMTP, GREETED, { "MAIL FROM:<a@b.example>", "250 " },
	    { "RCPT TO:<nobody@example.test>", "550 5.1.1" },
	    { "RCPT TO:<full@example.test>", "452 4.2.2" },
	    { "RCPT TO:<off@example.test>", "450 4.2.1" },
	    { "RCPT TO:<x@elsewhere.example>", "550 5.7.1" },
	    { "RCPT TO:<alice%elsewhere.example@example.test>", "550 5.1.1" },
	    { "RCPT TO:<@example.test:x@elsewhere.example>", "550 5.7.1" },
	    { "RCPT TO:<alice@[127.0.0.1]>", "550 5.7.1" }, { "DATA", "503 5.5.1" },
	    { "RCPT TO:<Postmaster>", "250 " }, { "RCPT TO:<alice@example.test>", "250 " },
	    { "MAIL FROM:<a@b.example>", "503 5.5.1" });
	assert_int_equal(x->committed, 0);
	assert_int_equal(x->events, 9 + 1); /* and the connection lost in the middle */
}

/* Each refusal ends with an id, and that is the id of its event, whatever part of the protocol refused. */
static void test_refusals_are_named(void **state)
{
	static const struct line lines[] = { { "EHLO c.example", "250-" },
					     { "NONSENSE", "500 " },
					     { "RCPT TO:<alice@example.test>", "503 " },
					     { "MAIL FROM:<a", "501 " },
					     { "MAIL FROM:<a@b.example> SIZE=99999999999", "552 " },
					     { "MAIL FROM:<a@b.example>", "250 " },
					     { "RCPT TO:<nobody@example.test>", "550 " },
					     { "RCPT TO:<full@example.test>", "452 " },
					     { "BDAT 5 LAST\r\nabc", "503 " },
					     { "DATA", "503 " } };
	struct fake *x = *state;
	struct talk *t = open_talk(x, SERVICE_SMTP);
	unsigned refused = 0;

	talk_reply(t);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		str said, named;
		talk_send(t, str_cstr(lines[i].say));
		said = talk_say(t, S("\r\n"));
		assert_true(str_starts(said, str_cstr(lines[i].hear)));
		if (said.p[0] < '4')
			continue;
		assert_int_equal(x->events, ++refused);
		assert_true(id_is_attempt(x->last_attempt));
		named = str_format(x->peers.arena, " (id %.*s)\r\n",
				   STR_ARG(id_text(x->peers.arena, x->last_attempt)));
		if (!str_ends_nocase(said, named))
			fail_msg("%.*s has no%.*s", STR_ARG(said), STR_ARG(named));
	}
	talk_end(t);
}

static void test_syntax(void **state)
{
	struct fake *x = *state;

	x->peers.config->limit_errors = 100;
	RUN(x, SERVICE_SMTP, { NULL, "220 " }, { "MAIL FROM:<a@b.example>", "503 5.5.1" },
	    { "FROB", "500 5.5.1" }, { "EHLO", "501 " }, { "EHLO bad(name", "501 " },
	    { "HELO c.example", "250 mx.example.test\r\n" },
	    { "MAIL FROM:<a@b.example> SIZE=1", "555 " }, { "BDAT 3\r\nabc\r\nNOOP", "503 5.5.1" });
	RUN(x, SERVICE_SMTP, GREETED, { "MAIL FROM:a@b.example", "501 " },
	    { "MAIL FROM:<a@b.example> FROB=1", "555 " },
	    { "MAIL FROM:<a@b.example> SIZE=99999999999999999999999", "5" },
	    { "MAIL FROM:<a@b.example> SIZE=99999999999", "552 5.3.4" },
	    { "MAIL FROM:<a@b.example> BODY=BINARYMIME", "5" },
	    { "MAIL FROM:<\303\266@b.example>", "553 5.6.7" },
	    { "MAIL FROM:<\303\266@b.example> SMTPUTF8", "250 " }, { "RSET", "250 " },
	    { "RCPT TO:<alice@example.test>", "503 " }, { "VRFY alice", "252 " },
	    { "EXPN all", "502 " }, { "HELP", "214 2.0.0 EHLO" },
	    { "HELP DATA", "214 2.0.0 DATA (RFC" }, { "NOOP x", "250 " },
	    { "AUTH PLAIN x", "502 " }, { "LHLO x", "502 " }, { "STARTTLS", "502 " });
}

/* THREATS S05, S20: the octets behind a BDAT are read whatever we think of it, or the session ends. */
static void test_chunk_refused(void **state)
{
	struct fake *x = *state;

	x->peers.config->limit_errors = 100;
	assert_str(RUN(x, SERVICE_SMTP, GREETED, { "BDAT 6\r\nQUIT", "503 5.5.1" },
		       { "NOOP", "250 " }, { "MAIL FROM:<a@b.example>", "250 " },
		       { "BDAT 6 LAST\r\nQUIT", "503 5.5.1" },
		       { "RCPT TO:<alice@example.test>", "250 " }, { "BDAT 3\r\n.", "250 " },
		       { "DATA", "503 5.5.1" }, { "BDAT 6 LAST\r\nQUIT", "503 5.5.1" },
		       { "NOOP", "250 " }),
		   STR_NONE);
	RUN(x, SERVICE_SMTP, GREETED, { "MAIL FROM:<a@b.example>", "250 " },
	    { "RCPT TO:<alice@example.test>", "250 " }, { "BDAT 9223372036854775808", "552 5.3.4" },
	    { "DATA", "" });
	RUN(x, SERVICE_SMTP, GREETED, { "BDAT 99999999999999999999", "501 5.5.4" }, { "NOOP", "" });
	RUN(x, SERVICE_SMTP, GREETED, { "BDAT", "501 5.5.4" }, { "NOOP", "" });
	assert_int_equal(x->committed, 0);
}

/* THREATS S06: a refusal at the end of the data leaves nothing. */
static void test_message_refused(void **state)
{
	struct fake *x = *state;

	x->refuse_commit = true;
	RUN(x, SERVICE_SMTP, GREETED, { "MAIL FROM:<a@b.example>", "250 " },
	    { "RCPT TO:<alice@example.test>", "250 " }, { "DATA", "354 " },
	    { "A: b\r\n.", "452 4.3.1" }, { "RCPT TO:<alice@example.test>", "503 " },
	    { "DATA", "503 " });
	x->refuse_commit = false;
	x->peers.config->mail_size = 65536;
	x->peers.config->mail_hops = 1;
	RUN(x, SERVICE_SMTP, GREETED, { "MAIL FROM:<a@b.example>", "250 " },
	    { "RCPT TO:<alice@example.test>", "250 " }, { "DATA", "354 " },
	    { "Received: a\r\nReceived: b\r\n\r\n.", "554 5.4.6" }, { "DATA", "503 " },
	    { "MAIL FROM:<a@b.example>", "250 " }, { "RCPT TO:<alice@example.test>", "250 " },
	    { "DATA", "354 " }, { " folded: first\r\n.", "554 5.6.0" },
	    { "RCPT TO:<alice@example.test>", "503 " });
	assert_int_equal(x->committed, 0);
}

static void data_of_size(struct fake *x, size_t n, const char *expected)
{
	struct talk *t = open_talk(x, SERVICE_SMTP);
	const struct line first[] = { GREETED,
				      { "MAIL FROM:<a@b.example> SIZE=1", "250 " },
				      { "RCPT TO:<alice@example.test>", "250 " },
				      { "DATA", "354 " } };
	u8 *body = arena_alloc(x->peers.arena, n);

	memset(body, 'x', n);
	memcpy(body, "\r\n", 2);
	for (size_t at = n % 100 > 1 ? n % 100 : 100; at < n; at += 100)
		memcpy(body + at - 2, "\r\n", 2);
	memcpy(body + n - 2, "\r\n", 2);
	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		check_line(t, &first[i]);
	talk_send(t, str_from(body, n));
	usleep(20000); /* time for it to be too much, if it is */
	assert_true(str_starts(talk_say(t, S(".\r\n")), str_cstr(expected)));
	assert_true(str_starts(talk_say(t, S("NOOP\r\n")), S("250 "))); /* it goes on */
	assert_str(talk_end(t), STR_NONE);
}

/* Refused data that never ends: said once, and closed. */
static void data_without_end(struct fake *x)
{
	struct talk *t = open_talk(x, SERVICE_SMTP);
	const struct line first[] = { GREETED,
				      { "MAIL FROM:<a@b.example>", "250 " },
				      { "RCPT TO:<alice@example.test>", "250 " },
				      { "DATA", "354 " } };

	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		check_line(t, &first[i]);
	for (int i = 0; i < 100000; i++)
		talk_send(t, S("0123456789012345678901234567890123456789\r\n"));
	assert_str(unnamed(x->peers.arena, talk_end(t)), S("552 5.3.4 message too large\r\n"));
}

/* THREATS S20, S22: what counts is what comes; our own fields do not. */
static void test_size(void **state)
{
	struct fake *x = *state;

	x->peers.config->mail_size = 65536;
	data_of_size(x, 65536, "250 ");
	data_of_size(x, 65537, "552 5.3.4");
	data_of_size(x, 130000, "552 5.3.4");
	assert_int_equal(x->committed, 1);
	x->peers.config->mail_size = 50000;
	data_of_size(x, 99900, "552 5.3.4"); /* whatever pieces it came in */
	data_without_end(x);
	x->peers.config->mail_size = 4 << 20;
	data_of_size(x, OFFICE_LARGE + 12345, "250 ");
	assert_true(last_bytes(x).n > OFFICE_LARGE + 12345);
}

static void test_recipients_limit(void **state)
{
	struct fake *x = *state;
	struct talk *t = open_talk(x, SERVICE_SMTP);
	const struct line first[] = { GREETED, { "MAIL FROM:<a@b.example>", "250 " } };

	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		check_line(t, &first[i]);
	for (u64 i = 0; i < x->peers.config->mail_recipients; i++)
		assert_true(
		    str_starts(talk_say(t, S("RCPT TO:<bob@example.test>\r\n")), S("250 ")));
	assert_true(str_starts(talk_say(t, S("RCPT TO:<alice@example.test>\r\n")), S("452 4.5.3")));
	talk_end(t);
}

/* --- Order ------------------------------------------------------------------------------------------------------------- */

/* THREATS S12, T01 */
static void test_input_too_early(void **state)
{
	struct fake *x = *state;
	static struct talk t;

	talk_open(&t, x, SERVICE_SMTP);
	talk_send(&t, S("EHLO c.example\r\n"));
	talk_start(&t);
	assert_str(unnamed(x->peers.arena, talk_end(&t)),
		   S("554 5.5.0 you spoke before the greeting\r\n"));
	RUN(x, SERVICE_SMTP, { NULL, "220 " }, { "EHLO c.example\r\nNOOP", "503 5.5.0" });
	RUN(x, SERVICE_SMTP, { NULL, "220 " }, { "NOOP\r\nNOOP", "503 5.5.0" });
	RUN(x, SERVICE_SMTP, GREETED, { "STARTTLS\r\nNOOP", "503 5.5.0" });
	RUN(x, SERVICE_SUBMISSION, GREETED, { LOGIN "\r\nNOOP", "503 5.5.0" });
	RUN(x, SERVICE_SMTP, GREETED, { "MAIL FROM:<>", "250 " },
	    { "RCPT TO:<bob@example.test>", "250 " }, { "DATA\r\nA: b", "503 5.5.0" });
	RUN(x, SERVICE_SMTP, { NULL, "220 " }, { "GET / HTTP/1.1\r\nHost: x", "521 5.5.1" },
	    { NULL, "" });
}

static void test_bad_lines(void **state)
{
	struct fake *x = *state;
	struct talk *t = open_talk(x, SERVICE_SMTP);
	char line[4096];

	assert_true(str_starts(talk_reply(t), S("220 ")));
	assert_true(str_starts(talk_say(t, str_from("NO\0P\r\n", 6)), S("500 5.5.2")));
	memset(line, 'x', sizeof line);
	talk_send(t, str_from(line, sizeof line));
	assert_true(str_starts(talk_say(t, S("\r\n")), S("500 5.5.2")));
	assert_true(str_starts(talk_say(t, S("NOOP\n")), S("521 5.5.2")));
	assert_str(talk_end(t), STR_NONE);
}

/* THREATS S27 */
static void test_too_much(void **state)
{
	struct fake *x = *state;
	struct talk *t = open_talk(x, SERVICE_SMTP);
	int n = 0;

	talk_reply(t);
	while (str_starts(talk_say(t, S("NOOP\r\n")), S("250 ")))
		n++;
	assert_true(str_starts(str_from(t->text, t->n), S("421 4.7.0")));
	assert_int_equal(n, SMTP_JUNK);
	talk_end(t);
	t = open_talk(x, SERVICE_SMTP);
	talk_reply(t);
	for (n = 0; str_starts(talk_say(t, S("FROB\r\n")), S("500 ")); n++)
		;
	assert_true(str_starts(str_from(t->text, t->n), S("421 4.7.0")));
	assert_int_equal(n, x->peers.config->limit_errors);
	talk_end(t);
}

/* A server that brings mail all day is refused recipients now and then: errors count between two messages. */
static void test_errors_of_a_long_session(void **state)
{
	struct fake *x = *state;
	struct talk *t = open_talk(x, SERVICE_SMTP);
	const struct line mail[] = { { "MAIL FROM:<a@b.example>", "250 " },
				     { "RCPT TO:<nobody@example.test>", "550 " },
				     { "RCPT TO:<alice@example.test>", "250 " },
				     { "DATA", "354 " },
				     { "A: b\r\n\r\nc\r\n.", "250 " } };
	const struct line first[] = { GREETED };

	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		check_line(t, &first[i]);
	for (u64 n = 0; n < x->peers.config->limit_errors + 2; n++)
		for (size_t i = 0; i < ARRAY_LEN(mail); i++)
			check_line(t, &mail[i]);
	assert_str(talk_end(t), STR_NONE);
}

/* THREATS S09 */
static void test_tiny_chunks(void **state)
{
	struct fake *x = *state;
	struct talk *t = open_talk(x, SERVICE_SMTP);
	const struct line first[] = { GREETED,
				      { "MAIL FROM:<a@b.example>", "250 " },
				      { "RCPT TO:<alice@example.test>", "250 " } };
	int n = 0;

	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		check_line(t, &first[i]);
	while (str_starts(talk_say(t, S("BDAT 1\r\nx")), S("250 ")))
		n++;
	assert_int_equal(n, SMTP_TINY_CHUNKS);
	talk_end(t);
}

/* The peer says nothing: RFC 5321 4.5.3.2, 3.8 (421). */
static void test_time(void **state)
{
	struct fake *x = *state;
	struct talk *t;

	x->peers.config->limit_smtp_idle = 30;
	t = open_talk(x, SERVICE_SMTP);
	assert_true(str_starts(talk_reply(t), S("220 ")));
	assert_true(str_starts(talk_reply(t), S("421 4.4.2 idle")));
	assert_str(talk_end(t), STR_NONE);
	assert_int_equal(x->events, 0);
	RUN(x, SERVICE_SMTP, GREETED, { "MAIL FROM:<a@b.example>", "250 " },
	    { "RCPT TO:<alice@example.test>", "250 " }, { "DATA", "354 " },
	    { "A: b", "421 4.4.2 idle" });
	assert_int_equal(x->events, 1);
	x->peers.config->limit_smtp_idle = 60000;
	x->peers.config->limit_login_time = 30;
	t = open_talk(x, SERVICE_SUBMISSION);
	assert_true(str_starts(talk_reply(t), S("220 ")));
	assert_true(str_starts(talk_reply(t), S("421 4.4.2 nobody")));
	talk_end(t);
	assert_int_equal(x->committed, 0);
}

/* --- LMTP ---------------------------------------------------------------------------------------------------------------- */

static void test_lmtp(void **state)
{
	struct fake *x = *state;
	str rest;

	rest = RUN(x, SERVICE_LMTP, { NULL, "220 mx.example.test LMTP" }, { "EHLO x", "502 " },
		   { "LHLO filter", "250-mx" }, { "MAIL FROM:<a@b.example>", "250 " },
		   { "RCPT TO:<alice@example.test>", "250 " },
		   { "RCPT TO:<nobody@example.test>", "550 5.1.1" },
		   { "RCPT TO:<x@elsewhere.example>", "550 5.7.1" },
		   { "RCPT TO:<bob@example.test>", "250 " }, { "DATA", "354 " },
		   { "A: b\r\n.", "250 2.0.0" });
	(void)rest;
	assert_int_equal(x->committed, 1);
	assert_true(has(last_bytes(x), "with LMTP"));
}

/* THREATS S28: as many replies as there were good recipients. */
static void test_lmtp_replies(void **state)
{
	struct fake *x = *state;
	struct talk *t = open_talk(x, SERVICE_LMTP);

	talk_reply(t);
	talk_say(t, S("LHLO filter\r\n"));
	talk_send(
	    t,
	    S("MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\n"
	      "RCPT TO:<bob@example.test>\r\nBDAT 4 LAST\r\nA\r\nBQUIT\r\n"));
	str all = talk_end(t);
	size_t taken = 0;
	for (size_t at; (at = str_find_str(all, S("250 2.0.0 taken"))) != SIZE_MAX; taken++)
		all = str_skip(all, at + 1);
	assert_int_equal(taken, 3);
}

/* --- Submission ------------------------------------------------------------------------------------------------------------ */

static void test_submission(void **state)
{
	struct fake *x = *state;
	str bytes;

	x->peers.config->limit_errors = 100;
	RUN(x, SERVICE_SUBMISSION, GREETED, { "MAIL FROM:<alice@example.test>", "530 5.7.0" },
	    { LOGIN, "235 2.7.0" }, { LOGIN, "503 " },
	    { "MAIL FROM:<bob@example.test>", "550 5.7.1" },
	    { "RCPT TO:<bob@example.test>", "503 " }, { "MAIL FROM:<alice@example.test>", "250 " },
	    { "RCPT TO:<x@elsewhere.example>", "250 " },
	    { "RCPT TO:<nobody@example.test>", "550 5.1.1" }, { "DATA", "354 " },
	    { "From: Alice <alice@example.test>\r\nSubject: x\r\n\r\nhey\r\n.", "250 " });
	assert_int_equal(x->committed, 1);
	bytes = last_bytes(x);
	assert_true(x->kept[0].has_ticket);
	assert_true(has(bytes, "with ESMTPA"));
	assert_true(has(bytes, "\r\nDate: "));
	assert_true(has(bytes, "@mx.example.test>\r\n\r\nhey\r\n"));
}

static void try_from(struct fake *x, const char *header, const char *expected)
{
	struct talk *t = open_talk(x, SERVICE_SUBMISSION);
	const struct line lines[] = { GREETED,
				      { LOGIN, "235 " },
				      { "MAIL FROM:<alice@example.test>", "250 " },
				      { "RCPT TO:<bob@example.test>", "250 " },
				      { "DATA", "354 " },
				      { header, expected },
				      { "RCPT TO:<bob@example.test>", "503 " } };

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		check_line(t, &lines[i]);
	talk_end(t);
}

static void test_from(void **state)
{
	struct fake *x = *state;

	try_from(x, "From: alice@example.test\r\nDate: x\r\nMessage-ID: <a@b>\r\n.", "250 ");
	assert_false(has(last_bytes(x), "Date: S"));
	assert_false(has(last_bytes(x), "@mx.example.test>"));
	try_from(x, "From: Bob <bob@example.test>\r\n\r\n.", "550 5.7.1");
	try_from(x, "From: alice@example.test, bob@example.test\r\n\r\n.", "550 5.7.1");
	try_from(x, "From: alice@example.test\r\nFrom: alice@example.test\r\n\r\n.", "550 5.7.1");
	try_from(x, "Subject: no from\r\n\r\n.", "554 5.6.0");
	try_from(x, "From: Alice\r\n\r\n.", "5");
	assert_int_equal(x->committed, 1);
}

static void test_auth(void **state)
{
	struct fake *x = *state;

	x->peers.delay_ms = 30;
	x->peers.config->limit_errors = 100;
	RUN(x, SERVICE_SUBMISSION, GREETED, { "AUTH FROB", "504 5.5.4" },
	    { "AUTH PLAIN !!!!", "501 5.5.2" }, { "AUTH PLAIN AGJvYgBib2I=", "535 5.7.8" },
	    { "AUTH LOGIN", "334 UGFzc3dvcmQ6" }, { "*", "501 5.7.0" },
	    { "AUTH PLAIN", "334 \r\n" }, { "AGJvYgBib2I=", "535 5.7.8" },
	    { "MAIL FROM:<>", "530 " }, { "AUTH SCRAM-SHA-256 biws", "334 " },
	    { "cHJvb2Y=", "334 dj1taW5l" }, { "", "235 2.7.0" }, { "MAIL FROM:<>", "250 " },
	    { "AUTH PLAIN", "503 " });
	assert_int_equal(x->peers.checked, 3);
	RUN(x, SERVICE_SUBMISSION, { NULL, "220 " }, { "AUTH PLAIN", "503 5.5.1" },
	    { "HELO x", "250 " }, { "AUTH PLAIN", "503 5.5.1" });
	x->peers.config->login_plaintext = false; /* THREATS T05 */
	RUN(x, SERVICE_SUBMISSION, GREETED, { LOGIN, "538 5.7.11" },
	    { "MAIL FROM:<>", "530 5.7.0 STARTTLS" });
	assert_int_equal(x->peers.checked, 3);
	RUN(x, SERVICE_SUBMISSION, { NULL, "220 " }, { "EHLO c", "250-" });
}

/* Recipients that are put off are no errors and have no count of their own: the transaction's memory is the limit. */
static void test_many_refused_recipients(void **state)
{
	struct fake *x = *state;
	struct talk *t;
	char line[700];
	str reply = STR_NONE;
	int n = 0;

	x->peers.config->mail_recipients = 1;
	t = open_talk(x, SERVICE_SMTP);
	check_line(t, &(struct line){ NULL, "220 " });
	check_line(t, &(struct line){ "EHLO c.example", "250-" });
	check_line(t, &(struct line){ "MAIL FROM:<>", "250 " });
	snprintf(line, sizeof line, "RCPT TO:<\"full\"@example.test> ORCPT=rfc822;%0480d\r\n", 7);
	do {
		talk_send(t, str_cstr(line));
		reply = talk_reply(t);
	} while (str_starts(reply, S("452 4.2.2")) && ++n < 40000);
	assert_true(str_starts(reply, S("452 4.3.1 ")));
	assert_true(n < 40000);
	check_line(t, &(struct line){ "RSET", "250 " });
	check_line(t, &(struct line){ "MAIL FROM:<>", "250 " });
	check_line(t, &(struct line){ "RCPT TO:<full@example.test>", "452 4.2.2" });
	talk_end(t);
}

/* A last chunk that does not fit is refused once a recipient. */
static void test_lmtp_last_chunk_refused(void **state)
{
	struct fake *x = *state;
	char first[1000], last[1000];
	struct talk *t;

	x->peers.config->mail_size = 1000;
	snprintf(first, sizeof first, "BDAT 802\r\nX: %0797d", 1);
	snprintf(last, sizeof last, "BDAT 802 LAST\r\nX: %0797d", 1);
	t = open_talk(x, SERVICE_LMTP);
	check_line(t, &(struct line){ NULL, "220 " });
	check_line(t, &(struct line){ "LHLO c.example", "250-" });
	check_line(t, &(struct line){ "MAIL FROM:<>", "250 " });
	check_line(t, &(struct line){ "RCPT TO:<alice@example.test>", "250 " });
	check_line(t, &(struct line){ "RCPT TO:<bob@example.test>", "250 " });
	check_line(t, &(struct line){ first, "250 " });
	talk_send(t, str_cstr(last));
	talk_send(t, S("\r\n"));
	assert_true(str_starts(unnamed(x->peers.arena, talk_reply(t)),
			       S("552 5.3.4 message too large\r\n552 5.3.4 ")));
	talk_end(t);
	assert_int_equal(x->committed, 0);
}

/* The next octet is the message's first. */
static void begin_data(struct talk *t, struct fake *x)
{
	talk_connect(t, x, SERVICE_SMTP);
	talk_start(t);
	(void)talk_reply(t);
	(void)talk_say(t, S("EHLO c.example\r\n"));
	(void)talk_say(t, S("MAIL FROM:<a@b.example>\r\n"));
	(void)talk_say(t, S("RCPT TO:<alice@example.test>\r\n"));
	assert_true(str_starts(talk_say(t, S("DATA\r\n")), S("354")));
}

/* The trace is written turns after DATA was said: it must hold nothing of the turn in which it was made. */
static void test_trace_outlives_its_turn(void **state)
{
	struct fake *x = *state;
	static struct talk t;

	mallopt(M_PERTURB, 0xA5); /* memory given back is not left as it was */
	begin_data(&t, x);
	for (int i = 0; i < 3; i++) {
		talk_send(&t, S("A: b\r\n"));
		poll(NULL, 0, 20); /* the session parks, and its turn's memory goes */
	}
	assert_true(str_starts(talk_say(&t, S("\r\n.\r\n")), S("250")));
	(void)talk_end(&t);
	assert_true(str_starts(x->kept[0].bytes, S("Received: from c.example ([127.0.0.1]) by ")));
}

/* What was found out about the client at DATA is written with the message. */
static void test_facts_outlive_their_turn(void **state)
{
	struct fake *x = *state;
	static struct talk t;

	x->peers.config->auth_local_networks = true;
	x->peers.config->auth_iprev = true;
	begin_data(&t, x);
	assert_true(str_starts(talk_say(&t, S("From: a@b.example\r\n\r\n.\r\n")), S("250")));
	(void)talk_end(&t);
	assert_true(has(x->kept[0].bytes, "policy.iprev=127.0.0.1"));
	assert_true(has(x->kept[0].decision, "{\"check\":\"iprev\",\"input\":\"127.0.0.1\""));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		T(test_one_mail),
		T(test_trace_outlives_its_turn),
		T(test_facts_outlive_their_turn),
		T(test_chunks),
		T(test_chunks_in_a_row),
		T(test_refusals),
		T(test_refusals_are_named),
		T(test_syntax),
		T(test_chunk_refused),
		T(test_message_refused),
		T(test_size),
		T(test_recipients_limit),
		T(test_input_too_early),
		T(test_bad_lines),
		T(test_too_much),
		T(test_errors_of_a_long_session),
		T(test_tiny_chunks),
		T(test_lmtp),
		T(test_lmtp_replies),
		T(test_time),
		T(test_submission),
		T(test_from),
		T(test_many_refused_recipients),
		T(test_lmtp_last_chunk_refused),
		T(test_auth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
