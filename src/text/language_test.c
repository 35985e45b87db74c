#include "base/unit.h"

#include "text/language.h"

static void test_codes(void **state)
{
	enum language l;

	(void)state;
	assert_true(language_parse(S("nl"), &l) && l == LANGUAGE_NL);
	assert_true(language_parse(S("nl_BE.UTF-8"), &l) && l == LANGUAGE_NL);
	assert_true(language_parse(S("NL@euro"), &l) && l == LANGUAGE_NL);
	assert_true(language_parse(S("en_GB"), &l) && l == LANGUAGE_EN);
	assert_false(language_parse(S("C.UTF-8"), &l));
	assert_false(language_parse(S("nlx"), &l));
	assert_false(language_parse(S("n"), &l));
	assert_false(language_parse(STR_NONE, &l));
	for (int i = 0; i < LANGUAGES; i++)
		assert_true(language_parse(str_cstr(language_code((enum language)i)), &l) &&
			    (int)l == i);
}

static bool get(void *context, str name, str *value)
{
	(void)context;
	*value = S("[x]");
	return str_eq(name, S("x"));
}

static void test_fill(void **state)
{
	struct arena *a = arena_new(1 << 20);
	const struct sentence_values values = { .get = get };

	(void)state;
	assert_str(sentence_fill(a, S("{x} and {y}, {x}."), &values), S("[x] and -, [x]."));
	assert_str(sentence_fill(a, S("no place"), &values), S("no place"));
	assert_str(sentence_fill(a, S("{x"), &values), S("{x"));
	assert_str(sentence_fill(a, S("}{x}{"), &values), S("}[x]{"));
	assert_str(sentence_fill(a, S(""), &values), S(""));
	arena_free(&a);
}

static void test_same_places(void **state)
{
	(void)state;
	assert_true(sentence_same_places(S("{a} {b}"), S("{b} {a}!")));
	assert_true(sentence_same_places(S(""), S("x")));
	assert_false(sentence_same_places(S("{a}"), S("{b}")));
	assert_false(sentence_same_places(S("{a}"), S("{a} {b}")));
	assert_false(sentence_same_places(S("{a} {a}"), S("{a}")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_same_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
