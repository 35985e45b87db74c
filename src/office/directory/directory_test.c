/* Who an address leads to (THREATS S17: the forms that classic relays fell for), what aliases become (Q01, Q13), who may send as whom. */
#include "base/unit.h"

#include "office/directory/directory.h"

static struct directory *d;
static struct arena *a;

static void account(u64 id, const char *address, bool suspended)
{
	directory_add_account(d, &(struct directory_account){ .id = id,
							      .generation = 1,
							      .address = str_cstr(address),
							      .suspended = suspended });
}

static void alias(const char *address, size_t n, const char *const *targets)
{
	str list[16];

	for (size_t i = 0; i < n; i++)
		list[i] = str_cstr(targets[i]);
	directory_add_alias(d, str_cstr(address), list, n);
}

#define ALIAS(address, ...)                                            \
	alias((address), ARRAY_LEN(((const char *[]){ __VA_ARGS__ })), \
	      (const char *[]){ __VA_ARGS__ })

static int setup(void **state)
{
	(void)state;
	a = arena_new(64 << 20);
	d = directory_new(env_system(), S("+"));
	directory_add_domain(d, S("us.example"));
	directory_add_domain(d, S("catch.example"));
	account(5, "joe@us.example", false);
	account(3, "ann@us.example", false);
	account(9, "gone@us.example", true);
	account(12, "all@catch.example", false);
	account(13, "\"odd one\"@us.example", false);
	ALIAS("@catch.example", "all@catch.example");
	ALIAS("sales@us.example", "joe@us.example", "ann@us.example", "rep@far.example");
	ALIAS("outer@us.example", "sales@us.example", "Joe@US.example");
	ALIAS("a@us.example", "b@us.example");
	ALIAS("b@us.example", "a@us.example", "ann@us.example");
	ALIAS("dead@us.example", "nobody@us.example");
	ALIAS("one@us.example", "two@us.example");
	ALIAS("two@us.example", "joe+x@us.example");
	ALIAS("former@us.example", "gone@us.example");
	ALIAS("round@us.example", "trip@us.example");
	ALIAS("trip@us.example", "round@us.example");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	directory_free(&d);
	arena_free(&a);
	return 0;
}

static void test_resolve(void **state)
{
	static const struct {
		const char *address;
		enum recipient_result result;
		u64 account;
		const char *canonical;
	} rows[] = {
		{ "joe@us.example", RECIPIENT_LOCAL, 5, "joe@us.example" },
		{ "JOE@US.Example", RECIPIENT_LOCAL, 5, "JOE@us.example" },
		{ "joe+tag@us.example", RECIPIENT_LOCAL, 5, "joe+tag@us.example" },
		{ "joe+a+b@us.example", RECIPIENT_LOCAL, 5, "joe+a+b@us.example" },
		{ "+tag@us.example", RECIPIENT_UNKNOWN, 0, NULL },
		{ "joe-tag@us.example", RECIPIENT_UNKNOWN, 0, NULL },
		{ "nobody@us.example", RECIPIENT_UNKNOWN, 0, NULL },
		{ "gone@us.example", RECIPIENT_SUSPENDED, 9, NULL },
		{ "sales@us.example", RECIPIENT_LOCAL, 0, NULL },
		{ "sales+x@us.example", RECIPIENT_LOCAL, 0, NULL },
		{ "whoever@catch.example", RECIPIENT_LOCAL, 12, "whoever@catch.example" },
		{ "one@us.example", RECIPIENT_LOCAL, 5, NULL }, /* an alias of an alias */
		{ "former@us.example", RECIPIENT_SUSPENDED, 9, NULL },
		{ "dead@us.example", RECIPIENT_LOCAL, 0, NULL },
		{ "round@us.example", RECIPIENT_LOCAL, 0, NULL },
		{ "\"odd one\"@us.example", RECIPIENT_LOCAL, 13, NULL },
		{ "postmaster@us.example", RECIPIENT_LOCAL, 3, NULL },
		{ "PostMaster@us.example", RECIPIENT_LOCAL, 3, NULL },
		{ "Postmaster", RECIPIENT_LOCAL, 3, "postmaster@us.example" },
		{ "joe@far.example", RECIPIENT_REMOTE, 0, NULL },
		{ "joe@sub.us.example", RECIPIENT_REMOTE, 0, NULL },
		{ "joe@us.example.far", RECIPIENT_REMOTE, 0, NULL },
		/* Percent, bang, quotes, routes: no meaning at all */
		{ "joe%far.example@us.example", RECIPIENT_UNKNOWN, 0, NULL },
		{ "far.example!joe@us.example", RECIPIENT_UNKNOWN, 0, NULL },
		{ "\"joe@far.example\"@us.example", RECIPIENT_UNKNOWN, 0, NULL },
		{ "@us.example:joe@far.example", RECIPIENT_REMOTE, 0, NULL },
		{ "joe@us.example@far.example", RECIPIENT_REMOTE, 0, NULL },
		{ "joe@far.example@us.example", RECIPIENT_UNKNOWN, 0, NULL },
		{ "joe@[127.0.0.1]", RECIPIENT_REMOTE, 0, NULL },
		{ "joe@us.example.", RECIPIENT_REMOTE, 0, NULL },
		{ "joe@", RECIPIENT_REMOTE, 0, NULL },
		{ "@us.example", RECIPIENT_UNKNOWN, 0, NULL },
		{ "joe", RECIPIENT_UNKNOWN, 0, NULL },
		{ "", RECIPIENT_UNKNOWN, 0, NULL },
		{ "\"joe+x\"@us.example", RECIPIENT_UNKNOWN, 0, NULL },
		{ "joe\xff@us.example", RECIPIENT_UNKNOWN, 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		str canonical;
		u64 id;
		enum recipient_result result =
		    directory_resolve(d, a, str_cstr(rows[i].address), &canonical, &id);
		if (result != rows[i].result || id != rows[i].account)
			fail_msg("%s: result %d, account %d", rows[i].address, (int)result,
				 (int)id);
		if (rows[i].canonical)
			assert_str(canonical, str_cstr(rows[i].canonical));
	}
}

static void test_resolve_has_bounds(void **state)
{
	u8 long_one[DIRECTORY_ADDRESS + 1];
	str canonical;
	u64 id;

	(void)state;
	for (size_t i = 0; i < sizeof long_one; i++)
		long_one[i] = i == 100 ? '@' : 'x';
	assert_int_equal(
	    directory_resolve(d, a, str_from(long_one, sizeof long_one), &canonical, &id),
	    RECIPIENT_UNKNOWN);
	assert_int_equal(
	    directory_resolve(d, a, str_from(long_one, sizeof long_one - 1), &canonical, &id),
	    RECIPIENT_REMOTE);
}

static size_t expand(size_t n, const char *const *addresses, const struct directory_target **out)
{
	struct recipient recipients[8] = { 0 };
	size_t out_n;

	for (size_t i = 0; i < n; i++)
		recipients[i].address = str_cstr(addresses[i]);
	assert_ok(directory_expand(d, a, recipients, n, out, &out_n));
	return out_n;
}

/* Of whom one target cannot be read: nobody may be left out in silence, so all wait. */
static void test_suspended_alias(void **state)
{
	const struct directory_target *t;
	struct recipient to = { .address = S("outer@us.example") };
	str canonical;
	size_t n;
	u64 id;

	(void)state;
	directory_suspend_alias(d, S("Sales@us.example"));
	assert_int_equal(directory_resolve(d, a, S("sales+x@us.example"), &canonical, &id),
			 RECIPIENT_SUSPENDED);
	/* Said of this recipient, so that the message's others are taken. */
	assert_int_equal(directory_resolve(d, a, to.address, &canonical, &id), RECIPIENT_SUSPENDED);
	assert_int_equal(directory_resolve(d, a, S("b@us.example"), &canonical, &id),
			 RECIPIENT_LOCAL);
	assert_fail(directory_expand(d, a, &to, 1, &t, &n), FAIL_UNAVAILABLE);
	ALIAS("sales@us.example", "joe@us.example"); /* somebody has looked */
	assert_int_equal(expand(1, (const char *[]){ "outer@us.example" }, &t), 1);
	assert_int_equal(directory_resolve(d, a, to.address, &canonical, &id), RECIPIENT_LOCAL);
	directory_suspend_alias(d, S("nobody@us.example"));
}

static void test_expand(void **state)
{
	const struct directory_target *t;

	(void)state;
	assert_int_equal(expand(2, (const char *[]){ "outer@us.example", "joe@us.example" }, &t),
			 3);
	assert_int_equal(t[0].account + t[1].account + t[2].account, 5 + 3);
	assert_int_equal(expand(1, (const char *[]){ "a@us.example" }, &t), 1); /* a cycle */
	assert_int_equal(t[0].account, 3);
	assert_int_equal(expand(1, (const char *[]){ "dead@us.example" }, &t), 1);
	assert_true(t[0].nobody && t[0].account == 0);
	assert_int_equal(expand(2, (const char *[]){ "x@Far.example", "x@far.example" }, &t), 2);
	assert_str(t[0].domain, S("far.example"));
	assert_false(t[0].nobody);
	assert_int_equal(expand(1, (const char *[]){ "any@catch.example" }, &t), 1);
	assert_int_equal(t[0].account, 12);
}

static void test_expand_depth(void **state)
{
	const struct directory_target *t;

	(void)state;
	for (int i = 0; i < 30; i++) {
		str from = str_format(a, "deep%d@us.example", i);
		str to = str_format(a, "deep%d@us.example", i + 1);
		directory_add_alias(d, from, &to, 1);
	}
	ALIAS("deep10@us.example", "joe@us.example");
	assert_int_equal(expand(1, (const char *[]){ "deep1@us.example" }, &t), 1);
	assert_int_equal(t[0].account, 5);
	ALIAS("deep10@us.example", "deep11@us.example");
	assert_int_equal(expand(1, (const char *[]){ "deep0@us.example" }, &t), 1);
	assert_true(t[0].nobody);
}

/* As if it were there already: what it would hide from itself is nobody's then. */
static void test_check_alias(void **state)
{
	static const struct {
		const char *address, *target;
		bool good;
	} rows[] = {
		{ "new@us.example", "joe@us.example", true },
		{ "new@us.example", "Sales@us.example", true },
		{ "new@us.example", "x@far.example", true },
		{ "new@us.example", "nobody@us.example", false },
		{ "new@us.example", "dead@us.example", false },
		{ "new@us.example", "new@us.example", false },
		{ "new@us.example", "NEW+tag@us.example", false },
		{ "postmaster@us.example", "postmaster@us.example", false },
		{ "postmaster@us.example", "joe@us.example", true },
		{ "joe+list@us.example", "joe+list@us.example", false },
		{ "joe+list@us.example", "joe+more@us.example", true },
		{ "one@catch.example", "one@catch.example", false },
		{ "one@catch.example", "other@catch.example", true },
		{ "@us.example", "who@us.example", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		str target = str_cstr(rows[i].target);
		const struct fail *f =
		    directory_check_alias(d, a, str_cstr(rows[i].address), &target, 1);
		if ((f == NULL) != rows[i].good)
			fail_msg("%s -> %s", rows[i].address, rows[i].target);
	}
}

/* Each of many aliases leads to all of them: opened once each, the work stays linear. */
static void test_expand_explosion(void **state)
{
	const struct directory_target *t;
	str names[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		names[i] = str_format(a, "bomb%d@us.example", (int)i);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		directory_add_alias(d, names[i], names, ARRAY_LEN(names));
	assert_int_equal(expand(1, (const char *[]){ "bomb0@us.example" }, &t), 0);
}

static void test_may_send(void **state)
{
	(void)state;
	assert_true(directory_may_send(d, 5, S("joe@us.example")));
	assert_true(directory_may_send(d, 5, S("JOE+x@us.example")));
	assert_true(directory_may_send(d, 5, S("sales@us.example")));
	assert_true(directory_may_send(d, 5, S("outer@us.example")));
	assert_true(directory_may_send(d, 3, S("a@us.example")));
	assert_false(directory_may_send(d, 5, S("ann@us.example")));
	assert_false(directory_may_send(d, 5, S("joe@far.example")));
	assert_false(directory_may_send(d, 5, S("nobody@us.example")));
	assert_false(directory_may_send(d, 12, S("president@catch.example")));
	assert_true(directory_may_send(d, 12, S("all@catch.example")));
	assert_false(directory_may_send(d, 5, S("")));
}

static void test_changes(void **state)
{
	struct directory_account row;

	(void)state;
	directory_remove_account(d, S("ann@us.example"));
	assert_false(directory_account_by_id(d, a, 3, &row));
	directory_add_account(d, &(struct directory_account){
				     .id = 5, .generation = 2, .address = S("joe@us.example") });
	assert_true(directory_account_by_address(d, a, S("Joe@us.example"), &row));
	assert_int_equal(row.generation, 2);
	assert_int_equal(directory_accounts(d), 4);
}

static void test_canonical(void **state)
{
	static const char *const bad[] = { "",
					   "joe",
					   "@us.example",
					   "joe@",
					   "joe@us..example",
					   "joe@us.example.",
					   "jo e@us.example",
					   "joe\r\n@us.example",
					   "joe@us_x.example",
					   "<joe@us.example>",
					   "a@b@us.example" };
	str out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_fail(directory_canonical(a, str_cstr(bad[i]), false, &out), FAIL_SYNTAX);
	assert_ok(directory_canonical(a, S("Joe@US.Example"), false, &out));
	assert_str(out, S("Joe@us.example"));
	assert_ok(directory_canonical(a, S("@US.example"), true, &out));
	assert_str(out, S("@us.example"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_resolve, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resolve_has_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_suspended_alias, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expand, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expand_depth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check_alias, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expand_explosion, setup, teardown),
		cmocka_unit_test_setup_teardown(test_may_send, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_canonical, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
