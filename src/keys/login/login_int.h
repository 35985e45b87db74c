/* What the files of keys/login share. */
#ifndef KEYS_LOGIN_LOGIN_INT_H
#define KEYS_LOGIN_LOGIN_INT_H

#include <pthread.h>

#include "base/arena.h"
#include "keys/login/exchange.h"
#include "keys/login/hashing.h"
#include "keys/login/login_db.h"
#include "keys/login/penalty.h"
#include "serve/process.h"

struct login {
	struct process *process;
	struct bus_server *server;
	struct penalty *penalty;
	struct hashing *hashing;
	struct exchanges exchanges; /* the bus thread's own */
	str secret;                 /* for fake verifiers */
	pthread_mutex_t db_lock;    /* guards db */
	struct login_db *db;
};

#define SERVE_PROTOTYPES
#include "bus/server.h"
#include "bus/login.tbl"
#include "bus/server_end.h"

/* Opens the database and the bus server; after it peers may come. (The whole of after_jail but for the loop: tests run that.) */
const struct fail *login_open(struct process *p);

/* Finds the account, or makes one up that nobody can log in to (account 0): both take as long. name: lower case. */
const struct fail *login_find(struct login *l, struct arena *a, str name,
			      struct login_account *out);

/* mechanism.c: takes the next response of an exchange (has_response false: none was sent with the start). Answers the call now or
 * later; the exchange is out of the table unless the answer is SASL_CONTINUE. */
const struct fail *mechanism_step(struct login *l, struct bus_call *call, struct exchange *x,
				  bool has_response, str response);

#endif
