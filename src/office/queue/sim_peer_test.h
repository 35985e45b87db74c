/*
 * mda, relay and the servers beyond it, in a simulated life: they take jobs, hold them while the clock goes on, answer, or die with them.
 * What a far server said yes to is in the ledger at once, whatever becomes of us.
 */
#ifndef OFFICE_QUEUE_SIM_PEER_TEST_H
#define OFFICE_QUEUE_SIM_PEER_TEST_H

#include "office/queue/sim_work_test.h"

enum { SIM_SLACK = 2000 /* ms: of the clock between our question and the office's */ };

static inline void peer_begin(struct life *l, size_t i)
{
	l->peers[i] =
	    (struct sim_peer){ .lane = i % 2 ? LANE_RELAY : LANE_MDA, .number = ++l->next_peer };
}

static inline void peer_die(struct life *l, size_t i)
{
	queue_peer_gone(l->d.queue, l->peers[i].number);
	peer_begin(l, i);
}

/* --- mda --- */

static inline void op_settle(struct sim_op *op, const struct sim_peer *p, const struct job *job)
{
	op->queue_job = job->id;
	must(queue_settle(op->life->d.queue, op->arena, job->id, p->number));
}

static void deliver_ended(struct sim_op *op, enum sim_known known)
{
	struct sim *s = op->life->s;
	bool placed = known == KEPT && op->count;

	SIM_CHECK(known != KEPT || placed || op->account == SIM_BOB + 1,
		  "LOST: mark %u was put off by account 1", op->mark);
	if (known != MAYBE)
		sim_expect_ended(sim_box(s, op->account, 0), op->mark, 0, placed ? KEPT : NEVER);
	if (placed)
		s->items[op->mark].placed[op->account - 1] = true;
	s->delivered += placed;
	s->put_off += known == KEPT && !placed;
	if (op->half && known == KEPT) /* as if mda had died between the two */
		queue_give_back(op->life->d.queue, op->queue_job);
}

static const struct fail *deliver_run(struct tx *t, struct sim_op *op)
{
	struct placement p = { .body = op->message };
	struct placed placed;

	u64 rows;
	bool found;

	op->half = op->life->s->w.broken == BREAK_ONCE && sim_below(&op->life->s->w, 10) == 0;
	op->count = 1;
	if (op->half)
		return store_deliver(t, op->account, SPECIAL_INBOX, &p, &placed);
	TRY(queue_deliver(t, op->life->d.queue, &op->delivery, false, &op->changes));
	TRY(sql_one_u64(t->arena, ask_placed(t, op->account, op->message), &rows, &found));
	op->count = (u32)rows;
	return NULL;
}

static inline void mda_deliver(struct life *l, const struct sim_peer *p, const struct job *job)
{
	struct sim_item *item = sim_item_of(l->s, job->size);
	struct sim_op *op = op_new(l);

	op->account = job->account;
	op->mark = sim_mark_of(l->s, item);
	SIM_CHECK(op->account - 1 < SIM_ACCOUNTS && item->here[op->account - 1],
		  "MISDELIVERED: mark %u to account %llu", op->mark,
		  (unsigned long long)op->account);
	SIM_CHECK(!item->placed[op->account - 1], "DUPLICATE: mark %u is delivered again",
		  op->mark);
	SIM_CHECK(!item->given_up || op->account != SIM_BOB + 1,
		  "DUPLICATE: mark %u is delivered after its end", op->mark);
	op->message = job->message;
	op->delivery = (struct delivery){ .job = job->id, .special = SPECIAL_INBOX };
	op->run = deliver_run;
	op->ended = deliver_ended;
	op_settle(op, p, job);
	sim_expect(sim_box(l->s, op->account, 0),
		   (struct sim_expected){ .mark = op->mark, .known = MAYBE });
	op_submit(op);
}

static size_t far_of(str address)
{
	size_t i = address.n ? (size_t)(address.p[0] - 'a') : SIM_FAR;

	SIM_CHECK(i < SIM_FAR, "GHOST: recipient %.*s", STR_ARG(address));
	return i;
}

/* The sender was told: now it counts. */
static inline void report_kept(struct sim *s, struct sim_item *report)
{
	struct sim_item *about = &s->items[report->about];

	for (size_t i = 0; i < SIM_FAR; i++)
		about->reported[i] |= report->tells[i];
	about->given_up |= report->tells_of_bob;
}

static void report_ended(struct sim_op *op, enum sim_known known)
{
	struct sim *s = op->life->s;

	if (known == KEPT &&
	    op->count == 0) /* meanwhile there was nothing to tell: a delay that is over */
		known = NEVER;
	s->items[op->mark].known = known;
	if (known == KEPT)
		report_kept(s, &s->items[op->mark]);
	s->reports += known == KEPT;
}

static const struct fail *report_run(struct tx *t, struct sim_op *op)
{
	u64 bodies;
	bool found;

	TRY(queue_dsn(t, op->life->d.queue, op->queue_job, &op->draft, &op->changes));
	TRY(sql_one_u64(
	    t->arena,
	    SQL_QUERY(t->db, "SELECT count(*) FROM body WHERE size = ?", SQL_U64(op->draft.size)),
	    &bodies, &found));
	op->count = (u32)bodies;
	return NULL;
}

static inline void report_of(const struct sim_item *about, struct sim_item *report, str address)
{
	bool bob = str_eq(address, str_cstr(sim_people[SIM_BOB]));
	size_t far = bob ? 0 : far_of(address);

	SIM_CHECK(bob ? !about->given_up && !about->placed[SIM_BOB] : !about->reported[far],
		  "DUPLICATE: report of mark %u", report->about);
	if (bob)
		report->tells_of_bob = true;
	else
		report->tells[far] = true;
}

/* A report is a message of its own, to the sender, who lives here. */
static inline void mda_report(struct life *l, const struct sim_peer *p, const struct job *job)
{
	struct sim_item *about = sim_item_of(l->s, job->size),
			*item = sim_item_new(l->s, ITEM_REPORT);
	struct sim_op *op;

	SIM_CHECK(item, "more reports than messages: %u", l->s->reports);
	SIM_CHECK(!about->null_sender && about->kind == ITEM_LETTER,
		  "REPORT to a null sender, of mark %u", sim_mark_of(l->s, about));
	op = op_new(l);
	item->here[0] = true;
	item->about = sim_mark_of(l->s, about);
	for (size_t i = 0; i < job->entries_n && job->kind == JOB_DSN_FAILURE; i++)
		report_of(about, item, job->entries[i].address);
	op->mark = sim_mark_of(l->s, item);
	draft_make(l, op->arena, sim_size_of(op->mark), &op->draft);
	op->run = report_run;
	op->ended = report_ended;
	op_settle(op, p, job);
	op_submit(op);
}

/* --- relay --- */

static inline u64 shortest_wait(const struct life *l, u32 attempts)
{
	u64 wait = 300000; /* what the sample configuration says; the office's own is in d.policy */

	for (u32 i = 1; i < attempts && wait < l->d.policy.retry_most; i++)
		wait *= 2;
	if (wait > l->d.policy.retry_most)
		wait = l->d.policy.retry_most;
	return wait - wait / 4;
}

/* Neither too early, nor after its end, nor more often than the waits allow. */
static inline void check_attempt(struct life *l, const struct job *job)
{
	struct sim_item *item = sim_item_of(l->s, job->size);
	u64 now = l->s->w.latest; /* a clock set back does not unsay that it was time */

	for (size_t i = 0; i < job->entries_n; i++) {
		size_t far = far_of(job->entries[i].address);
		SIM_CHECK(item->there[far], "MISDELIVERED: mark %u to %zu", sim_mark_of(l->s, item),
			  far);
		SIM_CHECK(!item->over[far], "DUPLICATE: mark %u tried after its end",
			  sim_mark_of(l->s, item));
		SIM_CHECK(now + SIM_SLACK >= item->not_before[far],
			  "POLICY: mark %u to %zu is tried %llu s early", sim_mark_of(l->s, item),
			  far, (unsigned long long)(item->not_before[far] - now) / 1000);
		SIM_CHECK(item->attempts[far] < 60, "POLICY: mark %u is tried for ever",
			  sim_mark_of(l->s, item));
	}
}

static inline enum attempt_outcome far_answer(struct life *l, const struct job *job)
{
	u64 dice = sim_below(&l->s->w, 10);

	if (far_of(job->entries[0].address) == SIM_FAR_DEAD)
		return ATTEMPT_TEMP;
	return dice < 5   ? ATTEMPT_DELIVERED
	       : dice < 8 ? ATTEMPT_TEMP
	       : dice < 9 ? ATTEMPT_BUSY
			  : ATTEMPT_PERM;
}

static void attempt_ended(struct sim_op *op, enum sim_known known)
{
	struct life *l = op->life;
	struct sim_item *item = &l->s->items[op->mark];
	u64 now = l->s->w.clock, end = op->expires, next;

	for (size_t i = 0; i < op->far_n; i++) {
		size_t far = op->far[i];
		if (op->outcome == ATTEMPT_DELIVERED && known == KEPT)
			item->excused[far]--;
		if (known != KEPT || op->outcome == ATTEMPT_BUSY)
			continue;
		item->over[far] = op->outcome != ATTEMPT_TEMP || now > end + SIM_SLACK;
		next = now + shortest_wait(l, ++item->attempts[far]);
		/* The last attempt is made at the end, also when that is very soon. */
		item->not_before[far] = next < end ? next : end;
	}
	l->s->relays += known == KEPT;
}

static const struct fail *attempt_run(struct tx *t, struct sim_op *op)
{
	return queue_attempt(t, op->life->d.queue, &op->attempt, &op->changes);
}

static inline void attempt_results(struct sim_op *op, const struct job *job)
{
	struct attempt_result *results =
	    arena_array_of(op->arena, job->entries_n, struct attempt_result);

	op->attempt = (struct office_attempt_done_request){ .job = job->id,
							    .site = S("mx.remote.example"),
							    .remote_mta = S("mx.remote.example"),
							    .results = results,
							    .results_n = job->entries_n };
	for (size_t i = 0; i < job->entries_n; i++)
		results[i] =
		    (struct attempt_result){ .entry = job->entries[i].entry,
					     .outcome = (u8)op->outcome,
					     .code = op->outcome == ATTEMPT_PERM ? S("5.1.1")
										 : S("4.4.1"),
					     .text = S("said so") };
}

/* dies: between the other's "250" and our commit. */
static inline void relay_answer(struct life *l, size_t peer, const struct job *job, bool dies)
{
	struct sim_item *item = sim_item_of(l->s, job->size);
	struct sim_op *op;

	op = op_new(l);
	op->mark = sim_mark_of(l->s, item);
	op->outcome = far_answer(l, job);
	op->expires = job->expires;
	for (size_t i = 0; i < job->entries_n; i++) {
		op->far[op->far_n] = far_of(job->entries[i].address);
		if (op->outcome == ATTEMPT_DELIVERED) {
			item->relayed[op->far[op->far_n]]++;
			item->excused[op->far[op->far_n]]++; /* until our commit is heard of */
		}
		op->far_n++;
	}
	if (dies) {
		struct arena *a = op->arena; /* op lies in it */
		peer_die(l, peer);
		arena_free(&a);
		return;
	}
	attempt_results(op, job);
	op->run = attempt_run;
	op->ended = attempt_ended;
	op_settle(op, &l->peers[peer], job);
	op_submit(op);
}

/* --- Turns --- */

static inline void check_turn(struct life *l, u64 message)
{
	if (message == l->watched)
		l->watched = 0;
	else if (l->watched)
		SIM_CHECK(--l->turns_left > 0, "STARVED: a site's only message waits");
}

static inline void peer_take(struct life *l, size_t i)
{
	struct sim_peer *p = &l->peers[i];
	size_t room = SIM_HELD - p->n, n;

	if (room == 0)
		return;
	n = desk_take(&l->d, p->lane, p->number, 1 + sim_below(&l->s->w, room));
	for (size_t k = 0; k < n; k++) {
		p->jobs[p->n++] = l->d.taken[k];
		if (p->lane == LANE_RELAY)
			check_turn(l, l->d.taken[k].message);
	}
}

static inline void peer_answer(struct life *l, size_t i, bool dies)
{
	struct sim_peer *p = &l->peers[i];
	struct schedule_job given = p->jobs[0];
	const struct fail *f;
	struct job job;

	memmove(p->jobs, p->jobs + 1, --p->n * sizeof p->jobs[0]);
	f = desk_read(&l->d, &given, p->number, &job);
	if (f && f->what != FAIL_NOT_FOUND)
		sim_fail("CORRUPT: a job cannot be read: %.*s", STR_ARG(f->text));
	if (f)
		return;
	if (p->lane == LANE_RELAY) {
		check_attempt(l, &job);
		relay_answer(l, i, &job, dies);
	} else if (dies) {
		peer_die(l, i);
	} else if (job.kind == JOB_DELIVER) {
		mda_deliver(l, p, &job);
	} else {
		mda_report(l, p, &job);
	}
	life_commit_perhaps(l);
}

static inline void step_peer(struct life *l)
{
	size_t i = sim_below(&l->s->w, SIM_PEERS);

	if (l->peers[i].n == 0 || sim_below(&l->s->w, 4) == 0)
		peer_take(l, i);
	if (l->peers[i].n && sim_below(&l->s->w, 4))
		peer_answer(l, i, !l->draining && sim_below(&l->s->w, 20) == 0);
}

/* --- The administrator --- */

static void room_ended(struct sim_op *op, enum sim_known known)
{
	(void)op;
	(void)known;
}

static const struct fail *room_run(struct tx *t, struct sim_op *op)
{
	return SQL_RUN(t->arena, t->db, "UPDATE account SET quota_bytes = ? WHERE id = ?",
		       SQL_U64(op->count), SQL_U64(SIM_BOB + 1));
}

/* Bob's, in octets; 0: no limit. */
static inline void step_room(struct life *l, u32 quota)
{
	struct sim_op *op = op_new(l);

	op->count = quota;
	op->run = room_run;
	op->ended = room_ended;
	op_submit(op);
	life_commit(l);
}

/* They are over, or may be: what is tried now is not early. */
static inline void waits_forget(struct sim *s)
{
	for (u32 i = 0; i < s->items_n && s->waits_asked; i++)
		memset(s->items[i].not_before, 0, sizeof s->items[i].not_before);
	s->waits_asked = false;
}

/* A start: what waits longer than any wait was written before the clock was set back, and is due now (queue_load; seed 124395). */
static inline void waits_of_another_clock(struct life *l)
{
	u64 most = l->s->w.clock + l->d.policy.retry_most;

	for (u32 i = 0; i < l->s->items_n; i++)
		for (size_t far = 0; far < SIM_FAR; far++)
			if (l->s->items[i].not_before[far] > most)
				l->s->items[i].not_before[far] = 0;
}

static void admin_ended(struct sim_op *op, enum sim_known known)
{
	struct sim *s = op->life->s;

	s->waits_asked = known != NEVER;
	waits_forget(s);
}

static const struct fail *admin_run(struct tx *t, struct sim_op *op)
{
	return queue_change_all(t, op->life->d.queue, 0, op->action, &op->count, &op->changes);
}

static inline void step_admin(struct life *l, enum queue_action action)
{
	struct sim_op *op = op_new(l);

	op->action = action;
	op->run = admin_run;
	op->ended = admin_ended;
	l->s->waits_asked = true; /* a kill between commit and end leaves it */
	op_submit(op);
	life_commit(l);
}

#endif
