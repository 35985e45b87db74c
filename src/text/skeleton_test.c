#include "text/text_test.h"

#include <stdio.h>

#include "text/skeleton.h"

static const struct fail *parse_cut(str message, size_t step, const struct skeleton **out)
{
	struct skeleton_parser *p = skeleton_parser_new(arena);

	for (; message.n; message = str_skip(message, step))
		TRY(skeleton_feed(p, str_copy(arena, str_slice(message, 0, step))));
	return skeleton_finish(p, out);
}

static const struct skeleton *parse(str message)
{
	const struct skeleton *s = NULL;
	struct skeleton back;

	assert_null(parse_cut(message, SIZE_MAX, &s));
	assert_null(skeleton_decode(arena, skeleton_encode(arena, s), &back));
	return s;
}

/* CRLF as '/', what is longer than 24 bytes without its middle. */
static void show(struct buf *out, str bytes)
{
	struct buf *text = buf_new(arena, bytes.n + 1);

	for (size_t i = 0; i < bytes.n; i++) {
		bool end = bytes.p[i] == '\r' && i + 1 < bytes.n && bytes.p[i + 1] == '\n';
		buf_add_byte(text, end ? '/' : bytes.p[i]);
		i += end;
	}
	bytes = buf_str(text);
	buf_add(out, str_slice(bytes, 0, bytes.n > 24 ? 8 : 24));
	if (bytes.n > 24) {
		buf_add(out, S("~"));
		buf_add(out, str_skip(bytes, bytes.n - 10));
	}
}

static u64 count_lines(str bytes)
{
	u64 n = 0;

	for (size_t at; (at = str_find_str(bytes, S("\r\n"))) != SIZE_MAX; n++)
		bytes = str_skip(bytes, at + 2);
	return n;
}

/* For each part: depth type/subtype (header) [body]; its lines are counted anew. */
static str outline(str message, const struct skeleton *s)
{
	struct buf *out = buf_new(arena, 100000);

	for (size_t i = 0; i < s->parts_n; i++) {
		const struct skeleton_part *p = &s->parts[i];
		str body = str_slice(message, p->body_at, p->end);
		assert_int_equal(p->lines, count_lines(body));
		buf_printf(out, "%u %.*s/%.*s (", p->depth, STR_ARG(p->type), STR_ARG(p->subtype));
		show(out, str_slice(message, p->header_at, p->body_at));
		buf_add(out, S(") ["));
		show(out, body);
		buf_add(out, S("]\n"));
	}
	return buf_str(out);
}

#define MULTI(type, boundary) "Content-Type: multipart/" type "; boundary=" boundary "\r\n\r\n"

static const struct {
	const char *what;
	str message, outline;
	u32 flags; /* of these two: broken, cut */
} structures[] = {
	{ "no header, no body", S(""), S("0 TEXT/PLAIN () []\n"), 0 },
	{ "header only", S("A: b\r\n"), S("0 TEXT/PLAIN (A: b/) []\n"), 0 },
	{ "plain", S("A: b\r\n\r\nx\r\ny\r\n"), S("0 TEXT/PLAIN (A: b//) [x/y/]\n"), 0 },
	{ "body at once", S("\r\nx"), S("0 TEXT/PLAIN (/) [x]\n"), 0 },
	{ "two parts",
	  S(MULTI(
	      "mixed",
	      "b") "pre\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: text/html\r\n\r\ny\r\nz\r\n--b--\r\nepi\r\n"),
	  S("0 MULTIPART/MIXED (Content-~undary=b//) [pre/--b/~--b--/epi/]\n"
	    "1 TEXT/PLAIN (/) [x]\n"
	    "1 TEXT/HTML (Content-~ext/html//) [y/z]\n"),
	  0 },
	{ "empty preamble and padding", S(MULTI("mixed", "\"b\"") "--b \t\r\n\r\nx\r\n--b--  \r\n"),
	  S("0 MULTIPART/MIXED (Content-~dary=\"b\"//) [--b \t//x/--b--  /]\n"
	    "1 TEXT/PLAIN (/) [x]\n"),
	  0 },
	{ "part with no body", S(MULTI("mixed", "b") "--b\r\nA: b\r\n--b\r\n--b\r\n\r\n--b--\r\n"),
	  S("0 MULTIPART/MIXED (Content-~undary=b//) [--b/A: b/--b/--b//--b--/]\n"
	    "1 TEXT/PLAIN (A: b/) []\n"
	    "1 TEXT/PLAIN () []\n"
	    "1 TEXT/PLAIN (/) []\n"),
	  0 },
	{ "boundary that begins another",
	  S(MULTI("mixed", "b") "--b\r\n" MULTI("alternative",
						"bb") "--bb\r\n\r\nx\r\n--bb--\r\n--b--\r\n"),
	  S("0 MULTIPART/MIXED (Content-~undary=b//) [--b/Cont~b--/--b--/]\n"
	    "1 MULTIPART/ALTERNATIVE (Content-~ndary=bb//) [--bb//x/--bb--]\n"
	    "2 TEXT/PLAIN (/) [x]\n"),
	  0 },
	{ "end boundary of the inner one missing",
	  S(MULTI("mixed", "b") "--b\r\n" MULTI("alternative",
						"c") "--c\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--\r\n"),
	  S("0 MULTIPART/MIXED (Content-~undary=b//) [--b/Cont~//y/--b--/]\n"
	    "1 MULTIPART/ALTERNATIVE (Content-~undary=c//) [--c//x]\n"
	    "2 TEXT/PLAIN (/) [x]\n"
	    "1 TEXT/PLAIN (/) [y]\n"),
	  SKELETON_BROKEN_MIME },
	{ "end boundaries missing at the end", S(MULTI("mixed", "b") "--b\r\n\r\nx\r\n"),
	  S("0 MULTIPART/MIXED (Content-~undary=b//) [--b//x/]\n"
	    "1 TEXT/PLAIN (/) [x/]\n"),
	  SKELETON_BROKEN_MIME },
	{ "end boundary without a line end", S(MULTI("mixed", "b") "--b\r\n\r\nx\r\n--b--"),
	  S("0 MULTIPART/MIXED (Content-~undary=b//) [--b//x/--b--]\n"
	    "1 TEXT/PLAIN (/) [x]\n"),
	  0 },
	{ "boundary after its end",
	  S(MULTI("mixed", "b") "--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\ny\r\n"),
	  S("0 MULTIPART/MIXED (Content-~undary=b//) [--b//x/--b--/--b//y/]\n"
	    "1 TEXT/PLAIN (/) [x]\n"),
	  0 },
	{ "no part at all", S(MULTI("mixed", "b") "x\r\n"),
	  S("0 TEXT/PLAIN (Content-~undary=b//) [x/]\n"), SKELETON_BROKEN_MIME },
	{ "no boundary", S("Content-Type: multipart/mixed\r\n\r\n--\r\n"),
	  S("0 TEXT/PLAIN (Content-~rt/mixed//) [--/]\n"), SKELETON_BROKEN_MIME },
	{ "boundary in a comment only",
	  S("Content-Type: multipart/mixed (;boundary=b)\r\n\r\n--b\r\n"),
	  S("0 TEXT/PLAIN (Content-~ndary=b)//) [--b/]\n"), SKELETON_BROKEN_MIME },
	{ "digest",
	  S(MULTI(
	      "digest",
	      "b") "--b\r\n\r\nA: b\r\n\r\nx\r\n--b\r\nContent-Type: text/plain\r\n\r\ny\r\n--b--\r\n"),
	  S("0 MULTIPART/DIGEST (Content-~undary=b//) [--b//A: ~//y/--b--/]\n"
	    "1 MESSAGE/RFC822 (/) [A: b//x]\n"
	    "2 TEXT/PLAIN (A: b//) [x]\n"
	    "1 TEXT/PLAIN (Content-~xt/plain//) [y]\n"),
	  0 },
	{ "message cut in its header", S(MULTI("digest", "b") "--b\r\n\r\nA: b\r\n--b--\r\n"),
	  S("0 MULTIPART/DIGEST (Content-~undary=b//) [--b//A: b/--b--/]\n"
	    "1 MESSAGE/RFC822 (/) [A: b/]\n"
	    "2 TEXT/PLAIN (A: b/) []\n"),
	  0 },
	{ "message without anything", S(MULTI("digest", "b") "--b\r\n--b--\r\n"),
	  S("0 MULTIPART/DIGEST (Content-~undary=b//) [--b/--b--/]\n"
	    "1 MESSAGE/RFC822 () []\n"
	    "2 TEXT/PLAIN () []\n"),
	  0 },
	{ "message in a message in a message",
	  S("Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx\r\n"),
	  S("0 MESSAGE/RFC822 (Content-~e/rfc822//) [Content-~//A: b//x/]\n"
	    "1 MESSAGE/RFC822 (Content-~e/rfc822//) [A: b//x/]\n"
	    "2 TEXT/PLAIN (A: b//) [x/]\n"),
	  0 },
	{ "multipart in a message",
	  S("Content-Type: message/rfc822\r\n\r\n" MULTI("mixed", "b") "--b\r\n\r\nx\r\n--b--\r\n"),
	  S("0 MESSAGE/RFC822 (Content-~e/rfc822//) [Content-~//x/--b--/]\n"
	    "1 MULTIPART/MIXED (Content-~undary=b//) [--b//x/--b--/]\n"
	    "2 TEXT/PLAIN (/) [x]\n"),
	  0 },
	{ "inner multipart cut in its header by the outer boundary",
	  S(MULTI("mixed", "b") "--b\r\n" MULTI("mixed", "c") "--c\r\n--b--\r\n"),
	  S("0 MULTIPART/MIXED (Content-~undary=b//) [--b/Cont~--c/--b--/]\n"
	    "1 MULTIPART/MIXED (Content-~undary=c//) [--c/]\n"
	    "2 TEXT/PLAIN () []\n"),
	  SKELETON_BROKEN_MIME },
	{ "bare LF and CR end nothing", S(MULTI("mixed", "b") "\n--b\n\r--b\r\n--b \nx\r\n"),
	  S("0 TEXT/PLAIN (Content-~undary=b//) [\n--b\n\r--b/--b \nx/]\n"), SKELETON_BROKEN_MIME },
	{ "type unreadable", S("Content-Type: foo\r\n\r\nx"),
	  S("0 TEXT/PLAIN (Content-Type: foo//) [x]\n"), SKELETON_BROKEN_MIME },
};

static void structures_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(structures); i++) {
		const struct skeleton *s = parse(structures[i].message);
		if (!str_eq(outline(structures[i].message, s), structures[i].outline))
			print_error("in: %s\n", structures[i].what);
		assert_same(outline(structures[i].message, s), structures[i].outline);
		assert_int_equal(s->flags & (SKELETON_BROKEN_MIME | SKELETON_CUT),
				 structures[i].flags);
	}
}

/* Every cut gives the same bytes. */
static void cuts_do_not_matter(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(structures); i++) {
		str whole = skeleton_encode(arena, parse(structures[i].message));
		for (size_t step = 1; step < 8; step++) {
			const struct skeleton *s = NULL;
			assert_null(parse_cut(structures[i].message, step, &s));
			assert_same(skeleton_encode(arena, s), whole);
		}
	}
}

static void truncation_is_harmless(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(structures); i++)
		for (size_t n = 0; n < structures[i].message.n; n++)
			parse(str_slice(structures[i].message, 0, n));
}

static void fields_are_kept(void **state)
{
	const struct skeleton *s = parse(S(
	    "Received: a\r\nReceived: b\r\nFrom: =?utf-8?q?J?= <j@x>\r\nTo: G: a@b;, c\r\n"
	    "Subject: two\r\n lines \r\nSubject: other\r\nDate: Sat, 21 Nov 2026 19:25:07 +0000\r\n"
	    "Message-ID: <1@x>\r\nIn-Reply-To: <0@x>\r\n"
	    "Content-Type: Text/Plain (c); charset=\"utf-8\"; x=y\r\nContent-Transfer-Encoding: 8bit\r\n"
	    "Content-ID: <i@x>\r\nContent-Description: d\r\nContent-MD5: m\r\nContent-Location: l\r\n"
	    "Content-Language: nl, en\r\nContent-Disposition: inline; filename=f\r\n\r\nx\r\n"));
	const struct skeleton_part *p = &s->parts[0];
	const struct skeleton_envelope *e = &s->envelope;

	(void)state;
	assert_int_equal(s->received, 2);
	assert_int_equal(s->flags, 0);
	assert_str(e->subject, "two lines");
	assert_str(e->date, "Sat, 21 Nov 2026 19:25:07 +0000");
	assert_str(e->message_id, "<1@x>");
	assert_str(e->in_reply_to, "<0@x>");
	assert_int_equal(e->from_n, 1);
	assert_str(e->from[0].name, "=?utf-8?q?J?=");
	assert_str(e->from[0].mailbox, "j");
	assert_str(e->from[0].host, "x");
	assert_int_equal(e->to_n, 4);
	assert_str(e->to[0].mailbox, "G");
	assert_str(e->to[0].host, "");
	assert_str(e->to[2].mailbox, "");
	assert_str(e->to[3].host, "MISSING_DOMAIN");
	assert_str(p->type, "TEXT");
	assert_int_equal(p->params_n, 2);
	assert_str(p->params[0].name, "charset");
	assert_str(p->params[0].value, "utf-8");
	assert_str(p->encoding, "8bit");
	assert_str(p->id, "<i@x>");
	assert_str(p->description, "d");
	assert_str(p->md5, "m");
	assert_str(p->location, "l");
	assert_int_equal(p->languages_n, 2);
	assert_str(p->languages[1], "en");
	assert_str(p->disposition, "inline");
	assert_str(p->disposition_params[0].value, "f");
}

static void inner_envelopes_are_kept(void **state)
{
	const struct skeleton *s = parse(S(
	    "Subject: outer\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: a@b\r\n\r\nx"));

	(void)state;
	assert_str(s->envelope.subject, "outer");
	assert_int_equal(s->parts[0].envelope_n, 1);
	assert_str(s->parts[0].envelope[0].subject, "inner");
	assert_str(s->parts[0].envelope[0].from[0].mailbox, "a");
	assert_int_equal(s->parts[1].envelope_n, 0);
	assert_true(s->flags & SKELETON_NO_FROM);
}

static void flags_are_set(void **state)
{
	static const struct {
		str message;
		u32 set, clear;
	} rows[] = {
		{ S("A: \xC3\xA9\r\n\r\nx"), SKELETON_HEADER_8BIT, SKELETON_8BIT },
		{ S("A: b\r\n\r\n\xC3"), SKELETON_8BIT, SKELETON_HEADER_8BIT },
		{ S("A: b\r\n\r\nxxxxxxxxxxxxxxxxx\0yyyyyyyy"), SKELETON_NUL, SKELETON_8BIT },
		{ S("From: a@b\r\nFrom: c@d\r\n\r\n"), SKELETON_MANY_FROM, SKELETON_NO_FROM },
		{ S("From: a@b, c@d\r\n\r\n"), SKELETON_MANY_FROM, SKELETON_NO_FROM },
		{ S("From:\r\n\r\n"), SKELETON_NO_FROM | SKELETON_NO_DATE | SKELETON_NO_MESSAGE_ID,
		  0 },
		{ S("Content-Type: image/png\r\n\r\n"), SKELETON_ATTACHMENT, SKELETON_BROKEN_MIME },
		{ S("Content-Disposition: Attachment\r\n\r\n"), SKELETON_ATTACHMENT, 0 },
		{ S("Content-Type: text/html\r\n\r\n"), 0, SKELETON_ATTACHMENT },
		{ S("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
		  SKELETON_BROKEN_MIME, 0 },
		{ S("Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"),
		  SKELETON_BROKEN_MIME, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		u32 flags = parse(rows[i].message)->flags;
		assert_int_equal(flags & rows[i].set, rows[i].set);
		assert_int_equal(flags & rows[i].clear, 0);
	}
}

static void long_lines_are_noticed(void **state)
{
	(void)state;
	for (size_t n = 990; n < 1010; n++) {
		for (size_t step = 1; step < 2000; step = step * 3 + 1) {
			struct buf *b = buf_new(arena, 5000);
			const struct skeleton *s = NULL;
			buf_add(b, S("\r\n"));
			for (size_t i = 0; i < n; i++)
				buf_add_byte(b, 'x');
			buf_add(b, S("\r\nshort\r\n"));
			assert_null(parse_cut(buf_str(b), step, &s));
			assert_int_equal((s->flags & SKELETON_LONG_LINE) != 0, n > 998);
		}
	}
}

static void previews_are_made(void **state)
{
	static const struct {
		str message, preview;
	} rows[] = {
		{ S("\r\n  a\r\n\r\n b\tc\r\n"), S("a b c") },
		{ S("Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9=\r\n!\r\n"),
		  S("caf\xC3\xA9!") },
		{ S("Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n\r\nY2Fm\r\n6Q==\r\n"),
		  S("caf\xC3\xA9") },
		{ S("Content-Type: text/html\r\n\r\n<p>x"), S("") },
		{ S(MULTI(
		      "mixed",
		      "b") "pre\r\n--b\r\nContent-Disposition: attachment\r\n\r\nno\r\n"
			   "--b\r\nContent-Type: text/html\r\n\r\nno\r\n--b\r\n\r\nyes\r\n--b\r\n\r\nno\r\n--b--\r\nepi"),
		  S("yes") },
		{ S(MULTI("mixed",
			  "b") "--b\r\nContent-Type: multipart/mixed\r\n\r\nno\r\n--b--\r\n"),
		  S("") },
		{ S("Content-Type: text/plain; charset=utf-16le\r\nContent-Transfer-Encoding: base64\r\n\r\nYQBiAA=="),
		  S("ab") },
		{ S("\r\na\xE2\x80\xA8"
		    "b\xC2\xA0"
		    "c\0d"),
		  S("a b c d") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_same(parse(rows[i].message)->preview, rows[i].preview);
}

static void preview_is_bounded(void **state)
{
	struct buf *b = buf_new(arena, 100000);

	(void)state;
	buf_add(b, S("\r\nx"));
	for (int i = 0; i < 20000; i++)
		buf_add(b, S("\xC3\xA9"));
	assert_int_equal(parse(buf_str(b))->preview.n, 511);
}

/* A message of `count` times the same text. */
static str repeat(str head, str text, size_t count)
{
	struct buf *b = buf_new(arena, head.n + text.n * count + 1);

	buf_add(b, head);
	for (size_t i = 0; i < count; i++)
		buf_add(b, text);
	return buf_str(b);
}

static void header_limits_hold(void **state)
{
	const struct skeleton *s;
	u8 long_line[1002];

	(void)state;
	assert_null(parse_cut(repeat(STR_NONE, S("A: b\r\n"), 1000), SIZE_MAX, &s));
	assert_code(parse_cut(repeat(STR_NONE, S("A: b\r\n"), 1001), SIZE_MAX, &s), "5.3.4");
	memset(long_line, 'a', sizeof long_line);
	long_line[1] = ':';
	long_line[1000] = '\r';
	long_line[1001] = '\n';
	assert_null(parse_cut(repeat(STR_NONE, str_from(long_line, 1002), 261), SIZE_MAX, &s));
	assert_code(parse_cut(repeat(STR_NONE, str_from(long_line, 1002), 262), 777, &s), "5.3.4");
	assert_code(parse_cut(repeat(S("A: "), S("aaaaaaaa"), 100000), 65536, &s), "5.3.4");
	assert_code(parse_cut(repeat(STR_NONE, S("A:\r\n"), 500000), 65536, &s), "5.3.4");
}

static void part_limits_hold(void **state)
{
	str nest = S("Content-Type: message/rfc822\r\n\r\n");
	const struct skeleton *s =
	    parse(repeat(S(MULTI("mixed", "b")), S("--b\r\n\r\nx\r\n"), 999));

	(void)state;
	assert_int_equal(s->parts_n, 1000);
	assert_false(s->flags & SKELETON_CUT);
	s = parse(repeat(S(MULTI("mixed", "b")), S("--b\r\n\r\nx\r\n"), 100000));
	assert_int_equal(s->parts_n, 1000);
	assert_true(s->flags & SKELETON_CUT);
	s = parse(repeat(STR_NONE, nest, 100));
	assert_int_equal(s->parts_n, 101);
	assert_false(s->flags & SKELETON_CUT);
	s = parse(repeat(STR_NONE, nest, 100000));
	assert_int_equal(s->parts_n, 101);
	assert_str(s->parts[100].type, "APPLICATION");
	assert_true(s->flags & SKELETON_CUT);
}

/* M01: a hundred thousand multiparts in each other. */
static void nested_multiparts_are_bounded(void **state)
{
	struct buf *b = buf_new(arena, 16 * 1024 * 1024);
	const struct skeleton *s;

	(void)state;
	for (int i = 0; i < 100000; i++)
		buf_printf(b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
	s = parse(buf_str(b));
	assert_int_equal(s->parts_n, 101);
	assert_true(s->flags & SKELETON_CUT);
}

/* Many parts with all that a header can hold: what is encoded stays below SKELETON_BYTES. */
static void size_is_bounded(void **state)
{
	struct buf *part = buf_new(arena, 100000);
	const struct skeleton *s;

	(void)state;
	buf_add(part, S("--b\r\nContent-Type: message/rfc822\r\nContent-Description: "));
	for (int i = 0; i < 900; i++)
		buf_add_byte(part, 'd');
	buf_add(part, S("\r\n\r\nTo: "));
	for (int i = 0; i < 3000; i++)
		buf_add(part, S("a@b,"));
	buf_add(part, S("\r\nContent-Type: text/x"));
	for (int i = 0; i < 50; i++)
		buf_printf(part, "; p%d=\"v\"", i);
	buf_add(part, S("\r\n\r\nx\r\n"));
	s = parse(repeat(S(MULTI("mixed", "b")), buf_str(part), 600));
	assert_true(s->flags & SKELETON_CUT);
	assert_true(s->parts_n > 20);
	assert_true(skeleton_encode(arena, s).n <= SKELETON_BYTES);
}

static void address_limit_holds(void **state)
{
	(void)state;
	assert_int_equal(parse(repeat(S("To: "), S("a@b,"), 2000))->envelope.to_n, 2000);
	assert_int_equal(parse(repeat(S("To: "), S("a@b,"), 2001))->envelope.to_n, 2000);
	assert_true(parse(repeat(S("Cc: x@y\r\nTo: "), S("a@b,"), 2000))->flags & SKELETON_CUT);
}

/* What an evil edge could send: every byte changed in turn. It is refused or good, and reads
 * nothing outside. */
static void bad_skeletons_are_refused(void **state)
{
	str good = skeleton_encode(arena, parse(structures[7].message));
	struct skeleton s;

	(void)state;
	for (size_t i = 0; i < good.n; i++) {
		u8 *bytes = arena_alloc(arena, good.n);
		memcpy(bytes, good.p, good.n);
		for (int bit = 0; bit < 8; bit++) {
			bytes[i] = (u8)(good.p[i] ^ 1 << bit);
			(void)!skeleton_decode(arena, str_from(bytes, good.n), &s);
		}
		assert_non_null(skeleton_decode(arena, str_slice(good, 0, i), &s));
	}
}

/* The envelope alone is the same bytes as in the whole, and what is cut or changed is refused or good. */
static void envelopes_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(structures); i++) {
		const struct skeleton *s = parse(structures[i].message);
		str whole = skeleton_encode(arena, s), found;
		struct buf *again = buf_new(arena, SKELETON_BYTES);
		struct encoder e = { .bytes = again };
		struct skeleton_envelope back;

		assert_null(skeleton_envelope_find(arena, whole, &found));
		assert_null(skeleton_envelope_decode(arena, found, &back));
		encode_skeleton_envelope(&e, &s->envelope);
		assert_same(buf_str(again), found);
		again->n = 0;
		encode_skeleton_envelope(&e, &back);
		assert_same(buf_str(again), found);
		for (size_t n = 0; n < found.n; n++)
			assert_non_null(
			    skeleton_envelope_decode(arena, str_slice(found, 0, n), &back));
		for (size_t n = 0; n < found.n + 16; n++)
			assert_non_null(
			    skeleton_envelope_find(arena, str_slice(whole, 0, n), &found));
	}
}

static void overlapping_parts_are_refused(void **state)
{
	static const struct {
		u64 header_at, body_at, end;
		u32 parent, depth;
	} rows[] = { { 40, 41, 50, 0, 1 }, { 43, 44, 200, 0, 1 }, { 60, 50, 70, 0, 1 },
		     { 48, 50, 51, 1, 1 }, { 48, 50, 51, 0, 2 },  { 44, 50, 56, 0, 1 } };
	const struct skeleton *s = parse(structures[4].message);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct skeleton_part parts[3];
		struct skeleton changed = *s, back;
		memcpy(parts, s->parts, sizeof parts);
		changed.parts = parts;
		parts[i == 5 ? 2 : 1].header_at = rows[i].header_at;
		parts[i == 5 ? 2 : 1].body_at = rows[i].body_at;
		parts[i == 5 ? 2 : 1].end = rows[i].end;
		parts[1].parent = rows[i].parent;
		parts[1].depth = rows[i].depth;
		parts[1].lines = parts[2].lines = 0;
		assert_code(skeleton_decode(arena, skeleton_encode(arena, &changed), &back),
			    "4.3.0");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(structures_are_found),      TEST(cuts_do_not_matter),
		TEST(truncation_is_harmless),    TEST(fields_are_kept),
		TEST(inner_envelopes_are_kept),  TEST(flags_are_set),
		TEST(long_lines_are_noticed),    TEST(previews_are_made),
		TEST(preview_is_bounded),        TEST(header_limits_hold),
		TEST(part_limits_hold),          TEST(nested_multiparts_are_bounded),
		TEST(size_is_bounded),           TEST(address_limit_holds),
		TEST(bad_skeletons_are_refused), TEST(overlapping_parts_are_refused),
		TEST(envelopes_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
