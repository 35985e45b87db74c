#include "base/unit.h"

#include "text/json_flat.h"

static void test_validity(void **state)
{
	static const char *const good[] = { "{}",
					    "{\"a\":1}",
					    "{\"a\":-1}",
					    "{\"a\":\"b\",\"c\":22}",
					    "{\"a\":[]}",
					    "{\"a\":[{}],\"b\":1}",
					    "{\"a\":[{\"x\":1,\"y\":\"]}\"},{\"x\":-2}]}" };
	static const char *const bad[] = { "",
					   "{",
					   "[]",
					   "{\"a\":}",
					   "{a:1}",
					   "{\"a\":1,}",
					   "{\"a\":-}",
					   "{\"a\":--1}",
					   "{\"a\":{}}",
					   "{\"a\":[1]}",
					   "{\"a\":[{},]}",
					   "{\"a\":[{}{}]}",
					   "{\"a\":[{\"b\":[]}]}",
					   "{\"a\":[{]}",
					   "{\"a\":1}x",
					   "{\"a\":\"",
					   "{\"a\":\"\\",
					   "{\"a\":\"\n\"}",
					   "{\"a\":\"\xff\"}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(json_flat_valid(str_cstr(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(json_flat_valid(str_cstr(bad[i])));
}

/* Cut anywhere it is none, and is looked into without harm. */
static void test_truncated(void **state)
{
	str whole = S("{\"a\":[{\"x\":1,\"y\":\"\\u0001\\\\\"},{\"x\":-2}],\"b\":\"c\"}");
	struct arena *a = arena_new(1 << 20);
	str value;

	(void)state;
	for (size_t n = 0; n < whole.n; n++) {
		str cut = str_copy(a, str_slice(whole, 0, n));
		assert_false(json_flat_valid(cut));
		json_flat_get(a, cut, S("b"), &value);
		json_flat_list(cut, S("a"), &value);
	}
	assert_true(json_flat_valid(whole));
	arena_free(&a);
}

/* A backslash makes nothing of what RFC 8259 7 does not name: it would come out as it is. */
static void test_escapes(void **state)
{
	static const char *const bad[] = { "{\"t\":\"\\\302\213\"}", "{\"t\":\"\\\n\"}",
					   "{\"t\":\"\\x\"}",        "{\"t\":\"\\u12g4\"}",
					   "{\"t\":\"\\u123\"}",     "{\"t\":\"\\\"}" };
	struct arena *a = arena_new(1 << 20);
	str value;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(json_flat_valid(str_cstr(bad[i])));
		assert_false(json_flat_get(a, str_cstr(bad[i]), S("t"), &value));
	}
	assert_true(json_flat_get(a, S("{\"t\":\"\\\"\\\\\\/\\n\\u009b\"}"), S("t"), &value));
	assert_str(value, S("\"\\/ ?"));
	arena_free(&a);
}

/* What others wrote may hold as it is what we escape: C1 controls, marks of direction. */
static void test_hidden_characters(void **state)
{
	struct arena *a = arena_new(1 << 20);
	str value;

	(void)state;
	assert_true(
	    json_flat_get(a, S("{\"t\":\"a\302\213b\342\200\256c\303\244\"}"), S("t"), &value));
	assert_str(value, S("a?b?c\303\244"));
	arena_free(&a);
}

static void test_members(void **state)
{
	struct arena *a = arena_new(1 << 20);
	str json =
	    S("{\"n\":-7,\"t\":\"a\\\"b\\\\c\\u000d\\n\",\"l\":[{\"x\":1},{\"x\":2}],\"e\":[]}");
	str value, list, object;
	i64 n, sum = 0;

	(void)state;
	assert_true(json_flat_i64(json, S("n"), &n) && n == -7);
	assert_false(json_flat_i64(json, S("t"), &n));
	assert_true(json_flat_get(a, json, S("t"), &value));
	assert_str(value, S("a\"b\\c? "));
	assert_true(json_flat_get(a, json, S("n"), &value));
	assert_str(value, S("-7"));
	assert_false(json_flat_get(a, json, S("l"), &value));
	assert_false(json_flat_get(a, json, S("x"), &value)); /* of an object inside */
	assert_true(json_flat_list(json, S("l"), &list));
	while (json_flat_next(&list, &object)) {
		assert_true(json_flat_i64(object, S("x"), &n));
		sum += n;
	}
	assert_int_equal(sum, 3);
	assert_true(json_flat_list(json, S("e"), &list));
	assert_false(json_flat_next(&list, &object));
	assert_false(json_flat_list(json, S("n"), &list));
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_validity), cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_escapes),  cmocka_unit_test(test_hidden_characters),
		cmocka_unit_test(test_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
