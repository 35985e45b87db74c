#include "base/unit.h"

#include "office/budget.h"
#include "office/event.h"
#include "office/maildrop.h"

static void test_arguments(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct event_args args = event_args_new(a);
	str json, value;

	(void)state;
	event_args_str(&args, "recipient", S("a\"b\\c\r\n@d"));
	event_args_u64(&args, "attempt", 3);
	event_args_str(&args, "text", S("\xff latin"));
	json = event_args_end(&args);
	assert_str(json, S("{\"recipient\":\"a\\\"b\\\\c\\u000d\\n@d\",\"attempt\":3,"
			   "\"text\":\"\xEF\xBF\xBD latin\"}"));
	assert_true(event_args_valid(json));
	assert_true(event_args_get(a, json, S("recipient"), &value));
	assert_str(value, S("a\"b\\c? @d"));
	assert_true(event_args_get(a, json, S("attempt"), &value));
	assert_str(value, S("3"));
	assert_false(event_args_get(a, json, S("nothing"), &value));
	args = event_args_new(a);
	assert_str(event_args_end(&args), S("{}"));
	arena_free(&a);
}

static void test_arguments_have_bounds(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct event_args args = event_args_new(a);
	u8 many[2000];
	str json;

	(void)state;
	for (size_t i = 0; i < sizeof many; i++)
		many[i] = (u8)(i % 3 ? 0xA9 : 0xC3); /* not UTF-8 */
	for (int i = 0; i < 50; i++)
		event_args_str(&args, "x", str_from(many, sizeof many));
	json = event_args_end(&args);
	assert_in_range(json.n, 100, EVENT_ARGUMENTS);
	assert_true(event_args_valid(json));
	arena_free(&a);
}

static void test_one_more_member(void **state)
{
	struct arena *a = arena_new(1 << 20);

	(void)state;
	assert_str(event_args_with(a, S("{}"), "client", S("::1")), S("{\"client\":\"::1\"}"));
	assert_str(event_args_with(a, S("{\"a\":1}"), "client", S("::1")),
		   S("{\"a\":1,\"client\":\"::1\"}"));
	assert_str(event_args_with(a, S("{\"client\":1}"), "client", S("x")), S("{\"client\":1}"));
	assert_str(event_args_with(a, S("no object"), "client", S("x")), S("no object"));
	arena_free(&a);
}

static void test_sentence(void **state)
{
	struct arena *a = arena_new(1 << 20);

	(void)state;
	assert_str(event_sentence(a, S("delivered"), S("{\"recipient\":\"bob@x\"}"), LANGUAGE_EN),
		   S("delivered to the mailbox of bob@x"));
	assert_str(event_sentence(a, S("delivered"), S("{}"), LANGUAGE_EN),
		   S("delivered to the mailbox of -"));
	assert_str(event_sentence(a, S("nonsense"), S("{\"a\":1}"), LANGUAGE_NL),
		   S("nonsense {\"a\":1}"));
	arena_free(&a);
}

/* Every event can be told in every language, with the same facts in it. */
static void test_languages(void **state)
{
	(void)state;
	for (size_t i = 0; i < EVENT_CODES; i++) {
		const str *row = event_sentence_of(event_code_name((enum event_code)i));
		assert_non_null(row);
		for (size_t l = 0; l < LANGUAGES; l++) {
			assert_true(row[l].n > 0);
			if (!sentence_same_places(row[LANGUAGE_EN], row[l]))
				fail_msg("places differ: %.*s", STR_ARG(row[l]));
		}
	}
}

static void test_budget(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct budget *b = budget_new(a, env_system());
	str here = S("\xc0\x00\x02\x01"), there = S("\xc0\x00\x02\x02");
	u64 dropped;

	(void)state;
	assert_int_equal(budget_take(b, here, BUDGET_EVENTS - 1, &dropped), BUDGET_EVENTS - 1);
	assert_int_equal(budget_take(b, here, 5, &dropped), 1);
	assert_int_equal(dropped, 0);
	assert_int_equal(budget_take(b, here, 1000000, &dropped), 0);
	assert_int_equal(budget_take(b, there, 5, &dropped), 5);
	arena_free(&a);
}

static void test_maildrop(void **state)
{
	struct maildrop *m = maildrop_new(env_system());

	(void)state;
	assert_null(maildrop_take(m, 1, 10, 100));
	assert_null(maildrop_take(m, 1, 10, 100));
	assert_fail(maildrop_take(m, 1, 10, 101), FAIL_BUSY);
	assert_null(maildrop_take(m, 2, 10, 101));
	maildrop_give(m, 1, 10, 101); /* not the holder */
	assert_fail(maildrop_take(m, 1, 11, 1), FAIL_BUSY);
	maildrop_give(m, 1, 10, 100);
	assert_null(maildrop_take(m, 1, 11, 1));
	maildrop_peer_gone(m, 11);
	assert_null(maildrop_take(m, 1, 10, 1));
	maildrop_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_arguments),
					    cmocka_unit_test(test_arguments_have_bounds),
					    cmocka_unit_test(test_one_more_member),
					    cmocka_unit_test(test_sentence),
					    cmocka_unit_test(test_languages),
					    cmocka_unit_test(test_budget),
					    cmocka_unit_test(test_maildrop) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
