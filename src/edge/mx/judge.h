/*
 * What port 25 thinks of a message: the client's address (iprev, DNSBL) before the first byte, SPF, DKIM, ARC and DMARC (verdict/auth.h)
 * after the last one, before the reply. Everything found out is a fact of the decision (verdict/decision.h); the results stand in front of the message.
 *
 * Not asked: LMTP (a filter in front has done it), and clients on loopback and private addresses unless auth.local_networks, because
 * nothing that DNS says is about them. Fields in our name are taken out for everybody on port 25.
 *
 * Budget: JUDGE_PART_MS for each of four parts, 20 s in all (ARCHITECTURE 3); a part that runs out has temperror, and mail goes on.
 */
#ifndef EDGE_MX_JUDGE_H
#define EDGE_MX_JUDGE_H

#include "edge/smtp/policy.h"

enum judge_limit { JUDGE_PART_MS = 5000 };

const struct fail *judge_open(struct smtp *s, struct transaction *t, struct gate_rules *rules);
const struct fail *judge_message(struct smtp *s, struct transaction *t, const struct skeleton *m,
				 struct smtp_judgement *out);

/* Taken or (f) not, it is over: what it counts in reports to others (edge/mx/fact.h). */
void judge_settled(struct smtp *s, struct transaction *t, const struct fail *f);
/* What has been found out so far; NULL: nothing was looked at. */
const struct decision *judge_decision(struct smtp *s, struct transaction *t);

#endif
