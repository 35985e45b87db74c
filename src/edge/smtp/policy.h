/*
 * What edge/mx and edge/msa decide for the protocol: who may send, to whom, and what. They see a session through this header only.
 */
#ifndef EDGE_SMTP_POLICY_H
#define EDGE_SMTP_POLICY_H

#include "base/arena.h"
#include "bus/office.h"
#include "edge/gate/gate.h"
#include "edge/sasl.h"
#include "text/smtp_command.h"

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
};

/* What a service decides. A fail refuses; for sender and message it ends the transaction. */
struct smtp_policy {
	const char *stage; /* of its events */
	bool completes;    /* adds what is missing in the header (RFC 6409 8) */
	const struct fail *(*sender)(struct smtp *s, struct transaction *t);
	/* address: canonical. *out: as it is to be stored; lives as long as the transaction. */
	const struct fail *(*recipient)(struct smtp *s, struct transaction *t, str address,
					str *out);
	const struct fail *(*message)(struct smtp *s, struct transaction *t,
				      const struct gate_message *m);
};
extern const struct smtp_policy mx_policy, msa_policy;

/* The bus to the office; who has logged in (NULL: nobody). */
struct bus *smtp_office(struct smtp *s);
const struct sasl_login *smtp_login(struct smtp *s);
/* Asks the office. relays: addresses elsewhere are good too. *out: see struct smtp_policy. */
const struct fail *smtp_recipient_check(struct smtp *s, struct transaction *t, str address,
					bool relays, str *out);

#endif
