/* The inside of struct smtp_client, for client.c (opening) and transaction.c (mail). */
#ifndef RELAY_MTA_CLIENT_INT_H
#define RELAY_MTA_CLIENT_INT_H

#include "relay/mta/client.h"
#include "text/smtp_reply.h"

enum client_offer {
	OFFER_PIPELINING = 1 << 0,
	OFFER_SIZE = 1 << 1,
	OFFER_8BITMIME = 1 << 2,
	OFFER_SMTPUTF8 = 1 << 3,
	OFFER_DSN = 1 << 4,
	OFFER_STARTTLS = 1 << 5,
	OFFER_AUTH_PLAIN = 1 << 6,
	OFFER_AUTH_LOGIN = 1 << 7,
};

struct smtp_client {
	u32 magic;
	struct arena *arena; /* its lifetime */
	struct arena *reply; /* of the latest reply */
	struct connection *connection;
	const struct mta_times *times;
	str host, address;
	u32 offers;
	u64 size_most; /* 0: no limit known */
	u32 messages;
	bool closing; /* 421, or a reply that was none */
};

enum { CLIENT_MAGIC = 0x534D5443 };

/* One reply; borrowed until the next. Fails when there is none, and on 421 (RFC 5321 3.8). */
const struct fail *client_reply(struct arena *a, struct smtp_client *k, u64 ms,
				struct smtp_reply *out);
/* Sends line and CRLF, reads the reply. line has no control byte: CHECKed. */
const struct fail *client_command(struct arena *a, struct smtp_client *k, u64 ms, str line,
				  struct smtp_reply *out);
/* What a refusal says. Its kind is that of the reply code, whatever the enhanced code claims. */
const struct fail *client_refusal(struct arena *a, const struct smtp_reply *reply);
/* A reply that has no place here: the connection is good for nothing any more. */
const struct fail *client_nonsense(struct arena *a, struct smtp_client *k,
				   const struct smtp_reply *reply);

static inline bool reply_is(const struct smtp_reply *r, u32 class_)
{
	return r->code / 100 == class_;
}

#endif
