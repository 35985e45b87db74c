/* Rows of the directory that somebody spoiled (THREATS P06): each is told of by its name, and the others are read. */
#include "office/store/store_test_support.h"

#include "office/store/store_directory.h"

struct heard {
	struct arena *arena;
	struct buf *
	    text; /* "domain NAME\n", "account NAME suspended\n", "alias NAME -> TARGET ...\n", "bad KIND NAME\n" */
};

static void hear_domain(void *context, str name)
{
	struct heard *h = context;
	buf_printf(h->text, "domain %.*s\n", STR_ARG(name));
}

static void hear_account(void *context, const struct store_account *a)
{
	struct heard *h = context;
	buf_printf(h->text, "account %.*s%s\n", STR_ARG(a->address),
		   a->suspended ? " suspended" : "");
}

static void hear_alias(void *context, str address, const str *targets, size_t n, bool suspended)
{
	struct heard *h = context;

	buf_printf(h->text, "alias %.*s ->", STR_ARG(address));
	for (size_t i = 0; i < n; i++)
		buf_printf(h->text, " %.*s", STR_ARG(targets[i]));
	buf_printf(h->text, suspended ? " suspended\n" : "\n");
}

static void hear_bad(void *context, const char *kind, str name, const char *why)
{
	struct heard *h = context;

	assert_true(strlen(why) > 0);
	buf_printf(h->text, "bad %s %.*s\n", kind, STR_ARG(name));
}

static const struct fail *spoil(struct tx *t, void *context)
{
	return sql_run(t->arena, t->db, context, NULL, 0);
}

/* What is read after the statement, and how many problems verify has with it. */
static void after(const char *statement, const char *said, u32 problems)
{
	struct office_verify_answer v;
	struct heard h;
	struct store_directory_reader reader = { .context = &h,
						 .domain = hear_domain,
						 .account = hear_account,
						 .alias = hear_alias,
						 .bad = hear_bad };
	struct world w;
	struct tx t;

	world_new(&w);
	must(sql_script(
	    w.arena, w.store->db,
	    "INSERT INTO domain VALUES ('example.test');"
	    "INSERT INTO account (id, address, domain, generation, suspended, quota_bytes)"
	    " VALUES (8, 'bob@example.test', 'example.test', 1, 0, 0);"
	    "INSERT INTO mailbox VALUES (8, 99, 'INBOX', 1, 1, 1, 1, 0, 0, 0, 1, 1);"
	    "UPDATE meta SET value = 99 WHERE name = 'mailbox';"
	    "INSERT INTO alias VALUES ('Info@example.test', 'bob@example.test'),"
	    " ('Info@example.test', 'x@example.net')"));
	must(world_write(&w, false, spoil, (void *)(uintptr_t)statement));
	h = (struct heard){ .arena = w.arena, .text = buf_new(w.arena, 65536) };
	must(store_read_begin(w.store, w.arena, &t));
	must(store_directory_read(&t, &reader));
	must(store_verify(&t, &v));
	store_read_end(&t);
	if (!str_eq(buf_str(h.text), str_cstr(said)))
		fail_msg("%s\nwanted:\n%s\ngot:\n%.*s", statement, said, STR_ARG(buf_str(h.text)));
	assert_int_equal(v.problem_count, problems);
	world_free(&w);
}

#define DOMAIN "domain example.test\n"
#define BOB "account bob@example.test\n"
#define USER "account user7@example.test\n"
#define INFO "alias Info@example.test -> bob@example.test x@example.net\n"

static void test_spoiled_rows(void **state)
{
	(void)state;
	after("DELETE FROM alias WHERE address = 'x'", DOMAIN BOB USER INFO, 0);
	after("INSERT INTO domain VALUES ('ex ample')",
	      "bad domain ex ample\n" DOMAIN BOB USER INFO, 1);
	after("INSERT INTO domain VALUES ('Example.NET')",
	      "bad domain Example.NET\n" DOMAIN BOB USER INFO, 1);
	after("INSERT INTO domain VALUES (x'00ff')", DOMAIN "bad domain \n" BOB USER INFO, 1);
	/* Its name can be read: it is there, and suspended. */
	after("UPDATE account SET generation = 'x' WHERE id = 8",
	      DOMAIN "bad account bob@example.test\naccount bob@example.test suspended\n" USER INFO,
	      1);
	after("UPDATE account SET suspended = 7 WHERE id = 8",
	      DOMAIN "bad account bob@example.test\naccount bob@example.test suspended\n" USER INFO,
	      1);
	after("UPDATE account SET domain = 'example.net' WHERE id = 8",
	      DOMAIN "bad account bob@example.test\naccount bob@example.test suspended\n" USER INFO,
	      1);
	/* It cannot. */
	after("UPDATE account SET address = x'00ff' WHERE id = 8",
	      DOMAIN USER "bad account \n" INFO, 1);
	after("UPDATE account SET address = 'bob' WHERE id = 8",
	      DOMAIN "bad account bob\n" USER INFO, 1);
	after("UPDATE account SET address = 'USER7@example.test' WHERE id = 8",
	      DOMAIN "bad account USER7@example.test\n" USER INFO, 1);
	after("UPDATE account SET id = 0 WHERE id = 8", /* and its INBOX is nobody's */
	      DOMAIN "bad account bob@example.test\n" USER INFO, 3);
	/* Targets go one by one. */
	after(
	    "UPDATE alias SET target = 'nobody' WHERE target = 'x@example.net'",
	    DOMAIN BOB USER
	    "bad alias Info@example.test\nalias Info@example.test -> bob@example.test suspended\n",
	    1);
	after(
	    "UPDATE alias SET target = x'ff00' WHERE target = 'x@example.net'",
	    DOMAIN BOB USER
	    "bad alias Info@example.test\nalias Info@example.test -> bob@example.test suspended\n",
	    1);
	after("UPDATE alias SET address = 'info' WHERE target = 'x@example.net'",
	      DOMAIN BOB USER "alias Info@example.test -> bob@example.test\nbad alias info\n", 1);
	after("UPDATE alias SET target = 'a b@c' || target",
	      DOMAIN BOB USER "bad alias Info@example.test\nbad alias Info@example.test\n"
			      "alias Info@example.test -> suspended\n",
	      2);
}

/* An index that lost a row lets an account be there twice; the second is not believed. */
static void test_account_twice(void **state)
{
	(void)state;
	after("DROP INDEX account_by_domain", DOMAIN BOB USER INFO, 0);
}

struct names {
	str domain;
	const struct store_account *account;
	str alias, target;
};

static const struct fail *add_names(struct tx *t, void *context)
{
	const struct names *n = context;

	if (n->domain.n)
		return store_domain_add(t, n->domain);
	if (n->account)
		return store_account_add(t, n->account);
	return store_alias_add(t, n->alias, &n->target, 1);
}

/* Two administrators at once: both were told that the name is free before either had it. */
static void test_one_name_is_given_once(void **state)
{
	const struct store_account ann = { .id = 70,
					   .address = S("ann@example.test"),
					   .domain = S("example.test"),
					   .generation = 1 },
				   info = { .id = 71,
					    .address = S("info@example.test"),
					    .domain = S("example.test"),
					    .generation = 1 };
	struct names account = { .account = &ann },
		     alias = { .alias = S("info@example.test"), .target = S("ann@example.test") };
	struct names domain = { .domain = S("example.test") };
	struct names again = { .alias = S("info@example.test"), .target = S("x@example.net") },
		     hidden = { .account = &info },
		     hiding = { .alias = S("ann@example.test"), .target = S("x@example.net") };
	struct world w;

	(void)state;
	world_new(&w);
	must(world_write(&w, false, add_names, &domain));
	must(world_write(&w, false, add_names, &account));
	must(world_write(&w, false, add_names, &alias));
	must_fail(world_write(&w, false, add_names, &again), FAIL_EXISTS);
	must_fail(world_write(&w, false, add_names, &hidden), FAIL_EXISTS);
	must_fail(world_write(&w, false, add_names, &hiding), FAIL_EXISTS);
	world_free(&w);
}

static const struct fail *remove_domain(struct tx *t, void *context)
{
	return store_domain_remove(t, *(const str *)context);
}

/* One administrator removes the domain, another one is told that it is there before it is gone: no name may be left without its domain,
 * for it would take no mail, and the next 'domain add' would bring it back. */
static void test_no_name_without_its_domain(void **state)
{
	const struct store_account ann = {
		.id = 70, .address = S("ann@other.test"), .domain = S("other.test"), .generation = 1
	};
	struct names domain = { .domain = S("other.test") }, account = { .account = &ann };
	struct names alias = { .alias = S("info@other.test"), .target = S("x@example.net") };
	struct names all = { .alias = S("@other.test"), .target = S("x@example.net") };
	struct world w;

	(void)state;
	world_new(&w);
	must(world_write(&w, false, add_names, &domain));
	must(world_write(&w, false, remove_domain, &domain.domain));
	must_fail(world_write(&w, false, add_names, &account), FAIL_NOT_FOUND);
	must_fail(world_write(&w, false, add_names, &alias), FAIL_NOT_FOUND);
	must_fail(world_write(&w, false, add_names, &all), FAIL_NOT_FOUND);
	must(world_write(&w, false, add_names, &domain));
	must(world_write(&w, false, add_names, &all));
	must_fail(world_write(&w, false, remove_domain, &domain.domain), FAIL_CONFLICT);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_spoiled_rows),
					    cmocka_unit_test(test_account_twice),
					    cmocka_unit_test(test_one_name_is_given_once),
					    cmocka_unit_test(test_no_name_without_its_domain) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
