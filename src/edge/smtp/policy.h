/*
 * What edge/mx and edge/msa decide for the protocol: who may send, to whom, and what. They see a session through this header only.
 */
#ifndef EDGE_SMTP_POLICY_H
#define EDGE_SMTP_POLICY_H

#include "base/arena.h"
#include "bus/office.h"
#include "edge/event.h"
#include "edge/gate/gate.h"
#include "edge/sasl.h"
#include "text/smtp_command.h"
#include "verdict/decision.h"

struct smtp;

/*
 * One mail transaction: from MAIL to the answer to its last byte. Everything that hangs on it is in its arena, policy's state included,
 * and whatever ends it destroys it whole (THREATS S05-S07).
 */
struct transaction {
	struct arena *arena;
	struct smtp_mail mail;
	str sender;                   /* canonical; empty: the null reverse-path */
	struct recipient *recipients; /* canonical, as they were accepted, duplicates too */
	size_t recipients_n, recipients_cap;
	struct gate *gate; /* from DATA or the first BDAT on */
	bool chunked;
	u32 tiny_chunks;
	void *judgement; /* the policy's own, from open on */
};

/* What a policy has to say of a message that it takes. */
struct smtp_judgement {
	str fields; /* whole header fields, to stand over our Received; live as long as the transaction */
	bool junk;
};

/* What a service decides. A fail refuses; for sender and message it ends the transaction. */
struct smtp_policy {
	const char *stage; /* of its events */
	bool completes;    /* adds what is missing in the header (RFC 6409 8) */
	const struct fail *(*sender)(struct smtp *s, struct transaction *t);
	/* address: canonical. *out: as it is to be stored; lives as long as the transaction. */
	const struct fail *(*recipient)(struct smtp *s, struct transaction *t, str address,
					str *out);
	/* Before the first byte of the message; may add to rules. */
	const struct fail *(*open)(struct smtp *s, struct transaction *t, struct gate_rules *rules);
	/* After its last one. m: without our own fields. */
	const struct fail *(*message)(struct smtp *s, struct transaction *t,
				      const struct skeleton *m, struct smtp_judgement *out);
	/* It is over, taken or (f) refused or put off. NULL: nothing to do. */
	void (*settled)(struct smtp *s, struct transaction *t, const struct fail *f);
	/* Why it is taken or not, as far as it is known, for the record; its texts live as long as the transaction. NULL: no reasons. */
	const struct decision *(*decision)(struct smtp *s, struct transaction *t);
};
extern const struct smtp_policy mx_policy, msa_policy;

const struct config *smtp_config(struct smtp *s);
str smtp_helo(const struct smtp *s);
struct client_info smtp_client(struct smtp *s);
str smtp_client_text(struct smtp *s); /* its address, "192.0.2.1" or "2001:db8::1" */
bool smtp_is_lmtp(const struct smtp *s);
/* Room for a fact of the message that is under way; may call the office. See event_batch_fact. */
struct event_batch *smtp_fact_batch(struct smtp *s);
struct bus *smtp_relay(struct smtp *s); /* NULL: nobody looks up DNS here */
struct bus *smtp_sign(struct smtp *s);  /* NULL: nobody signs here */
/* The bus to the office; who has logged in (NULL: nobody). */
struct bus *smtp_office(struct smtp *s);
const struct sasl_login *smtp_login(struct smtp *s);
/* Asks the office. relays: addresses elsewhere are good too. *out: see struct smtp_policy. */
const struct fail *smtp_recipient_check(struct smtp *s, struct transaction *t, str address,
					bool relays, str *out);

#endif
