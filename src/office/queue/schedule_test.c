/* The pure parts: turns, limits, poison, back-off, and who is told what. */
#include "base/unit.h"

#include <stdio.h>

#include "office/queue/policy.h"
#include "office/queue/schedule.h"

static u64 clock_now;

static u64 test_now(void *context)
{
	(void)context;
	return clock_now;
}

static void test_random(void *context, void *out, size_t n)
{
	static u64 seed = 1;
	u8 *p = out;

	(void)context;
	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		p[i] = (u8)(seed >> 56);
	}
}

static const struct env test_env = { .now = test_now,
				     .monotonic = test_now,
				     .random = test_random };

static void add(struct schedule *s, u64 id, u64 due, enum job_kind kind, const char *site)
{
	schedule_add(s,
		     &(struct schedule_job){
			 .id = id, .message = id, .due = due, .kind = kind, .state = JOB_WAITING },
		     str_cstr(site));
	schedule_check(s);
}

static const char *cstr_of(u64 number)
{
	static char text[24];

	snprintf(text, sizeof text, "%llu", (unsigned long long)number);
	return text;
}

/* THREATS Q06: a hundred messages for one site do not stand before the one for another. */
static void test_sites_take_turns(void **state)
{
	struct schedule *s = schedule_new(&test_env, 3, 4);
	struct schedule_job jobs[64];
	size_t n;

	(void)state;
	clock_now = 1000;
	for (u64 i = 1; i <= 100; i++)
		add(s, i, 10, JOB_RELAY, "big.example");
	add(s, 101, 20, JOB_RELAY, "small.example");
	n = schedule_take(s, LANE_RELAY, 1, 2, jobs);
	assert_int_equal(n, 2);
	assert_int_equal(jobs[0].id, 1);
	assert_int_equal(jobs[1].id, 101);
	n = schedule_take(s, LANE_RELAY, 1, 64, jobs); /* 3 of the site, 4 in all */
	assert_int_equal(n, 2);
	assert_int_equal(schedule_take(s, LANE_RELAY, 2, 64, jobs), 0);
	assert_true(schedule_settle(s, 101, 1));
	assert_int_equal(schedule_take(s, LANE_RELAY, 2, 64, jobs), 0); /* the commit is to come */
	schedule_finish(s, 101);
	assert_int_equal(schedule_take(s, LANE_RELAY, 2, 64, jobs), 0); /* the site has its three */
	assert_true(schedule_settle(s, 1, 1));
	schedule_again(s, 1, 5000, 1);
	assert_int_equal(schedule_take(s, LANE_RELAY, 2, 64, jobs), 1);
	schedule_check(s);
	schedule_free(&s);
}

static void settle(struct schedule *s, u64 job, bool finished)
{
	assert_true(schedule_settle(s, job, 1));
	if (finished)
		schedule_finish(s, job);
	else
		schedule_again(s, job, clock_now + 1000, 1);
	schedule_check(s);
}

/* THREATS Q06: tarpits take all places, and hold the others up once, for SCHEDULE_SLOW_MS; then for half of the places they are known. */
static void test_tarpits(void **state)
{
	enum { TOTAL = 8 };
	struct schedule *s = schedule_new(&test_env, 10, TOTAL);
	struct schedule_job jobs[64];
	char site[32];

	(void)state;
	clock_now = 100000;
	for (u64 i = 1; i <= 40; i++) {
		snprintf(site, sizeof site, "tar%u.example", (unsigned)i);
		add(s, i, 10, JOB_RELAY, site);
	}
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 64, jobs), TOTAL);
	add(s, 101, 20, JOB_RELAY, "good.example");
	clock_now += SCHEDULE_SLOW_MS - 1;
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 64, jobs), 0);
	clock_now += 1;
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 64, jobs), TOTAL); /* twice in all */
	schedule_check(s);
	clock_now += SCHEDULE_SLOW_MS;
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 64, jobs), 0);
	for (u64 i = 1; i <= 2 * TOTAL; i++) /* they come again soon, and are known */
		settle(s, i, false);
	clock_now += 2000;
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 1, jobs), 1);
	schedule_check(s);
	for (size_t n = 1, slow = jobs[0].id <= 2 * TOTAL; n < TOTAL + TOTAL / 2; n++) {
		assert_int_equal(schedule_take(s, LANE_RELAY, 1, 1, jobs), 1);
		slow += jobs[0].id <= 2 * TOTAL;
		assert_true(slow <= TOTAL / 2);
	}
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 64, jobs), 0);
	schedule_check(s);
	schedule_free(&s);
}

/* One that is done in time is like any other. */
static void test_slow_recovers(void **state)
{
	struct schedule *s = schedule_new(&test_env, 10, 2);
	struct schedule_job jobs[4];

	(void)state;
	clock_now = 100000;
	for (u64 i = 1; i <= 6; i++)
		add(s, i, 10, JOB_RELAY, "slow.example");
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 4, jobs), 2);
	clock_now += SCHEDULE_SLOW_MS;
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 4, jobs), 0);
	settle(s, 1, true);
	settle(s, 2, true);
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 4, jobs), 1);
	settle(s, 3, true);
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 4, jobs), 2);
	schedule_check(s);
	schedule_free(&s);
}

static void test_time(void **state)
{
	struct schedule *s = schedule_new(&test_env, 10, 50);
	struct schedule_job job;

	(void)state;
	clock_now = 1000;
	assert_int_equal(schedule_next_due(s), UINT64_MAX);
	add(s, 1, 3000, JOB_DELIVER, "a");
	add(s, 2, 2000, JOB_DELIVER, "a");
	assert_int_equal(schedule_next_due(s), 2000);
	assert_int_equal(schedule_take(s, LANE_MDA, 1, 5, &job), 0);
	clock_now = 2500;
	assert_int_equal(schedule_take(s, LANE_MDA, 1, 1, &job), 1);
	assert_int_equal(job.id, 2);
	assert_true(schedule_holds(s, 2, 1, NULL));
	assert_false(schedule_holds(s, 2, 2, NULL));
	assert_false(schedule_settle(s, 2, 2));
	schedule_free(&s);
}

/* THREATS Q05: whoever was there when the peer died is suspect; suspects go alone; only the one that kills alone is held. */
/* A job in the hands of one who does nothing with it. */
static void test_overdue(void **state)
{
	struct schedule *s = schedule_new(&test_env, 10, 50);
	struct schedule_job jobs[4];
	u64 peer = 0;

	(void)state;
	clock_now = 5000;
	assert_false(schedule_overdue(s, LANE_MDA, 1000, &peer));
	add(s, 1, 0, JOB_RELAY, "a");
	add(s, 2, 0, JOB_DELIVER, "b");
	add(s, 3, 0, JOB_DELIVER, "b");
	assert_int_equal(schedule_take(s, LANE_RELAY, 8, 1, jobs), 1);
	assert_int_equal(schedule_take(s, LANE_MDA, 7, 1, jobs), 1);
	clock_now = 5999;
	assert_int_equal(schedule_take(s, LANE_MDA, 9, 1, jobs), 1);
	assert_false(schedule_overdue(s, LANE_MDA, 1000, &peer));
	clock_now = 6000;
	assert_true(schedule_overdue(s, LANE_MDA, 1000, &peer));
	assert_int_equal(peer, 7);
	assert_int_equal(schedule_peer_gone(s, 7, &peer, 1), 0);
	assert_false(schedule_overdue(s, LANE_MDA, 1000, &peer));
	assert_false(schedule_holds(s, 2, 7, NULL)); /* what it says now is too late */
	schedule_check(s);
	schedule_free(&s);
}

/* A thousand jobs for a site that has all it may: looked at some hundred times a second, not as often as there are jobs. */
static void test_busy_site(void **state)
{
	enum { ALL = 1000, SECONDS = 20 };
	struct schedule *s = schedule_new(&test_env, 10, 50);
	struct schedule_job jobs[64];
	size_t looked = 0, n;

	(void)state;
	clock_now = 1000;
	for (u64 i = 1; i <= ALL; i++)
		add(s, i, 0, JOB_RELAY, cstr_of(i));
	for (u64 end = clock_now + SECONDS * 1000; clock_now < end; clock_now += 10)
		while ((n = schedule_take(s, LANE_RELAY, 1, 64, jobs)) > 0)
			for (looked += n; n > 0; n--) {
				assert_true(schedule_settle(s, jobs[n - 1].id, 1));
				schedule_busy(s, jobs[n - 1].id, S("mx"));
			}
	schedule_check(s);
	assert_in_range(looked, 3 * ALL, SECONDS * 400);
	schedule_free(&s);
}

/* Domains that turn out to have the same servers are one site from then on. */
static void test_site_is_learned(void **state)
{
	struct schedule *s = schedule_new(&test_env, 2, 50);
	struct schedule_job jobs[8];

	(void)state;
	clock_now = 1000;
	add(s, 1, 0, JOB_RELAY, "a");
	add(s, 2, 0, JOB_RELAY, "b");
	add(s, 3, 0, JOB_RELAY, "c");
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 8, jobs), 3);
	for (u64 job = 1; job <= 3; job++) {
		assert_true(schedule_settle(s, job, 1));
		schedule_again(s, job, clock_now, 0);
		schedule_move(s, job, S("mx"));
		schedule_check(s);
	}
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 8, jobs), 2);
	schedule_move(s, jobs[0].id, S("other")); /* not while somebody has it */
	assert_true(schedule_settle(s, jobs[0].id, 1));
	schedule_finish(s, jobs[0].id);
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 8, jobs), 1);
	schedule_check(s);
	schedule_free(&s);
}

/* More is to be reported while the report's job is read, and found without rows (queue_job_read): what came last is not forgotten. */
static void test_report_joins_what_is_read(void **state)
{
	struct schedule *s = schedule_new(&test_env, 10, 50);
	struct schedule_job job;

	(void)state;
	clock_now = 1000;
	schedule_add_dsn(s, 1, 50, JOB_DSN_FAILURE, 0);
	assert_int_equal(schedule_take(s, LANE_MDA, 7, 1, &job), 1);
	schedule_add_dsn(s, 2, 50, JOB_DSN_FAILURE, 0);
	schedule_finish(s, 1);
	schedule_check(s);
	assert_int_equal(schedule_take(s, LANE_MDA, 7, 1, &job), 1);
	assert_true(schedule_settle(s, job.id, 7));
	schedule_finish(s, job.id);
	assert_int_equal(schedule_count(s), 0);
	schedule_free(&s);
}

/* THREATS F16 */
static void test_set_back(void **state)
{
	struct schedule *s = schedule_new(&test_env, 10, 50);
	struct schedule_job job;

	(void)state;
	clock_now = 100000;
	for (u64 i = 1; i <= 20; i++)
		add(s, i, 100000 + i * 7 % 20 * 100, JOB_RELAY, "a");
	schedule_set_back(s, 90000);
	schedule_check(s);
	assert_int_equal(schedule_next_due(s), 10000);
	clock_now = 10100;
	assert_int_equal(schedule_take(s, LANE_RELAY, 1, 1, &job), 1);
	schedule_set_back(s, 90000); /* by more than there is */
	schedule_check(s);
	assert_int_equal(schedule_next_due(s), 0);
	schedule_free(&s);
}

static void test_poison(void **state)
{
	struct schedule *s = schedule_new(&test_env, 10, 50);
	struct schedule_job jobs[64];
	u64 held[64], peer = 1, healthy = 0;
	size_t n, poisoned = 0;

	(void)state;
	clock_now = 1000;
	for (u64 i = 1; i <= 20; i++)
		add(s, i, 0, JOB_DELIVER, "a");
	for (size_t round = 0; round < 200 && poisoned == 0; round++) {
		bool kills = false;
		clock_now += 10000;
		n = schedule_take(s, LANE_MDA, peer, 64, jobs);
		for (size_t i = 0; i < n; i++)
			kills = kills || jobs[i].id == 7;
		if (kills)
			poisoned += schedule_peer_gone(s, peer++, held, 64);
		for (size_t i = 0; i < n && !kills; i++) {
			assert_true(schedule_settle(s, jobs[i].id, peer));
			schedule_finish(s, jobs[i].id);
			healthy++;
		}
		schedule_check(s);
	}
	assert_int_equal(poisoned, 1);
	assert_int_equal(held[0], 7);
	assert_int_equal(peer, 1 + SCHEDULE_DEATHS);
	clock_now += 100000;
	while ((n = schedule_take(s, LANE_MDA, peer, 1, jobs)) > 0) {
		schedule_settle(s, jobs[0].id, peer);
		schedule_finish(s, jobs[0].id);
		healthy++;
	}
	assert_int_equal(healthy, 19);
	schedule_free(&s);
}

/* A relay that is told to end holds what takes minutes: that is no sign of poison, however often. */
static void test_a_peer_leaves(void **state)
{
	struct schedule *s = schedule_new(&test_env, 10, 50);
	struct schedule_job job;
	u64 held;

	(void)state;
	clock_now = 1000;
	add(s, 1, 0, JOB_RELAY, "a");
	for (u64 peer = 1; peer < 10; peer++) {
		assert_int_equal(schedule_take(s, LANE_RELAY, peer, 1, &job), 1);
		schedule_peer_leaves(s, peer);
		schedule_check(s);
		assert_false(schedule_holds(s, 1, peer, NULL));
		assert_int_equal(schedule_peer_gone(s, peer, &held, 1), 0);
		schedule_check(s);
	}
	assert_int_equal(schedule_take(s, LANE_RELAY, 10, 1, &job), 1);
	schedule_hold(s, 1);
	schedule_peer_leaves(s, 10);
	schedule_check(s);
	clock_now += 1000000;
	assert_int_equal(schedule_take(s, LANE_RELAY, 11, 1, &job), 0);
	schedule_free(&s);
}

static void test_report_table(void **state)
{
	enum {
		N = DSN_NOTIFY_NEVER,
		S_ = DSN_NOTIFY_SUCCESS,
		F = DSN_NOTIFY_FAILURE,
		D = DSN_NOTIFY_DELAY
	};
	static const struct policy p = { .delay_notice = 1000, .expire = 100000 };
	static const struct {
		enum policy_outcome outcome;
		u32 notify;
		enum policy_report report;
	} rows[] = {
		/* RFC 3461 5.2 */
		{ POLICY_DELIVERED, 0, REPORT_NONE },   { POLICY_DELIVERED, S_, REPORT_SUCCESS },
		{ POLICY_DELIVERED, F, REPORT_NONE },   { POLICY_DELIVERED, N, REPORT_NONE },
		{ POLICY_RELAYED, S_, REPORT_SUCCESS }, { POLICY_RELAYED, 0, REPORT_NONE },
		{ POLICY_PASSED, S_, REPORT_NONE },     { POLICY_PERM, 0, REPORT_FAILURE },
		{ POLICY_PERM, F, REPORT_FAILURE },     { POLICY_PERM, S_, REPORT_NONE },
		{ POLICY_PERM, D, REPORT_NONE },        { POLICY_PERM, N, REPORT_NONE },
		{ POLICY_EXPIRED, 0, REPORT_FAILURE },  { POLICY_EXPIRED, N, REPORT_NONE },
		{ POLICY_TEMP, 0, REPORT_DELAY },       { POLICY_TEMP, D, REPORT_DELAY },
		{ POLICY_TEMP, F, REPORT_NONE },        { POLICY_TEMP, N, REPORT_NONE }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(
		    policy_report(&p, rows[i].outcome, rows[i].notify, false, false, 0, 2000),
		    rows[i].report);
		assert_int_equal(
		    policy_report(&p, rows[i].outcome, rows[i].notify, true, false, 0, 2000),
		    REPORT_NONE); /* null sender */
	}
	assert_int_equal(policy_report(&p, POLICY_TEMP, 0, false, true, 0, 2000), REPORT_NONE);
	assert_int_equal(policy_report(&p, POLICY_TEMP, 0, false, false, 0, 999), REPORT_NONE);
}

static void test_back_off(void **state)
{
	static const struct policy p = { .retry_first = 1000,
					 .retry_most = 16000,
					 .expire = 1000000 };

	(void)state;
	clock_now = 500000;
	for (u32 attempts = 1; attempts < 80; attempts++) {
		u64 plain = attempts > 5 ? 16000 : (u64)1000 << (attempts - 1);
		u64 wait = policy_next_attempt(&p, &test_env, attempts, 500000) - clock_now;
		assert_in_range(wait, plain * 3 / 4, plain * 5 / 4 + 1);
	}
	assert_int_equal(policy_next_attempt(&p, &test_env, 9, clock_now - 999000),
			 clock_now + 1000);
	assert_true(policy_expired(&p, 0, 1000000));
	assert_false(policy_expired(&p, 0, 999999));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sites_take_turns),
					    cmocka_unit_test(test_site_is_learned),
					    cmocka_unit_test(test_busy_site),
					    cmocka_unit_test(test_tarpits),
					    cmocka_unit_test(test_slow_recovers),
					    cmocka_unit_test(test_time),
					    cmocka_unit_test(test_report_joins_what_is_read),
					    cmocka_unit_test(test_set_back),
					    cmocka_unit_test(test_overdue),
					    cmocka_unit_test(test_poison),
					    cmocka_unit_test(test_a_peer_leaves),
					    cmocka_unit_test(test_report_table),
					    cmocka_unit_test(test_back_off) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
