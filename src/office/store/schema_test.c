/* A database of each older format is brought up to date, with what is in it, and is then the same as a new one. */
#include "base/unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "office/store/schema.h"
#include "office/store/store_test_support.h"

static const struct {
	u64 since;
	const char *text;
} ddls[] = {
#define DDL(since, text) { since, text },
#include "office/store/schema.tbl"
#include "office/store/schema_queue.tbl"
#include "office/store/schema_outgoing.tbl"
#include "office/store/schema_received.tbl"
#undef DDL
};

struct place_of {
	char folder[32];
	const char *path;
	struct arena *arena;
	struct sql *db;
};

static struct place_of open_new(void)
{
	struct place_of p = { .folder = "/tmp/schema-test-XXXXXX", .arena = arena_new(1 << 20) };

	assert_non_null(mkdtemp(p.folder));
	p.path = cstr(p.arena, str_format(p.arena, "%s/db", p.folder));
	must(sql_open(p.arena, p.path, SQL_WRITER, &p.db));
	return p;
}

static void close_all(struct place_of *p)
{
	sql_close(&p->db);
	unlink(p->path);
	assert_int_equal(rmdir(p->folder), 0);
	arena_free(&p->arena);
}

/* As a program of that format made it. */
static void make_old(struct place_of *p, u64 format)
{
	for (size_t i = 0; i < ARRAY_LEN(ddls); i++)
		if (ddls[i].since <= format)
			must(sql_script(p->arena, p->db, ddls[i].text));
	must(meta_set(p->arena, p->db, "format", format));
}

/* Tables and indexes with their columns. */
static str shape(struct place_of *p)
{
	struct buf *out = buf_new(p->arena, 1 << 18);
	struct query *q = SQL_QUERY0(p->db, "SELECT name, coalesce(sql, '') FROM sqlite_schema"
					    " ORDER BY name");

	while (sql_row(q)) {
		buf_add(out, sql_borrow(q));
		buf_add_byte(out, ' ');
		buf_add(out, sql_borrow(q));
		buf_add_byte(out, '\n');
	}
	must(sql_end(p->arena, q));
	return buf_str(out);
}

static bool has_newer_tables(u64 format)
{
	for (size_t i = 0; i < ARRAY_LEN(ddls); i++)
		if (ddls[i].since > format)
			return true;
	return false;
}

static void test_older(void **state)
{
	(void)state;
	for (u64 format = 1; format < SCHEMA_FORMAT; format++) {
		struct place_of new = open_new(), old = open_new();
		u64 n;
		bool found;

		make_old(&old, format);
		must(SQL_RUN0(
		    old.arena, old.db,
		    "INSERT INTO trace (message_id, time, sender, recipients, subject,"
		    " header_id, client, size) VALUES (1, 2, 'a', 'b', 'c', 'd', 'e', 3)"));
		must(schema_bring_up(new.arena, new.db));
		assert_int_equal(!str_eq(shape(&old), shape(&new)), has_newer_tables(format));
		must_fail(schema_check(old.arena, old.db), FAIL_CONFLICT);
		must(meta_get(old.arena, old.db, "format", &n));
		assert_int_equal(n, format);
		must(schema_bring_up(old.arena, old.db));
		assert_str(shape(&old), shape(&new));
		must(sql_one_u64(old.arena, SQL_QUERY0(old.db, "SELECT size FROM trace"), &n,
				 &found));
		assert_int_equal(n, 3);
		must(meta_get(old.arena, old.db, "format", &n));
		assert_int_equal(n, SCHEMA_FORMAT);
		must(schema_check(old.arena, old.db));
		close_all(&old);
		close_all(&new);
	}
}

static void test_newer_and_foreign(void **state)
{
	struct place_of p = open_new();

	(void)state;
	must(schema_bring_up(p.arena, p.db));
	must(meta_set(p.arena, p.db, "format", SCHEMA_FORMAT + 1));
	must_fail(schema_bring_up(p.arena, p.db), FAIL_CONFLICT);
	must_fail(schema_check(p.arena, p.db), FAIL_CONFLICT);
	close_all(&p);
	p = open_new();
	must(sql_script(p.arena, p.db, "CREATE TABLE somebody_elses (x)"));
	must_fail(schema_bring_up(p.arena, p.db), FAIL_CONFLICT);
	close_all(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_older),
					    cmocka_unit_test(test_newer_and_foreign) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
