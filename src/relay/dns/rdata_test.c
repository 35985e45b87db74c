#include "base/unit_arena.h"

#include "base/env.h"
#include "relay/dns/anchors.h"
#include "relay/dns/lookup.h"

static void test_names(void **state)
{
	(void)state;
	static const struct {
		str wire;
		const char *name; /* NULL: refused */
	} rows[] = {
		{ S("\0"), "" },
		{ S("\2MX\7example\0"), "mx.example" },
		{ S("\5_dmar\1x\0"), "_dmar.x" },
		{ S(""), NULL },
		{ S("\2mx"), NULL },    /* no end */
		{ S("\2mx\0x"), NULL }, /* more after the end */
		{ S("\3a b\0"), NULL }, /* a space */
		{ S("\3a.b\0"), NULL }, /* a dot inside a label */
		{ S("\300\14"), NULL }, /* compression */
		{ S("\3a\0b\0"), NULL },
	};
	str name;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(rdata_name(a, rows[i].wire, &name), rows[i].name != NULL);
		if (rows[i].name)
			assert_str(name, str_cstr(rows[i].name));
	}
}

/* 253 characters are the most; 254 of labels do not fit on the wire either. */
static void test_long_names(void **state)
{
	(void)state;
	u8 wire[300] = { 0 };
	str name;

	for (size_t i = 0; i < 128; i++) {
		wire[2 * i] = 1;
		wire[2 * i + 1] = 'a';
	}
	wire[254] = 0;
	assert_true(rdata_name(a, str_from(wire, 255), &name));
	assert_int_equal(name.n, 253);
	wire[254] = 1;
	wire[256] = 0;
	assert_false(rdata_name(a, str_from(wire, 257), &name));
}

/* THREATS N06: every length from 0 to 32 of every type, in memory of exactly that size. */
static void test_lengths(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 32; n++) {
		u8 *bytes = test_malloc(n ? n : 1);
		str rdata = str_from(bytes, n);
		struct dns_mx mx;
		struct dns_address address;
		struct dns_tlsa tlsa;
		str text;
		for (unsigned fill = 0; fill < 256; fill++) {
			for (size_t i = 0; i < n; i++)
				bytes[i] = (u8)fill;
			assert_int_equal(rdata_address(rdata, ADDRESS_IPV4, &address), n == 4);
			assert_int_equal(rdata_address(rdata, ADDRESS_IPV6, &address), n == 16);
			assert_int_equal(rdata_mx(a, rdata, &mx), n == 3 && fill == 0);
			assert_int_equal(rdata_name(a, rdata, &text), n == 1 && fill == 0);
			if (rdata_tlsa(rdata, &tlsa))
				assert_true(n >= 4);
			if (rdata_txt(a, rdata, &text))
				assert_true(n >= 1 && text.n < n);
		}
		test_free(bytes);
		arena_reset(a);
	}
}

static void test_tlsa(void **state)
{
	(void)state;
	u8 bytes[70] = { 3, 1, 1 };
	struct dns_tlsa t;

	assert_true(rdata_tlsa(str_from(bytes, 35), &t));
	assert_int_equal(t.data.n, 32);
	assert_false(rdata_tlsa(str_from(bytes, 34), &t));
	assert_false(rdata_tlsa(str_from(bytes, 3), &t));
	bytes[2] = 2;
	assert_true(rdata_tlsa(str_from(bytes, 67), &t));
	assert_false(rdata_tlsa(str_from(bytes, 35), &t));
}

static void test_mx_order(void **state)
{
	(void)state;
	bool first_seen[3] = { false };

	for (int round = 0; round < 200; round++) {
		struct dns_mx hosts[] = { { 20, S("z") }, { 10, S("0") }, { 10, S("1") },
					  { 5, S("f") },  { 10, S("2") }, { 30, S("l") } };
		dns_mx_sort(hosts, ARRAY_LEN(hosts), env_system());
		assert_str(hosts[0].host, S("f"));
		assert_str(hosts[4].host, S("z"));
		assert_str(hosts[5].host, S("l"));
		first_seen[hosts[1].host.p[0] - '0'] = true;
	}
	assert_true(first_seen[0] && first_seen[1] && first_seen[2]);
	dns_mx_sort(NULL, 0, env_system());
}

static void test_reverse_names(void **state)
{
	(void)state;
	struct dns_address four = { ADDRESS_IPV4, { 192, 0, 2, 1 } };
	struct dns_address six = { ADDRESS_IPV6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x1f } };

	assert_str(dns_reverse_name(a, &four), S("1.2.0.192.in-addr.arpa"));
	assert_str(dns_reverse_name(a, &six),
		   S("f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"));
}

static void test_anchors(void **state)
{
	(void)state;
	struct anchors *n = arena_new_of(a, struct anchors);

	assert_ok(
	    anchors_parse(a,
			  S("; a comment\n\n. IN DS 20326 8 2 ABCD ; id\r\n"
			    ".\t172800\tIN\tDNSKEY\t257 3 8 AwEA ;{id = 1} ;;state=2 [  VALID  ]\n"
			    ".\t172800\tIN\tDNSKEY\t257 3 8 AwEB ;{id = 2} ;;state=1 [ ADDPEND ]"),
			  n));
	assert_int_equal(n->n, 2);
	assert_string_equal(n->records[0], ". IN DS 20326 8 2 ABCD");
	assert_fail(anchors_parse(a, S("example. IN A 192.0.2.1\n"), n), FAIL_INVALID);
	assert_fail(anchors_parse(a, S("-----BEGIN PRIVATE KEY-----\n"), n), FAIL_INVALID);
	assert_fail(anchors_read(a, S("/nonexistent"), n), FAIL_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT_TEST(test_names),   UNIT_TEST(test_long_names), UNIT_TEST(test_lengths),
		UNIT_TEST(test_tlsa),    UNIT_TEST(test_mx_order),   UNIT_TEST(test_reverse_names),
		UNIT_TEST(test_anchors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
