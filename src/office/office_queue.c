/* Calls 60-64 and 68: mda and relay pull their work and say how it went. */
#include "base/log.h"
#include "office/office_int.h"

/* --- next_job ---------------------------------------------------------------------------------------------- */

/* Parked with the queue; when jobs come it goes to a thread, which reads what the peer is to know of them. */
struct next_job {
	struct queue_waiter waiter;
	struct bus_call *call;
	struct schedule_job jobs[OFFICE_JOBS_MAX];
	size_t n;
};

static void next_job_give(struct queue_waiter *w, const struct schedule_job *jobs, size_t n)
{
	struct next_job *next = (struct next_job *)(void *)w;

	for (size_t i = 0; i < n; i++)
		next->jobs[i] = jobs[i];
	next->n = n;
	office_call_of(next->call)->parked = next;
	pool_add(office_of(next->call)->pool, next->call);
}

/* What mda writes itself comes from our host's name (mda/report.c). The nearest domain of ours around that name signs it, which is
 * enough for relaxed alignment (RFC 9989 4.4). */
static void report_permit(const struct bus_call *call, struct job *job)
{
	str name = atomic_load(&office_of(call)->config)->server_hostname;
	size_t dot;

	if (job->kind != JOB_DSN_FAILURE && job->kind != JOB_DSN_DELAY)
		return;
	name = str_lower(call->arena, name);
	while (!directory_has_domain(office_of(call)->directory, name)) {
		dot = str_find(name, '.');
		if (dot == SIZE_MAX)
			return;
		name = str_skip(name, dot + 1);
	}
	office_permit_give(call, name, &job->permit);
}

/* Jobs that are gone, and those whose rows are damaged, do not stop the others (THREATS Q09). *looked: at so many; a report of many recipients is
 * large, and more than an answer may hold helps nobody. */
static const struct fail *jobs_read(struct tx *t, struct office *o, const struct next_job *next,
				    struct office_next_job_answer *r, size_t *looked)
{
	struct job *jobs = arena_array_of(t->arena, next->n, struct job);
	size_t before = arena_used(t->arena), i;

	for (i = 0; i < next->n && arena_used(t->arena) - before < OFFICE_JOBS_BYTES; i++) {
		const struct fail *f = queue_job_read(t, o->queue, &next->jobs[i],
						      next->call->peer.number, &jobs[r->jobs_n]);
		if (f == NULL)
			report_permit(next->call, &jobs[r->jobs_n++]);
		else if (f->what == FAIL_CORRUPT)
			queue_set_aside(o->queue, next->jobs[i].id, next->call->peer.number);
		else if (f->what != FAIL_NOT_FOUND)
			return f;
	}
	r->jobs = jobs;
	*looked = i;
	return NULL;
}

/* The jobs that cannot be read now are not the peer's fault: due again soon. */
static const struct fail *next_job_answer(struct bus_call *call, struct next_job *next,
					  struct office_next_job_answer *r)
{
	struct office *o = office_of(call);
	size_t looked = next->n;
	const struct fail *f;
	struct tx t;

	f = store_read_begin(o->store, call->arena, &t);
	if (f == NULL) {
		f = jobs_read(&t, o, next, r, &looked);
		store_read_end(&t);
	}
	for (size_t i = looked; i < next->n; i++)
		queue_put_back(o->queue, next->jobs[i].id, call->peer.number);
	for (size_t i = 0; f && i < next->n; i++) {
		if (queue_settle(o->queue, call->arena, next->jobs[i].id, call->peer.number) ==
		    NULL)
			queue_give_back(o->queue, next->jobs[i].id);
	}
	return f;
}

/* Comes twice: from the bus, to park; from the queue, with jobs. An answer without jobs, after one was dropped or when the office
 * stops, makes the peer ask again. */
const struct fail *office_serve_next_job(struct bus_call *call,
					 const struct office_next_job_request *q,
					 struct office_next_job_answer *r)
{
	struct next_job *next = office_call_of(call)->parked;

	if (next)
		return next_job_answer(call, next, r);
	next = arena_new_of(call->arena, struct next_job);
	next->call = call;
	next->waiter.lane = call->peer.role == CALLER_RELAY ? LANE_RELAY : LANE_MDA;
	next->waiter.peer = call->peer.number;
	next->waiter.max = q->max;
	next->waiter.give = next_job_give;
	queue_wait(office_of(call)->queue, &next->waiter);
	return BUS_LATER;
}

const struct fail *office_serve_job_message(struct bus_call *call,
					    const struct office_job_message_request *q,
					    struct office_job_message_answer *r)
{
	struct office *o = office_of(call);
	u64 message;

	r->body = -1;
	TRY(queue_job_message(o->queue, call->arena, q->job, call->peer.number, &message));
	OFFICE_READ(call, t, store_body_get(t, message, &r->body, &r->size, &r->skeleton));
	return NULL;
}

/* --- deliver ----------------------------------------------------------------------------------------------- */

/* Each delivery is a write of its own in the same group commit: one that fails takes no other with it. */
struct delivering {
	struct write_job job;
	struct bus_call *call;
	const struct delivery *delivery;
	struct queue_changes changes;
	bool last;
};

static const struct fail *deliver_run(struct tx *t, struct write_job *job)
{
	struct delivering *d = (struct delivering *)(void *)job;

	queue_changes_init(&d->changes, d->call->arena);
	return queue_deliver(t, office_of(d->call)->queue, d->delivery, false, &d->changes);
}

/* Told in the order of submission, so the last one's end is the end of all. */
static void deliver_done(struct write_job *job, const struct fail *f)
{
	struct delivering *d = (struct delivering *)(void *)job;
	struct queue *queue = office_of(d->call)->queue;
	struct bus_call *call = d->call;

	if (f) {
		LOG(WARN, "office.deliver_failed", LOG_ID("job", d->delivery->job),
		    LOG_FAIL("why", f));
		queue_give_back(queue, d->delivery->job);
	} else {
		queue_apply(queue, &d->changes);
	}
	if (d->last)
		bus_answer(&call, NULL);
}

static void deliver_submit(struct bus_call *call, struct delivering *all, size_t n)
{
	struct store *store = office_of(call)->store;

	for (size_t i = 0; i < n; i++) {
		all[i].job = (struct write_job){ .run = deliver_run,
						 .done = deliver_done,
						 .arena = call->arena };
		all[i].call = call;
		all[i].last = i + 1 == n;
	}
	for (size_t i = 0; i < n;
	     i++) /* the call may end with the last: nothing of it is touched after */
		writer_submit(store, &all[i].job);
}

const struct fail *office_serve_deliver(struct bus_call *call,
					const struct office_deliver_request *q,
					struct office_deliver_answer *r)
{
	struct delivering *all = arena_array_of(call->arena, q->deliveries_n, struct delivering);
	const struct fail *f = NULL;
	size_t n = 0;

	(void)r;
	for (size_t i = 0; i < q->deliveries_n; i++) {
		const struct fail *lost = queue_settle(office_of(call)->queue, call->arena,
						       q->deliveries[i].job, call->peer.number);
		if (lost) /* dropped meanwhile; the others are delivered all the same */
			f = lost;
		else
			all[n++].delivery = &q->deliveries[i];
	}
	if (n == 0)
		return f;
	deliver_submit(call, all, n);
	return BUS_LATER;
}

/* --- attempt_done, dsn_commit ------------------------------------------------------------------------------- */

static const struct fail *attempt_run(struct tx *t, struct office_write *w)
{
	return queue_attempt(t, w->office->queue, w->call->request, &w->changes);
}

static void attempt_after(struct office_write *w, const struct fail *f)
{
	const struct office_attempt_done_request *q = w->call->request;

	if (f)
		queue_give_back(w->office->queue, q->job);
}

const struct fail *office_serve_attempt_done(struct bus_call *call,
					     const struct office_attempt_done_request *q,
					     struct office_attempt_done_answer *r)
{
	(void)r;
	if (q->results_n > OFFICE_RESULTS_MAX || q->events_n > OFFICE_RESULTS_MAX)
		return fail_new(call->arena, FAIL_LIMIT, "more than one attempt can have");
	TRY(queue_settle(office_of(call)->queue, call->arena, q->job, call->peer.number));
	return office_write(call, attempt_run, attempt_after, NULL, true);
}

const struct fail *office_serve_leave(struct bus_call *call, const struct office_leave_request *q,
				      struct office_leave_answer *r)
{
	(void)q;
	(void)r;
	queue_peer_leaves(office_of(call)->queue, call->peer.number);
	return NULL;
}

static const struct fail *dsn_run(struct tx *t, struct office_write *w)
{
	const struct office_dsn_commit_request *q = w->call->request;

	return queue_dsn(t, w->office->queue, q->job, w->context, &w->changes);
}

static void dsn_after(struct office_write *w, const struct fail *f)
{
	const struct office_dsn_commit_request *q = w->call->request;

	if (f)
		queue_give_back(w->office->queue, q->job);
}

const struct fail *office_serve_dsn_commit(struct bus_call *call,
					   const struct office_dsn_commit_request *q,
					   struct office_dsn_commit_answer *r)
{
	struct body_draft *body = NULL;

	(void)r;
	if (q->body
		.size) { /* refused for good: still the peer's job, to be answered without a body */
		body = arena_new_of(call->arena, struct body_draft);
		TRY(store_body_check(call->arena, office_of(call)->store, &q->body, body));
	}
	TRY(queue_settle(office_of(call)->queue, call->arena, q->job, call->peer.number));
	return office_write(call, dsn_run, dsn_after, body, false);
}
