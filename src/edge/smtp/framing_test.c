/*
 * Framing, exhaustively (THREATS S01, S02, S03): every string of up to 5 of CR, LF, NUL, '.', SP stands between two pieces of text, the second
 * of which would be commands for whoever ends the data too early. A model of a few lines says what must happen.
 */
#include "base/unit.h"
#include "edge/smtp/fake_test.h"

#define HEAD "A: b\r\n\r\na"
#define TAIL "MAIL FROM:<evil@b.example>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nevil\r\n.\r\n"

enum { MIDDLE_MAX = 5 };

static const u8 alphabet[] = { '\r', '\n', 0, '.', ' ' };

/* What the text of a DATA must lead to. */
struct expected {
	bool taken;
	u8 bytes[256];
	size_t n;
	size_t end; /* of the text, when it is taken */
};

/* RFC 5321 4.5.2: lines end in CRLF, a line of one dot ends all, a first dot goes. A CR or LF alone: nothing is taken. */
static void expect_dotted(str text, struct expected *e)
{
	bool line_start = true;

	*e = (struct expected){ 0 };
	for (size_t i = 0; i < text.n; i++) {
		bool crlf = i + 1 < text.n && text.p[i] == '\r' && text.p[i + 1] == '\n';
		if (!crlf && (text.p[i] == '\r' || text.p[i] == '\n'))
			return;
		if (line_start && text.p[i] == '.') {
			if (i + 2 < text.n && text.p[i + 1] == '\r' && text.p[i + 2] == '\n') {
				e->taken = true;
				e->end = i + 3;
				return;
			}
			line_start = false;
			continue;
		}
		e->bytes[e->n++] = text.p[i];
		if (crlf)
			e->bytes[e->n++] = text.p[++i];
		line_start = crlf;
	}
}

static bool has_bare(str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n')
			i++;
		else if (text.p[i] == '\r' || text.p[i] == '\n')
			return true;
	}
	return false;
}

static void begin_mail(struct talk *t, struct fake *x)
{
	talk_open(t, x, SERVICE_SMTP);
	talk_start(t);
	talk_reply(t);
	talk_say(t, S("EHLO c.example\r\n"));
	talk_say(t, S("MAIL FROM:<a@b.example>\r\n"));
	talk_say(t, S("RCPT TO:<alice@example.test>\r\n"));
}

/* Behind our Received field, which ends where the sender's first field begins. */
static void check_body(const struct fake *x, str expected)
{
	const struct fake_message *m = &x->kept[(x->committed - 1) % FAKE_KEPT];
	size_t at = str_find_str(m->bytes, S("\r\nA: b"));

	assert_int_not_equal(at, SIZE_MAX);
	assert_str(str_skip(m->bytes, at + 2), expected);
	assert_str(m->sender, S("a@b.example"));
}

static void check_dotted(struct fake *x, str middle, bool byte_by_byte)
{
	static struct talk t;
	static struct expected e;
	struct buf text;
	unsigned before = x->committed;

	buf_init(&text, 512);
	buf_add(&text, S(HEAD));
	buf_add(&text, middle);
	buf_add(&text, S(TAIL "QUIT\r\n"));
	expect_dotted(buf_str(&text), &e);
	begin_mail(&t, x);
	assert_true(str_starts(talk_say(&t, S("DATA\r\n")), S("354 ")));
	/* Not what comes after its end: a DATA that is sent so slowly may be answered in time, and begins a mail of its own. */
	for (size_t i = 0; byte_by_byte && i < (e.taken ? e.end : text.n); i++)
		talk_send(&t, str_from(text.p + i, 1));
	if (!byte_by_byte)
		talk_send(&t, buf_str(&text));
	str said = talk_end(&t);
	assert_int_equal(x->committed - before, e.taken ? 1 : 0);
	if (e.taken)
		check_body(x, str_from(e.bytes, e.n));
	else
		assert_str(unnamed(x->peers.arena, said),
			   S("521 5.5.2 a CR or LF alone: lines end in CRLF\r\n"));
	buf_free(&text);
}

static void check_counted(struct fake *x, str middle)
{
	static struct talk t;
	struct buf text;
	char line[40];
	unsigned before = x->committed;
	bool bad;

	buf_init(&text, 512);
	buf_add(&text, S(HEAD));
	buf_add(&text, middle);
	buf_add(&text, S(TAIL));
	bad = has_bare(buf_str(&text));
	begin_mail(&t, x);
	snprintf(line, sizeof line, "BDAT %zu LAST\r\n", text.n);
	talk_send(&t, str_cstr(line));
	str reply = talk_say(&t, buf_str(&text));
	assert_true(str_starts(reply, bad ? S("554 5.6.0") : S("250 2.0.0")));
	assert_int_equal(x->committed - before, bad ? 0 : 1);
	if (!bad)
		check_body(x, buf_str(&text));
	assert_true(str_starts(talk_say(&t, S("QUIT\r\n")), S("221 ")));
	talk_end(&t);
	buf_free(&text);
}

/* All strings of exactly n of the alphabet. */
static void each(struct fake *x, size_t n, void (*check)(struct fake *x, str middle))
{
	u8 middle[MIDDLE_MAX];
	unsigned count = 1;

	for (size_t i = 0; i < n; i++)
		count *= ARRAY_LEN(alphabet);
	for (unsigned k = 0; k < count; k++) {
		unsigned rest = k;
		for (size_t i = 0; i < n; i++, rest /= ARRAY_LEN(alphabet))
			middle[i] = alphabet[rest % ARRAY_LEN(alphabet)];
		check(x, str_from(middle, n));
	}
}

static void whole(struct fake *x, str middle)
{
	check_dotted(x, middle, false);
}

static void in_bytes(struct fake *x, str middle)
{
	check_dotted(x, middle, true);
}

static void test_dotted(void **state)
{
	for (size_t n = 0; n <= MIDDLE_MAX; n++)
		each(*state, n, whole);
}

static void test_counted(void **state)
{
	for (size_t n = 0; n <= MIDDLE_MAX; n++)
		each(*state, n, check_counted);
}

static void test_byte_by_byte(void **state)
{
	for (size_t n = 0; n <= 3; n++)
		each(*state, n, in_bytes);
	check_dotted(*state, S("\r\n.\r\n"), true);
	check_dotted(*state, S("\r\n..\r\n"), true);
	check_dotted(*state, S("\r\n.\r.\r\n"), true);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = { T(test_dotted), T(test_counted), T(test_byte_by_byte) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
