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
/*
 * A new account, or new verifiers for one. Of one account (its number, not its address) changes come in any order, and the greatest
 * generation counts: one that comes late changes nothing. *generation: the one that is there afterwards.
 */
const struct fail *login_db_set(struct arena *a, struct login_db *db,
				const struct login_account *account, u64 *generation);
/* The same, but the verifiers stay as they are (account->verifier is not looked at). NOT_FOUND: it has none. */
const struct fail *login_db_change(struct arena *a, struct login_db *db,
				   const struct login_account *account, u64 *generation);
const struct fail *login_db_remove(struct arena *a, struct login_db *db, str address);
/* A secret that stays the same over restarts: names that do not exist keep their salt. */
const struct fail *login_db_secret(struct arena *a, struct login_db *db, str *out);

#endif
