/* How much one sending domain may ask (THREATS D09): a test for each way to ask more, and for each neighbour who must not feel it. */
#include "base/unit.h"

#include "bus/dns_rate.h"

enum { TXT = 16, A = 1, NOW = 1000000, RATE = 60 };

struct fixture {
	struct arena *a;
	struct dns_rate rate;
};

static int start(void **state)
{
	struct fixture *f = test_calloc(1, sizeof *f);

	f->a = arena_new(64 << 20);
	dns_rate_init(&f->rate);
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	dns_rate_free(&f->rate);
	arena_free(&f->a);
	test_free(f);
	return 0;
}

static str network(struct fixture *f, u8 number)
{
	const u8 bytes[4] = { 192, 0, number, 7 };

	return str_copy(f->a, str_from(bytes, sizeof bytes));
}

static struct dns_payer payer(const char *domain, str from)
{
	return (struct dns_payer){ .rate = RATE, .domain = str_cstr(domain), .network = from };
}

/* How many of n new names of this payer are let through. */
static unsigned ask_new(struct fixture *f, const struct dns_payer *p, unsigned n, u64 now)
{
	static unsigned number;
	unsigned good = 0;

	for (unsigned i = 0; i < n; i++) {
		good += dns_rate_take(&f->rate, f->a, p,
				      str_format(f->a, "n%u.asked.example", number++), TXT, now);
		if (i % 64 == 0)
			arena_reset(f->a);
	}
	return good;
}

static unsigned ask_from(struct fixture *f, const char *domain, u8 from, unsigned n, u64 now)
{
	u8 bytes[4] = { 192, 0, from, 7 };
	struct dns_payer p = payer(domain, str_from(bytes, sizeof bytes));

	return ask_new(f, &p, n, now);
}

static void test_bound(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask_from(f, "evil.example", 1, 1000, NOW), RATE / DNS_RATE_NETWORKS);
	assert_int_equal(ask_from(f, "evil.example", 1, 1000, NOW), 0);
	for (u8 i = 2; i <= DNS_RATE_NETWORKS; i++)
		assert_int_equal(ask_from(f, "evil.example", i, 1000, NOW),
				 RATE / DNS_RATE_NETWORKS);
	assert_int_equal(ask_from(f, "evil.example", 99, 1000, NOW), 0); /* all is spent */
	assert_int_equal(ask_from(f, "honest.example", 1, RATE / DNS_RATE_NETWORKS, NOW),
			 RATE / DNS_RATE_NETWORKS);
}

static void test_subdomains_share(void **state)
{
	struct fixture *f = *state;
	unsigned good = 0;

	for (int i = 0; i < 1000; i++) {
		str domain =
		    str_format(f->a, "x%d.%s", i, i % 2 ? "evil.example" : "EVIL.example.");
		struct dns_payer p = { .rate = RATE, .domain = domain, .network = network(f, 1) };
		good += ask_new(f, &p, 1, NOW);
	}
	assert_int_equal(good, RATE / DNS_RATE_NETWORKS);
	assert_int_equal(ask_from(f, "a.co.uk", 1, 100, NOW), RATE / DNS_RATE_NETWORKS);
	assert_int_equal(ask_from(f, "b.co.uk", 1, 1, NOW), 1);
}

/* Somebody who writes our neighbour's name into MAIL FROM does not silence the neighbour. */
static void test_forger(void **state)
{
	struct fixture *f = *state;

	ask_from(f, "bank.example", 66, 1000, NOW);
	assert_int_equal(ask_from(f, "bank.example", 66, 1, NOW), 0);
	assert_int_equal(ask_from(f, "bank.example", 1, 10, NOW), 10);
}

/* What is cached costs nothing, as long as it is, even when nothing is left. */
static void test_known(void **state)
{
	struct fixture *f = *state;
	struct dns_payer p = payer("bank.example", STR_NONE);
	str key = S("s._domainkey.bank.example");

	p.network = S("\xc0\x00\x02\x01");
	assert_true(dns_rate_take(&f->rate, f->a, &p, key, TXT, NOW));
	dns_rate_know(&f->rate, f->a, key, TXT, NOW, 5000);
	dns_rate_know(&f->rate, f->a, S("zero.bank.example"), TXT, NOW, 0);
	ask_new(f, &p, 1000, NOW);
	assert_true(dns_rate_take(&f->rate, f->a, &p, key, TXT, NOW + 1));
	assert_true(dns_rate_take(&f->rate, f->a, &p, S("S._DomainKey.bank.example"), TXT, NOW));
	assert_false(dns_rate_take(&f->rate, f->a, &p, key, A, NOW));
	assert_false(dns_rate_take(&f->rate, f->a, &p, S("zero.bank.example"), TXT, NOW));
	for (int i = 0; i < 100;
	     i++) /* the minute fills it again; keep it empty until the answer ends */
		ask_new(f, &p, 10, NOW + 50 * (u64)i);
	assert_false(dns_rate_take(&f->rate, f->a, &p, key, TXT, NOW + 5000 - 1 + 1));
}

static void test_fills_again(void **state)
{
	struct fixture *f = *state;
	const unsigned share = RATE / DNS_RATE_NETWORKS;

	assert_int_equal(ask_from(f, "evil.example", 1, 1000, NOW), share);
	assert_int_equal(ask_from(f, "evil.example", 1, 1000, NOW + DNS_RATE_FILL_MS / share), 1);
	assert_int_equal(ask_from(f, "evil.example", 1, 1000, NOW + DNS_RATE_FILL_MS / share), 0);
	assert_int_equal(ask_from(f, "evil.example", 1, 1000, NOW + 10 * DNS_RATE_FILL_MS), share);
}

/* Without a payer of its own, a question is paid by the domain that it is about: d= of a signature. */
static void test_selectors(void **state)
{
	struct fixture *f = *state;
	struct dns_payer p = payer("", network(f, 1));
	unsigned good = 0;

	for (int i = 0; i < 1000; i++)
		good += dns_rate_take(&f->rate, f->a, &p,
				      str_format(f->a, "s%d._domainkey.evil.example", i), TXT, NOW);
	assert_int_equal(good, RATE / DNS_RATE_NETWORKS);
	p.rate = 0;
	assert_true(dns_rate_take(&f->rate, f->a, &p, S("t._domainkey.evil.example"), TXT, NOW));
}

/* A table full of fresh names does not make an empty bucket full again, nor a domain with one answer pay for it. */
static void test_many_domains(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask_from(f, "evil.example", 1, 1000, NOW), RATE / DNS_RATE_NETWORKS);
	for (int i = 0; i < 10 * DNS_RATE_SETS * DNS_RATE_WAYS; i++) {
		u8 from[4] = { 198, 51, 100, 1 };
		struct dns_payer p = { .rate = RATE,
				       .domain = str_format(f->a, "d%d.example", i),
				       .network = str_from(from, sizeof from) };
		assert_true(dns_rate_take(&f->rate, f->a, &p, p.domain, TXT, NOW));
		arena_reset(f->a);
	}
	assert_int_equal(ask_from(f, "evil.example", 1, 100, NOW), 0);
}

static void test_networks(void **state)
{
	struct fixture *f = *state;
	str near6 = S("\x20\x01\x0d\xb8\0\1\0\2\0\0\0\0\0\0\0\1"),
	    far6 = S("\x20\x01\x0d\xb8\0\2\0\2\0\0\0\0\0\0\0\1");
	struct dns_payer p = payer("evil.example", near6);

	assert_int_equal(ask_new(f, &p, 100, NOW), RATE / DNS_RATE_NETWORKS);
	p.network = S("\x20\x01\x0d\xb8\0\1\xff\2\0\0\0\0\0\0\0\2"); /* the same /48 */
	assert_int_equal(ask_new(f, &p, 100, NOW), 0);
	p.network = far6;
	assert_int_equal(ask_new(f, &p, 100, NOW), RATE / DNS_RATE_NETWORKS);
}

static void test_domain(void **state)
{
	static const char *const cases[][2] = {
		{ "example.org", "example.org" },
		{ "a.b.c.example.org", "example.org" },
		{ "A.Example.ORG.", "Example.ORG" },
		{ "x.example.co.uk", "example.co.uk" },
		{ "example.co.uk", "example.co.uk" },
		{ "co.uk", "co.uk" },
		{ "uk", "uk" },
		{ "", "" },
		{ ".", "" },
		{ "a.b.com", "b.com" },
		{ "a.com.org", "com.org" }, /* no country */
		{ "s._domainkey.d.com.br", "d.com.br" },
		{ "..", "." },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_str(dns_rate_domain(str_cstr(cases[i][0])), str_cstr(cases[i][1]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bound, start, stop),
		cmocka_unit_test_setup_teardown(test_subdomains_share, start, stop),
		cmocka_unit_test_setup_teardown(test_forger, start, stop),
		cmocka_unit_test_setup_teardown(test_known, start, stop),
		cmocka_unit_test_setup_teardown(test_fills_again, start, stop),
		cmocka_unit_test_setup_teardown(test_selectors, start, stop),
		cmocka_unit_test_setup_teardown(test_many_domains, start, stop),
		cmocka_unit_test_setup_teardown(test_networks, start, stop),
		cmocka_unit_test(test_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
