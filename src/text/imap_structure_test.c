/* ENVELOPE, BODYSTRUCTURE and sections of messages, from their bytes by the one parser. */
#include "base/unit_arena.h"
#include "base/scan.h"
#include "text/imap_fetch.h"
#include "text/imap_structure.h"

static const struct skeleton *parse(str message)
{
	struct skeleton_parser *p = skeleton_parser_new(a);
	const struct skeleton *k;

	assert_ok(skeleton_feed(p, message));
	assert_ok(skeleton_finish(p, &k));
	return k;
}

static str structure(str message, bool extended)
{
	struct buf *b = buf_new(a, 1 << 20);

	imap_put_structure(b, parse(message), extended);
	return buf_str(b);
}

static str envelope(str message)
{
	struct buf *b = buf_new(a, 1 << 20);

	imap_put_envelope(b, &parse(message)->envelope);
	return buf_str(b);
}

/* Brackets outside quotes and literals are paired, and no line ends but in literals (THREATS I20). */
static void check_form(str s)
{
	struct scan c = scan_of(s);
	int depth = 0;
	str skipped;

	while (!scan_end(&c)) {
		u64 n;

		if (scan_byte(&c, '"')) {
			while (!scan_byte(&c, '"')) {
				scan_byte(&c, '\\');
				assert_true(scan_take(&c, 1, &skipped));
				assert_true(skipped.p[0] >= 0x20 && skipped.p[0] < 0x7F);
			}
		} else if (scan_byte(&c, '{')) {
			assert_true(scan_u64(&c, &n) && scan_lit(&c, S("}\r\n")) &&
				    scan_take(&c, (size_t)n, &skipped));
		} else {
			assert_true(scan_take(&c, 1, &skipped));
			depth += skipped.p[0] == '(' ? 1 : skipped.p[0] == ')' ? -1 : 0;
			assert_true(depth >= 0 && skipped.p[0] >= 0x20 && skipped.p[0] < 0x7F);
		}
	}
	assert_int_equal(depth, 0);
}

static void envelopes(void **state)
{
	(void)state;
	assert_str(envelope(S("\r\n")), S("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"));
	assert_str(
	    envelope(S("From: a@b\r\nReply-To: c@d\r\nSubject: \"x\"\r\n\r\n")),
	    S("(NIL \"\\\"x\\\"\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"c\" \"d\")) "
	      "NIL NIL NIL NIL NIL)"));
	assert_str(
	    envelope(S("To: team: x@y, z@w;\r\n\r\n")),
	    S("(NIL NIL NIL NIL NIL ((NIL NIL \"team\" NIL)(NIL NIL \"x\" \"y\")(NIL NIL \"z\" \"w\")"
	      "(NIL NIL NIL NIL)) NIL NIL NIL NIL)"));
	check_form(
	    envelope(S("Subject: \x80\xFF caf\xC3\xA9\r\nFrom: \"a\\\"b\" <x\ry@z>, (((\r\n\r\n")));
}

static void structures(void **state)
{
	struct buf *b = buf_new(a, 1 << 20);

	(void)state;
	assert_str(structure(S("\r\nab\r\n"), false),
		   S("(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 4 1)"));
	assert_str(structure(S("\r\n"), true),
		   S("(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0 NIL NIL NIL NIL)"));
	check_form(
	    structure(S("Content-Type: multipart/mixed; boundary=b\r\n\r\nnothing\r\n"), true));
	check_form(structure(S("Content-Type: message/rfc822\r\n\r\n"), true));
	/* As deep as the parser goes, and beyond. */
	for (int i = 0; i < 150; i++)
		buf_printf(b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
	buf_add(b, S("\r\nx\r\n"));
	check_form(structure(buf_str(b), true));
}

/* Bytes of BODY[section], "NIL", or "bad". */
static str section(str message, const char *name)
{
	struct scan s = scan_of(str_cstr(name));
	struct imap_place place;
	struct imap_fetch f;

	if (!imap_scan_fetch(a, &s, &f))
		return S("bad");
	if (!imap_section_find(parse(message), &f.attributes[0], &place))
		return S("NIL");
	return str_slice(message, (size_t)place.from, (size_t)place.to);
}

static void sections(void **state)
{
	static const str plain = S("A: 1\r\n\r\ntext\r\n");
	static const str nested = S(
	    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n"
	    "Content-Type: message/rfc822\r\n\r\nS: in\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
	    "--c\r\n\r\ndeep\r\n--c--\r\n\r\n--b--\r\n");

	(void)state;
	assert_str(section(plain, "body[]"), plain);
	assert_str(section(plain, "body[header]"), S("A: 1\r\n\r\n"));
	assert_str(section(plain, "body[text]"), S("text\r\n"));
	assert_str(section(plain, "body[1]"), S("text\r\n"));
	assert_str(section(plain, "body[1.mime]"), S("A: 1\r\n\r\n"));
	assert_str(section(plain, "body[2]"), S("NIL"));
	assert_str(section(plain, "body[1.1]"), S("NIL"));
	assert_str(section(plain, "body[1.header]"), S("NIL"));
	assert_str(section(nested, "body[1]"), S("one"));
	assert_str(section(nested, "body[2.1]"), S("deep"));
	assert_str(section(nested, "body[2.1.mime]"), S("\r\n"));
	assert_str(section(nested, "body[2.header]"),
		   S("S: in\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"));
	assert_str(section(nested, "body[2.text]"), S("--c\r\n\r\ndeep\r\n--c--\r\n"));
	assert_str(section(nested, "body[2.1.text]"), S("NIL"));
	assert_str(section(nested, "body[3]"), S("NIL"));
	assert_str(section(nested, "body[4294967295]"), S("NIL"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { UNIT_TEST(envelopes), UNIT_TEST(structures),
					    UNIT_TEST(sections) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
