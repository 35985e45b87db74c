/*
 * The order of commands against a model (THREATS S05-S07, S11): all triples of commands behind MAIL, and random sequences. The model knows
 * only what RFC 5321, 3030 and 4954 say of order; each command is also checked to leave the session in step.
 */
#include "base/unit.h"
#include "edge/smtp/fake_test.h"

struct model {
	bool greeted, extended, mail, chunked, login, closed;
	unsigned recipients, taken;
};

struct step {
	const char *say;
	unsigned (*expect)(struct model *m); /* the reply code; changes the model */
};

static void drop(struct model *m)
{
	m->mail = m->chunked = false;
	m->recipients = 0;
}

static unsigned ehlo(struct model *m)
{
	drop(m);
	m->greeted = m->extended = true;
	return 250;
}

static unsigned helo(struct model *m)
{
	drop(m);
	m->greeted = true;
	m->extended = false;
	return 250;
}

/* Whatever is out of order after a BDAT ends the mail. */
static unsigned wrong(struct model *m)
{
	if (m->chunked)
		drop(m);
	return 503;
}

static unsigned mail(struct model *m)
{
	if (!m->greeted || m->mail)
		return wrong(m);
	if (!m->login)
		return 530;
	m->mail = true;
	return 250;
}

static unsigned mail_bad(struct model *m)
{
	unsigned code = mail(m);

	if (code == 250)
		drop(m);
	return code == 250 ? 550 : code;
}

static unsigned rcpt(struct model *m)
{
	if (!m->mail || m->chunked)
		return wrong(m);
	m->recipients++;
	return 250;
}

static unsigned rcpt_bad(struct model *m)
{
	return !m->mail || m->chunked ? wrong(m) : 550;
}

static unsigned take(struct model *m)
{
	drop(m);
	m->taken++;
	return 250;
}

static unsigned data(struct model *m)
{
	return !m->mail || m->chunked || m->recipients == 0 ? wrong(m) : 354;
}

static bool chunk_good(const struct model *m)
{
	return m->mail && (m->recipients > 0 || m->chunked);
}

static unsigned bdat(struct model *m)
{
	if (!chunk_good(m) || !m->extended)
		return wrong(m);
	m->chunked = true;
	return 250;
}

static unsigned bdat_last(struct model *m)
{
	return chunk_good(m) && m->extended ? take(m) : wrong(m);
}

static unsigned bdat_bare(struct model *m)
{
	if (!chunk_good(m) || !m->extended)
		return wrong(m);
	drop(m);
	return 554;
}

static unsigned rset(struct model *m)
{
	drop(m);
	return 250;
}

static unsigned noop(struct model *m)
{
	(void)m;
	return 250;
}

static unsigned vrfy(struct model *m)
{
	(void)m;
	return 252;
}

static unsigned starttls(struct model *m)
{
	return !m->greeted || m->mail ? wrong(m) : 502;
}

static unsigned auth(struct model *m)
{
	if (!m->greeted || m->mail || !m->extended || m->login)
		return wrong(m);
	m->login = true;
	return 235;
}

static unsigned unknown(struct model *m)
{
	(void)m;
	return 500;
}

#define FROM "From: alice@example.test\r\n"
static const struct step steps[] = {
	{ "EHLO c.example", ehlo },
	{ "HELO c.example", helo },
	{ "MAIL FROM:<alice@example.test>", mail },
	{ "MAIL FROM:<bob@example.test>", mail_bad },
	{ "RCPT TO:<x@elsewhere.example>", rcpt },
	{ "RCPT TO:<nobody@example.test>", rcpt_bad },
	{ "DATA", data },
	{ "BDAT 6\r\nA: b", bdat },
	{ "BDAT 26 LAST\r\nFrom: alice@example.test", bdat_last },
	{ "BDAT 5\r\na\nb", bdat_bare },
	{ "RSET", rset },
	{ "NOOP", noop },
	{ "VRFY alice", vrfy },
	{ "STARTTLS", starttls },
	{ "AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZQ==", auth },
	{ "FROB", unknown },
};

static void say(struct talk *t, struct model *m, const struct step *s, const char *why)
{
	unsigned expected = s->expect(m);
	str reply;
	char code[5];

	talk_send(t, str_cstr(s->say));
	reply = talk_say(t, S("\r\n"));
	snprintf(code, sizeof code, "%u", expected);
	if (!str_starts(reply, str_cstr(code)))
		fail_msg("%s: \"%s\": expected %s, got \"%.*s\"", why, s->say, code,
			 STR_ARG(reply));
	if (expected != 354)
		return;
	reply = talk_say(t, S(FROM "\r\n.\r\n"));
	assert_true(str_starts(reply, S("250 ")));
	take(m);
}

static void start(struct talk *t, struct model *m, struct fake *x)
{
	*m = (struct model){ .taken = x->committed };
	talk_open(t, x, SERVICE_SUBMISSION);
	talk_start(t);
	assert_true(str_starts(talk_reply(t), S("220 ")));
}

static void finish(struct talk *t, const struct model *m, struct fake *x)
{
	assert_int_equal(x->committed, m->taken);
	talk_end(t);
}

static void test_triples(void **state)
{
	static struct talk t;
	struct fake *x = *state;
	struct model m;
	const size_t n = ARRAY_LEN(steps);

	for (size_t k = 0; k < n * n * n; k++) {
		char why[40];
		snprintf(why, sizeof why, "triple %zu %zu %zu", k / n / n, k / n % n, k % n);
		start(&t, &m, x);
		say(&t, &m, &steps[0], why);
		say(&t, &m, &steps[14], why);
		say(&t, &m, &steps[2], why);
		if (k % 2 == 0)
			say(&t, &m, &steps[4], why);
		say(&t, &m, &steps[k / n / n], why);
		say(&t, &m, &steps[k / n % n], why);
		say(&t, &m, &steps[k % n], why);
		finish(&t, &m, x);
	}
}

static void test_random(void **state)
{
	static struct talk t;
	struct fake *x = *state;
	struct model m;
	u64 seed = 20261121;

	for (int round = 0; round < 300; round++) {
		char why[40];
		snprintf(why, sizeof why, "round %d", round);
		start(&t, &m, x);
		for (int i = 0; i < 30; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			say(&t, &m, &steps[(seed >> 33) % ARRAY_LEN(steps)], why);
		}
		finish(&t, &m, x);
	}
}

static int setup(void **state)
{
	struct fake *x = fake_new();

	x->peers.config->limit_errors = 1000;
	*state = x;
	return 0;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)
	const struct CMUnitTest tests[] = { T(test_triples), T(test_random) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
