/* The client's address: iprev, DNSBL. */
#include "base/unit_arena.h"

#include "base/buf.h"
#include "verdict/dnsbl.h"
#include "verdict/iprev.h"

struct row {
	str name;
	u32 type;
	enum dns_status status;
	str record;
};

static const struct row zone[] = {
	{ S("1.2.0.192.in-addr.arpa"), DNS_TYPE_PTR, DNS_OK, S("\1a\7example\0") },
	{ S("a.example"), DNS_TYPE_A, DNS_OK, S("\300\0\2\1") },
	{ S("2.2.0.192.in-addr.arpa"), DNS_TYPE_PTR, DNS_OK, S("\1a\7example\0") },
	{ S("3.2.0.192.in-addr.arpa"), DNS_TYPE_PTR, DNS_TEMPFAIL, S("") },
	{ S("1.2.0.192.bl.example"), DNS_TYPE_A, DNS_OK, S("\177\0\0\2") },
	{ S("1.2.0.192.bl.example"), DNS_TYPE_TXT, DNS_OK, S("\5bad\x01!") },
	{ S("1.2.0.192.refused.example"), DNS_TYPE_A, DNS_OK, S("\177\377\377\376") },
	{ S("1.2.0.192.parked.example"), DNS_TYPE_A, DNS_OK, S("\306\63\144\1") },
	{ S("1.2.0.192.dead.example"), DNS_TYPE_A, DNS_TEMPFAIL, S("") },
	{ S("1.2.0.192.good.example"), DNS_TYPE_A, DNS_OK, S("\177\0\0\5") },
};

static void query(void *context, struct arena *to, str name, u32 type, struct dns_answer *out)
{
	str *record = arena_new_of(to, str);

	(void)context;
	*out = (struct dns_answer){ .status = DNS_NXDOMAIN };
	for (size_t i = 0; i < ARRAY_LEN(zone); i++)
		if (zone[i].type == type && str_eq(zone[i].name, name)) {
			*record = zone[i].record;
			*out = (struct dns_answer){ .status = zone[i].status,
						    .records = record,
						    .records_n = 1 };
		}
}

static const struct dns_source dns = { .query = query };

static void test_iprev(void **state)
{
	(void)state;
	static const enum iprev_result expected[] = { IPREV_PASS, IPREV_FAIL, IPREV_TEMPERROR,
						      IPREV_PERMERROR };

	for (u8 i = 0; i < ARRAY_LEN(expected); i++) {
		struct dns_address client = { .bytes = { 192, 0, 2, (u8)(i + 1) } };
		struct iprev_verdict v;
		iprev_check(a, &dns, &client, &v);
		assert_int_equal(v.result, expected[i]);
	}
}

static void test_names(void **state)
{
	(void)state;
	struct dns_address six = { .family = ADDRESS_IPV6,
				   .bytes = { 0x20, 1, 0x0D, 0xB8, [15] = 0x1F } };

	assert_str(iprev_reverse(a, &six, S("z")),
		   S("f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.z"));
}

static void test_list_settings(void **state)
{
	(void)state;
	struct dnsbl_list l;

	assert_true(dnsbl_list_parse(a, S("BL.example:5"), &l));
	assert_str(l.zone, S("bl.example"));
	assert_int_equal(l.weight, 5);
	assert_true(dnsbl_list_parse(a, S("bl.example=127.0.0.4:-3"), &l));
	assert_true(l.has_code && l.code[3] == 4 && l.weight == -3);
	assert_false(dnsbl_list_parse(a, S("bl.example"), &l));
	assert_false(dnsbl_list_parse(a, S("bl.example:x"), &l));
	assert_false(dnsbl_list_parse(a, S("bl.example:1001"), &l));
	assert_false(dnsbl_list_parse(a, S("bl.example=10.0.0.1:5"), &l));
	assert_false(dnsbl_list_parse(a, S("bl.example=127.0.0:5"), &l));
	assert_false(dnsbl_list_parse(a, S("b l:5"), &l));
}

static void test_lists(void **state)
{
	(void)state;
	static const struct {
		const char *setting;
		enum dnsbl_result result;
	} rows[] = {
		{ "bl.example:5", DNSBL_LISTED },
		{ "bl.example=127.0.0.2:2", DNSBL_LISTED },
		{ "bl.example=127.0.0.3:100", DNSBL_OTHER_CODE },
		{ "refused.example:100", DNSBL_REFUSED },
		{ "parked.example:100", DNSBL_CLEAR },
		{ "dead.example:100", DNSBL_NO_ANSWER },
		{ "clear.example:100", DNSBL_CLEAR },
		{ "good.example:-3", DNSBL_LISTED },
	};
	struct dns_address client = { .bytes = { 192, 0, 2, 1 } };
	struct dnsbl_list lists[ARRAY_LEN(rows)];
	struct dnsbl_verdict v;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_true(dnsbl_list_parse(a, str_cstr(rows[i].setting), &lists[i]));
	dnsbl_check(a, &dns, &client, lists, ARRAY_LEN(rows), &v);
	assert_int_equal(v.score, 5 + 2 - 3);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(v.hits[i].result, rows[i].result);
	assert_str(v.hits[0].text, S("bad?!"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { UNIT_TEST(test_iprev), UNIT_TEST(test_names),
					    UNIT_TEST(test_list_settings), UNIT_TEST(test_lists) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
