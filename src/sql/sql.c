#include "sql/sql.h"

#include <sqlite3.h>

#include "base/arena.h"
#include "base/check.h"
#include "sql/sql_page.h"

enum { SQL_MAGIC = 0x53514C31, SQL_ARENA = 1 << 20 };

struct query {
	struct sql *db;
	const char *text; /* the literal; its address is the key */
	sqlite3_stmt *statement;
	int bind, column; /* cursors */
	int columns;
	int error; /* sticky; SQLITE_OK, or what went wrong */
	bool open, has_row;
	bool bad; /* a value made no sense; sticky until forgiven */
};

struct sql {
	u32 magic;
	enum sql_mode mode;
	struct arena *arena; /* holds this struct too */
	sqlite3 *handle;
	u32 open;      /* queries under way */
	int wal_pages; /* told by the hook after each commit */
	struct query
	    queries[SQL_STATEMENTS * 2]; /* hashed by the literal's address, open addressing */
	u32 queries_n;
};

void sql_before_jail(void)
{
	u8 seed[16];

	/* Statistics nobody reads take a lock of the whole process at each allocation. Refused when SQLite runs already, as in
	 * tests with several servers in one process. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	CHECK(sqlite3_initialize() == SQLITE_OK);
	sqlite3_randomness(sizeof seed, seed);
}

static enum fail_what what_of(int error)
{
	switch (error & 0xFF) {
	case SQLITE_FULL:
		return FAIL_STORAGE;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return FAIL_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
		return FAIL_CORRUPT;
	case SQLITE_CONSTRAINT:
		return FAIL_EXISTS;
	case SQLITE_NOMEM:
		return FAIL_LIMIT;
	default:
		return FAIL_INTERNAL;
	}
}

static const struct fail *fail_sql(struct arena *a, const struct sql *db, int error)
{
	const char *text = sqlite3_errstr(error);

	if (db->handle && sqlite3_extended_errcode(db->handle) == error)
		text = sqlite3_errmsg(db->handle);
	return fail_because(a, fail_new(a, what_of(error), "sqlite %d: %s", error, text), "%.*s",
			    STR_ARG(fail_what_text(what_of(error))));
}

/* --- Connections --- */

static int wal_hook(void *context, sqlite3 *handle, const char *name, int pages)
{
	struct sql *db = context;

	(void)handle;
	(void)name;
	db->wal_pages = pages;
	return SQLITE_OK;
}

static const struct fail *settings(struct arena *a, struct sql *db)
{
	int sum = SQL_PAGE_SUM;
	const char *text =
	    db->mode == SQL_WRITER
		? "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		: "PRAGMA query_only = ON;";

	/* Of a new file; one that has pages keeps what it was made with. */
	sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &sum);
	/* What a program wrote into the file (views, triggers, functions in the schema) is not to be trusted. */
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, db->mode == SQL_READER,
			  NULL);
	sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, SQL_VALUE_BYTES + 4096);
	sqlite3_busy_timeout(db->handle, SQL_BUSY_MS);
	sqlite3_extended_result_codes(db->handle, 1);
	TRY(sql_script(a, db, text));
	return sql_script(a, db,
			  db->mode == SQL_WRITER
			      ? "PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = OFF;"
				"PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;"
				"PRAGMA mmap_size = 67108864; PRAGMA cell_size_check = ON;"
			      : "PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;"
				"PRAGMA cache_size = -2048; PRAGMA mmap_size = 67108864;"
				"PRAGMA cell_size_check = ON;");
}

const struct fail *sql_open(struct arena *a, const char *path, enum sql_mode mode, struct sql **out)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
		    (mode == SQL_WRITER ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
					: SQLITE_OPEN_READONLY);
	struct arena *own = arena_new(SQL_ARENA);
	struct sql *db = arena_new_of(own, struct sql);
	const struct fail *f = NULL;
	int error;

	*db = (struct sql){ .magic = SQL_MAGIC, .mode = mode, .arena = own };
	error = sqlite3_open_v2(path, &db->handle, flags, sql_page_vfs());
	f = error == SQLITE_OK ? settings(a, db) : fail_sql(a, db, error);
	if (f) {
		sql_close(&db);
		return f;
	}
	sqlite3_wal_hook(db->handle, wal_hook, db);
	*out = db;
	return NULL;
}

void sql_close(struct sql **at)
{
	struct sql *db = *at;
	struct arena *own;

	if (db == NULL)
		return;
	CHECK_MAGIC(db, SQL_MAGIC);
	CHECK(db->open == 0);
	for (size_t i = 0; i < ARRAY_LEN(db->queries); i++)
		sqlite3_finalize(db->queries[i].statement);
	CHECK(sqlite3_close(db->handle) == SQLITE_OK);
	own = db->arena;
	*at = NULL;
	arena_free(&own);
}

const struct fail *sql_script(struct arena *a, struct sql *db, const char *text)
{
	int error = sqlite3_exec(db->handle, text, NULL, NULL, NULL);

	return error == SQLITE_OK ? NULL : fail_sql(a, db, error);
}

/* --- Statements --- */

static struct query *slot(struct sql *db, const char *text)
{
	size_t i = (size_t)(((uintptr_t)text * 0x9E3779B97F4A7C15u) >> 40);

	for (;; i++) {
		struct query *q = &db->queries[i % ARRAY_LEN(db->queries)];

		if (q->text == text)
			return q;
		if (q->text == NULL) {
			CHECK(++db->queries_n <= SQL_STATEMENTS);
			q->text = text;
			q->db = db;
			return q;
		}
	}
}

static void bind(struct query *q, const struct sql_value *v)
{
	/* NULL binds as NULL even with length 0, so an empty value gets an address. */
	const void *p = v->s.p ? (const void *)v->s.p : "";
	int error = SQLITE_OK;

	q->bind++;
	switch (v->type) {
	case SQL_VALUE_U64:
		error = sqlite3_bind_int64(q->statement, q->bind, (sqlite3_int64)v->u);
		break;
	case SQL_VALUE_STR:
		error = sqlite3_bind_text64(q->statement, q->bind, p, v->s.n, SQLITE_STATIC,
					    SQLITE_UTF8);
		break;
	case SQL_VALUE_BLOB:
		error = sqlite3_bind_blob64(q->statement, q->bind, p, v->s.n, SQLITE_STATIC);
		break;
	case SQL_VALUE_NULL:
		error = sqlite3_bind_null(q->statement, q->bind);
		break;
	}
	if (error != SQLITE_OK && q->error == SQLITE_OK)
		q->error = error;
}

struct query *sql_query(struct sql *db, const char *text, const struct sql_value *values, size_t n)
{
	struct query *q;

	CHECK_MAGIC(db, SQL_MAGIC);
	q = slot(db, text);
	CHECK(!q->open);
	q->open = true;
	db->open++;
	q->error = SQLITE_OK;
	q->bind = q->column = 0;
	q->has_row = q->bad = false;
	if (q->statement == NULL)
		q->error = sqlite3_prepare_v3(db->handle, text, -1, SQLITE_PREPARE_PERSISTENT,
					      &q->statement, NULL);
	if (q->error != SQLITE_OK)
		return q;
	CHECK((size_t)sqlite3_bind_parameter_count(q->statement) == n);
	q->columns = sqlite3_column_count(q->statement);
	for (size_t i = 0; i < n; i++)
		bind(q, &values[i]);
	return q;
}

bool sql_row(struct query *q)
{
	int result;

	q->column = 0;
	q->has_row = false;
	if (q->error != SQLITE_OK || q->bad)
		return false;
	result = sqlite3_step(q->statement);
	q->has_row = result == SQLITE_ROW;
	if (result != SQLITE_ROW && result != SQLITE_DONE)
		q->error = result;
	return q->has_row;
}

void sql_bad(struct query *q)
{
	q->bad = true;
}

bool sql_forgive(struct query *q)
{
	bool bad = q->bad;

	q->bad = false;
	return bad;
}

/* The next column when it has the type; else NULL, and the query is bad. With SQLITE_OPEN_NOMUTEX a column may be looked at as it
 * is; asking SQLite once instead of for type and value each saves a quarter of a long scan. */
static sqlite3_value *column_of(struct query *q, int type)
{
	sqlite3_value *value;

	if (!q->has_row)
		return NULL;
	CHECK(q->column < q->columns);
	value = sqlite3_column_value(q->statement, q->column++);
	if (sqlite3_value_type(value) == type)
		return value;
	sql_bad(q);
	return NULL;
}

u64 sql_u64(struct query *q)
{
	sqlite3_value *value = column_of(q, SQLITE_INTEGER);

	return value ? (u64)sqlite3_value_int64(value) : 0;
}

u32 sql_u32(struct query *q)
{
	u64 value = sql_u64(q);

	if (value > UINT32_MAX) {
		sql_bad(q);
		return 0;
	}
	return (u32)value;
}

bool sql_bool(struct query *q)
{
	u64 value = sql_u64(q);

	if (value > 1)
		sql_bad(q);
	return value == 1;
}

bool sql_is_null(struct query *q)
{
	return !q->has_row || sqlite3_column_type(q->statement, q->column) == SQLITE_NULL;
}

static str bytes_of(struct query *q, sqlite3_value *value)
{
	int n;
	const void *p;

	if (value == NULL)
		return STR_NONE;
	p = sqlite3_value_blob(value);
	n = sqlite3_value_bytes(value);
	if (n < 0 || n > SQL_VALUE_BYTES || (n > 0 && p == NULL)) {
		sql_bad(q);
		return STR_NONE;
	}
	return str_from(p, (size_t)n);
}

str sql_str(struct query *q, struct arena *a)
{
	return str_copy(a, bytes_of(q, column_of(q, SQLITE_TEXT)));
}

str sql_borrow(struct query *q)
{
	int type = q->has_row ? sqlite3_column_type(q->statement, q->column) : SQLITE_NULL;

	if (type == SQLITE_NULL) {
		q->column++;
		return STR_NONE;
	}
	return bytes_of(q, column_of(q, type == SQLITE_TEXT ? SQLITE_TEXT : SQLITE_BLOB));
}

str sql_blob(struct query *q, struct arena *a)
{
	if (sql_is_null(q)) {
		q->column++;
		return STR_NONE;
	}
	return str_copy(a, bytes_of(q, column_of(q, SQLITE_BLOB)));
}

void sql_skip(struct query *q)
{
	q->column++;
}

const struct fail *sql_end(struct arena *a, struct query *q)
{
	const struct fail *f = NULL;

	CHECK(q->open);
	if (q->error != SQLITE_OK || q->bad)
		f = fail_sql(a, q->db, q->error ? q->error : SQLITE_CORRUPT);
	q->open = false;
	q->db->open--;
	sqlite3_reset(q->statement);
	return f;
}

const struct fail *sql_run(struct arena *a, struct sql *db, const char *text,
			   const struct sql_value *values, size_t n)
{
	struct query *q = sql_query(db, text, values, n);

	while (sql_row(q))
		;
	return sql_end(a, q);
}

const struct fail *sql_one_u64(struct arena *a, struct query *q, u64 *out, bool *found)
{
	*out = 0;
	*found = sql_row(q) && !sql_is_null(q);
	if (*found)
		*out = sql_u64(q);
	return sql_end(a, q);
}

u64 sql_changed(const struct sql *db)
{
	return (u64)sqlite3_changes64(db->handle);
}

bool sql_in_transaction(const struct sql *db)
{
	return sqlite3_get_autocommit(db->handle) == 0;
}

/* --- The file --- */

const struct fail *sql_checkpoint(struct arena *a, struct sql *db, enum sql_checkpoint mode)
{
	int error;

	CHECK(db->mode == SQL_WRITER);
	sqlite3_busy_timeout(db->handle, 0); /* a reader in the way is not waited for */
	error =
	    sqlite3_wal_checkpoint_v2(db->handle, "main",
				      mode == SQL_CHECKPOINT_TRUNCATE ? SQLITE_CHECKPOINT_TRUNCATE
								      : SQLITE_CHECKPOINT_PASSIVE,
				      NULL, NULL);
	sqlite3_busy_timeout(db->handle, SQL_BUSY_MS);
	if (error == SQLITE_OK && mode == SQL_CHECKPOINT_TRUNCATE)
		db->wal_pages = 0;
	return error == SQLITE_OK ? NULL : fail_sql(a, db, error);
}

u32 sql_wal_pages(const struct sql *db)
{
	return (u32)db->wal_pages;
}

const struct fail *sql_integrity(struct arena *a, struct sql *db, u32 max, str *out, size_t *n)
{
	struct query *q = SQL_QUERY0(db, "PRAGMA integrity_check(1000)");

	*n = 0;
	while (*n < max && sql_row(q)) {
		str text = sql_str(q, a);
		if (!str_eq(text, S("ok")))
			out[(*n)++] = text;
	}
	return sql_end(a, q);
}
