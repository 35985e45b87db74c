#include "text/text_test.h"

#include "text/charset.h"

static str convert(str label, str text, size_t max)
{
	struct buf *out = buf_new(arena, max);

	charset_to_utf8(label, text, out);
	return buf_str(out);
}

static void charsets_are_read(void **state)
{
	static const struct {
		str label, text, utf8;
	} rows[] = {
		{ S("utf-8"), S("\xC3\xA9"), S("\xC3\xA9") },
		{ S(" UTF-8 "), S("a\xFF"), S("a\xEF\xBF\xBD") },
		{ S("iso-8859-1"), S("\x80"), S("\xE2\x82\xAC") },
		{ S("us-ascii"), S("\xE9"), S("\xC3\xA9") },
		{ S("unknown"), S("\xC3\xA9"), S("\xC3\xA9") },
		{ S("iso-8859-15"), S("\xA4"), S("\xE2\x82\xAC") },
		{ S("koi8-r"), S("\xC1"), S("\xD0\xB0") },
		{ S("gb2312"), S("\xC4\xE3"), S("\xE4\xBD\xA0") },
		{ S("ks_c_5601-1987"), S("\xB0\xA1"), S("\xEA\xB0\x80") },
		{ S("x-sjis"), S("\x82\xA0"), S("\xE3\x81\x82") },
		{ S("iso-2022-jp"), S("\x1B$B$\"\x1B(B"), S("\xE3\x81\x82") },
		{ S("big5"), S("\xA4\xA4"), S("\xE4\xB8\xAD") },
		{ S("utf-16le"), S("a\0b\0"), S("ab") },
		{ S("euc-jp"), S("\xA4"), S("\xEF\xBF\xBD") },
		{ S("windows-1252"), S("\x81"), S("\xEF\xBF\xBD") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_same(convert(rows[i].label, rows[i].text, 100), rows[i].utf8);
}

/* Every row of the table opens with this libc, and labels stand on one row only. */
static void table_is_good(void **state)
{
	static const str rows[] = {
#define CHARSET(name, labels) S(labels),
#include "text/charset.tbl"
#undef CHARSET
	};

	(void)state;
	charset_prepare();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		str first = str_slice(str_skip(rows[i], 1), 0, str_find(str_skip(rows[i], 1), ' '));
		assert_true(charset_known(first));
		assert_true(rows[i].p[rows[i].n - 1] == ' ');
		assert_same(convert(first, S("a"), 100),
			    first.p[0] == 'u' ? S("\xEF\xBF\xBD") : S("a"));
	}
	assert_false(charset_known(S("utf-7")));
	assert_false(charset_known(S("")));
	assert_false(charset_known(S("koi8-r koi8-u")));
	assert_false(charset_known(S("windows-1252\0x")));
}

static void maximum_cuts_no_character(void **state)
{
	str text = S("\xE9\xE9\xE9\xE9"), utf8 = S("\xE2\x82\xAC\xE2\x82\xAC");

	(void)state;
	for (size_t max = 0; max < 12; max++) {
		assert_int_equal(convert(S("latin1"), text, max).n, max > 8 ? 8 : max / 2 * 2);
		assert_int_equal(convert(S("utf-8"), utf8, max).n, max > 6 ? 6 : max / 3 * 3);
		assert_int_equal(utf8_cut(utf8, max).n, max > 6 ? 6 : max / 3 * 3);
	}
}

/* Unicode 3.9, table 3-8. */
static void utf8_is_repaired(void **state)
{
	struct buf *out = buf_new(arena, 100);

	(void)state;
	utf8_repair(S("a\xF1\x80\x80\xE1\x80\xC2"
		      "b\x80"
		      "c\x80\xBF"
		      "d\xED\xA0\x80\xC0\xAF"),
		    out);
	assert_str(buf_str(out), "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
				 "b\xEF\xBF\xBD"
				 "c\xEF\xBF\xBD\xEF\xBF\xBD"
				 "d\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(charsets_are_read),
		TEST(table_is_good),
		TEST(maximum_cuts_no_character),
		TEST(utf8_is_repaired),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
