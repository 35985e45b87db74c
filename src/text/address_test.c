#include "text/text_test.h"

#include "text/address.h"

static void paths_are_read(void **state)
{
	static const struct {
		str path, local, domain;
	} rows[] = {
		{ S("<joe@example.org>"), S("joe"), S("example.org") },
		{ S("<joe@example.org.>"), S("joe"), S("example.org") },
		{ S("<\"joe q\"@example.org>"), S("joe q"), S("example.org") },
		{ S("<\"a\\\"b\\\\\"@x>"), S("a\"b\\"), S("x") },
		{ S("<\"\"@x>"), S(""), S("x") },
		{ S("<\"a@b\"@x>"), S("a@b"), S("x") },
		{ S("<@a.example,@[192.0.2.1]:joe@b.example>"), S("joe"), S("b.example") },
		{ S("<joe@[192.0.2.1]>"), S("joe"), S("[192.0.2.1]") },
		{ S("<joe@[IPv6:2001:db8::1]>"), S("joe"), S("[IPv6:2001:db8::1]") },
		{ S("<user%other@us>"), S("user%other"), S("us") },
		{ S("<a.b+c=d!e#$&'*/?^_`{|}~-@x.y>"), S("a.b+c=d!e#$&'*/?^_`{|}~-"), S("x.y") },
		{ S("<Postmaster>"), S("Postmaster"), S("") },
		{ S("<>"), S(""), S("") },
		{ S("<j\xC3\xA9@b\xC3\xBC"
		    "cher.example>"),
		  S("j\xC3\xA9"),
		  S("b\xC3\xBC"
		    "cher.example") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scan s = scan_of(rows[i].path);
		struct address m;
		assert_null(address_scan_path(
		    arena, &s, ADDRESS_NULL | ADDRESS_POSTMASTER | ADDRESS_UTF8, &m));
		assert_true(scan_end(&s));
		assert_same(m.local, rows[i].local);
		assert_same(m.domain, rows[i].domain);
		assert_int_equal(m.null, str_eq(rows[i].path, S("<>")));
		for (size_t n = 0; n < rows[i].path.n; n++) {
			s = scan_of(str_copy(arena, str_slice(rows[i].path, 0, n)));
			assert_non_null(
			    address_scan_path(arena, &s, ADDRESS_NULL | ADDRESS_UTF8, &m));
		}
	}
}

static void bad_paths_are_refused(void **state)
{
	static const str bad[] = {
		S(""),
		S("joe@x"),
		S("<joe>"),
		S("<joe@>"),
		S("<@x>"),
		S("<joe@x"),
		S("<.joe@x>"),
		S("<joe.@x>"),
		S("<j..e@x>"),
		S("<joe@-x>"),
		S("<joe@x->"),
		S("<joe@x..y>"),
		S("<joe@.x>"),
		S("<joe@x_y>"),
		S("<joe@[1.2.3]>"),
		S("<joe@[1.2.3.256]>"),
		S("<joe@[1.2.3.4>"),
		S("<joe@[IPv6:]>"),
		S("<joe@[IPv6:::g]>"),
		S("<joe@[x:y]>"),
		S("<a@b@c>"),
		S("<a b@c>"),
		S("<\"a@c>"),
		S("<\"a\"b@c>"),
		S("<\"a\0\"@c>"),
		S("<\"a\\\r\"@c>"),
		S("<\"a\n\"@c>"),
		S("<@a:joe>"),
		S("<@a,:joe@b>"),
		S("<@a joe@b>"),
		S("< joe@b>"),
		S("<joe@b >"),
		S("<>"),
		S("<postmaster>"),
		S("<joe@\xFF\xFE>"),
		S("<j\xFF@b>"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct scan s = scan_of(bad[i]);
		struct address m;
		assert_code(address_scan_path(arena, &s, ADDRESS_UTF8, &m), "5.1.3");
	}
}

static void utf8_needs_leave(void **state)
{
	struct address m;

	(void)state;
	assert_code(address_parse(arena, S("j\xC3\xA9@x"), 0, &m), "5.6.7");
	assert_null(address_parse(arena, S("j\xC3\xA9@x"), ADDRESS_UTF8, &m));
	assert_true(m.utf8);
}

static str repeat(char c, size_t n)
{
	u8 *p = arena_alloc(arena, n);

	memset(p, c, n);
	return str_from(p, n);
}

static const struct fail *parse_long(size_t local, size_t label, size_t labels)
{
	struct buf *b = buf_new(arena, 100000);
	struct address m;

	buf_add(b, repeat('a', local));
	buf_add_byte(b, '@');
	for (size_t i = 0; i < labels; i++) {
		if (i)
			buf_add_byte(b, '.');
		buf_add(b, repeat('b', label));
	}
	return address_parse(arena, buf_str(b), 0, &m);
}

static void limits_hold(void **state)
{
	(void)state;
	assert_null(parse_long(64, 63, 1));
	assert_non_null(parse_long(65, 63, 1));
	assert_non_null(parse_long(1, 64, 1));
	assert_null(parse_long(62, 63, 3)); /* 254 */
	assert_non_null(parse_long(63, 63, 3));
	assert_non_null(parse_long(1, 63, 1000));
	assert_non_null(parse_long(100000, 1, 1));
}

static void canonical_forms_are_equal(void **state)
{
	static const struct {
		str in, ascii, people;
	} rows[] = {
		{ S("\"joe\"@Example.ORG"), S("joe@example.org"), S("joe@example.org") },
		{ S("\"joe q\"@x"), S("\"joe q\"@x"), S("\"joe q\"@x") },
		{ S("\"j\\oe\"@x."), S("joe@x"), S("joe@x") },
		{ S("J@B\xC3\xBC"
		    "cher.example"),
		  S("J@xn--bcher-kva.example"),
		  S("J@b\xC3\xBC"
		    "cher.example") },
		{ S("j@XN--BCHER-KVA.example"), S("j@xn--bcher-kva.example"),
		  S("j@b\xC3\xBC"
		    "cher.example") },
		{ S("j@xn--zzzzzzz99999.example"), S("j@xn--zzzzzzz99999.example"),
		  S("j@xn--zzzzzzz99999.example") },
		{ S("j@fa\xC3\x9F.de"), S("j@xn--fa-hia.de"), S("j@fa\xC3\x9F.de") },
		{ S("j@[IPv6:2001:0DB8:0::1]"), S("j@[IPv6:2001:db8::1]"),
		  S("j@[IPv6:2001:db8::1]") },
		{ S("j@[192.0.2.1]"), S("j@[192.0.2.1]"), S("j@[192.0.2.1]") },
		{ S("j@a\xE3\x80\x82"
		    "b"),
		  S("j@a.b"), S("j@a.b") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address m;
		str text;
		assert_null(address_parse(arena, rows[i].in, ADDRESS_UTF8, &m));
		assert_null(address_canonical(arena, &m, &text));
		assert_same(text, rows[i].ascii);
		assert_null(address_for_people(arena, &m, &text));
		assert_same(text, rows[i].people);
	}
}

static void domains_are_checked(void **state)
{
	static const str bad[] = { S(""),
				   S("."),
				   S("a..b"),
				   S("-a"),
				   S("a b"),
				   S("a\0b"),
				   S("\xE2\x84\x80.x"),
				   S("a/b"),
				   S("\xF0\x9F\x98\x80\xFF") };
	str out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_code(domain_to_ascii(arena, bad[i], &out), "5.1.2");
	assert_true(domain_is_valid(S("a_b.c"), false, true));
	assert_false(domain_is_valid(S("a_b.c"), false, false));
	assert_false(domain_is_valid(S("b\xC3\xBC.c"), false, true));
	assert_true(domain_is_valid(S("a.b."), false, false));
	assert_false(domain_is_valid(S("a.b.."), false, false));
}

static void tags_are_split(void **state)
{
	str user, tag;

	(void)state;
	assert_true(address_split_tag(S("joe+a+b"), '+', &user, &tag));
	assert_str(user, "joe");
	assert_str(tag, "a+b");
	assert_false(address_split_tag(S("+joe"), '+', &user, &tag));
	assert_str(user, "+joe");
	assert_false(address_split_tag(S("joe"), '+', &user, &tag));
	assert_str(tag, "");
}

/* name|route|mailbox|host; "{mailbox" begins a group, "}" ends it; a last "!" says broken. */
static str outline(str value, size_t max)
{
	struct buf *out = buf_new(arena, 100000);
	struct address_list l;

	address_list_parse(arena, value, max, &l);
	for (size_t i = 0; i < l.n; i++) {
		const struct address_entry *e = &l.entries[i];
		if (i)
			buf_add_byte(out, ' ');
		if (e->kind == ADDRESS_MEMBER)
			buf_printf(out, "%.*s|%.*s|%.*s|%.*s", STR_ARG(e->name), STR_ARG(e->route),
				   STR_ARG(e->mailbox), STR_ARG(e->host));
		else
			buf_printf(out, e->kind == ADDRESS_GROUP ? "{%.*s" : "}%.*s",
				   STR_ARG(e->mailbox));
	}
	buf_add(out, l.broken ? S("!") : STR_NONE);
	buf_add(out, l.cut ? S("#") : STR_NONE);
	return buf_str(out);
}

static void lists_are_read(void **state)
{
	static const struct {
		str value, outline;
	} rows[] = {
		{ S(""), S("") },
		{ S("a@b"), S("||a|b") },
		{ S(" Joe Q <a@b>, \"X, Y\" <c.d@e.f>\r\n"), S("Joe Q||a|b X, Y||c.d|e.f") },
		{ S("Mr. J. Q <a@b>"), S("Mr. J. Q||a|b") },
		{ S("john.doe <a@b>"), S("john.doe||a|b") },
		{ S("a@b (Joe \\(Q\\) (x))"), S("Joe (Q) (x)||a|b") },
		{ S("<@x,@y:a@b>"), S("|@x,@y|a|b") },
		{ S("G: a@b, C <c@d>; e@f"), S("{G ||a|b C||c|d } ||e|f") },
		{ S("undisclosed recipients:;"), S("{undisclosed recipients }") },
		{ S("\"a@b\"@c"), S("||a@b|c") },
		{ S("a . b @ c . d"), S("||a.b|c.d") },
		{ S("a@[1.2.3.4]"), S("||a|[1.2.3.4]") },
		{ S(",,a@b,,"), S("||a|b") },
		{ S("=?utf-8?q?=2C_x?= <a@b>"), S("=?utf-8?q?=2C_x?=||a|b") },
		{ S("\xC3\xA9 <\xC3\xA9@b>"), S("\xC3\xA9||\xC3\xA9|b") },
		{ S("Joe\r\n Q <a@b>"), S("Joe Q||a|b") },
		{ S("\"a\r\n b\" <a@b>"), S("a b||a|b") },
		{ S("joe"), S("||joe|!") },
		{ S("a@"), S("||a|!") },
		{ S("@b"), S("|||b!") },
		{ S("X <>"), S("X|||!") },
		{ S("a b@c"), S("||ab|c!") },
		{ S("X <a@b"), S("X||a|b!") },
		{ S("X <a@b <c@d>"), S("X||a|b ||c|d!") },
		{ S("G: H: a@b;;"), S("{G } {H ||a|b }!") },
		{ S("G: a@b"), S("{G ||a|b }!") },
		{ S("a@b (("), S("(||a|b!") },
		{ S("\"a"), S("||a|!") },
		{ S(">)];a@b"), S("||a|b!") },
		{ S("a@b\0c@d"), S("||a|b ||c|d!") },
		{ S("\"a\0b\" <a@b>"), S("a b||a|b") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_same(outline(rows[i].value, 100), rows[i].outline);
		for (size_t n = 0; n < rows[i].value.n; n++)
			outline(str_copy(arena, str_slice(rows[i].value, 0, n)), 100);
	}
	assert_str(outline(S("a@b,c@d,e@f"), 2), "||a|b ||c|d#");
	assert_str(outline(S("a@b,c@d"), 2), "||a|b ||c|d");
}

/* THREATS H09: a million of each, in no time and on little stack. */
static void depth_is_no_matter(void **state)
{
	static const char bytes[] = "(<,:;\"@[.a";
	struct address_list l;

	(void)state;
	for (size_t i = 0; bytes[i]; i++)
		address_list_parse(arena, repeat(bytes[i], 1000000), 2000, &l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(paths_are_read),
		TEST(bad_paths_are_refused),
		TEST(utf8_needs_leave),
		TEST(limits_hold),
		TEST(canonical_forms_are_equal),
		TEST(domains_are_checked),
		TEST(tags_are_split),
		TEST(lists_are_read),
		TEST(depth_is_no_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
