/* Whatever goes in, what comes out is JSON. */
#include "base/unit.h"

#include "text/json.h"

static void test_nesting(void **state)
{
	struct arena *a = arena_new(1 << 16);
	struct buf *out = buf_new(a, 1000);
	struct json j = json_to(out);

	(void)state;
	json_object(&j);
	json_key(&j, "a"), json_u64(&j, 1);
	json_key(&j, "b"), json_array(&j);
	json_str(&j, S("x"));
	json_bool(&j, true);
	json_object(&j);
	json_object_end(&j);
	json_null(&j);
	json_array_end(&j);
	json_key(&j, "c"), json_raw(&j, S("{}"));
	json_object_end(&j);
	assert_str(buf_str(out), S("{\"a\":1,\"b\":[\"x\",true,{},null],\"c\":{}}"));
	arena_free(&a);
}

static void test_escapes(void **state)
{
	static const struct {
		str in, out;
	} cases[] = {
		{ { (const u8 *)"", 0 }, { (const u8 *)"\"\"", 2 } },
		{ { (const u8 *)"\"\\\n\0\x1f\x7f", 6 },
		  { (const u8 *)"\"\\\"\\\\\\n\\u0000\\u001f\\u007f\"", 26 } },
		{ { (const u8 *)"caf\xc3\xa9", 5 }, { (const u8 *)"\"caf\xc3\xa9\"", 7 } },
		{ { (const u8 *)"\xff\xc3", 2 },
		  { (const u8 *)"\"\xEF\xBF\xBD\xEF\xBF\xBD\"", 8 } },
		{ { (const u8 *)"\xf0\x9f\x98\x80", 4 },
		  { (const u8 *)"\"\xf0\x9f\x98\x80\"", 6 } },
	};
	struct arena *a = arena_new(1 << 16);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf *out = buf_new(a, 1000);
		struct json j = json_to(out);
		json_str(&j, cases[i].in);
		assert_str(buf_str(out), cases[i].out);
	}
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
