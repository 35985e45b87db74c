/*
 * A DSN that mda rendered: it enters the queue with the null sender, and the entries it tells of leave, or know that they were
 * told of, in the same transaction. So a report is sent once, and never forgotten.
 */
#include "base/id.h"
#include "office/queue/queue_int.h"

static const struct fail *dsn_event(struct tx *t, const struct queue_message *m,
				    enum event_code code, str name, str value)
{
	struct event_args args = event_args_new(t->arena);

	event_args_str(&args, "sender", m->sender);
	event_args_str(&args, name.n == 3 ? "dsn" : "why", value);
	return store_event_add(t, m->id, S("queue"), code, event_args_end(&args));
}

static const struct fail *dsn_send(struct tx *t, struct queue *q, const struct queue_message *m,
				   const struct body_draft *body, struct queue_changes *c)
{
	struct recipient to = { .address = m->sender, .notify = DSN_NOTIFY_NEVER };
	struct envelope envelope = { .recipients = &to,
				     .recipients_n = 1,
				     .body_type = BODY_8BITMIME,
				     .smtputf8 = m->smtputf8 };
	struct client_info nobody = { 0 };
	struct queue_arrival dsn = {
		.id = store_id_now(q->store), .client = &nobody, .envelope = &envelope, .body = body
	};
	size_t entries;

	TRY(queue_enqueue(t, q, &dsn, c, &entries));
	if (entries == 0)
		return dsn_event(t, m, EVENT_DSN_LOST, S("why"),
				 S("its address does not exist here"));
	return dsn_event(t, m, EVENT_DSN_SENT, S("dsn"), id_text(t->arena, dsn.id));
}

static const struct fail *report_clear(struct tx *t, struct queue_entry *e, bool delay)
{
	if (!delay)
		return store_queue_remove(t, e);
	e->report = REPORT_NONE;
	e->told = true;
	return store_queue_update(t, e);
}

/* Those that the report tells of. *more: others are due. */
static const struct fail *reports_clear(struct tx *t, struct queue *q,
					const struct schedule_job *job, struct queue_entry *entries,
					size_t n, bool *more)
{
	*more = false;
	for (size_t i = 0; i < n; i++) {
		if (queue_lease_has(q, job->id, entries[i].id))
			TRY(report_clear(t, &entries[i], job->kind == JOB_DSN_DELAY));
		else
			*more = true;
	}
	return NULL;
}

const struct fail *queue_dsn(struct tx *t, struct queue *q, u64 id, const struct body_draft *body,
			     struct queue_changes *c)
{
	const struct queue_due nothing = { 0 };
	struct queue_entry *entries;
	struct queue_message m;
	struct schedule_job job;
	bool delay, more;
	size_t n;

	if (!queue_find(q, id, &job))
		return NULL;
	delay = job.kind == JOB_DSN_DELAY;
	if (!delay && job.kind != JOB_DSN_FAILURE)
		return fail_new(t->arena, FAIL_DENIED, "not a job for a report");
	queue_change_add(c, CHANGE_FINISH, &job, STR_NONE);
	TRY(store_queue_reports(t, job.message, delay, STORE_QUEUE_ALL, &entries, &n));
	if (n == 0)
		return NULL;
	TRY(store_queue_get(t, job.message, &m));
	TRY(reports_clear(t, q, &job, entries, n, &more));
	if (more) /* than one report tells of, or they failed meanwhile */
		queue_change_add(c, CHANGE_ADD_DSN, &job, STR_NONE);
	if (body && m.sender.n)
		TRY(dsn_send(t, q, &m, body, c));
	else
		TRY(dsn_event(t, &m, EVENT_DSN_LOST, S("why"), S("no report could be made")));
	return queue_settle_message(t, &m, &nothing, c);
}
