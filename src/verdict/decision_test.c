#include "base/unit.h"

#include <string.h>

#include "text/json_flat.h"
#include "verdict/decision.h"

static int sum(const struct decision *d)
{
	int n = 0;

	for (size_t i = 0; i < d->n; i++)
		n += d->facts[i].weight;
	return n;
}

static void weigh(struct decision *d, const int *weights, size_t n)
{
	for (size_t i = 0; i < n; i++)
		decision_add(d, &(struct fact){ .check = i ? S("other") : S("dnsbl"),
						.result = S("listed"),
						.weight = weights[i] });
	decision_weigh(d, 10, false);
}

static void test_weights(void **state)
{
	static const struct {
		int weights[3];
		int total;
		enum decision_action action;
		const char *decided;
	} cases[] = {
		{ { 0, 0, 0 }, 0, DECISION_ACCEPT, "" },
		{ { 4, 0, 0 }, 4, DECISION_ACCEPT, "" },
		{ { 5, 0, 0 }, 5, DECISION_JUNK, "dnsbl" },
		{ { 2, 7, 0 }, 9, DECISION_JUNK, "other" },
		{ { 9, 1, 0 }, 10, DECISION_REJECT, "dnsbl" },
		{ { 12, -3, 0 }, 9, DECISION_JUNK, "dnsbl" },
		{ { -5, 9, 0 }, 4, DECISION_ACCEPT, "" },
		{ { -1000, 0, 0 }, -1000, DECISION_ACCEPT, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct decision d = { .n = 0 };
		weigh(&d, cases[i].weights, 3);
		assert_int_equal(d.total, cases[i].total);
		assert_int_equal(d.total, sum(&d));
		assert_int_equal(d.action, cases[i].action);
		assert_str(d.decided, str_cstr(cases[i].decided));
	}
}

static void test_temporary(void **state)
{
	struct decision d = { .n = 0 };

	(void)state;
	decision_add(&d, &(struct fact){ .check = S("dnsbl"), .weight = 9 });
	decision_weigh(&d, 10, true);
	assert_int_equal(d.action, DECISION_JUNK);
	decision_add(&d, &(struct fact){ .check = S("dnsbl"), .weight = 1 });
	decision_weigh(&d, 10, true);
	assert_int_equal(d.action, DECISION_DEFER);
}

/* The harshest wish counts, the first of equals; what wants nothing bad only explains. */
static void test_wishes(void **state)
{
	struct decision d = { .n = 0 };

	(void)state;
	decision_want(&d, DECISION_ACCEPT, S("override"));
	assert_str(d.decided, S("override"));
	decision_want(&d, DECISION_JUNK, S("dnsbl"));
	assert_str(d.decided, S("dnsbl"));
	decision_want(&d, DECISION_JUNK, S("dmarc"));
	assert_str(d.decided, S("dnsbl"));
	decision_want(&d, DECISION_REJECT, S("dmarc"));
	decision_want(&d, DECISION_ACCEPT, S("override"));
	assert_int_equal(d.action, DECISION_REJECT);
	assert_str(d.decided, S("dmarc"));
}

/* More facts than there is room for, weights that are no numbers: the sum holds. */
static void test_sum_holds(void **state)
{
	struct decision d = { .n = 0 };

	(void)state;
	for (int i = 0; i < 200; i++)
		decision_add(&d, &(struct fact){ .check = S("x"), .weight = i % 7 - 2 });
	decision_add(&d, &(struct fact){ .check = S("x"), .weight = INT32_MAX });
	decision_add(&d, &(struct fact){ .check = S("x"), .weight = INT32_MIN });
	assert_int_equal(d.n, DECISION_FACTS);
	assert_int_equal(d.total, sum(&d));
	assert_str(d.facts[DECISION_FACTS - 1].check, S("others"));
}

static void same(const struct decision *a, const struct decision *b)
{
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->total, b->total);
	assert_int_equal(a->threshold, b->threshold);
	assert_int_equal(a->action, b->action);
	assert_str(a->decided, b->decided);
	for (size_t i = 0; i < a->n; i++) {
		assert_str(a->facts[i].check, b->facts[i].check);
		assert_str(a->facts[i].input, b->facts[i].input);
		assert_str(a->facts[i].result, b->facts[i].result);
		assert_str(a->facts[i].source, b->facts[i].source);
		assert_str(a->facts[i].reason, b->facts[i].reason);
		assert_int_equal(a->facts[i].weight, b->facts[i].weight);
	}
}

static void test_round_trip(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct decision d = { .n = 0 }, again;

	(void)state;
	decision_add(&d, &(struct fact){ S("dnsbl"), S("192.0.2.1"), S("listed"), S("bl.example"),
					 S("it \"said\" so"), 7 });
	decision_add(&d, &(struct fact){ S("dnsbl"), S("192.0.2.1"), S("listed"), S("wl.example"),
					 STR_NONE, -1 });
	decision_add(&d, &(struct fact){ .check = S("dkim"), .result = S("none") });
	decision_weigh(&d, 10, false);
	assert_true(json_flat_valid(decision_print(a, &d)));
	assert_true(decision_read(a, decision_print(a, &d), &again));
	same(&d, &again);
	assert_false(decision_read(a, S("{}"), &again));
	assert_false(decision_read(a, S("{\"action\":\"explode\"}"), &again));
	arena_free(&a);
}

/* However long its texts are, a decision fits; evidence goes first, weights never. */
static void test_size(void **state)
{
	struct arena *a = arena_new(1 << 22);
	struct decision d = { .n = 0 }, again;
	u8 quotes[400];
	str json;

	(void)state;
	memset(quotes, '"', sizeof quotes);
	for (int i = 0; i < 60; i++)
		decision_add(&d, &(struct fact){ S("dnsbl"), str_from(quotes, 400), S("listed"),
						 str_from(quotes, 400), str_from(quotes, 400), i });
	decision_weigh(&d, 10, false);
	json = decision_print(a, &d);
	assert_in_range(json.n, 1000, DECISION_BYTES);
	assert_true(json_flat_valid(json));
	assert_true(decision_read(a, json, &again));
	assert_int_equal(again.total, 59 * 60 / 2);
	assert_int_equal(sum(&again), again.total);
	arena_free(&a);
}

static void test_checks(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct dnsbl_list list = { .zone = S("bl.example"), .weight = 6 };
	const struct dnsbl_hit hits[] = {
		{ &list, DNSBL_LISTED, { 127, 0, 0, 2 }, S("spam") },
		{ &list, DNSBL_CLEAR, { 0 }, STR_NONE },
		{ &list, DNSBL_REFUSED, { 127, 255, 255, 254 }, STR_NONE },
	};
	const struct dnsbl_verdict lists = { .score = 6, .hits = hits, .n = 3 };
	struct auth_verdict v = { .has_spf = true, .has_dkim = true, .has_dmarc = true };
	struct decision d = { .n = 0 }, mild = { .n = 0 }, list_mail = { .n = 0 };

	(void)state;
	decision_add_iprev(&d, S("192.0.2.1"), &(struct iprev_verdict){ .name = S("x.example") });
	decision_add_dnsbl(a, &d, S("192.0.2.1"), &lists);
	assert_int_equal(d.total, lists.score);
	v.dmarc = (struct dmarc_verdict){ .result = DMARC_FAIL,
					  .disposition = DMARC_REFUSE,
					  .author = S("bank.example"),
					  .policy = DMARC_POLICY_REJECT,
					  .policy_tag = "p",
					  .policy_domain = S("bank.example") };
	decision_add_auth(a, &d, &v, true);
	decision_weigh(&d, 10, false);
	assert_int_equal(d.n, 7);
	assert_str(d.facts[6].source, S("p=reject; bank.example"));
	assert_int_equal(d.action, DECISION_REJECT);
	assert_str(d.decided, S("dmarc"));
	assert_int_equal(d.total, 6);
	decision_add_auth(a, &mild, &v, false);
	assert_int_equal(mild.action, DECISION_JUNK);
	dmarc_override(&v.dmarc, DMARC_OVERRIDE_MAILING_LIST, S("it came through a list"));
	decision_add_auth(a, &list_mail, &v, true);
	assert_int_equal(list_mail.action, DECISION_ACCEPT);
	assert_str(list_mail.decided, S("override"));
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weights),    cmocka_unit_test(test_temporary),
		cmocka_unit_test(test_wishes),     cmocka_unit_test(test_sum_holds),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_size),
		cmocka_unit_test(test_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
