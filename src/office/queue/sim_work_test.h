/*
 * What people, peers and the administrator ask of the office in a simulated life. Each operation is a job of the group commit: when it
 * is submitted the ledger says MAYBE, when its done is called KEPT or NEVER; a life that ends between leaves the MAYBE.
 */
#ifndef OFFICE_QUEUE_SIM_WORK_TEST_H
#define OFFICE_QUEUE_SIM_WORK_TEST_H

#include "office/queue/sim_ledger_test.h"

enum { SIM_PEERS = 4, SIM_HELD = 4, SIM_PENDING = 6, SIM_FLOOD = 5 };

struct sim_peer {
	enum schedule_lane lane;
	u64 number;
	size_t n;
	struct schedule_job jobs[SIM_HELD];
};

struct life {
	struct sim *s;
	struct desk d;
	struct sim_peer peers[SIM_PEERS];
	u64 next_peer;
	u32 pending;
	u64 watched; /* a message for a site that has no other: its turn comes soon */
	u32 turns_left;
	bool draining;
};

struct sim_op {
	struct write_job job;
	struct arena *arena;
	struct life *life;
	const struct fail *(*run)(struct tx *t, struct sim_op *op);
	void (*ended)(struct sim_op *op, enum sim_known known);
	u64 queue_job; /* settled, to be given back when it fails */
	bool half;     /* delivered, and not off the queue: BREAK_ONCE */
	struct queue_changes changes;
	bool has_changes;
	u64 account;
	size_t name;
	u32 mark, uid;
	u64 flags, message;
	enum attempt_outcome outcome;
	struct body_draft draft;
	/* of the kinds */
	struct desk_mail mail;
	struct delivery delivery;
	struct office_attempt_done_request attempt;
	size_t far[SIM_FAR], far_n;
	u64 expires;
	struct uid_range range;
	struct office_message_flags_request flags_q;
	struct office_message_expunge_request expunge_q;
	struct office_message_copy_request copy_q;
	struct office_message_copy_answer copied;
	struct office_message_append_answer appended;
	enum queue_action action;
	u32 count;
};

/* --- Jobs of the group commit --- */

static inline struct sim_op *op_new(struct life *l)
{
	struct arena *a = arena_new(4 << 20);
	struct sim_op *op = arena_new_of(a, struct sim_op);

	op->arena = a;
	op->life = l;
	return op;
}

static const struct fail *op_run(struct tx *t, struct write_job *job)
{
	struct sim_op *op = (struct sim_op *)(void *)job;

	queue_changes_init(&op->changes, t->arena);
	op->has_changes = true;
	return op->run(t, op);
}

static void op_done(struct write_job *job, const struct fail *f)
{
	struct sim_op *op = (struct sim_op *)(void *)job;
	struct arena *a = op->arena;
	struct life *l = op->life;
	bool forgets = l->s->w.broken == BREAK_SCHEDULE && op->mail.arrival.id;

	l->pending--;
	if (f && op->queue_job)
		queue_give_back(l->d.queue, op->queue_job);
	if (f == NULL && op->has_changes && !forgets)
		queue_apply(l->d.queue, &op->changes);
	op->ended(op, f == NULL ? KEPT : f->what == FAIL_UNAVAILABLE ? MAYBE : NEVER);
	l->s->operations++;
	arena_free(&a); /* op lies in it */
}

static inline void op_submit(struct sim_op *op)
{
	op->job = (struct write_job){ .run = op_run, .done = op_done, .arena = op->arena };
	op->job.frees = op->expunge_q.uids_n > 0;
	op->life->pending++;
	writer_submit(op->life->d.w.store, &op->job);
}

/* A broken store ends the life, as it ends the office. */
static inline void life_commit(struct life *l)
{
	while (writer_run_once(l->d.w.store))
		;
	if (store_is_broken(l->d.w.store))
		_exit(SIM_RESTART);
}

static inline void life_commit_perhaps(struct life *l)
{
	if (l->draining || l->pending >= SIM_PENDING || sim_below(&l->s->w, 2))
		life_commit(l);
}

/* A message of exactly this many octets. */
static inline void draft_make(struct life *l, struct arena *a, u64 size, struct body_draft *out)
{
	struct buf *b = buf_new(a, 1 << 20);
	struct skeleton_parser *p = skeleton_parser_new(a);
	const struct skeleton *s;
	str encoded;

	buf_printf(b, "From: a@example.test\r\nTo: b@example.test\r\nSubject: message %llu\r\n\r\n",
		   (unsigned long long)size);
	while (b->n + 80 < size)
		buf_add(b, S("0123456789 0123456789 0123456789 0123456789 0123456789\r\n"));
	while (b->n + 2 < size)
		buf_add_byte(b, 'x');
	buf_add(b, S("\r\n"));
	CHECK(b->n == size);
	must(skeleton_feed(p, buf_str(b)));
	must(skeleton_finish(p, &s));
	encoded = skeleton_encode(a, s);
	buf_add(b, encoded);
	must(store_body_check(
	    a, l->d.w.store,
	    &(struct message_body){
		.bytes = buf_str(b), .file = -1, .size = size, .skeleton = encoded.n },
	    out));
}

/* --- Mail comes in --- */

static const struct fail *arrive_run(struct tx *t, struct sim_op *op)
{
	return queue_commit(t, op->life->d.queue, &op->mail.arrival, &op->changes);
}

static void arrive_ended(struct sim_op *op, enum sim_known known)
{
	struct sim *s = op->life->s;
	struct sim_item *item = &s->items[op->mark];

	if (s->w.broken != BREAK_PROMISE)
		item->known = known;
	if (known != KEPT)
		return;
	s->acknowledged++;
	SIM_CHECK(item->id > s->last_id, "UID: an id that is not above those before");
	s->last_id = item->id;
}

static inline void arrive_to(struct sim_op *op, struct sim_item *item)
{
	static char fresh[64];

	for (size_t i = 0; i < SIM_ACCOUNTS; i++)
		if (item->here[i])
			mail_to(&op->mail, i == SIM_BOB ? sim_friend : "alice+tag@example.test", 0);
	for (size_t i = 0; i < SIM_FAR; i++) {
		if (!item->there[i])
			continue;
		snprintf(fresh, sizeof fresh, "e@fresh%u.example", op->mark);
		mail_to(&op->mail,
			i == SIM_FAR_FRESH ? cstr(op->arena, str_copy(op->arena, str_cstr(fresh)))
					   : sim_far[i],
			0);
	}
}

static inline struct sim_item *life_arrive(struct life *l, struct sim_item wanted)
{
	struct sim *s = l->s;
	struct sim_item *item = sim_item_new(s, ITEM_LETTER);
	struct sim_op *op;

	if (item == NULL)
		return NULL;
	op = op_new(l);
	op->mark = sim_mark_of(s, item);
	*item = wanted;
	item->known = s->w.broken == BREAK_PROMISE ? KEPT : MAYBE;
	item->id = store_id_now(l->d.w.store);
	item->arrived = s->w.clock;
	op->mail.arrival = (struct queue_arrival){ .id = item->id,
						   .account = 1,
						   .client = &op->mail.client,
						   .envelope = &op->mail.envelope,
						   .body = &op->draft };
	op->mail.envelope.sender = item->null_sender ? STR_NONE : str_cstr(sim_people[0]);
	arrive_to(op, item);
	draft_make(l, op->arena, sim_size_of(op->mark), &op->draft);
	op->run = arrive_run;
	op->ended = arrive_ended;
	must(queue_check(l->d.queue, op->arena, &op->mail.arrival));
	op_submit(op);
	return item;
}

static inline void step_arrive(struct life *l)
{
	struct sim_world *w = &l->s->w;
	struct sim_item wanted = { .null_sender = sim_below(w, 5) == 0 };
	bool any = false;

	for (size_t i = 0; i < SIM_ACCOUNTS; i++)
		any |= wanted.here[i] = sim_below(w, 2);
	for (size_t i = 0; i < SIM_FAR; i++)
		any |= wanted.there[i] = sim_below(w, 4) == 0;
	if (any)
		life_arrive(l, wanted);
	life_commit_perhaps(l);
}

/* Much for one site, then one letter for another: its turn comes after one job of each site that has any; and between two of those there may
 * be one of the other kind, slow or quick. */
static inline void step_flood(struct life *l)
{
	struct sim_item *last;

	for (size_t i = 0; i < SIM_FLOOD; i++)
		life_arrive(l, (struct sim_item){ .there = { true } });
	last = life_arrive(l, (struct sim_item){ .there = { [SIM_FAR_FRESH] = true } });
	life_commit(l);
	if (last == NULL || last->known != KEPT)
		return;
	l->watched = last->id;
	l->turns_left = SIM_FAR;
	for (u32 i = 0; i < l->s->items_n; i++)
		l->turns_left += l->s->items[i].there[SIM_FAR_FRESH];
	l->turns_left *= 2;
}

/* --- Mailboxes --- */

static void append_ended(struct sim_op *op, enum sim_known known)
{
	struct sim *s = op->life->s;

	s->items[op->mark].known = known;
	if (known != MAYBE)
		sim_expect_ended(sim_box(s, op->account, op->name), op->mark, op->appended.uid,
				 known);
	s->acknowledged += known == KEPT;
}

static const struct fail *append_run(struct tx *t, struct sim_op *op)
{
	const struct office_message_append_request q = { .name = str_cstr(sim_names[op->name]),
							 .flags = op->flags };

	return store_message_append(t, op->account, &q, &op->draft, &op->appended);
}

static inline void step_append(struct life *l)
{
	struct sim_item *item = sim_item_new(l->s, ITEM_APPENDED);
	struct sim_op *op;

	if (item == NULL)
		return;
	op = op_new(l);
	op->mark = sim_mark_of(l->s, item);
	op->account = 1 + sim_below(&l->s->w, SIM_ACCOUNTS);
	op->name = sim_below(&l->s->w, SIM_NAMES);
	op->flags = sim_below(&l->s->w, 2) ? FLAG_SEEN : 0;
	draft_make(l, op->arena, sim_size_of(op->mark), &op->draft);
	op->run = append_run;
	op->ended = append_ended;
	sim_expect(sim_box(l->s, op->account, op->name),
		   (struct sim_expected){ .mark = op->mark, .flags = op->flags, .known = MAYBE });
	op_submit(op);
	life_commit_perhaps(l);
}

static inline struct sim_row *op_row(struct sim_op *op)
{
	struct sim_box *b = sim_box(op->life->s, op->account, op->name);

	for (size_t i = 0; i < b->rows_n; i++)
		if (b->rows[i].uid == op->uid)
			return &b->rows[i];
	sim_fail("the ledger forgot uid %u", op->uid);
}

/* An operation on a row that no other is on; NULL: there is none. */
static inline struct sim_op *op_on_row(struct life *l, struct sim_row **out)
{
	struct sim_op *op;
	u64 account = 1 + sim_below(&l->s->w, SIM_ACCOUNTS);
	size_t name = sim_below(&l->s->w, SIM_NAMES);
	struct sim_box *b = sim_box(l->s, account, name);
	struct sim_row *r = b->rows_n ? &b->rows[sim_below(&l->s->w, b->rows_n)] : NULL;

	if (r == NULL || r->busy || r->gone != NEVER)
		return NULL;
	op = op_new(l);
	op->account = account;
	op->name = name;
	op->mark = r->mark;
	op->uid = r->uid;
	op->range = (struct uid_range){ .low = r->uid, .high = r->uid };
	r->busy = true;
	*out = r;
	return op;
}

static void flags_ended(struct sim_op *op, enum sim_known known)
{
	struct sim_row *r = op_row(op);

	if (known == MAYBE)
		return;
	r->busy = r->flags_asked = false;
	if (known == NEVER)
		return;
	r->changed = r->flags != r->asked_flags;
	r->flags = r->asked_flags;
}

static const struct fail *flags_run(struct tx *t, struct sim_op *op)
{
	struct office_message_flags_answer r;

	return store_message_flags(t, op->account, &op->flags_q, NULL, &r);
}

static inline void step_flags(struct life *l)
{
	struct sim_row *r;
	struct sim_op *op = op_on_row(l, &r);
	u64 bit = 1u << sim_below(&l->s->w, 5);

	if (op == NULL)
		return;
	r->flags_asked = true;
	r->asked_flags = r->flags ^ bit;
	op->flags_q = (struct office_message_flags_request){
		.mailbox = sim_box(l->s, op->account, op->name)->id,
		.uids = &op->range,
		.uids_n = 1,
		.mode = r->flags & bit ? FLAGS_REMOVE : FLAGS_ADD,
		.flags = bit
	};
	op->run = flags_run;
	op->ended = flags_ended;
	op_submit(op);
	life_commit_perhaps(l);
}

static void expunge_ended(struct sim_op *op, enum sim_known known)
{
	struct sim_row *r = op_row(op);

	r->gone = known;
	r->busy = known == MAYBE;
}

static const struct fail *expunge_run(struct tx *t, struct sim_op *op)
{
	struct office_message_expunge_answer r;

	return store_message_expunge(t, op->account, &op->expunge_q, NULL, &r);
}

static inline void step_expunge(struct life *l)
{
	struct sim_row *r;
	struct sim_op *op = op_on_row(l, &r);

	if (op == NULL)
		return;
	r->gone = MAYBE;
	op->expunge_q = (struct office_message_expunge_request){
		.mailbox = sim_box(l->s, op->account, op->name)->id, .uids = &op->range, .uids_n = 1
	};
	op->run = expunge_run;
	op->ended = expunge_ended;
	op_submit(op);
	life_commit_perhaps(l);
}

static void copy_ended(struct sim_op *op, enum sim_known known)
{
	struct sim_row *r = op_row(op);

	if (known == MAYBE)
		return;
	sim_expect_ended(sim_box(op->life->s, op->account, !op->name), op->mark,
			 op->copied.target_n ? (u32)op->copied.target[0] : 0, known);
	r->busy = r->moving = false;
	r->gone = op->copy_q.move ? known : NEVER;
}

static const struct fail *copy_run(struct tx *t, struct sim_op *op)
{
	return store_message_copy(t, op->account, &op->copy_q, NULL, &op->copied);
}

static inline void step_copy(struct life *l)
{
	struct sim_row *r;
	struct sim_op *op = op_on_row(l, &r);

	if (op == NULL)
		return;
	op->copy_q =
	    (struct office_message_copy_request){ .mailbox =
						      sim_box(l->s, op->account, op->name)->id,
						  .uids = &op->range,
						  .uids_n = 1,
						  .target = str_cstr(sim_names[!op->name]),
						  .move = sim_below(&l->s->w, 4) != 0 };
	r->moving = op->copy_q.move;
	r->gone = op->copy_q.move ? MAYBE : NEVER;
	op->run = copy_run;
	op->ended = copy_ended;
	sim_expect(
	    sim_box(l->s, op->account, !op->name),
	    (struct sim_expected){
		.mark = op->mark, .flags = r->flags, .known = MAYBE, .moved = op->copy_q.move });
	op_submit(op);
	life_commit_perhaps(l);
}

#endif
