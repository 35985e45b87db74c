/* Guessers slow down, others do not, and time forgives. */
#include "base/unit.h"

#include "keys/login/penalty.h"

static u64 clock_ms = 1000;

static u64 fake_clock(void *context)
{
	(void)context;
	return clock_ms;
}

static void fake_random(void *context, void *out, size_t n)
{
	(void)context;
	for (size_t i = 0; i < n; i++)
		((u8 *)out)[i] = (u8)(i * 7 + 1);
}

static const struct env fake_env = { .monotonic = fake_clock, .random = fake_random };

static void test_address_slows(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct penalty *p = penalty_new(a, &fake_env);
	u32 last = 0;
	bool refuse;

	(void)state;
	assert_int_equal(penalty_delay(p, S("aaaa"), S("x"), &refuse), 0);
	for (u32 i = 0; i < PENALTY_REFUSE; i++) {
		u32 delay;
		penalty_failed(p, S("aaaa"), S("x"));
		delay = penalty_delay(p, S("aaaa"), S("y"), &refuse);
		assert_true(delay >= last && delay <= PENALTY_MOST_MS);
		assert_int_equal(refuse, i + 1 >= PENALTY_REFUSE);
		last = delay;
	}
	assert_int_equal(last, PENALTY_MOST_MS);
	assert_int_equal(penalty_delay(p, S("bbbb"), S("y"), &refuse), 0);
	assert_false(refuse);
	clock_ms += 20ull * PENALTY_HALF_MS;
	assert_int_equal(penalty_delay(p, S("aaaa"), S("y"), &refuse), 0);
	assert_false(refuse);
	arena_free(&a);
}

/* A name attacked from many addresses slows new addresses, not the one that knows the password (A04). */
static void test_victim_not_locked_out(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct penalty *p = penalty_new(a, &fake_env);
	bool refuse;

	(void)state;
	penalty_succeeded(p, S("home"), S("victim"));
	for (int i = 0; i < 200; i++) {
		u8 from[4] = { 1, 2, 3, (u8)i };
		penalty_failed(p, str_from(from, 4), S("victim"));
	}
	assert_int_equal(penalty_delay(p, S("home"), S("victim"), &refuse), 0);
	assert_false(refuse);
	assert_int_equal(penalty_delay(p, S("else"), S("victim"), &refuse), PENALTY_MOST_MS);
	assert_false(refuse);
	arena_free(&a);
}

/* A telephone with an old password in an office, or a guesser behind the same NAT, must not take the others' mail away. */
static void test_neighbours_not_locked_out(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct penalty *p = penalty_new(a, &fake_env);
	bool refuse;

	(void)state;
	penalty_succeeded(p, S("nat "), S("colleague"));
	for (u32 i = 0; i < PENALTY_REFUSE; i++)
		penalty_failed(p, S("nat "), S("telephone"));
	penalty_delay(p, S("nat "), S("stranger"), &refuse);
	assert_true(refuse);
	penalty_delay(p, S("nat "), S("colleague"), &refuse);
	assert_false(refuse);
	for (u32 i = 0; i < PENALTY_REFUSE; i++) /* who guesses at it is not let go on for that */
		penalty_failed(p, S("nat "), S("colleague"));
	penalty_delay(p, S("nat "), S("colleague"), &refuse);
	assert_true(refuse);
	arena_free(&a);
}

/* One /64 is one guesser. */
static void test_ipv6_prefix(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct penalty *p = penalty_new(a, &fake_env);
	bool refuse;

	(void)state;
	for (u8 i = 0; i < 10; i++) {
		u8 from[16] = { 0x20, 1, [15] = i };
		penalty_failed(p, str_from(from, 16), S("x"));
	}
	assert_int_equal(penalty_delay(p, S("\x20\x01\0\0\0\0\0\0anything"), S("y"), &refuse),
			 PENALTY_MOST_MS);
	assert_int_equal(penalty_delay(p, S("\x20\x01\0\0\0\0\0\1anything"), S("y"), &refuse), 0);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_slows),
		cmocka_unit_test(test_victim_not_locked_out),
		cmocka_unit_test(test_neighbours_not_locked_out),
		cmocka_unit_test(test_ipv6_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
