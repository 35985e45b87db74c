/* The resolver and its typed questions against a real nsd: what there is, what there is not, what is signed, what was tampered with. */
#include "relay/dns/nsd_test.h"

#include "base/env.h"
#include "relay/dns/lookup.h"

enum { BUDGET = 5000 };

static struct nsd nsd;

static const struct nsd_zone zones[] = {
	{ "example.test",
	  "@ IN MX 20 b\n@ IN MX 10 a\n@ IN TXT \"v=spf1\" \" -all\"\n"
	  "a IN A 127.0.0.2\na IN AAAA ::1\nb IN A 127.0.0.3\nsix IN AAAA 2001:db8::6\n"
	  "null IN MX 0 .\nnone IN TXT x\nmixed IN MX 0 .\nmixed IN MX 5 a\n"
	  "alias IN CNAME a\n_25._tcp.a IN TLSA 3 1 1 "
	  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
	  false },
	{ "signed.test", "@ IN MX 10 mx\nmx IN A 127.0.0.4\n", true },
	{ "1.0.10.in-addr.arpa", "9 IN PTR a.example.test.\n", false },
};

static struct config *config_for(struct arena *a, str anchor)
{
	struct config *c = config_default(a);
	str *server = arena_new_of(a, str), *file = arena_new_of(a, str);

	*server = str_format(a, "127.0.0.1:%u", nsd.port);
	*file = anchor;
	c->dns_servers = (struct str_list){ server, 1 };
	c->dns_trust_anchors = (struct str_list){ file, anchor.n ? 1 : 0 };
	return c;
}

static struct resolver *resolver_with(struct arena *a, str anchor)
{
	struct resolver *r;

	assert_ok(resolver_new(a, config_for(a, anchor), &r));
	assert_ok(resolver_start(r));
	return r;
}

static int start(void **state)
{
	(void)state;
	(void)nsd_start(&nsd, zones, ARRAY_LEN(zones)); /* not installed: the tests skip */
	return 0;
}

static int stop(void **state)
{
	(void)state;
	nsd_stop(&nsd);
	return 0;
}

#define NEED_NSD          \
	if (nsd.pid <= 0) \
	skip()

static void test_mail_hosts(void **state)
{
	(void)state;
	NEED_NSD;
	struct arena *a = arena_new(1 << 20);
	struct resolver *r = resolver_with(a, STR_NONE);
	struct dns_mx_list mx = dns_lookup_mx(a, r, S("example.test"), BUDGET);

	assert_int_equal(mx.status, DNS_OK);
	assert_false(mx.secure || mx.null_mx);
	assert_int_equal(mx.hosts_n, 2);
	assert_str(mx.hosts[0].host, S("a.example.test"));
	assert_str(mx.hosts[1].host, S("b.example.test"));
	assert_true(dns_lookup_mx(a, r, S("null.example.test"), BUDGET).null_mx);
	mx = dns_lookup_mx(a, r, S("mixed.example.test"), BUDGET);
	assert_false(mx.null_mx);
	assert_int_equal(mx.hosts_n, 1);
	assert_int_equal(dns_lookup_mx(a, r, S("none.example.test"), BUDGET).status, DNS_NODATA);
	assert_int_equal(dns_lookup_mx(a, r, S("gone.example.test"), BUDGET).status, DNS_NXDOMAIN);
	/* Refused by nsd: nobody knows. */
	assert_int_equal(dns_lookup_mx(a, r, S("other.invalidzone"), BUDGET).status, DNS_TEMPFAIL);
	assert_int_equal(dns_lookup_mx(a, r, S("bad\\name"), BUDGET).status, DNS_TEMPFAIL);
	resolver_free(&r);
	arena_free(&a);
}

/* How long an answer may be kept (bus/dns_memo.h): that there is nothing, as long as the zone's SOA says. */
static void test_ttl(void **state)
{
	(void)state;
	NEED_NSD;
	static const struct {
		const char *name;
		enum dns_status status;
	} rows[] = { { "a.example.test", DNS_OK },
		     { "b.example.test", DNS_OK },
		     { "null.example.test", DNS_NODATA },
		     { "nowhere.example.test", DNS_NXDOMAIN } };
	struct arena *a = arena_new(1 << 20);
	struct resolver *r = resolver_with(a, STR_NONE);

	for (int again = 0; again < 2; again++)
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			struct dns_answer answer =
			    dns_lookup(a, r, str_cstr(rows[i].name), DNS_TYPE_A, BUDGET);
			assert_int_equal(answer.status, rows[i].status);
			assert_in_range(answer.ttl, 1, 60);
		}
	resolver_free(&r);
	arena_free(&a);
}

static void test_addresses_and_texts(void **state)
{
	(void)state;
	NEED_NSD;
	struct arena *a = arena_new(1 << 20);
	struct resolver *r = resolver_with(a, STR_NONE);
	struct dns_address_list both = dns_lookup_addresses(a, r, S("alias.example.test"), BUDGET);
	struct dns_address_list six = dns_lookup_addresses(a, r, S("six.example.test"), BUDGET);
	struct dns_text_list txt = dns_lookup_txt(a, r, S("example.test"), BUDGET);
	struct dns_tlsa_list tlsa = dns_lookup_tlsa(a, r, S("a.example.test"), 25, BUDGET);
	struct dns_address ten = { ADDRESS_IPV4, { 10, 0, 1, 9 } };

	assert_int_equal(both.ipv4_n, 1);
	assert_int_equal(both.ipv6_n, 1);
	assert_int_equal(both.ipv4[0].bytes[3], 2);
	assert_int_equal(six.status, DNS_OK);
	assert_int_equal(six.ipv4_n, 0);
	assert_int_equal(six.ipv6[0].bytes[15], 6);
	assert_int_equal(dns_lookup_addresses(a, r, S("none.example.test"), BUDGET).status,
			 DNS_NODATA);
	assert_int_equal(txt.n, 1);
	assert_str(txt.items[0], S("v=spf1 -all"));
	assert_int_equal(tlsa.n, 1);
	assert_int_equal(tlsa.records[0].usage, 3);
	assert_str(dns_lookup(a, r, S("alias.example.test"), DNS_TYPE_A, BUDGET).canonical,
		   S("a.example.test"));
	/* A private reverse zone is asked for, not made up. */
	assert_str(dns_lookup_ptr(a, r, &ten, BUDGET).items[0], S("a.example.test"));
	resolver_free(&r);
	arena_free(&a);
}

static void test_dnssec(void **state)
{
	(void)state;
	NEED_NSD;
	struct arena *a = arena_new(1 << 20);
	struct resolver *good = resolver_with(a, nsd.anchor);
	struct resolver *none = resolver_with(a, STR_NONE);

	nsd_write(&nsd, "wrong.ds",
		  S("signed.test. IN DS 12345 13 2 "
		    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"));
	struct resolver *wrong = resolver_with(a, nsd_path(&nsd, "wrong.ds"));
	struct dns_mx_list mx = dns_lookup_mx(a, good, S("signed.test"), BUDGET);
	assert_int_equal(mx.status, DNS_OK);
	assert_true(mx.secure);
	struct dns_answer no = dns_lookup(a, good, S("no.signed.test"), DNS_TYPE_A, BUDGET);
	assert_int_equal(no.status, DNS_NXDOMAIN);
	assert_true(no.secure);
	assert_false(dns_lookup_mx(a, none, S("signed.test"), BUDGET).secure);
	assert_int_equal(dns_lookup_mx(a, none, S("signed.test"), BUDGET).status, DNS_OK);
	mx = dns_lookup_mx(a, wrong, S("signed.test"), BUDGET);
	assert_int_equal(mx.status, DNS_BOGUS);
	assert_true(mx.why_bogus.n > 0);
	resolver_free(&good);
	resolver_free(&none);
	resolver_free(&wrong);
	arena_free(&a);
}

/* A server that says nothing: the budget ends the wait, and ending the resolver does not hang (THREATS N08). */
static void test_silence(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 20);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	u32 port = nsd.port;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t n = sizeof to;
	struct resolver *r;

	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &n), 0);
	nsd.port = ntohs(to.sin_port);
	r = resolver_with(a, STR_NONE);
	nsd.port = port;
	u64 before = env_monotonic(env_system());
	assert_int_equal(dns_lookup(a, r, S("example.test"), DNS_TYPE_MX, 300).status,
			 DNS_TEMPFAIL);
	assert_in_range(env_monotonic(env_system()) - before, 250, 3000);
	struct dns_wait *w = dns_ask(a, r, S("b.example.test"), DNS_TYPE_A, 60000);
	resolver_free(&r);
	assert_int_equal(dns_answer_of(w).status, DNS_TEMPFAIL);
	close(fd);
	arena_free(&a);
}

static void test_anchor_files(void **state)
{
	(void)state;
	NEED_NSD;
	struct arena *a = arena_new(1 << 20);
	struct config *c = config_default(a);
	str missing = S("/nonexistent/root.key");
	struct resolver *r;

	c->dns_trust_anchors = (struct str_list){ &missing, 1 };
	assert_ok(resolver_new(a, c, &r));
	resolver_free(&r);
	missing = nsd_path(&nsd, "nonsense.key");
	nsd_write(&nsd, "nonsense.key", S("example. IN DS not numbers\n"));
	assert_fail(resolver_new(a, c, &r), FAIL_INVALID);
	resolver_free(&r);
	assert_ok(
	    resolver_new(a, config_default(a), &r)); /* the root's own, where it is installed */
	resolver_free(&r);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mail_hosts),
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_addresses_and_texts),
		cmocka_unit_test(test_dnssec),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_anchor_files),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
