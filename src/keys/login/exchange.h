/*
 * SASL exchanges that wait for their client's next response: a bounded table, oldest first. Only the bus thread touches it. An
 * exchange belongs to the peer that began it: another peer that names its number finds nothing.
 */
#ifndef KEYS_LOGIN_EXCHANGE_H
#define KEYS_LOGIN_EXCHANGE_H

#include "bus/login.h"
#include "keys/login/scram.h"

enum exchange_limit {
	EXCHANGE_MAX = 4096,
	EXCHANGE_MS = 60 * 1000,
	EXCHANGE_ARENA = 64 * 1024,
};

enum mechanism { MECHANISM_PLAIN, MECHANISM_LOGIN, MECHANISM_SCRAM_SHA_256, MECHANISMS };

struct exchange {
	struct exchange *next, **link;
	struct arena *arena; /* everything below lives in it, the exchange too */
	u64 number, peer, started;
	u32 instance;
	u64 session;
	str address; /* of the client, 4 or 16 bytes */
	enum mechanism mechanism;
	unsigned step; /* responses taken so far */
	str name;      /* LOGIN: the user name; SCRAM: the same, prepared */
	struct scram scram;
	struct verifier verifier; /* SCRAM: real or fake */
	u64 account, generation;  /* SCRAM: 0 for a fake one */
};

struct exchanges {
	struct exchange *first, **last;
	size_t n;
	u64 next_number;
};

void exchanges_init(struct exchanges *t);
/* BUSY when the table is full. The exchange is in the table. */
const struct fail *exchange_new(struct exchanges *t, const struct bus_peer *peer, u64 now,
				struct exchange **out);
/* NULL: no such exchange of this peer (any more). */
struct exchange *exchange_find(struct exchanges *t, const struct bus_peer *peer, u64 number);
/* Takes it out of the table; it lives on with a, whose end frees it. */
void exchange_take(struct exchanges *t, struct exchange *x, struct arena *a);
void exchange_drop(struct exchanges *t, struct exchange **x);
void exchanges_drop_peer(struct exchanges *t, u64 peer);
void exchanges_expire(struct exchanges *t, u64 now);

#endif
