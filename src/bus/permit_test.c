/* Permits: every field counts, and so do the bearer and the time. */
#include "base/unit.h"

#include <string.h>

#include "base/arena.h"
#include "bus/permit.h"
#include "bus/ticket.h"

static const u8 secret[MAC_SECRET] = "a secret of thirty-two bytes...";
static const struct bus_peer peer = { .role = CALLER_CLIENT, .instance = 3 };

static u64 clock_now = 1000000;

static u64 clock_read(void *context)
{
	(void)context;
	return clock_now;
}

static const struct env at = { .monotonic = clock_read };

static struct permit sample(struct arena *a)
{
	struct permit p;

	clock_now = 1000000;
	permit_make(a, secret, S("example.org"), &peer, &at, &p);
	return p;
}

static void test_good_until_it_ends(void **state)
{
	struct arena *a = arena_new(1 << 12);
	struct permit p = sample(a);

	(void)state;
	assert_ok(permit_check(secret, &p, &peer, &at));
	clock_now += PERMIT_MS - 1;
	assert_ok(permit_check(secret, &p, &peer, &at));
	clock_now++;
	assert_fail(permit_check(secret, &p, &peer, &at), FAIL_DENIED);
	arena_free(&a);
}

static void test_every_field_counts(void **state)
{
	struct arena *a = arena_new(1 << 12);
	struct permit p[6];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(p); i++)
		p[i] = sample(a);
	p[0].domain = S("example.net");
	p[1].domain = S("example.or"); /* what is cut off must not move into another field */
	p[2].role = CALLER_MDA;
	p[3].instance++;
	p[4].expires--;
	p[5].domain = STR_NONE;
	for (size_t i = 0; i < ARRAY_LEN(p); i++)
		assert_fail(permit_check(secret, &p[i], &peer, &at), FAIL_DENIED);
	arena_free(&a);
}

static void test_every_bit_and_length_of_mac(void **state)
{
	struct arena *a = arena_new(1 << 12);
	const struct permit p = sample(a);
	u8 mac[MAC_BYTES + 1] = { 0 };

	(void)state;
	for (size_t bit = 0; bit < 8 * MAC_BYTES; bit++) {
		struct permit forged = p;
		memcpy(mac, p.mac.p, MAC_BYTES);
		mac[bit / 8] ^= (u8)(1 << bit % 8);
		forged.mac = str_from(mac, MAC_BYTES);
		assert_fail(permit_check(secret, &forged, &peer, &at), FAIL_DENIED);
	}
	memcpy(mac, p.mac.p, MAC_BYTES);
	for (size_t n = 0; n <= MAC_BYTES + 1; n++) {
		struct permit forged = p;
		forged.mac = str_from(mac, n);
		assert_true((permit_check(secret, &forged, &peer, &at) == NULL) ==
			    (n == MAC_BYTES));
	}
	arena_free(&a);
}

/* THREATS P04: what one process was given is worth nothing in another's hands. */
static void test_bearer(void **state)
{
	static const struct bus_peer others[] = {
		{ .role = CALLER_CLIENT, .instance = 4 },
		{ .role = CALLER_MX, .instance = 3 },
		{ .role = CALLER_MDA, .instance = 3 },
	};
	struct arena *a = arena_new(1 << 12);
	struct permit p = sample(a);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_fail(permit_check(secret, &p, &others[i], &at), FAIL_DENIED);
	arena_free(&a);
}

/* A ticket's MAC is none of a permit, even under the same secret; neither is another secret's. */
static void test_other_secrets_and_uses(void **state)
{
	static const u8 wrong[MAC_SECRET] = "another";
	struct arena *a = arena_new(1 << 12);
	struct permit p = sample(a), nobody = { 0 };
	struct ticket t = { .account = 7, .instance = 3, .expires = p.expires };

	(void)state;
	assert_fail(permit_check(wrong, &p, &peer, &at), FAIL_DENIED);
	assert_fail(permit_check(secret, &nobody, &peer, &at), FAIL_DENIED);
	ticket_make(a, secret, &t);
	p.mac = t.mac;
	assert_fail(permit_check(secret, &p, &peer, &at), FAIL_DENIED);
	arena_free(&a);
}

static void test_domain_too_long(void **state)
{
	struct arena *a = arena_new(1 << 14);
	struct permit p = sample(a);
	u8 *name = arena_alloc(a, PERMIT_DOMAIN + 1);

	(void)state;
	memset(name, 'x', PERMIT_DOMAIN + 1);
	permit_make(a, secret, str_from(name, PERMIT_DOMAIN), &peer, &at, &p);
	assert_ok(permit_check(secret, &p, &peer, &at));
	p.domain.n++;
	assert_fail(permit_check(secret, &p, &peer, &at), FAIL_DENIED);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_until_it_ends),
		cmocka_unit_test(test_every_field_counts),
		cmocka_unit_test(test_every_bit_and_length_of_mac),
		cmocka_unit_test(test_bearer),
		cmocka_unit_test(test_other_secrets_and_uses),
		cmocka_unit_test(test_domain_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
