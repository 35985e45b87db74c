/* Whose call is next: the order in which calls come out, by one thread and without waiting. */
#include "base/unit.h"

#include <string.h>

#include "bus/bus_types.h"
#include "office/pool.h"

enum { CALLS = 64, THREADS = 3 };

static const struct bus_method with_ticket = { .needs_ticket = true }, without = { .number = 1 };

struct scene {
	struct arena *arena;
	struct pool *pool;
	struct bus_call calls[CALLS];
	struct ticket tickets[CALLS];
	u64 who[CALLS];
	u32 n;
};

static int setup(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct scene *s = arena_new_of(a, struct scene);

	s->arena = a;
	s->pool = pool_new(a, env_system(), THREADS);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct arena *a = ((struct scene *)*state)->arena;

	arena_free(&a);
	return 0;
}

static struct bus_call *call_new(struct scene *s, u64 who)
{
	assert_true(s->n < CALLS);
	s->who[s->n] = who;
	return &s->calls[s->n];
}

static void account_asks(struct scene *s, u64 account)
{
	struct bus_call *c = call_new(s, account);

	s->tickets[s->n].account = account;
	*c = (struct bus_call){ .method = &with_ticket, .request = &s->tickets[s->n++] };
	pool_add(s->pool, c);
}

static void peer_asks(struct scene *s, u64 peer)
{
	struct bus_call *c = call_new(s, peer);

	s->n++;
	*c = (struct bus_call){ .method = &without, .peer = { .number = peer } };
	pool_add(s->pool, c);
}

static u64 take(struct scene *s, struct pool_lane **lane)
{
	const struct bus_call *c = pool_take(s->pool, lane);

	return c ? s->who[c - s->calls] : 0;
}

/* Takes and serves one. */
static u64 serve(struct scene *s)
{
	struct pool_lane *lane;
	u64 who = take(s, &lane);

	if (who)
		pool_done(s->pool, lane);
	return who;
}

/* Twenty of one account, then one of another: that one is second. (Accounts that share a lane would not show it; among three at
 * least two lanes differ, or the secret is bad.) */
static void many_calls_of_one_do_not_keep_others_waiting(void **state)
{
	struct scene *s = *state;
	u32 others = 0;

	for (int i = 0; i < 20; i++)
		account_asks(s, 1);
	for (u64 account = 2; account < 12; account++)
		account_asks(s, account);
	for (int i = 0; i < 12; i++)
		others += serve(s) != 1;
	assert_true(others >= 8);
}

static void accounts_and_peers_alternate(void **state)
{
	struct scene *s = *state;
	u32 peers = 0;

	for (u64 account = 1; account <= 20; account++)
		account_asks(s, account);
	for (int i = 0; i < 10; i++)
		peer_asks(s, 100);
	for (int i = 0; i < 20; i++)
		peers += serve(s) == 100;
	assert_int_equal(peers, 10);
}

static void one_keeps_its_order(void **state)
{
	struct scene *s = *state;
	struct pool_lane *lane;

	for (int i = 0; i < 5; i++)
		account_asks(s, 1);
	for (int i = 0; i < 5; i++) {
		assert_ptr_equal(pool_take(s->pool, &lane), &s->calls[i]);
		pool_done(s->pool, lane);
	}
}

/* Calls that take long: one account has all threads but one, until one of its calls is done. */
static void one_thread_is_left_for_others(void **state)
{
	struct scene *s = *state;
	struct pool_lane *lanes[THREADS], *other;

	for (int i = 0; i < THREADS; i++)
		account_asks(s, 1);
	for (int i = 0; i < THREADS - 1; i++)
		assert_int_equal(take(s, &lanes[i]), 1);
	peer_asks(s, 100);
	assert_int_equal(take(s, &other), 100);
	pool_done(s->pool, lanes[0]);
	assert_int_equal(take(s, &lanes[0]), 1);
	pool_stop(s->pool);
	assert_int_equal(take(s, &other), 0);
}

static void what_waits_is_served_before_the_end(void **state)
{
	struct scene *s = *state;
	u32 n = 0;

	for (u64 account = 1; account <= 7; account++)
		account_asks(s, account);
	peer_asks(s, 100);
	pool_stop(s->pool);
	while (serve(s))
		n++;
	assert_int_equal(n, 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(many_calls_of_one_do_not_keep_others_waiting),
		TEST(accounts_and_peers_alternate),
		TEST(one_keeps_its_order),
		TEST(one_thread_is_left_for_others),
		TEST(what_waits_is_served_before_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
