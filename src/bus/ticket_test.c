/* Tickets: every field counts, and time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "bus/ticket.h"

static const u8 secret[TICKET_SECRET] = "a secret of thirty-two bytes...";
static const struct bus_peer peer = { .role = CALLER_CLIENT, .instance = 3 };

static u64 at_noon(void *context)
{
	(void)context;
	return 1000;
}

static const struct env clock_at_noon = { .now = at_noon };

static struct ticket sample(struct arena *a)
{
	struct ticket t = {
		.account = 7, .generation = 2, .instance = 3, .session = 99, .expires = 1001
	};

	ticket_make(a, secret, &t);
	return t;
}

static void test_good(void **state)
{
	struct arena *a = arena_new(1 << 12);
	struct ticket t = sample(a);

	(void)state;
	assert_null(ticket_check(secret, &t, &peer, &clock_at_noon));
	assert_false(ticket_is_none(&t));
	assert_true(ticket_is_none(&(struct ticket){ 0 }));
	arena_free(&a);
}

static void test_every_field_counts(void **state)
{
	struct arena *a = arena_new(1 << 12);
	struct ticket t[5];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		t[i] = sample(a);
	t[0].account++;
	t[1].generation++;
	t[2].session++;
	t[3].expires++;
	t[4].instance++;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_non_null(ticket_check(secret, &t[i], &peer, &clock_at_noon));
	arena_free(&a);
}

static void test_every_bit_of_mac(void **state)
{
	struct arena *a = arena_new(1 << 16);
	struct ticket t = sample(a);
	u8 mac[TICKET_MAC];

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof mac; bit++) {
		struct ticket forged = t;

		memcpy(mac, t.mac.p, sizeof mac);
		mac[bit / 8] ^= (u8)(1 << bit % 8);
		forged.mac = str_from(mac, sizeof mac);
		assert_non_null(ticket_check(secret, &forged, &peer, &clock_at_noon));
	}
	for (size_t n = 0; n < TICKET_MAC; n++) {
		struct ticket forged = t;

		forged.mac.n = n;
		assert_non_null(ticket_check(secret, &forged, &peer, &clock_at_noon));
	}
	arena_free(&a);
}

static void test_other_edge_secret_and_time(void **state)
{
	struct arena *a = arena_new(1 << 12);
	struct ticket t = sample(a);
	struct bus_peer other = { .role = CALLER_CLIENT, .instance = 4 };
	static const u8 wrong[TICKET_SECRET] = "another";

	(void)state;
	assert_non_null(ticket_check(secret, &t, &other, &clock_at_noon));
	assert_non_null(ticket_check(wrong, &t, &peer, &clock_at_noon));
	t.expires = 1000;
	ticket_make(a, secret, &t);
	assert_ptr_equal(ticket_check(secret, &t, &peer, &clock_at_noon), &ticket_void);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_every_field_counts),
		cmocka_unit_test(test_every_bit_of_mac),
		cmocka_unit_test(test_other_edge_secret_and_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
