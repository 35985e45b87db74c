/* The IMAP grammar: tokens, sets, mailbox names and patterns, FETCH and SEARCH arguments, at each truncation too. */
#include "base/unit_arena.h"
#include "text/imap_fetch.h"
#include "text/imap_mailbox.h"
#include "text/imap_print.h"
#include "text/imap_scan.h"
#include "text/imap_search.h"

static void strings(void **state)
{
	static const struct {
		str in, out;
		bool good;
	} cases[] = {
		{ S("atom"), S("atom"), true },
		{ S("a]b"), S("a]b"), true },
		{ S("\"\""), S(""), true },
		{ S("\"a b\""), S("a b"), true },
		{ S("\"a\\\"b\\\\\""), S("a\"b\\"), true },
		{ S("\"a\\b\""), S(""), false },
		{ S("\"a"), S(""), false },
		{ S("\"a\r\nb\""), S(""), false },
		{ S("{3}\r\na\r\n"), S("a\r\n"), true },
		{ S("{3+}\r\nabc"), S("abc"), true },
		{ S("{4}\r\nabc"), S(""), false },
		{ S("{0}\r\n"), S(""), true },
		{ S("{3}\r\na\0b"), S(""), false },
		{ S("\"a\0b\""), S(""), false },
		{ S("(x"), S(""), false },
		{ S(""), S(""), false },
		{ S("{18446744073709551616}\r\n"), S(""), false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct scan s = scan_of(cases[i].in);
		str out;

		assert_int_equal(imap_scan_astring(a, &s, &out), cases[i].good);
		if (!cases[i].good) {
			assert_int_equal(s.rest.n, cases[i].in.n);
			continue;
		}
		assert_str(out, cases[i].out);
		assert_true(scan_end(&s));
		/* Quoted strings and literals are whole or nothing. */
		for (size_t n = 0; n < cases[i].in.n; n++) {
			s = scan_of(str_slice(cases[i].in, 0, n));
			if (cases[i].in.p[0] == '"' || cases[i].in.p[0] == '{')
				assert_false(imap_scan_astring(a, &s, &out));
		}
	}
}

static void flags(void **state)
{
	static const struct {
		str in;
		bool good;
		u64 system;
		size_t keywords;
	} cases[] = {
		{ S("()"), true, 0, 0 },
		{ S("(\\Seen \\dEleted work $Forwarded)"), true, 9, 2 },
		{ S("(\\Recent)"), false, 0, 0 },
		{ S("(\\Foo)"), false, 0, 0 },
		{ S("(a  b)"), false, 0, 0 },
		{ S("(a "), false, 0, 0 },
		{ S("a"), false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct scan s = scan_of(cases[i].in);
		struct imap_flags f;

		assert_int_equal(imap_scan_flag_list(a, &s, &f), cases[i].good);
		if (!cases[i].good)
			continue;
		assert_int_equal(f.system, cases[i].system);
		assert_int_equal(f.keywords_n, cases[i].keywords);
	}
}

static void literals(void **state)
{
	struct imap_literal l;

	(void)state;
	assert_true(imap_literal_announced(S("a login {5}"), &l));
	assert_true(l.size == 5 && !l.plus && l.at == 8);
	assert_true(imap_literal_announced(S("a x {9} {18446744073709551615+}"), &l));
	assert_true(l.size == UINT64_MAX && l.plus);
	assert_false(imap_literal_announced(S("a login \"{5}\""), &l));
	assert_false(imap_literal_announced(S("a login {5} "), &l));
	assert_false(imap_literal_announced(S("a login {-5}"), &l));
	assert_false(imap_literal_announced(S("a login {18446744073709551616}"), &l));
	assert_false(imap_literal_announced(S("}"), &l));
	assert_false(imap_literal_announced(S(""), &l));
}

/* A set as text, resolved against 100. */
static str resolved(str in)
{
	struct scan s = scan_of(in);
	struct buf *b = buf_new(a, 4096);
	struct imap_set set;

	if (!imap_scan_set(a, &s, &set) || !scan_end(&s))
		return S("bad");
	imap_set_resolve(&set, 100);
	for (size_t i = 0; i < set.n; i++)
		buf_printf(b, "%s%u-%u", i ? " " : "", set.ranges[i].low, set.ranges[i].high);
	return buf_str(b);
}

static void sets(void **state)
{
	struct buf *b = buf_new(a, 1 << 20);
	struct scan s;
	struct imap_set set;

	(void)state;
	assert_str(resolved(S("1")), S("1-1"));
	assert_str(resolved(S("3:1,2,9")), S("1-3 9-9"));
	assert_str(resolved(S("*")), S("100-100"));
	assert_str(resolved(S("4294967295:*")), S("100-4294967295"));
	assert_str(resolved(S("*:4294967295,1:2")), S("1-2 100-4294967295"));
	assert_str(resolved(S("1:4294967295,4294967295")), S("1-4294967295"));
	assert_str(resolved(S("*:4294967296")), S("bad"));
	assert_str(resolved(S("0")), S("bad"));
	assert_str(resolved(S("1:0")), S("bad"));
	assert_str(resolved(S("01")), S("bad"));
	assert_str(resolved(S("1,")), S("bad"));
	assert_str(resolved(S("1:2:3")), S("bad"));
	assert_str(resolved(S("")), S("bad"));
	for (int i = 0; i < 16000; i++)
		buf_add(b, S("1:*,"));
	buf_add(b, S("7"));
	assert_str(resolved(buf_str(b)), S("1-100"));
	s = scan_of(S("5,10:20"));
	assert_true(imap_scan_set(a, &s, &set));
	imap_set_resolve(&set, 100);
	for (u32 i = 0; i < 30; i++)
		assert_int_equal(imap_set_has(&set, i), i == 5 || (i >= 10 && i <= 20));
}

static void names(void **state)
{
	static const struct {
		str wire, utf8; /* empty: refused */
	} cases[] = {
		{ S("inbox"), S("INBOX") },
		{ S("Inbox/x"), S("INBOX/x") },
		{ S("inboxes"), S("inboxes") },
		{ S("caf&AOk-"), S("caf\xC3\xA9") },
		{ S("a&-b"), S("a&b") },
		{ S("a/b"), S("a/b") },
		{ S("caf\xC3\xA9"), STR_NONE },
		{ S("caf&AOk"), STR_NONE },
		{ S("&AGE-"), STR_NONE },
		{ S("/a"), STR_NONE },
		{ S("a/"), STR_NONE },
		{ S("a//b"), STR_NONE },
		{ S(""), STR_NONE },
		{ S("a%"), STR_NONE },
		{ S("a*"), STR_NONE },
		{ S("a\x01"), STR_NONE },
		{ S("~user"), S("~user") },
		{ S("../x"), S("../x") },
	};
	struct buf *b = buf_new(a, 8192);
	str out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct fail *f = imap_mailbox_decode(a, cases[i].wire, &out);

		if (cases[i].utf8.n == 0) {
			assert_non_null(f);
			continue;
		}
		assert_ok(f);
		assert_str(out, cases[i].utf8);
	}
	for (int i = 0; i < 63; i++)
		buf_add(b, S("a/"));
	buf_add(b, S("a"));
	assert_ok(imap_mailbox_decode(a, buf_str(b), &out));
	buf_add(b, S("/a"));
	assert_non_null(imap_mailbox_decode(a, buf_str(b), &out));
	buf_reset(b);
	for (int i = 0; i < 1001; i++)
		buf_add(b, S("a"));
	assert_non_null(imap_mailbox_decode(a, buf_str(b), &out));
}

static void patterns(void **state)
{
	static const struct {
		str pattern, name;
		bool matches;
	} cases[] = {
		{ S("*"), S("a/b"), true },       { S("%"), S("a/b"), false },
		{ S("%"), S("a"), true },         { S("%/%"), S("a/b"), true },
		{ S("a*b"), S("a/x/b"), true },   { S("a%b"), S("a/x/b"), false },
		{ S("inbox"), S("INBOX"), true }, { S("iNb*"), S("INBOX/x"), true },
		{ S("a"), S("A"), false },        { S("inboxes"), S("INBOXES"), false },
		{ S(""), S("a"), false },         { S("a%"), S("a"), true },
		{ S("*a*a*"), S("xaxa"), true },  { S("*a*a*"), S("xax"), false },
		{ S("%%%*b"), S("a/b"), true },
	};
	struct buf *pattern = buf_new(a, 8192), *name = buf_new(a, 8192);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(imap_pattern_matches(cases[i].pattern, cases[i].name),
				 cases[i].matches);
	for (int i = 0; i < 490; i++)
		buf_add(pattern, S("*%"));
	buf_add(pattern, S("b"));
	for (int i = 0; i < 1000; i++)
		buf_add(name, S("a"));
	assert_false(imap_pattern_matches(buf_str(pattern), buf_str(name)));
}

/* What FETCH was understood as: the names of its sections, or "bad". */
static str fetched(str in)
{
	struct buf *b = buf_new(a, 1 << 20);
	struct scan s = scan_of(in);
	struct imap_fetch f;

	if (!imap_scan_fetch(a, &s, &f))
		return S("bad");
	for (size_t i = 0; i < f.n; i++) {
		if (i > 0)
			buf_add_byte(b, ' ');
		if (f.attributes[i].kind == IMAP_SECTION)
			imap_put_attribute_name(b, &f.attributes[i]);
		else
			buf_printf(b, "%d", (int)f.attributes[i].kind);
	}
	if (f.has_changed_since)
		buf_printf(b, " since %llu", (unsigned long long)f.changed_since);
	return buf_str(b);
}

static void fetches(void **state)
{
	static const char *const good[][2] = {
		{ "FAST", "1 2 3" },
		{ "all", "1 2 3 0" },
		{ "full", "1 2 3 0 4" },
		{ "(uid BODY bodystructure)", "6 4 5" },
		{ "body[]", "BODY[]" },
		{ "body.peek[1.2.MIME]<3.4>", "BODY[1.2.MIME]<3>" },
		{ "(rfc822 RFC822.header rfc822.text rfc822.size)",
		  "RFC822 RFC822.HEADER RFC822.TEXT 3" },
		{ "body[HEADER.FIELDS (a \"b c\")]", "BODY[HEADER.FIELDS (\"a\" \"b c\")]" },
		{ "body[2.header.fields.not (x)]", "BODY[2.HEADER.FIELDS.NOT (\"x\")]" },
		{ "flags (changedsince 12)", "1 since 12" },
	};
	static const char *const bad[] = { "",
					   "(",
					   "()",
					   "(uid ",
					   "(uid  flags)",
					   "uidx",
					   "body[mime]",
					   "body[1.]",
					   "body[0]",
					   "body[1.2.x]",
					   "body[]<1>",
					   "body[]<1.0>",
					   "body[]<4294967296.1>",
					   "body[header.fields ()]",
					   "body[header.fields x]",
					   "fast flags",
					   "(fast)",
					   "uid (changedsince)",
					   "uid (changedsince 9223372036854775808)",
					   "[[[[",
					   "((((uid))))" };
	struct buf *b = buf_new(a, 65536);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		str in = str_cstr(good[i][0]);

		assert_str(fetched(in), str_cstr(good[i][1]));
		for (size_t n = 0; n < in.n; n++)
			(void)fetched(str_slice(in, 0, n));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_str(fetched(str_cstr(bad[i])), S("bad"));
	buf_add(b, S("body[1"));
	for (int i = 0; i < 10000; i++)
		buf_add(b, S(".1"));
	buf_add(b, S("]"));
	assert_str(fetched(buf_str(b)), S("bad"));
	buf_reset(b);
	for (int i = 0; i < 10000; i++)
		buf_add(b, i ? S(" uid") : S("(uid"));
	buf_add(b, S(")"));
	assert_str(fetched(buf_str(b)), S("bad"));
}

static enum imap_truth leaf_number(void *context, const struct imap_search_node *n)
{
	const u32 *number = context;

	if (n->key == IMAP_KEY_NUMBERS)
		return imap_set_has(&n->set, *number) ? IMAP_TRUE : IMAP_FALSE;
	return n->key == IMAP_KEY_BODY ? IMAP_UNKNOWN : IMAP_TRUE;
}

/* Whether numbers 1 to 4 match: "TFU?" */
static str searched(str in)
{
	struct buf *b = buf_new(a, 16);
	struct scan s = scan_of(in);
	struct imap_search p;

	if (imap_search_parse(a, &s, &p))
		return S("bad");
	for (size_t i = 0; i < p.n; i++)
		imap_set_resolve(&p.nodes[i].set, 4);
	for (u32 i = 1; i <= 4; i++)
		buf_add_byte(b, (u8) "FTU"[imap_search_run(&p, leaf_number, &i)]);
	return buf_str(b);
}

static void searches(void **state)
{
	static const char *const good[][2] = {
		{ "1:2", "TTFF" },
		{ "not 1", "FTTT" },
		{ "or 1 not 2:3", "TFFT" },
		{ "not not not 1", "FTTT" },
		{ "or or 1 2 or 3 1", "TTTF" },
		{ "(1:3 (2:4))", "FTTF" },
		{ "(or 1 (2 2))", "TTFF" },
		{ "1 body x", "UFFF" },
		{ "or 1 body x", "TUUU" },
		{ "not (1 body x)", "UTTT" },
		{ "charset us-ascii all", "TTTT" },
		{ "before 1-Nov-2026 on \"01-Nov-2026\" header a b modseq 5", "TTTT" },
		{ "modseq \"/flags/\\\\seen\" all 5 2", "FTFF" },
	};
	static const char *const bad[] = { "",
					   "(",
					   ")",
					   "()",
					   "not",
					   "or 1",
					   "or 1 ",
					   "1 ",
					   "1  2",
					   "(1",
					   "1)",
					   "((1)",
					   "charset x 1",
					   "charset",
					   "subject",
					   "subject ",
					   "on 32-Nov-2026",
					   "larger x",
					   "larger 4294967296",
					   "uid",
					   "uid 0",
					   "keyword",
					   "xx",
					   "1x" };
	struct buf *b = buf_new(a, 65536);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		str in = str_cstr(good[i][0]);

		assert_str(searched(in), str_cstr(good[i][1]));
		for (size_t n = 0; n < in.n; n++)
			(void)searched(str_slice(in, 0, n));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_str(searched(str_cstr(bad[i])), S("bad"));
	for (int i = 0; i < 10000; i++)
		buf_add(b, S("not "));
	buf_add(b, S("1"));
	assert_str(searched(buf_str(b)), S("bad"));
	buf_reset(b);
	for (int i = 0; i < 10000; i++)
		buf_add(b, S("1 "));
	buf_add(b, S("1"));
	assert_str(searched(buf_str(b)), S("bad"));
}

static str folded(str s)
{
	struct buf *b = buf_new(a, 64 * s.n + 64);

	imap_fold(b, s);
	return buf_str(b);
}

static void folding(void **state)
{
	struct buf *b = buf_new(a, 1 << 20);

	(void)state;
	assert_str(folded(S("Hello")), S("hello"));
	assert_str(folded(S("CAF\xC3\x89!")), S("caf\xC3\xA9!"));
	assert_str(folded(S("Cafe\xCC\x81 x")), S("caf\xC3\xA9 x")); /* e and a combining accent */
	assert_str(folded(S("\xEF\xAC\x81")), S("fi"));
	assert_str(folded(S("stra\xC3\x9F"
			    "e")),
		   S("strasse"));
	for (int i = 0; i < 3000; i++)
		buf_add(b, S("\xEF\xB7\xBA")); /* 18 characters each */
	assert_true(folded(buf_str(b)).n > 3000 * 18);
}

/* The same whatever is printed: no CR, LF or NUL outside a literal. */
static void printing(void **state)
{
	struct buf *b = buf_new(a, 65536);
	struct imap_set_printer p = { 0 };
	static const str keywords[] = { S("work"), S("play") };

	(void)state;
	imap_put_string(b, S("a\"b\\c"));
	imap_put_string(b, S("a\r\nb"));
	imap_put_string(b, S("\xC3\xA9"));
	imap_put_string(b, str_from("a\0b", 3));
	imap_put_nstring(b, S(""));
	assert_str(buf_str(b), S("\"a\\\"b\\\\c\"{4}\r\na\r\nb{2}\r\n\xC3\xA9{3}\r\na?bNIL"));
	buf_reset(b);
	imap_put_text(b, S("[x]\r\n\x80y"));
	imap_put_text(b, S(""));
	assert_str(buf_str(b), S("(x]???ydone"));
	buf_reset(b);
	imap_put_flags(b, 0x1 | 0x10 | 1 << 9, true, 8, keywords, 2);
	imap_put_flags(b, 0, false, 8, keywords, 2);
	assert_str(buf_str(b), S("(\\Seen \\Draft \\Recent play)()"));
	buf_reset(b);
	imap_put_set_number(b, &p, 1, 1);
	imap_put_set_number(b, &p, 2, 2);
	imap_put_set_number(b, &p, 4, 9);
	imap_put_set_number(b, &p, 3, 3);
	imap_put_set_end(b, &p);
	assert_str(buf_str(b), S("1:2,4:9,3"));
	buf_reset(b);
	imap_put_mailbox(b, S("caf\xC3\xA9&\r\n"));
	imap_put_date(b, a, 1000);
	assert_str(buf_str(b), S("\"caf&AOk-&-&AA0ACg-\"\" 1-Jan-1970 00:00:01 +0000\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT_TEST(strings), UNIT_TEST(flags),    UNIT_TEST(literals), UNIT_TEST(sets),
		UNIT_TEST(names),   UNIT_TEST(patterns), UNIT_TEST(fetches),  UNIT_TEST(searches),
		UNIT_TEST(folding), UNIT_TEST(printing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
