/*
 * The record of one decision: every fact that was looked at, in order, what each counts, their sum, and what was decided by which of
 * them. It answers "why was this mail refused?" without a second look at the mail. Any check adds its facts in this one shape.
 *
 * Invariant: total is the sum of the weights of facts, whatever was left out for want of room.
 *
 * Printed as members of a flat JSON object (text/json_flat.h), as they stand in the event of the attempt or message:
 *	{"action":"junk","total":6,"threshold":10,"decided":"dnsbl","facts":[{"check":"dnsbl","input":...,"weight":6},...]}
 * Texts of a fact that are empty and a weight of 0 are not printed.
 */
#ifndef VERDICT_DECISION_H
#define VERDICT_DECISION_H

#include "verdict/auth.h"
#include "verdict/dnsbl.h"
#include "verdict/iprev.h"

enum decision_limit {
	DECISION_FACTS = 48,
	DECISION_TEXT = 200,          /* bytes of a text; the rest is cut */
	DECISION_BYTES = 12 * 1024,   /* of all of it as JSON; reasons go first, then sources */
	DECISION_WEIGHT = 1000 * 1000 /* of one fact, either way */
};

/* From mild to harsh. */
enum decision_action { DECISION_ACCEPT, DECISION_JUNK, DECISION_DEFER, DECISION_REJECT };

struct fact {
	str check;  /* "spf": row of ctl/fact.tbl */
	str input;  /* what was looked at: an address, a domain, a recipient */
	str result; /* as the check names it: "pass", "listed" */
	str source; /* who or what says so: a list's zone, a record's term, a selector, a setting */
	str reason; /* one sentence of evidence; empty: nothing more to say */
	int weight; /* points against the message; negative: for it */
};

struct decision {
	struct fact facts[DECISION_FACTS];
	size_t n;
	int total, threshold; /* threshold 0: weights decide nothing here */
	enum decision_action action;
	str decided; /* the check that brought the action; empty while it is ACCEPT for want of anything else */
};

/* Borrows the fact's texts. The last place is for the sum of all that have none of their own. */
void decision_add(struct decision *d, const struct fact *f);
/* A check wants this; what is harsher stays. */
void decision_want(struct decision *d, enum decision_action action, str check);
/* The sum wants something: at threshold REJECT, or DEFER when that is to be temporary, from half of it on JUNK. */
void decision_weigh(struct decision *d, int threshold, bool temporary);

/* Facts of the checks that there are. */
void decision_add_iprev(struct decision *d, str client, const struct iprev_verdict *v);
void decision_add_dnsbl(struct arena *a, struct decision *d, str client,
			const struct dnsbl_verdict *v);
/* SPF, DKIM, ARC, DMARC, and what DMARC wants; refuses: follow p=reject, else it is Junk. */
void decision_add_auth(struct arena *a, struct decision *d, const struct auth_verdict *v,
		       bool refuses);

const char *decision_action_name(
    enum decision_action action); /* "accept", "junk", "defer", "reject" */
/* A whole object; at most DECISION_BYTES. */
str decision_print(struct arena *a, const struct decision *d);
/* Out of an object with such members; false when it has none. */
bool decision_read(struct arena *a, str json, struct decision *out);

#endif
