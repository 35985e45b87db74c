/*
 * SQLite behind a few functions. A statement is a string literal with bound parameters; it is prepared once per
 * connection and found again by the literal's address. Binding and column reading go left to right:
 *
 *	TRY(SQL_RUN(a, db, "DELETE FROM alias WHERE address = ?", SQL_STR(address)));
 *
 *	struct query *q = SQL_QUERY(db, "SELECT id, name FROM mailbox WHERE account_id = ?", SQL_U64(account));
 *	while (sql_row(q)) {
 *		id = sql_u64(q);
 *		name = sql_str(q, a);
 *	}
 *	TRY(sql_end(a, q));
 *
 * Every query is ended, once, also after a break out of the loop. Errors are sticky: a column of the wrong type or
 * size reads as 0 or empty, sql_row says false, and sql_end tells: STORAGE (disk full), BUSY, CORRUPT, INTERNAL.
 * A statement cannot run twice at once on one connection. One thread at a time per connection.
 *
 * Exactly one connection writes and checkpoints the file (SQL_WRITER); all others are SQL_READER. SQLite before
 * 3.51.3 can corrupt a WAL file with two that checkpoint (DEPENDENCIES 0.3).
 */
#ifndef SQL_SQL_H
#define SQL_SQL_H

#include "base/fail.h"
#include "base/str.h"

enum sql_mode {
	SQL_WRITER, /* makes the file when missing */
	SQL_READER, /* read-only; never checkpoints, not at close either */
};

enum sql_limit {
	SQL_STATEMENTS = 512, /* different ones per connection; CHECKed */
	SQL_WRITER_CACHE_KIB = 16 * 1024,
	SQL_READER_CACHE_KIB = 2 * 1024,
	SQL_MMAP_BYTES = 64 * 1024 * 1024,
	SQL_BUSY_MS = 2000,
	SQL_VALUE_BYTES = 2 * 1024 * 1024, /* a longer text or blob in a row is CORRUPT */
};

struct sql;   /* one connection */
struct query; /* one statement under way */

/* Before the jail, in each process that uses SQLite: its random numbers come from /dev/urandom. */
void sql_before_jail(void);

const struct fail *sql_open(struct arena *a, const char *path, enum sql_mode mode,
			    struct sql **out);
void sql_close(struct sql **db); /* a SQL_WRITER checkpoints; CHECKs that no query is open */

struct sql_value {
	enum { SQL_VALUE_U64, SQL_VALUE_STR, SQL_VALUE_BLOB, SQL_VALUE_NULL } type;
	u64 u; /* kept as the signed integer of the same bits */
	str s; /* borrowed until sql_end */
};

#define SQL_U64(value) ((struct sql_value){ .type = SQL_VALUE_U64, .u = (value) })
#define SQL_STR(value) ((struct sql_value){ .type = SQL_VALUE_STR, .s = (value) })
#define SQL_BLOB(value) ((struct sql_value){ .type = SQL_VALUE_BLOB, .s = (value) })
#define SQL_NULL() ((struct sql_value){ .type = SQL_VALUE_NULL })

/* text must be a literal. The number of values must be that of its parameters (CHECKed). */
struct query *sql_query(struct sql *db, const char *text, const struct sql_value *values, size_t n);
#define SQL_VALUES(...)                              \
	((const struct sql_value[]){ __VA_ARGS__ }), \
	    sizeof((const struct sql_value[]){ __VA_ARGS__ }) / sizeof(struct sql_value)
#define SQL_QUERY(db, text, ...) sql_query((db), "" text, SQL_VALUES(__VA_ARGS__))
#define SQL_QUERY0(db, text) sql_query((db), "" text, NULL, 0)

bool sql_row(struct query *q); /* true: there is a (next) row */
u64 sql_u64(struct query *q);
u32 sql_u32(struct query *q);                   /* more than 32 bits: bad */
bool sql_bool(struct query *q);                 /* only 0 and 1 */
bool sql_is_null(struct query *q);              /* of the next column; does not step over it */
str sql_str(struct query *q, struct arena *a);  /* a copy */
str sql_blob(struct query *q, struct arena *a); /* a copy; NULL in the row reads as empty */
str sql_borrow(
    struct query *q);           /* text or blob without a copy: until the next sql_row or sql_end */
void sql_skip(struct query *q); /* steps over a column */
/* The caller found that a row makes no sense: sql_end will say CORRUPT. */
void sql_bad(struct query *q);
/* For those who leave a bad row out and go on: whether this row was bad, forgotten now. */
bool sql_forgive(struct query *q);
const struct fail *sql_end(struct arena *a, struct query *q) NODISCARD;

/* Whole statement without rows. */
const struct fail *sql_run(struct arena *a, struct sql *db, const char *text,
			   const struct sql_value *values, size_t n) NODISCARD;
#define SQL_RUN(a, db, text, ...) sql_run((a), (db), "" text, SQL_VALUES(__VA_ARGS__))
#define SQL_RUN0(a, db, text) sql_run((a), (db), "" text, NULL, 0)
/* The first row's only column; *found false (and *out 0) when there is no row or it is NULL. */
const struct fail *sql_one_u64(struct arena *a, struct query *q, u64 *out, bool *found) NODISCARD;
u64 sql_changed(const struct sql *db); /* rows that the last INSERT, UPDATE or DELETE touched */

/* False after an error that made SQLite undo the whole transaction by itself. */
bool sql_in_transaction(const struct sql *db);

/* Several statements of a constant text, without parameters: schema, pragmas. */
const struct fail *sql_script(struct arena *a, struct sql *db, const char *text) NODISCARD;

enum sql_checkpoint { SQL_CHECKPOINT_PASSIVE, SQL_CHECKPOINT_TRUNCATE };
/* BUSY when readers were in the way: no harm, again later. SQL_WRITER only. */
const struct fail *sql_checkpoint(struct arena *a, struct sql *db,
				  enum sql_checkpoint mode) NODISCARD;
u32 sql_wal_pages(const struct sql *db); /* in the WAL file after the last commit */
/* SQLite's own check of the whole file; one text a problem, at most `max`. */
const struct fail *sql_integrity(struct arena *a, struct sql *db, u32 max, str *out,
				 size_t *n) NODISCARD;

#endif
