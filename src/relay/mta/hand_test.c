/* What an office gives out twice, and what it was not told of. */
#include "base/unit.h"

#include "relay/mta/hand.h"
#include "relay/mta/limit.h"
#include "text/smtp_reply.h"

enum { EVENT_LARGE = 16 * 1024 }; /* more than an event's arguments (delivery.c) */

static struct office_attempt_done_request done_of(u64 job, const struct attempt_result *r)
{
	return (struct office_attempt_done_request){
		.job = job, .site = S("a.test"), .results = r, .results_n = 1
	};
}

static void test_given_out_again(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct hands *h = hands_new(a);
	struct attempt_result r = { .entry = 7, .outcome = ATTEMPT_DELIVERED, .text = S("250 ok") };
	struct office_attempt_done_request done = done_of(1, &r), got;
	struct hand mine, other;
	struct job job = { .id = 1, .attempts = 2 };

	(void)state;
	assert_true(hand_take(h, &mine, 1));
	assert_false(hand_untold(h, a, &job, &got));
	assert_false(
	    hand_take(h, &other, 1)); /* another worker was given it while we are at it... */
	assert_true(hand_keep(h, &mine, 2, &done)); /* ...so who gave it waits for our word */
	assert_false(hand_keep(h, &mine, 2, &done));

	assert_true(hand_take(h, &other, 1));
	assert_true(hand_untold(h, a, &job, &got));
	assert_int_equal(got.job, 1);
	assert_int_equal(got.results[0].entry, 7);
	assert_int_equal(got.results[0].outcome, ATTEMPT_DELIVERED);
	assert_str(got.results[0].text, S("250 ok"));
	hand_give(h, &other);

	assert_true(hand_take(h, &mine, 1));
	assert_false(hand_untold(h, a, &job, &got)); /* once */
	hand_give(h, &mine);
	arena_free(&a);
}

/* The office had heard of it, though its answer was lost: what it gives out now is the next attempt. */
static void test_told_after_all(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct hands *h = hands_new(a);
	struct attempt_result r = { .entry = 7, .outcome = ATTEMPT_DELIVERED };
	struct office_attempt_done_request done = done_of(1, &r), got;
	struct job job = { .id = 1, .attempts = 3 };
	struct hand mine;

	(void)state;
	assert_true(hand_take(h, &mine, 1));
	assert_false(hand_keep(h, &mine, 2, &done));
	assert_true(hand_take(h, &mine, 1));
	assert_false(hand_untold(h, a, &job, &got));
	hand_give(h, &mine);
	arena_free(&a);
}

static void test_nothing_delivered(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct hands *h = hands_new(a);
	struct attempt_result r = { .entry = 7, .outcome = ATTEMPT_TEMP };
	struct office_attempt_done_request done = done_of(1, &r), got;
	struct hand mine, other;

	(void)state;
	assert_true(hand_take(h, &mine, 1));
	assert_false(hand_take(h, &other, 1));
	assert_true(hand_keep(h, &mine, 0,
			      &done)); /* whoever gave it again waits for our word all the same */
	assert_false(hand_keep(h, &mine, 0, &done));
	assert_true(hand_take(h, &mine, 1));
	assert_false(hand_untold(h, a, &(struct job){ .id = 1 }, &got));
	hand_give(h, &mine);
	arena_free(&a);
}

static void test_bound(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct hands *h = hands_new(a);
	struct attempt_result r = { .entry = 7, .outcome = ATTEMPT_DELIVERED };
	struct office_attempt_done_request got;
	struct hand mine;

	(void)state;
	for (u64 i = 1; i <= MTA_UNTOLD + 1; i++) {
		struct office_attempt_done_request done = done_of(i, &r);
		assert_true(hand_take(h, &mine, i));
		assert_false(hand_keep(h, &mine, 0, &done));
	}
	for (u64 i = 1; i <= MTA_UNTOLD + 1; i++)
		assert_int_equal(hand_untold(h, a, &(struct job){ .id = i }, &got), i > 1);
	arena_free(&a);
}

/* The largest there can be (every recipient of a job with the longest reply, all events) is far below BUS_BODY_MAX: it comes back whole. */
static void test_largest(void **state)
{
	struct arena *a = arena_new(64 << 20);
	struct hands *h = hands_new(a);
	struct attempt_result *results =
	    arena_array_of(a, OFFICE_JOB_ENTRIES, struct attempt_result);
	struct event_record *events = arena_array_of(a, MTA_EVENTS, struct event_record);
	str reply = str_from(arena_alloc(a, SMTP_REPLY_TEXT), SMTP_REPLY_TEXT);
	str arguments = str_from(arena_alloc(a, EVENT_LARGE), EVENT_LARGE);
	struct office_attempt_done_request done = done_of(1, results), got;
	struct hand mine;

	(void)state;
	for (size_t i = 0; i < OFFICE_JOB_ENTRIES; i++)
		results[i] = (struct attempt_result){ .entry = i,
						      .outcome = ATTEMPT_DELIVERED,
						      .text = reply };
	for (size_t i = 0; i < MTA_EVENTS; i++)
		events[i] = (struct event_record){ .arguments = arguments };
	done.results_n = OFFICE_JOB_ENTRIES;
	done.events = events;
	done.events_n = MTA_EVENTS;
	assert_true(hand_take(h, &mine, 1));
	assert_false(hand_keep(h, &mine, 0, &done));
	assert_true(hand_untold(h, a, &(struct job){ .id = 1 }, &got));
	assert_int_equal(got.results_n, OFFICE_JOB_ENTRIES);
	assert_int_equal(got.events_n, MTA_EVENTS);
	assert_str(got.results[OFFICE_JOB_ENTRIES - 1].text, reply);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given_out_again),   cmocka_unit_test(test_told_after_all),
		cmocka_unit_test(test_nothing_delivered), cmocka_unit_test(test_bound),
		cmocka_unit_test(test_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
