/*
 * login.db: the verifiers of every account, opened by keys login alone. One connection; callers take turns (login.c locks).
 * Rows are not trusted: what does not fit reads as "no such account", with a warning in the log.
 */
#ifndef KEYS_LOGIN_LOGIN_DB_H
#define KEYS_LOGIN_LOGIN_DB_H

#include "keys/login/verifier.h"

struct login_db;

struct login_account {
	str address;
	u64 account, generation;
	bool suspended;
	struct verifier verifier;
};

const struct fail *login_db_open(struct arena *a, const char *path, struct login_db **out);
void login_db_close(struct login_db **db);
/* address: lower case. NOT_FOUND when there is none. */
const struct fail *login_db_find(struct arena *a, struct login_db *db, str address,
				 struct login_account *out);
/* A new account, or new verifiers for one. */
const struct fail *login_db_set(struct arena *a, struct login_db *db,
				const struct login_account *account);
const struct fail *login_db_change(struct arena *a, struct login_db *db, str address,
				   u64 generation, bool suspended);
const struct fail *login_db_remove(struct arena *a, struct login_db *db, str address);
/* A secret that stays the same over restarts: names that do not exist keep their salt. */
const struct fail *login_db_secret(struct arena *a, struct login_db *db, str *out);

#endif
