/* Jobs in a peer's hands: what it is told of them, and what it says became of them. */
#include "base/check.h"
#include "office/queue/prefix.h"
#include "office/queue/queue_int.h"

/* --- Reading a job ------------------------------------------------------------------------------------------ */

static void message_fields(struct queue *q, const struct queue_message *m, struct job *out)
{
	out->message = m->id;
	out->size = m->size;
	out->arrived = m->arrived;
	out->expires = m->arrived + queue_options_get(q).policy.expire;
	out->sender = m->sender;
	out->envid = m->envid;
	out->ret = m->ret;
	out->body_type = m->body_type;
	out->smtputf8 = m->smtputf8;
	out->junk = m->junk;
}

static void entry_fields(struct arena *a, const struct queue_entry *entries, size_t n,
			 struct job *out)
{
	struct job_entry *list = arena_array_of(a, n, struct job_entry);

	for (size_t i = 0; i < n; i++) {
		const struct queue_entry *e = &entries[i];
		list[i] = (struct job_entry){ .entry = e->id,
					      .address = e->address,
					      .original = e->original,
					      .orcpt = e->orcpt,
					      .notify = e->notify,
					      .status = (u8)e->status,
					      .code = e->code,
					      .text = e->text,
					      .remote_mta = e->remote_mta,
					      .last_attempt = e->last_attempt };
	}
	out->entries = list;
	out->entries_n = n;
	out->account = entries[0].account;
	out->domain = entries[0].domain;
}

const struct fail *queue_job_read(struct tx *t, struct queue *q, const struct schedule_job *given,
				  u64 peer, struct job *out)
{
	static const struct fail gone = FAIL_STATIC(NOT_FOUND, "the job is gone");
	bool dsn = given->kind == JOB_DSN_FAILURE || given->kind == JOB_DSN_DELAY;
	struct queue_entry *entries;
	struct queue_message m;
	const struct fail *f;
	size_t n;

	if (dsn)
		TRY(store_queue_reports(t, given->message, given->kind == JOB_DSN_DELAY,
					OFFICE_JOB_ENTRIES, &entries, &n));
	else
		TRY(store_queue_job(t, given->message, given->id, &entries, &n));
	if (n == 0) { /* the administrator dropped it, or another commit was faster */
		queue_forget(q, given->id, peer);
		return &gone;
	}
	f = store_queue_get(t, given->message, &m);
	if (f)
		return f->what == FAIL_NOT_FOUND
			   ? fail_new(t->arena, FAIL_CORRUPT, "recipients without a message")
			   : f;
	*out =
	    (struct job){ .id = given->id, .kind = (u8)given->kind, .attempts = given->attempts };
	message_fields(q, &m, out);
	entry_fields(t->arena, entries, n, out);
	if (dsn && !queue_lease(q, given->id, peer, entries, n))
		return &gone;
	return NULL;
}

/* --- Delivery to a mailbox ---------------------------------------------------------------------------------- */

struct delivering {
	struct tx *t;
	struct queue *queue;
	const struct queue_message *message;
	const struct delivery *delivery;
	struct queue_due due;
	u64 next;       /* attempt of those that are put off */
	size_t waiting; /* entries that are */
	bool expired;
	bool taken; /* as a report: nothing else is to be kept when nobody lives there */
	bool
	    given_up; /* it failed again and again, for as long as mail is kept (RFC 5321 4.5.4.1) */
	bool gave_body; /* the message's reference went to the mailbox row */
};

static const struct fail *deliver_place(struct delivering *d, const struct queue_entry *e)
{
	struct placement p = { .body = e->message, .flags = d->delivery->flags };
	struct placed placed;

	p.prefix = queue_prefix(d->t->arena, d->message->sender, e->address);
	TRY(store_queue_is_last(d->t, e->message, &p.takes_reference));
	d->gave_body = p.takes_reference;
	return store_deliver(d->t, e->account, d->delivery->special, &p, &placed);
}

/* Who was named at RCPT was asked there, and what it took is kept. Behind an alias it was enough that one of them had room: each of the others
 * is asked here. A report is counted in this transaction, so it cannot come again. */
static const struct fail *deliver_is_closed(const struct delivering *d, const struct queue_entry *e,
					    const struct directory_account *account,
					    struct queue_outcome *o)
{
	const struct fail *f;

	if (d->taken || str_eq_nocase(e->address, e->original))
		return NULL;
	if (account->suspended) {
		o->code = S("4.2.1");
		o->text = S("mailbox suspended");
		return NULL;
	}
	f = store_quota_check(d->t, e->account, d->message->size);
	if (f == NULL || f->what != FAIL_QUOTA)
		return f;
	o->code = S("4.2.2");
	o->text = S("mailbox full");
	return NULL;
}

static const struct fail *deliver_put_off(struct delivering *d, struct queue_entry *e,
					  const struct queue_outcome *o)
{
	e->next_attempt = d->next;
	d->waiting += o->outcome == POLICY_TEMP;
	return queue_settle_entry(d->t, d->queue, d->message, e, o, &d->due);
}

static const struct fail *deliver_entry(struct delivering *d, struct queue_entry *e)
{
	struct queue_outcome good = { .outcome = POLICY_DELIVERED,
				      .code = S("2.1.5"),
				      .text = S("delivered") };
	struct queue_outcome gone = { .outcome = POLICY_PERM,
				      .code = S("5.1.1"),
				      .text = S("no such mailbox") };
	struct queue_outcome late = { .outcome = POLICY_EXPIRED,
				      .code = S("4.2.0"),
				      .text = S("the mailbox cannot be written") };
	struct queue_outcome closed = { .outcome = d->expired ? POLICY_EXPIRED : POLICY_TEMP };
	struct directory_account account;
	bool here = directory_account_by_id(d->queue->directory, d->t->arena, e->account, &account);
	bool taken = d->taken && directory_is_for_reports(d->queue->directory, e->address);

	if (taken)
		good.text = S("taken as a report");
	e->attempts++;
	if (d->given_up)
		return queue_settle_entry(d->t, d->queue, d->message, e, &late, &d->due);
	if (here)
		TRY(deliver_is_closed(d, e, &account, &closed));
	if (closed.code.n)
		return deliver_put_off(d, e, &closed);
	TRY(queue_settle_entry(d->t, d->queue, d->message, e, here || taken ? &good : &gone,
			       &d->due));
	return here && !taken ? deliver_place(d, e) : NULL;
}

/* The schedule's attempts above those of the row are commits that failed. One that succeeds forgets them. */
static void deliver_schedule(const struct delivering *d, const struct queue_entry *e,
			     struct schedule_job *job, struct queue_changes *c)
{
	if (d->waiting == 0) {
		queue_change_add(c, CHANGE_FINISH, job, STR_NONE);
		return;
	}
	job->attempts = e->attempts;
	job->due = d->next;
	queue_change_add(c, CHANGE_AGAIN, job, STR_NONE);
}

const struct fail *queue_deliver(struct tx *t, struct queue *q, const struct delivery *delivery,
				 bool taken, struct queue_changes *c)
{
	struct delivering d = { .t = t, .queue = q, .delivery = delivery, .taken = taken };
	struct policy p = queue_options_get(q).policy;
	struct queue_message m;
	struct queue_entry *entries;
	struct schedule_job job;
	size_t n;

	if (!queue_find(q, delivery->job, &job))
		return NULL; /* dropped meanwhile */
	if (job.kind != JOB_DELIVER)
		return fail_new(t->arena, FAIL_DENIED, "not a job to deliver");
	TRY(store_queue_job(t, job.message, job.id, &entries, &n));
	if (n == 0) {
		queue_change_add(c, CHANGE_FINISH, &job, STR_NONE);
		return NULL;
	}
	TRY(store_queue_get(t, job.message, &m));
	d.message = &m;
	d.expired = policy_expired(&p, m.arrived, t->now);
	d.given_up = d.expired && job.attempts > entries[0].attempts + QUEUE_BUSY_DOUBLED;
	d.next = policy_next_attempt(&p, q->env, entries[0].attempts + 1, m.arrived);
	for (size_t i = 0; i < n; i++)
		TRY(deliver_entry(&d, &entries[i]));
	deliver_schedule(&d, &entries[0], &job, c);
	if (d.gave_body) /* it was the last entry */
		return store_queue_close(t, m.id, false);
	return queue_settle_message(t, &m, &d.due, c);
}

/* --- An attempt of the relay -------------------------------------------------------------------------------- */

struct attempting {
	struct tx *t;
	struct queue *queue;
	const struct queue_message *message;
	const struct office_attempt_done_request *request;
	struct queue_due due;
	u64 next;       /* attempt of those that failed for now */
	size_t waiting; /* entries that stay */
	size_t tried;   /* of them those that had an attempt */
	bool expired;
};

static const struct attempt_result *result_of(const struct office_attempt_done_request *r,
					      u64 entry)
{
	static const struct attempt_result none = { .outcome = ATTEMPT_TEMP };

	for (size_t i = 0; i < r->results_n; i++) {
		if (r->results[i].entry == entry)
			return &r->results[i];
	}
	return &none;
}

static enum policy_outcome outcome_of(const struct attempting *x, const struct attempt_result *r)
{
	switch (r->outcome) {
	case ATTEMPT_DELIVERED:
		return x->request->dsn ? POLICY_PASSED : POLICY_RELAYED;
	case ATTEMPT_PERM:
		return POLICY_PERM;
	default:
		return x->expired ? POLICY_EXPIRED : POLICY_TEMP;
	}
}

static const struct fail *attempt_entry(struct attempting *x, struct queue_entry *e)
{
	const struct attempt_result *r = result_of(x->request, e->id);
	struct queue_outcome o = { .outcome = outcome_of(x, r),
				   .code = r->code,
				   .text = r->text,
				   .tls = x->request->tls };

	if (o.outcome == POLICY_TEMP)
		x->waiting++;
	if (r->outcome == ATTEMPT_BUSY && o.outcome == POLICY_TEMP)
		return NULL; /* no attempt was made: the row stays as it is */
	if (o.outcome == POLICY_TEMP)
		x->tried++;
	e->attempts++;
	e->next_attempt = x->next;
	e->remote_mta = x->request->remote_mta;
	e->site = x->request->site;
	return queue_settle_entry(x->t, x->queue, x->message, e, &o, &x->due);
}

static void attempt_schedule(struct attempting *x, struct schedule_job *job,
			     struct queue_changes *c)
{
	if (x->waiting == 0) {
		queue_change_add(c, CHANGE_FINISH, job, STR_NONE);
	} else if (x->tried == 0) {
		queue_change_add(c, CHANGE_BUSY, job, x->request->site);
	} else {
		job->attempts++;
		job->due = x->next;
		queue_change_add(c, CHANGE_AGAIN, job, x->request->site);
	}
}

static const struct fail *attempt_events(struct tx *t, const struct office_attempt_done_request *r,
					 u64 message)
{
	for (size_t i = 0; i < r->events_n; i++) {
		struct event_record event = r->events[i];
		event.message = message;
		TRY(store_event_add_record(t, &event));
	}
	return NULL;
}

const struct fail *queue_attempt(struct tx *t, struct queue *q,
				 const struct office_attempt_done_request *r,
				 struct queue_changes *c)
{
	struct attempting x = { .t = t, .queue = q, .request = r };
	struct policy p = queue_options_get(q).policy;
	struct queue_entry *entries;
	struct queue_message m;
	struct schedule_job job;
	size_t n;

	if (!queue_find(q, r->job, &job))
		return NULL; /* dropped meanwhile */
	if (job.kind != JOB_RELAY)
		return fail_new(t->arena, FAIL_DENIED, "not a job to relay");
	TRY(store_queue_job(t, job.message, job.id, &entries, &n));
	if (n == 0) {
		queue_change_add(c, CHANGE_FINISH, &job, STR_NONE);
		return NULL;
	}
	TRY(store_queue_get(t, job.message, &m));
	TRY(attempt_events(t, r, job.message));
	x.message = &m;
	x.expired = policy_expired(&p, m.arrived, t->now);
	x.next = policy_next_attempt(&p, q->env, job.attempts + 1, m.arrived);
	for (size_t i = 0; i < n; i++)
		TRY(attempt_entry(&x, &entries[i]));
	attempt_schedule(&x, &job, c);
	return queue_settle_message(t, &m, &x.due, c);
}
