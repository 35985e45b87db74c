#include "base/unit.h"

#include "base/id.h"
#include "office/budget.h"
#include "office/event.h"
#include "office/maildrop.h"
#include "office/office_int.h"

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

static u64 test_clock = 1;

static u64 test_now(void *context)
{
	(void)context;
	return test_clock;
}

static void test_random(void *context, void *out, size_t n)
{
	(void)context;
	memset(out, 7, n);
}

static const struct env test_env = { .now = test_now,
				     .monotonic = test_now,
				     .random = test_random };

static void test_budget(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct budget *b = budget_new(a, &test_env);
	str here = S("\xc0\x00\x02\x01"), there = S("\xc0\x00\x02\x02");
	u64 dropped;

	(void)state;
	for (u32 i = 0; i < BUDGET_EVENTS; i++)
		assert_true(budget_take(b, 1, here, &dropped));
	assert_int_equal(dropped, 0);
	for (u32 i = 0; i < 7; i++)
		assert_false(budget_take(b, 1, here, &dropped));
	assert_true(budget_take(b, 1, there, &dropped));
	budget_give_back(b, 1, there);
	budget_give_back(b, 1, there); /* more than was taken is not given */
	for (u32 i = 0; i < BUDGET_EVENTS; i++)
		assert_true(budget_take(b, 1, there, &dropped));
	assert_false(budget_take(b, 1, there, &dropped));
	test_clock += BUDGET_WINDOW_MS;
	assert_true(budget_take(b, 1, here, &dropped));
	assert_int_equal(dropped, 7);
	arena_free(&a);
}

/* THREATS P04: a broken edge names a new source each time; another edge is not silenced. */
static void test_budget_of_an_edge(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct budget *b = budget_new(a, &test_env);
	u32 kept = 0;
	u64 dropped;

	(void)state;
	for (u32 i = 0; i < 2 * BUDGET_EDGE_EVENTS; i++)
		kept += budget_take(b, 1, str_from(&i, sizeof i), &dropped);
	assert_int_equal(kept, BUDGET_EDGE_EVENTS);
	assert_true(budget_take(b, 2, S("\xc0\x00\x02\x01"), &dropped));
	test_clock += BUDGET_WINDOW_MS;
	assert_true(budget_take(b, 1, S("\xc0\x00\x02\x01"), &dropped));
	arena_free(&a);
}

/* Ids that an edge did not make itself about now: of a message, of another edge, of long ago, of the future. */
static void test_made_up_ids(void **state)
{
	const u64 now = 1795289107000;
	struct env then = test_env;
	struct id_maker maker = { .node = 3 };
	struct event_record e = { .message = 0 };

	(void)state;
	assert_true(office_event_is_of(&e, 3, now));
	test_clock = now;
	e.message = id_attempt(&then, 3, 8);
	assert_true(office_event_is_of(&e, 3, now));
	assert_false(office_event_is_of(&e, 4, now));
	assert_false(office_event_is_of(&e, 3, now + 25 * 60 * 60 * 1000));
	assert_false(office_event_is_of(&e, 3, now - 2 * 60 * 1000));
	e.message = id_next(&maker, &then);
	assert_false(office_event_is_of(&e, 3, now));
	e.message = UINT64_MAX;
	assert_false(office_event_is_of(&e, 3, now));
	e.message = 1;
	assert_false(office_event_is_of(&e, 0, now));
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
					    cmocka_unit_test(test_budget_of_an_edge),
					    cmocka_unit_test(test_made_up_ids),
					    cmocka_unit_test(test_maildrop) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
