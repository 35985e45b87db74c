/*
 * What the administrator may do to what waits. Jobs in a peer's hands are touched too: hold comes after the attempt; a dropped one
 * may still arrive, since nobody can take back what the next server has.
 */
#include "office/queue/queue_int.h"

void queue_mark_active(struct queue *q, struct queue_info *infos, const u64 *jobs, size_t n)
{
	struct schedule_job job;

	for (size_t i = 0; i < n; i++) {
		if (infos[i].status == QUEUE_WAITING && queue_find(q, jobs[i], &job) &&
		    (job.state == JOB_ACTIVE || job.state == JOB_SETTLING))
			infos[i].status = QUEUE_ACTIVE;
	}
}

/* Each action: from which status to which, what is recorded, what the schedule does. */
static const struct action {
	enum queue_status from, to;
	enum event_code event;
	enum queue_change_kind change;
} actions[] = {
	[QUEUE_RETRY] = { QUEUE_WAITING, QUEUE_WAITING, EVENT_RETRIED, CHANGE_RETRY },
	[QUEUE_HOLD] = { QUEUE_WAITING, QUEUE_HELD, EVENT_HELD, CHANGE_HOLD },
	[QUEUE_RELEASE] = { QUEUE_HELD, QUEUE_WAITING, EVENT_RELEASED, CHANGE_RELEASE },
};

static const struct fail *job_change(struct tx *t, const struct queue_job_key *key,
				     const struct action *action, u32 *count,
				     struct queue_changes *c)
{
	struct schedule_job job = { .id = key->job, .message = key->message, .due = t->now };

	TRY(store_queue_set_status(t, key, action->to, t->now));
	*count += (u32)sql_changed(t->db);
	queue_change_add(c, action->change, &job, STR_NONE);
	return store_event_add(t, key->message, S("ctl"), action->event, S("{}"));
}

static const struct fail *entries_drop(struct tx *t, struct queue_entry *entries, size_t n,
				       u32 *count)
{
	for (size_t i = 0; i < n; i++) {
		struct event_args args = event_args_new(t->arena);
		event_args_str(&args, "recipient", entries[i].address);
		TRY(store_queue_remove(t, &entries[i]));
		TRY(store_event_add(t, entries[i].message, S("ctl"), EVENT_DROPPED,
				    event_args_end(&args)));
		(*count)++;
	}
	return NULL;
}

static const struct fail *job_drop(struct tx *t, const struct queue_job_key *key,
				   enum queue_status status, u32 *count, struct queue_changes *c)
{
	const struct queue_due nothing = { 0 };
	struct schedule_job job = { .id = key->job, .message = key->message };
	struct queue_message m = { .id = key->message };
	struct queue_entry *entries;
	size_t n;

	if (status == QUEUE_DSN_DUE) {
		TRY(store_queue_reports(t, key->message, false, STORE_QUEUE_ALL, &entries, &n));
	} else {
		TRY(store_queue_job(t, key->message, key->job, &entries, &n));
		queue_change_add(c, CHANGE_DROP, &job, STR_NONE);
	}
	TRY(entries_drop(t, entries, n, count));
	return n ? queue_settle_message(t, &m, &nothing, c) : NULL;
}

/* A DSN job that finds no entries left is forgotten when it is read. */
static const struct fail *drop_all(struct tx *t, u64 message, u32 *count, struct queue_changes *c)
{
	static const enum queue_status statuses[] = { QUEUE_WAITING, QUEUE_HELD, QUEUE_DSN_DUE };

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		const struct queue_job_key *keys;
		size_t n;
		TRY(store_queue_jobs(t, message, statuses[i], &keys, &n));
		for (size_t k = 0; k < n; k++)
			TRY(job_drop(t, &keys[k], statuses[i], count, c));
	}
	return NULL;
}

const struct fail *queue_change_all(struct tx *t, struct queue *q, u64 message,
				    enum queue_action action, u32 *count, struct queue_changes *c)
{
	const struct queue_job_key *keys;
	struct queue_message m;
	size_t n;

	(void)q;
	*count = 0;
	if (message)
		TRY(store_queue_get(t, message, &m));
	if (action == QUEUE_DROP)
		return drop_all(t, message, count, c);
	if ((size_t)action >= ARRAY_LEN(actions))
		return fail_new(t->arena, FAIL_INVALID, "no such action");
	TRY(store_queue_jobs(t, message, actions[action].from, &keys, &n));
	for (size_t i = 0; i < n; i++)
		TRY(job_change(t, &keys[i], &actions[action], count, c));
	return NULL;
}
