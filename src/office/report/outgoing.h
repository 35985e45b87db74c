/*
 * DMARC reports to other domains (RFC 9990, RFC 9991): what they are made of, and when they are due. The facts come typed from edge/mx;
 * mda pulls a report, asks DNS who may get it, writes it, and hands it back.
 *
 *	event                        transaction                                           report after it
 *	message judged               row counted, report made or brought up to date         gathering, due after midnight UTC plus chance
 *	`postern dmarc send`         closed and due now; what comes later is another report  closed
 *	report handed out            attempt counted, due again later                        closed
 *	mda: written                 message queued + rows gone + state, one transaction     sent
 *	mda: nobody is to get it     rows gone + state                                       unsent
 *	mda: DNS does not answer     why                                                     closed, due again later
 *
 * So a message is counted in one report, a report is handed out by an attempt that the commit must name, and only the last attempt
 * may send it, once: a death anywhere, also between writing and commit, leaves it due again later, or sent.
 *
 * Limits stand below; what is beyond them is counted in `dropped` and told to whom gets the report. Reports about single messages wait
 * in a short queue of their own; an address and all together get so many an hour, the rest is forgotten. Aggregate reports to one address are
 * limited too (THREATS R05), and wait.
 *
 * Functions with a tx run on the writer's thread or a reader's; the others on any.
 */
#ifndef OFFICE_REPORT_OUTGOING_H
#define OFFICE_REPORT_OUTGOING_H

#include "office/queue/queue.h"
#include "office/store/store_outgoing.h"

enum outgoing_limit {
	OUTGOING_FACTS = 512,    /* of one event_add */
	OUTGOING_DOMAINS = 5000, /* reports of one day */
	OUTGOING_ROWS = 2000,    /* of one report */
	OUTGOING_URIS = 10,      /* of one record */
	OUTGOING_SIGNATURES = 8, /* of one message */
	OUTGOING_TEXT = 500,     /* bytes of any text of a fact but the header */
	OUTGOING_HEADER = 16 * 1024,
	OUTGOING_FAILURES =
	    500, /* reports about single messages that wait; further ones are forgotten */
	OUTGOING_FAILURES_ALL = 10, /* times dmarc.failure_rate: of all addresses in an hour */
	OUTGOING_RECIPIENTS = 5,    /* of one report */
	OUTGOING_RATE =
	    200, /* aggregate reports that one address gets in an hour (THREATS R05); others wait */
	OUTGOING_TRIES = 8,
	OUTGOING_AGAIN_MS = 10 * 60 * 1000,      /* after the first attempt; doubled each time */
	OUTGOING_SPREAD_MS = 4 * 60 * 60 * 1000, /* after midnight, by chance */
	OUTGOING_WHY = 300,
};

/* Nothing an edge sends is trusted: INVALID when a fact is not one. */
const struct fail *outgoing_check(struct arena *a, const struct dmarc_fact *facts, size_t n);
/* Counts them. *due: when something new is due, if it is earlier. */
const struct fail *outgoing_note(struct tx *t, u64 rate, const struct dmarc_fact *facts, size_t n,
				 u64 *due);
/* Hands one out; r->id 0: none is due, and *due says when the next will be. */
const struct fail *outgoing_take(struct tx *t, struct office_report_next_answer *r, u64 *due);
/* body NULL: none came. */
const struct fail *outgoing_commit(struct tx *t, struct queue *q, u64 rate,
				   const struct office_report_commit_request *r,
				   const struct body_draft *body, struct queue_changes *c);

#endif
