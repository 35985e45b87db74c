#include "text/shown.h"

#include "base/unit.h"

static void test_hidden(void **state)
{
	static const struct {
		str in, out;
	} cases[] = {
		{ S("plain ~"), S("plain ~") },
		{ S("\x1B[2J\a\x7F"), S("?[2J??") },
		{ S("a\r\nb\tc"), S("a??b?c") },
		{ S("\xC2\x9B"
		    "2J"),
		  S("?2J") }, /* CSI in one character */
		{ S("\x9B"
		    "2J"),
		  S("?2J") }, /* the same for a terminal that knows no UTF-8 */
		{ S("caf\xC3\xA9 \xC2\xA0\xE2\x82\xAC"), S("caf\xC3\xA9 \xC2\xA0\xE2\x82\xAC") },
		{ S("a\xE2\x80\xAE"
		    "fdp.exe"),
		  S("a?fdp.exe") }, /* right-to-left override */
		{ S("a\xE2\x80\xA8"
		    "b\xE2\x81\xA6"
		    "c"),
		  S("a?b?c") },
		{ S("\xF0\x9F\x98\x80"), S("\xF0\x9F\x98\x80") },
		{ S("\xC3"), S("?") },
		{ S(""), S("") },
	};
	struct arena *a = arena_new(4096);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_str(shown_line(a, cases[i].in, '?'), cases[i].out);
	arena_free(&a);
}

static void test_keep(void **state)
{
	struct arena *a = arena_new(4096);
	struct buf *out = buf_new(a, 100);

	(void)state;
	shown_add(out, S("a\nb\tc\x1B"), '?', S("\n\t"));
	assert_str(buf_str(out), S("a\nb\tc?"));
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_hidden),
					    cmocka_unit_test(test_keep) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
