#include "keys/login/login_db.h"

#include <string.h>

#include "base/arena.h"
#include "base/env.h"
#include "base/log.h"
#include "sql/sql.h"

struct login_db {
	struct sql *sql;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS account ("
    " address TEXT PRIMARY KEY, account INTEGER NOT NULL, generation INTEGER NOT NULL,"
    " suspended INTEGER NOT NULL, crypt TEXT NOT NULL, salt BLOB NOT NULL,"
    " iterations INTEGER NOT NULL, stored_key BLOB NOT NULL, server_key BLOB NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS secret (id INTEGER PRIMARY KEY CHECK (id = 1), bytes BLOB NOT NULL);";

const struct fail *login_db_open(struct arena *a, const char *path, struct login_db **out)
{
	struct login_db *db = arena_new_of(a, struct login_db);

	TRY(sql_open(a, path, SQL_WRITER, &db->sql));
	*out = db;
	return sql_script(a, db->sql, schema);
}

void login_db_close(struct login_db **db)
{
	if (*db)
		sql_close(&(*db)->sql);
	*db = NULL;
}

static bool copy_key(u8 out[VERIFIER_KEY], str bytes)
{
	if (bytes.n != VERIFIER_KEY)
		return false;
	memcpy(out, bytes.p, VERIFIER_KEY);
	return true;
}

const struct fail *login_db_find(struct arena *a, struct login_db *db, str address,
				 struct login_account *out)
{
	static const struct fail none = FAIL_STATIC(NOT_FOUND, "no such account");
	struct verifier *v = &out->verifier;
	bool found = false, good = true;
	struct query *q =
	    SQL_QUERY(db->sql,
		      "SELECT account, generation, suspended, crypt, salt, iterations,"
		      " stored_key, server_key FROM account WHERE address = ?",
		      SQL_STR(address));

	*out = (struct login_account){ .address = address };
	while (sql_row(q)) {
		found = true;
		out->account = sql_u64(q);
		out->generation = sql_u64(q);
		out->suspended = sql_bool(q);
		v->crypt = sql_str(q, a);
		v->salt = sql_blob(q, a);
		v->iterations = sql_u32(q);
		good = copy_key(v->stored_key, sql_borrow(q)) &&
		       copy_key(v->server_key, sql_borrow(q)) && v->salt.n == VERIFIER_SALT &&
		       v->iterations >= 4096 && v->iterations <= 1000000;
	}
	TRY(sql_end(a, q));
	if (found && !good)
		LOG(WARN, "login.bad_row", LOG_STR("address", address));
	return found && good ? NULL : &none;
}

static const struct fail *no_password(struct arena *a, str address)
{
	return fail_new(a, FAIL_NOT_FOUND, "%.*s has no password here", STR_ARG(address));
}

static const struct fail *generation_get(struct arena *a, struct login_db *db,
					 const struct login_account *account, u64 *out)
{
	bool found = false;
	struct query *q =
	    SQL_QUERY(db->sql, "SELECT generation FROM account WHERE address = ? AND account = ?",
		      SQL_STR(account->address), SQL_U64(account->account));

	while (sql_row(q)) {
		found = true;
		*out = sql_u64(q);
	}
	TRY(sql_end(a, q));
	return found ? NULL : no_password(a, account->address);
}

const struct fail *login_db_set(struct arena *a, struct login_db *db,
				const struct login_account *account, u64 *generation)
{
	const struct verifier *v = &account->verifier;

	TRY(SQL_RUN(a, db->sql,
		    "INSERT INTO account (address, account, generation, suspended, crypt, salt,"
		    " iterations, stored_key, server_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
		    " ON CONFLICT (address) DO UPDATE SET account = excluded.account,"
		    " generation = excluded.generation, suspended = excluded.suspended,"
		    " crypt = excluded.crypt,"
		    " salt = excluded.salt, iterations = excluded.iterations,"
		    " stored_key = excluded.stored_key, server_key = excluded.server_key"
		    " WHERE account.account != excluded.account"
		    " OR account.generation <= excluded.generation",
		    SQL_STR(account->address), SQL_U64(account->account),
		    SQL_U64(account->generation), SQL_U64(account->suspended), SQL_STR(v->crypt),
		    SQL_BLOB(v->salt), SQL_U64(v->iterations),
		    SQL_BLOB(str_from(v->stored_key, VERIFIER_KEY)),
		    SQL_BLOB(str_from(v->server_key, VERIFIER_KEY))));
	return generation_get(a, db, account, generation);
}

const struct fail *login_db_change(struct arena *a, struct login_db *db,
				   const struct login_account *account, u64 *generation)
{
	TRY(SQL_RUN(a, db->sql,
		    "UPDATE account SET generation = ?1, suspended = ?2"
		    " WHERE address = ?3 AND account = ?4 AND generation <= ?1",
		    SQL_U64(account->generation), SQL_U64(account->suspended),
		    SQL_STR(account->address), SQL_U64(account->account)));
	return generation_get(a, db, account, generation);
}

const struct fail *login_db_remove(struct arena *a, struct login_db *db, str address)
{
	TRY(SQL_RUN(a, db->sql, "DELETE FROM account WHERE address = ?", SQL_STR(address)));
	return sql_changed(db->sql) == 1 ? NULL : no_password(a, address);
}

const struct fail *login_db_secret(struct arena *a, struct login_db *db, str *out)
{
	const struct env *e = env_system();
	struct query *q;
	u8 fresh[VERIFIER_KEY];

	e->random(e->context, fresh, sizeof fresh);
	TRY(SQL_RUN(a, db->sql,
		    "INSERT INTO secret (id, bytes) VALUES (1, ?) ON CONFLICT DO NOTHING",
		    SQL_BLOB(str_from(fresh, sizeof fresh))));
	*out = STR_NONE;
	q = SQL_QUERY0(db->sql, "SELECT bytes FROM secret WHERE id = 1");
	while (sql_row(q))
		*out = sql_blob(q, a);
	return sql_end(a, q);
}
