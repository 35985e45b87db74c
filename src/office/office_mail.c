/* Calls 1-5: mail in, and what edges have to tell. */
#include "base/check.h"
#include "office/office_int.h"

#include "bus/ticket.h"
#include "office/report/outgoing.h"

/* --- Addresses --------------------------------------------------------------------------------------------- */

static const struct fail *room_left(struct bus_call *call, u64 account, u64 size, u8 *result)
{
	struct directory_account row;
	const struct fail *f;
	struct tx t;

	if (!directory_account_by_id(office_of(call)->directory, call->arena, account, &row) ||
	    row.quota == 0)
		return NULL;
	TRY(store_read_begin(office_of(call)->store, call->arena, &t));
	f = store_quota_check(&t, account, size);
	store_read_end(&t);
	if (f && f->what != FAIL_QUOTA)
		return f;
	if (f)
		*result = RECIPIENT_FULL;
	return NULL;
}

const struct fail *office_serve_recipient_check(struct bus_call *call,
						const struct office_recipient_check_request *q,
						struct office_recipient_check_answer *r)
{
	u64 account;

	r->result = (u8)directory_resolve(office_of(call)->directory, call->arena, q->address,
					  &r->canonical, &account);
	if (r->result == RECIPIENT_LOCAL && account)
		return room_left(call, account, q->size, &r->result);
	return NULL;
}

const struct fail *office_serve_sender_check(struct bus_call *call,
					     const struct office_sender_check_request *q,
					     struct office_sender_check_answer *r)
{
	str local, domain;

	if (!directory_may_send(office_of(call)->directory, office_account(call), q->address))
		return fail_new(call->arena, FAIL_DENIED, "not an address of this account");
	if (directory_split(q->address, &local, &domain))
		office_permit_give(call, domain, &r->permit);
	return NULL;
}

/* --- Messages ---------------------------------------------------------------------------------------------- */

const struct fail *office_serve_message_begin(struct bus_call *call,
					      const struct office_message_begin_request *q,
					      struct office_message_begin_answer *r)
{
	struct office *o = office_of(call);

	r->file = -1;
	r->id = store_id_now(o->store);
	if (q->size_hint == 0 || q->size_hint >= OFFICE_LARGE)
		return store_spool_file(call->arena, o->store, &r->file);
	return NULL;
}

static const struct fail *commit_run(struct tx *t, struct office_write *w)
{
	return queue_commit(t, w->office->queue, w->context, &w->changes);
}

/* An account for people; nobody's ticket from other servers. */
static const struct fail *commit_account(struct bus_call *call, const struct ticket *ticket,
					 u64 *account)
{
	*account = 0;
	if (call->peer.role == CALLER_MX) {
		if (ticket_is_none(ticket))
			return NULL;
		return fail_new(call->arena, FAIL_DENIED, "nobody logs in here");
	}
	*account = ticket->account;
	return office_ticket_check(call, ticket);
}

const struct fail *office_serve_message_commit(struct bus_call *call,
					       const struct office_message_commit_request *q,
					       struct office_message_commit_answer *r)
{
	struct queue_arrival *m = arena_new_of(call->arena, struct queue_arrival);
	struct body_draft *body = arena_new_of(call->arena, struct body_draft);
	struct office *o = office_of(call);

	(void)r;
	*m = (struct queue_arrival){ .id = q->id,
				     .client = &q->client,
				     .envelope = &q->envelope,
				     .body = body,
				     .junk = q->junk };
	TRY(commit_account(call, &q->ticket, &m->account));
	TRY(store_body_check(call->arena, o->store, &q->body, body));
	TRY(queue_check(o->queue, call->arena, m));
	return office_write(call, commit_run, NULL, m, false);
}

/* --- Events of others --------------------------------------------------------------------------------------- */

struct event_batch {
	const struct office_event_add_request *request;
	size_t kept;
	u64 dropped;
	bool reports; /* facts are counted */
	u64 due;      /* of the first new report */
};

static const struct fail *facts_run(struct tx *t, struct office_write *w)
{
	struct event_batch *batch = w->context;
	const struct config *c = atomic_load(&w->office->config);

	batch->due = UINT64_MAX;
	if (!batch->reports)
		return NULL;
	return outgoing_note(t, c->dmarc_failure_rate, batch->request->facts,
			     batch->request->facts_n, &batch->due);
}

static void facts_after(struct office_write *w, const struct fail *f)
{
	const struct event_batch *batch = w->context;

	if (f == NULL)
		office_report_due(w->office, batch->due);
}

static const struct fail *events_run(struct tx *t, struct office_write *w)
{
	const struct event_batch *batch = w->context;
	struct event_args args = event_args_new(t->arena);
	str client = queue_client_text(t->arena, &batch->request->client);

	TRY(facts_run(t, w));
	for (size_t i = 0; i < batch->kept; i++) {
		struct event_record e = batch->request->events[i];
		e.arguments = event_args_with(t->arena, e.arguments, "client", client);
		TRY(store_event_add_record(t, &e));
	}
	if (batch->dropped == 0)
		return NULL;
	event_args_u64(&args, "count", batch->dropped);
	event_args_str(&args, "client", client);
	return store_event_add(t, 0, S("office"), EVENT_DROPPED_EVENTS, event_args_end(&args));
}

const struct fail *office_serve_event_add(struct bus_call *call,
					  const struct office_event_add_request *q,
					  struct office_event_add_answer *r)
{
	struct event_batch *batch = arena_new_of(call->arena, struct event_batch);
	str from, domain;

	(void)r;
	batch->request = q;
	batch->reports = q->facts_n > 0 && office_reports(office_of(call), &from, &domain);
	if (q->facts_n > 0 && call->peer.role != CALLER_MX)
		return fail_new(call->arena, FAIL_DENIED, "nobody but mx judges mail");
	TRY(outgoing_check(call->arena, q->facts, q->facts_n));
	batch->kept =
	    budget_take(office_of(call)->budget, q->client.address, q->events_n, &batch->dropped);
	if (batch->kept == 0 && !batch->reports)
		return NULL;
	return office_write(call, events_run, facts_after, batch, false);
}
