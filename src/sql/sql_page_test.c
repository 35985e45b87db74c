/* Checksums of pages: any bit that flips in any page is told of, also those that say whether there are sums; a file without goes on without. */
#include "base/unit.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fd.h"
#include "sql/sql.h"
#include "sql/sql_page.h"

enum { ROWS = 200 };

struct place {
	char folder[32];
	const char *path;
	struct arena *arena;
	struct sql *db;
};

static void must(const struct fail *f)
{
	if (f)
		fail_msg("%.*s", STR_ARG(f->text));
}

static void fill(struct place *p)
{
	must(sql_script(p->arena, p->db, "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)"));
	for (u64 i = 0; i < ROWS; i++)
		must(SQL_RUN(p->arena, p->db, "INSERT INTO t VALUES (?, hex(zeroblob(60)) || ?1)",
			     SQL_U64(i)));
}

static struct place begin(void)
{
	struct place p = { .folder = "/tmp/sql-page-test-XXXXXX", .arena = arena_new(16 << 20) };

	assert_non_null(mkdtemp(p.folder));
	p.path = cstr(p.arena, str_format(p.arena, "%s/db", p.folder));
	return p;
}

static void end(struct place *p)
{
	static const char *const ends[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		unlink(cstr(p->arena, str_format(p->arena, "%s%s", p->path, ends[i])));
	assert_int_equal(rmdir(p->folder), 0);
	arena_free(&p->arena);
}

/* All rows; or what went wrong. */
static const struct fail *read_all(struct place *p, enum sql_mode mode, u64 *rows)
{
	const struct fail *f = sql_open(p->arena, p->path, mode, &p->db);
	struct query *q;

	*rows = 0;
	if (f)
		return f;
	q = SQL_QUERY0(p->db, "SELECT id, text FROM t");
	while (sql_row(q))
		++*rows;
	f = sql_end(p->arena, q);
	sql_close(&p->db);
	return f;
}

static u8 *map(const struct place *p, size_t *n)
{
	int fd = open(p->path, O_RDWR | O_CLOEXEC);
	struct stat st;
	u8 *bytes;

	assert_int_equal(fstat(fd, &st), 0);
	*n = (size_t)st.st_size;
	bytes = arena_alloc(p->arena, *n);
	assert_true(fd_pread_all(fd, bytes, *n, 0));
	close(fd);
	return bytes;
}

static void flip(const struct place *p, u64 at, u8 bits)
{
	int fd = open(p->path, O_RDWR | O_CLOEXEC);
	u8 byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= bits;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

static void test_every_page_has_one(void **state)
{
	struct place p = begin();
	size_t n;
	u8 *bytes;

	(void)state;
	must(sql_open(p.arena, p.path, SQL_WRITER, &p.db));
	fill(&p);
	sql_close(&p.db);
	bytes = map(&p, &n);
	assert_true(n > 4 * SQL_PAGE && n % SQL_PAGE == 0);
	for (u64 i = 0; i < n / SQL_PAGE; i++) {
		u32 sum = sql_page_sum(i + 1, bytes + i * SQL_PAGE), there;

		memcpy(&there, bytes + (i + 1) * SQL_PAGE - 4, 4);
		assert_int_equal(sum, there);
	}
	end(&p);
}

/* Read by who writes and by who reads, and put right again each time. */
static void test_flips(void **state)
{
	struct place p = begin();
	size_t n;
	u64 rows;

	(void)state;
	must(sql_open(p.arena, p.path, SQL_WRITER, &p.db));
	fill(&p);
	sql_close(&p.db);
	map(&p, &n);
	for (u64 at = 0; at < n; at += at < 110 ? 1 : 509) {
		const u8 bits = (u8)(1 << at % 8);
		const struct fail *f;

		flip(&p, at, bits);
		f = read_all(&p, SQL_READER, &rows);
		if (f == NULL)
			fail_msg("octet %llu: not told", (unsigned long long)at);
		flip(&p, at, bits);
	}
	must(read_all(&p, SQL_WRITER, &rows));
	assert_int_equal(rows, ROWS);
	end(&p);
}

/* Two pages in each other's place. */
static void test_exchanged(void **state)
{
	struct place p = begin();
	size_t n;
	u64 rows;
	u8 *bytes;
	int fd;

	(void)state;
	must(sql_open(p.arena, p.path, SQL_WRITER, &p.db));
	fill(&p);
	sql_close(&p.db);
	bytes = map(&p, &n);
	fd = open(p.path, O_RDWR | O_CLOEXEC);
	assert_true(fd_pwrite_all(fd, str_from(bytes + 3 * SQL_PAGE, SQL_PAGE), 4 * SQL_PAGE));
	close(fd);
	assert_non_null(read_all(&p, SQL_READER, &rows));
	end(&p);
}

/* As a program that knew no sums made it. */
static void test_file_without(void **state)
{
	struct place p = begin();
	sqlite3 *old;
	size_t n;
	u64 rows;

	(void)state;
	assert_int_equal(sqlite3_open(p.path, &old), SQLITE_OK);
	assert_int_equal(sqlite3_exec(old, "CREATE TABLE u (x)", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(old), SQLITE_OK);
	must(sql_open(p.arena, p.path, SQL_WRITER, &p.db));
	fill(&p);
	sql_close(&p.db);
	must(read_all(&p, SQL_READER, &rows));
	assert_int_equal(rows, ROWS);
	assert_int_equal(map(&p, &n)[20], 0);
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_page_has_one),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_exchanged),
		cmocka_unit_test(test_file_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
