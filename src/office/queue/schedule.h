/*
 * schedule: what is due when, and who may have it. All in memory, rebuilt from the queue's rows at start; no disk, no lock,
 * no clock but the one it is given, so that the simulator runs it as it is (ARCHITECTURE 7). Whoever owns it locks around it.
 *
 * A job is the recipients of one message that travel together: one account, or one destination domain. It is
 *
 *	WAITING  in the heap until its time          HELD      by the administrator or because it is poison
 *	READY    in the line of its site             ACTIVE    leased to a peer
 *	SETTLING the peer has said how it went, the commit is under way: the peer's death no longer matters
 *
 *	add -> WAITING -> READY -> ACTIVE -> SETTLING -> gone (schedule_finish), or WAITING again (schedule_again)
 *	                    ^--------+ the peer died
 *
 * A site is a domain, until an attempt has found out which servers it has: then it is those (a smarthost has all domains).
 *
 * Sites take turns: one job each, so a thousand messages for one domain delay the next domain's by one job. A site has at
 * most `per_site` active jobs, its lane `total`.
 *
 * A relay's attempt at a tarpit takes as long as the RFC has us wait (THREATS Q06). A site that kept a peer for SCHEDULE_SLOW_MS is slow until it is
 * done with a job in time: its jobs no longer count among the `total` of the others, and no more than half as many of its kind begin. So
 * tarpits hold up the others for SCHEDULE_SLOW_MS, once; and twice `total` are active at most.
 *
 * Poison (THREATS Q05): a job that was active when its peer died is suspect. In the mda's lane suspects go before all others and alone,
 * so that a further death has one cause only; SCHEDULE_DEATHS of those and the job is held. A relay's attempts last minutes,
 * so there suspects are spread in time instead, and more deaths are needed.
 */
#ifndef OFFICE_QUEUE_SCHEDULE_H
#define OFFICE_QUEUE_SCHEDULE_H

#include "bus/office.h"
#include "office/table.h"

enum schedule_lane { LANE_MDA, LANE_RELAY, LANES };

enum schedule_limit {
	SCHEDULE_SITE_NAME = 256,
	SCHEDULE_DEATHS =
	    3, /* the first may have been among others; the two that follow were alone */
	SCHEDULE_DEATHS_RELAY = 5,
	SCHEDULE_SLOW_MS = 60 * 1000,
	SCHEDULE_BUSY_MS = 1000, /* and up to as much again, and for each that waits there */
	SCHEDULE_BUSY_EACH_MS = 4,
	SCHEDULE_SPREAD_MS = 5000, /* of a suspect's next try; doubled with each death */
	SCHEDULE_UNREAD_MS = 1000, /* until its rows are read again; doubled each time */
	SCHEDULE_UNREAD_MOST_MS = 60 * 60 * 1000,
};

enum schedule_state { JOB_WAITING, JOB_READY, JOB_ACTIVE, JOB_SETTLING, JOB_HELD };

struct schedule;

struct schedule_job {
	u64 id, message;
	u64 due; /* wall clock, ms */
	enum job_kind kind;
	enum schedule_state state;
	u32 attempts; /* finished ones */
};

struct schedule *schedule_new(const struct env *e, u32 per_site, u32 total);
void schedule_free(struct schedule **s);
void schedule_limits(struct schedule *s, u32 per_site, u32 total);

/* site: destination domain, or the account's number as text. job.state is WAITING or HELD. */
void schedule_add(struct schedule *s, const struct schedule_job *job, str site);
/* A DSN of this kind is due for the message: joins the one that waits, or comes after the one under way. */
void schedule_add_dsn(struct schedule *s, u64 id, u64 message, enum job_kind kind, u64 due);

/* When the earliest waiting job is due; UINT64_MAX: none waits. */
u64 schedule_next_due(const struct schedule *s);
/* The world's clock was set back by so much: what waits is due as soon as it was (THREATS F16). */
void schedule_set_back(struct schedule *s, u64 ms);
/* At most max jobs for this peer, which now holds them. */
size_t schedule_take(struct schedule *s, enum schedule_lane lane, u64 peer, size_t max,
		     struct schedule_job *out);
bool schedule_holds(const struct schedule *s, u64 job, u64 peer, struct schedule_job *out);
/* ACTIVE -> SETTLING; false when the peer does not hold it. */
bool schedule_settle(struct schedule *s, u64 job, u64 peer);
void schedule_finish(struct schedule *s,
		     u64 job); /* it is gone (or, a DSN joined meanwhile, due again) */
/* SETTLING -> WAITING. */
void schedule_again(struct schedule *s, u64 job, u64 due, u32 attempts);
/* A job that waits is one of this site from now on, where its domain's servers turned out to be. Empty: not known. */
void schedule_move(struct schedule *s, u64 job, str site);
/* SETTLING -> WAITING: the site has all it may. The more wait for it, the later, so that those who look do no more when there is more to do. */
void schedule_busy(struct schedule *s, u64 job, str site);
/* SETTLING -> WAITING, later each time: its rows could not be read. Damage stays; a disk that failed once does not, and SQLite says
 * "malformed" of both. */
void schedule_unread(struct schedule *s, u64 job);
/* Whether a peer has held a job of this lane for so long; *peer is one that has. */
bool schedule_overdue(const struct schedule *s, enum schedule_lane lane, u64 ms, u64 *peer);
/* Its jobs are due again. Poisoned ones are held; up to max of them come back so that the rows can follow; call until 0. */
size_t schedule_peer_gone(struct schedule *s, u64 peer, u64 *poisoned, size_t max);
/* It ends in order: its jobs are due again, none of them suspect. */
void schedule_peer_leaves(struct schedule *s, u64 peer);

/* The administrator's hand. Jobs that are not there, or not in a state for it, are left alone. */
void schedule_retry(struct schedule *s, u64 job, u64 now);
void schedule_hold(struct schedule *s, u64 job); /* an active one after its attempt */
void schedule_release(struct schedule *s, u64 job, u64 now);
void schedule_drop(struct schedule *s, u64 job);

bool schedule_find(const struct schedule *s, u64 job, struct schedule_job *out);
size_t schedule_count(const struct schedule *s);
/* Jobs of this message that had no attempt yet, or have one under way; DSNs not counted. */
size_t schedule_unsettled(const struct schedule *s, u64 message);
void schedule_check(const struct schedule *s); /* invariants; for tests and the simulator */

#endif
