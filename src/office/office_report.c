/* Calls 65, 66, 96, 97: mda pulls the DMARC reports that are due (report/outgoing.h), ctl lists and hurries them. */
#include "base/check.h"
#include "base/log.h"
#include "office/office_int.h"
#include "office/report/outgoing.h"

/* A puller that waits; lies in its call's arena. */
struct report_waiter {
	struct report_waiter *next;
	struct bus_call *call;
	u64 due; /* of the next one, as the transaction found it */
};

/* --- Waiting ------------------------------------------------------------------------------------------------- */

void office_report_due(struct office *o, u64 due)
{
	CHECK(pthread_mutex_lock(&o->lock) == 0);
	if (due < o->report_due)
		o->report_due = due;
	CHECK(pthread_mutex_unlock(&o->lock) == 0);
}

static void wait_add(struct office *o, struct report_waiter *w)
{
	CHECK(pthread_mutex_lock(&o->lock) == 0);
	w->next = o->report_waiters;
	o->report_waiters = w;
	CHECK(pthread_mutex_unlock(&o->lock) == 0);
}

static struct report_waiter *wait_take(struct office *o, const u64 *peer)
{
	struct report_waiter **at, *w;

	CHECK(pthread_mutex_lock(&o->lock) == 0);
	for (at = &o->report_waiters; *at && peer && (*at)->call->peer.number != *peer;)
		at = &(*at)->next;
	w = *at;
	if (w)
		*at = w->next;
	CHECK(pthread_mutex_unlock(&o->lock) == 0);
	return w;
}

static bool is_time(struct office *o)
{
	bool due;

	CHECK(pthread_mutex_lock(&o->lock) == 0);
	due = o->report_due <= env_now(o->env);
	CHECK(pthread_mutex_unlock(&o->lock) == 0);
	return due;
}

/* Reports go out only while the administrator has given an address of ours that they can come from. */
bool office_reports(struct office *o, str *from, str *domain)
{
	const struct config *c = atomic_load(&o->config);
	str local;

	*from = c->dmarc_report_from;
	return from->n > 0 && directory_split(*from, &local, domain) &&
	       directory_has_domain(o->directory, *domain);
}

void office_report_tick(struct office *o)
{
	struct report_waiter *w;
	str from, domain;

	if (!is_time(o) || !office_reports(o, &from, &domain))
		return;
	w = wait_take(o, NULL);
	if (w == NULL)
		return;
	office_call_of(w->call)->parked = w;
	pool_add(o->pool, w->call);
}

void office_report_peer_gone(struct office *o, u64 peer)
{
	struct report_waiter *w;

	while ((w = wait_take(o, &peer)) != NULL) {
		struct bus_call *call = w->call;
		bus_answer(&call, NULL);
	}
}

/* --- report_next --------------------------------------------------------------------------------------------- */

static const struct fail *next_run(struct tx *t, struct office_write *w)
{
	struct office_report_next_answer *r = w->call->answer;
	struct report_waiter *waiter = w->context;
	str from, domain;

	if (office_reports(w->office, &from, &domain))
		office_permit_give(w->call, domain, &r->permit);
	return outgoing_take(t, r, &waiter->due);
}

static void next_after(struct office_write *w, const struct fail *f)
{
	const struct report_waiter *waiter = w->context;
	struct office *o = w->office;

	CHECK(pthread_mutex_lock(&o->lock) == 0);
	o->report_due = f ? env_now(o->env) + OFFICE_REPORT_PAUSE_MS : waiter->due;
	CHECK(pthread_mutex_unlock(&o->lock) == 0);
}

/* Comes twice: from the bus, to park; from the tick, to be answered. */
const struct fail *office_serve_report_next(struct bus_call *call,
					    const struct office_report_next_request *q,
					    struct office_report_next_answer *r)
{
	struct report_waiter *w = office_call_of(call)->parked;

	(void)q;
	(void)r;
	if (w)
		return office_write(call, next_run, next_after, w, false);
	w = arena_new_of(call->arena, struct report_waiter);
	w->call = call;
	wait_add(office_of(call), w);
	return BUS_LATER;
}

/* --- report_commit ------------------------------------------------------------------------------------------- */

static const struct fail *commit_run(struct tx *t, struct office_write *w)
{
	const struct config *c = atomic_load(&w->office->config);

	return outgoing_commit(t, w->office->queue, c->dmarc_failure_rate, w->call->request,
			       w->context, &w->changes);
}

const struct fail *office_serve_report_commit(struct bus_call *call,
					      const struct office_report_commit_request *q,
					      struct office_report_commit_answer *r)
{
	struct body_draft *body = NULL;

	(void)r;
	if (q->outcome > REPORT_OUTCOME_LATER || q->recipients_n > OUTGOING_RECIPIENTS)
		return fail_new(call->arena, FAIL_INVALID, "not the end of a report");
	if (q->outcome == REPORT_OUTCOME_SEND) {
		body = arena_new_of(call->arena, struct body_draft);
		TRY(store_body_check(call->arena, office_of(call)->store, &q->body, body));
		TRY(queue_own_check(call->arena, q->recipients, q->recipients_n));
	}
	return office_write(call, commit_run, NULL, body, false);
}

/* --- Administration ------------------------------------------------------------------------------------------ */

const struct fail *office_serve_report_list(struct bus_call *call,
					    const struct office_report_list_request *q,
					    struct office_report_list_answer *r)
{
	struct report_info *reports;

	OFFICE_READ(call, t, store_outgoing_list(t, q->day, &reports, &r->reports_n));
	r->reports = reports;
	return NULL;
}

static const struct fail *send_run(struct tx *t, struct office_write *w)
{
	const struct office_report_send_request *q = w->call->request;
	struct office_report_send_answer *r = w->call->answer;
	u64 count;

	TRY(store_outgoing_hurry(t, q->day, &count));
	r->count = (u32)count;
	return NULL;
}

static void send_after(struct office_write *w, const struct fail *f)
{
	if (f == NULL)
		office_report_due(w->office, 0);
}

const struct fail *office_serve_report_send(struct bus_call *call,
					    const struct office_report_send_request *q,
					    struct office_report_send_answer *r)
{
	str from, domain;

	(void)q;
	(void)r;
	if (!office_reports(office_of(call), &from, &domain))
		return fail_new(call->arena, FAIL_CONFLICT,
				from.n ? "the domain of dmarc.report_from is not one of ours"
				       : "dmarc.report_from is not set");
	return office_write(call, send_run, send_after, NULL, false);
}
