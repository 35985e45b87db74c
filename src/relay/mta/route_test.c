/* The small pure parts: which addresses are public, what a site is, how many go there, what a message needs. */
#include "base/unit_arena.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/mta/body.h"
#include "relay/mta/connection.h"
#include "relay/mta/route.h"
#include "relay/mta/site.h"

static void test_public_addresses(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool public;
	} rows[] = {
		{ "0.0.0.0", false },
		{ "0.1.2.3", false },
		{ "1.1.1.1", true },
		{ "9.255.255.255", true },
		{ "10.0.0.0", false },
		{ "10.255.255.255", false },
		{ "11.0.0.0", true },
		{ "100.63.255.255", true },
		{ "100.64.0.0", false },
		{ "100.127.255.255", false },
		{ "100.128.0.0", true },
		{ "127.0.0.1", false },
		{ "127.255.255.255", false },
		{ "128.0.0.1", true },
		{ "169.254.169.254", false },
		{ "169.253.0.1", true },
		{ "172.15.0.1", true },
		{ "172.16.0.1", false },
		{ "172.31.255.255", false },
		{ "172.32.0.1", true },
		{ "192.0.0.8", false },
		{ "192.168.1.1", false },
		{ "192.169.0.1", true },
		{ "198.18.0.1", false },
		{ "198.20.0.1", true },
		{ "223.255.255.255", true },
		{ "224.0.0.1", false },
		{ "240.0.0.1", false },
		{ "255.255.255.255", false },
		{ "::", false },
		{ "::1", false },
		{ "::ffff:10.0.0.1", false },
		{ "::ffff:1.1.1.1", true },
		{ "64:ff9b::7f00:1", false },
		{ "64:ff9b::101:101", true },
		{ "2002:7f00:1::", false },
		{ "2002:101:101::", true },
		{ "fc00::1", false },
		{ "fdff::1", false },
		{ "fe80::1", false },
		{ "fec0::1", false },
		{ "ff02::1", false },
		{ "2a00:1450::1", true },
		{ "fbff::1", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_address address = { .family = ADDRESS_IPV4 };
		if (inet_pton(AF_INET, rows[i].text, address.bytes) != 1) {
			address.family = ADDRESS_IPV6;
			assert_int_equal(inet_pton(AF_INET6, rows[i].text, address.bytes), 1);
		}
		if (address_is_public(&address) != rows[i].public)
			fail_msg("%s", rows[i].text);
	}
}

static void test_site_keys(void **state)
{
	(void)state;
	str one[] = { S("b.example"), S("A.example"), S("c.example") };
	str other[] = { S("C.example"), S("b.example"), S("a.example") };
	str many[10];

	assert_str(site_key(a, one, 3, 25), S("a.example,b.example,c.example"));
	assert_str(site_key(a, one, 3, 25), site_key(a, other, 3, 25));
	assert_str(site_key(a, one, 1, 2525), S("b.example:2525"));
	for (size_t i = 0; i < 10; i++)
		many[i] = str_format(a, "mail-server-number-%zu.example.org", i);
	str long_one = site_key(a, many, 10, 25);
	assert_int_equal(long_one.n, MTA_SITE_NAME);
	many[9] = S("mail-server-number-x.example.org");
	assert_false(str_eq(long_one, site_key(a, many, 10, 25)));
}

static void test_site_limits(void **state)
{
	(void)state;
	struct sites *s = sites_new(a);

	assert_true(site_enter(s, S("x"), 2));
	assert_true(site_enter(s, S("x"), 2));
	assert_false(site_enter(s, S("x"), 2));
	assert_true(site_enter(s, S("y"), 2));
	site_leave(s, S("x"));
	assert_true(site_enter(s, S("x"), 2));
	/* The table is full of busy sites: no room; an idle one gives way. */
	for (u32 i = 2; i < MTA_SITES; i++)
		assert_true(site_enter(s, str_format(a, "site %u", i), 2));
	assert_false(site_enter(s, S("one more"), 2));
	site_leave(s, S("y"));
	assert_true(site_enter(s, S("one more"), 2));
}

static void test_families(void **state)
{
	(void)state;
	struct sites *s = sites_new(a);

	assert_false(site_family_is_bad(s, S("x"), ADDRESS_IPV6));
	site_family_seen(s, S("x"), ADDRESS_IPV6, false, 50);
	assert_true(site_family_is_bad(s, S("x"), ADDRESS_IPV6));
	assert_false(site_family_is_bad(s, S("x"), ADDRESS_IPV4));
	poll(NULL, 0, 80);
	assert_false(site_family_is_bad(s, S("x"), ADDRESS_IPV6));
	site_family_seen(s, S("x"), ADDRESS_IPV6, false, 5000);
	site_family_seen(s, S("x"), ADDRESS_IPV6, true, 5000);
	assert_false(site_family_is_bad(s, S("x"), ADDRESS_IPV6));
}

static void test_bodies(void **state)
{
	(void)state;
	static const struct {
		str message;
		bool bare, header_8bit, eight_bit;
	} rows[] = {
		{ S(""), false, false, false },
		{ S("A: b\r\n\r\nc\r\n"), false, false, false },
		{ S("A: b\r\n\r\nc"), false, false, false },
		{ S("\n"), true, false, false },
		{ S("\r"), true, false, false },
		{ S("a\r\r\n"), true, false, false },
		{ S("a\n\r\n"), true, false, false },
		{ S("a\r\n\n"), true, false, false },
		{ S("A: b\r\n\r\n\303\274\r\n"), false, false, true },
		{ S("A: \303\274\r\n\r\nc\r\n"), false, true, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct body b = body_inspect(rows[i].message);
		assert_int_equal(b.bare, rows[i].bare);
		assert_int_equal(b.header_8bit, rows[i].header_8bit);
		assert_int_equal(b.eight_bit, rows[i].eight_bit);
	}
}

/* All that was to be sent is with the kernel, so the other side may have it, the final dot too: no matter how late it is. */
static void test_sent_is_sent(void **state)
{
	(void)state;
	struct connection *c;
	u8 bytes[8];
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	c = connection_adopt(a, pair[0]);
	connection_deadline(c, 0);
	poll(NULL, 0, 5);
	assert_ok(connection_write(c, S(".\r\n")));
	assert_ok(connection_flush(c));
	assert_int_equal(recv(pair[1], bytes, sizeof bytes, 0), 3);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT_TEST(test_public_addresses), UNIT_TEST(test_site_keys),
		UNIT_TEST(test_site_limits),      UNIT_TEST(test_families),
		UNIT_TEST(test_bodies),           UNIT_TEST(test_sent_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
