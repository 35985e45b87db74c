/*
 * The queue: every message between our positive reply and its mailbox, the next server, or the report to its sender.
 *
 * Rows are the truth (store/store_queue.h); the schedule in memory knows what is due (schedule.h). The two meet in one way only: a
 * function that runs in a writing transaction changes rows and notes in `struct queue_changes` what the schedule is to
 * know; queue_apply() tells the schedule after the commit. When the commit failed the changes are forgotten, and queue_give_back()
 * makes the jobs due again. So a crash at any point leaves rows from which queue_load() rebuilds the same schedule:
 *
 *	event                         transaction                                    schedule after it
 *	message accepted              body + message + entries + events              jobs waiting, due now
 *	job handed out                -                                              active (a crash: due again)
 *	delivered to a mailbox        mailbox row + entry gone (last: message too)   gone
 *	relayed                       entry gone (last: message too)                 gone
 *	failed for now, or put off    entry: attempt, next time                      waiting until then
 *	failed for good, expired      entry: DSN due, or gone when nobody is told    gone; DSN job
 *	DSN rendered                  DSN's own message + entries; entry gone        gone; the DSN's jobs
 *
 * Delivery to a mailbox and removal are one transaction, so it happens once. Relaying may happen twice when we die between the
 * peer's "250" and our commit (RFC 5321 4.5.3.2 and RFC 1047 know this).
 *
 * Any thread may call; one mutex inside guards the schedule. No fail of a single message stops the others.
 */
#ifndef OFFICE_QUEUE_QUEUE_H
#define OFFICE_QUEUE_QUEUE_H

#include "office/directory/directory.h"
#include "office/queue/policy.h"
#include "office/queue/schedule.h"
#include "office/store/writer.h"

enum queue_limit {
	QUEUE_ENVID = 100,         /* RFC 3461 5.4 */
	QUEUE_ORCPT = 500,         /* RFC 3461 5.4 */
	QUEUE_EXPANDED_SHOWN = 50, /* events of one message about what its aliases became */
	QUEUE_TEXT = 500,          /* of a peer's reply, as we keep it */
	QUEUE_GATHER_MS =
	    3000, /* failures of one message within this go into one DSN (THREATS Q04) */
	QUEUE_BUSY_MS = 1000, /* and up to as much again, when a site was busy or a commit failed */
	QUEUE_BUSY_DOUBLED = 9, /* times, at most: when it fails again and again */
	QUEUE_LEASE_MS =
	    15 * 60 *
	    1000, /* of a job in the mda's hands; those of relay have the times of RFC 5321 4.5.3.2 */
	QUEUE_CLOCK_MS = 1000, /* longest sleep of the clock: the wall clock may jump */
};

struct queue_options {
	struct store *store;
	struct directory *directory;
	struct policy policy;
	u32 per_site, deliveries;
	u32 hops, recipients; /* most of each */
	u64 size;             /* largest message */
};

struct queue;
struct queue *queue_new(const struct queue_options *o);
void queue_free(struct queue **q);
/* The schedule from the rows. Once, before anything else. */
const struct fail *queue_load(struct queue *q, struct arena *a);
/* New numbers after a reload: policy, per_site, deliveries, hops, recipients, size. */
void queue_configure(struct queue *q, const struct queue_options *o);

/* --- Changes of a transaction ------------------------------------------------------------------------------- */

struct queue_change;
struct queue_changes {
	struct arena *arena;
	struct queue_change *first, **last;
};
void queue_changes_init(struct queue_changes *c, struct arena *a);
/* After the commit. Hands out what became due. */
void queue_apply(struct queue *q, const struct queue_changes *c);

/* --- Mail in ------------------------------------------------------------------------------------------------ */

/* account: who submits it, or 0: from outside; then every recipient must live here. */
struct queue_arrival {
	u64 id, account;
	const struct client_info *client;
	const struct envelope *envelope;
	const struct body_draft *body;
	bool junk;
	str subject;  /* decoded; empty: as the skeleton has it */
	str decision; /* why it was taken (verdict/decision.h); or empty */
};
/* Any thread, before the transaction: is the envelope one that may be (nothing an edge sends is trusted)? */
const struct fail *queue_check(struct queue *q, struct arena *a, const struct queue_arrival *m);
const struct fail *queue_commit(struct tx *t, struct queue *q, const struct queue_arrival *m,
				struct queue_changes *c);

/* --- Jobs out ------------------------------------------------------------------------------------------------ */

/* A puller that waits. give is called once, with the queue locked (so it must not call back), when there are jobs; n 0: the peer is
 * gone, or the queue ends. The caller owns the struct until then. */
struct queue_waiter {
	struct queue_waiter *next;
	enum schedule_lane lane;
	u64 peer;
	size_t max;
	void (*give)(struct queue_waiter *w, const struct schedule_job *jobs, size_t n);
};
void queue_wait(struct queue *q, struct queue_waiter *w);
/* Fills in what the peer is to know of a job it was given. NOT_FOUND: it went meanwhile, and the schedule forgot it; or the peer has died, and
 * the job may be in another's hands. */
const struct fail *queue_job_read(struct tx *t, struct queue *q, const struct schedule_job *given,
				  u64 peer, struct job *out);
/* DENIED when this peer does not hold the job. */
const struct fail *queue_job_message(struct queue *q, struct arena *a, u64 job, u64 peer,
				     u64 *message);

/* The peer said how it went: from now on its death is no matter. DENIED when it does not hold the job. */
const struct fail *queue_settle(struct queue *q, struct arena *a, u64 job, u64 peer);
/* The rows of a job in this peer's hands cannot be read: it stops itself only, and is looked at again, later each time. */
void queue_set_aside(struct queue *q, u64 job, u64 peer);
/* It was given, but nobody looked at it: due again, as before. */
void queue_put_back(struct queue *q, u64 job, u64 peer);
/* What was settled could not be committed: due again soon; in the mda's lane later each time. */
void queue_give_back(struct queue *q, u64 job);
/* The peer's connection ended: its jobs are due again (or held: poison), its waiters go. */
void queue_peer_gone(struct queue *q, u64 peer);
/* The peer is about to end in order: the same, but nothing of it is a death. */
void queue_peer_leaves(struct queue *q, u64 peer);

/* taken: it was a report and is kept as one, so it goes into no mailbox when there is none at its address. */
const struct fail *queue_deliver(struct tx *t, struct queue *q, const struct delivery *d,
				 bool taken, struct queue_changes *c);
const struct fail *queue_attempt(struct tx *t, struct queue *q,
				 const struct office_attempt_done_request *r,
				 struct queue_changes *c);
/* body NULL: no report is to be sent. */
const struct fail *queue_dsn(struct tx *t, struct queue *q, u64 job, const struct body_draft *body,
			     struct queue_changes *c);

/* A message of our own for these addresses, here or elsewhere: null sender, and nobody is told what becomes of it. *id 0: none of them is
 * anybody's. Check them before the transaction. */
const struct fail *queue_own_check(struct arena *a, const str *recipients, size_t n);
const struct fail *queue_own(struct tx *t, struct queue *q, const str *recipients, size_t n,
			     const struct body_draft *body, struct queue_changes *c, u64 *id);

/* --- The clock ----------------------------------------------------------------------------------------------- */

/* Hands out what is due, and says when the next job will be (UINT64_MAX: none waits). */
u64 queue_pump(struct queue *q);
/* pump, sleep, again, until queue_stop. A thread's whole life. */
void queue_run(struct queue *q);
void queue_stop(struct queue *q);

/* --- Administration -------------------------------------------------------------------------------------------- */

/* Those of QUEUE_WAITING that are in a peer's hands become QUEUE_ACTIVE; jobs: of each. */
void queue_mark_active(struct queue *q, struct queue_info *infos, const u64 *jobs, size_t n);
const struct fail *queue_change_all(struct tx *t, struct queue *q, u64 message,
				    enum queue_action action, u32 *count, struct queue_changes *c);

#endif
