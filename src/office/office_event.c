/*
 * Call 5: what edges have to tell. An edge may be broken (THREATS P04), so what it says is bounded twice: by the source that it names, so that
 * one flooder does not silence others, and by the edge itself, since it may name any; and it can only write under ids of its own making.
 */
#include "base/id.h"
#include "base/ip.h"
#include "office/office_int.h"

#include "office/report/outgoing.h"

struct event_batch {
	const struct office_event_add_request *request;
	struct event_record *kept;
	size_t n;
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

static u32 edge_of(const struct bus_peer *peer)
{
	return peer->instance + (peer->role == CALLER_CLIENT ? ID_EDGES / 2 : 0);
}

/* When there was no room they come again (edge/outbox.h), and are no others. */
static void facts_after(struct office_write *w, const struct fail *f)
{
	const struct event_batch *batch = w->context;

	for (size_t i = 0; f && i < batch->n; i++)
		budget_give_back(w->office->budget, edge_of(&w->call->peer), batch->kept[i].source);
	if (f == NULL)
		office_report_due(w->office, batch->due);
}

enum event_bounds {
	EVENTS_AHEAD_MS = 60 * 1000, /* clocks step back */
	EVENTS_BEHIND_MS = 24 * 60 * 60 * 1000,
};

/* Not into what others did, nor where no expiry comes. */
bool office_event_is_of(const struct event_record *e, u32 edge, u64 now)
{
	if (e->message == 0)
		return true;
	return id_is_attempt(e->message) && id_edge(e->message) == edge &&
	       e->message >= id_first_attempt(now - EVENTS_BEHIND_MS) &&
	       e->message < id_first_attempt(now + EVENTS_AHEAD_MS);
}

static void add_dropped(struct event_batch *batch, struct arena *a, const struct event_record *like,
			u64 dropped)
{
	struct event_args args = event_args_new(a);

	event_args_u64(&args, "count", dropped);
	batch->kept[batch->n++] =
	    (struct event_record){ .time = like->time,
				   .source = like->source,
				   .stage = S("office"),
				   .code = event_code_name(EVENT_DROPPED_EVENTS),
				   .arguments = event_args_end(&args) };
}

static const struct fail *events_run(struct tx *t, struct office_write *w)
{
	const struct event_batch *batch = w->context;

	TRY(facts_run(t, w));
	for (size_t i = 0; i < batch->n; i++) {
		struct event_record e = batch->kept[i];
		e.arguments =
		    event_args_with(t->arena, e.arguments, "client", ip_text(t->arena, e.source));
		TRY(store_event_add_record(t, &e));
	}
	return NULL;
}

/* Those that are within the budget of where they came from. */
static const struct fail *events_keep(struct bus_call *call,
				      const struct office_event_add_request *q,
				      struct event_batch *batch)
{
	struct office *o = office_of(call);
	u64 now = env_now(o->env), dropped;

	batch->kept = arena_array_of(call->arena, 2 * q->events_n, struct event_record);
	for (size_t i = 0; i < q->events_n; i++) {
		const struct event_record *e = &q->events[i];
		if (!office_event_is_of(e, edge_of(&call->peer), now))
			return fail_new(call->arena, FAIL_INVALID, "not an event of this edge");
		if (!budget_take(o->budget, edge_of(&call->peer), e->source, &dropped))
			continue;
		batch->kept[batch->n++] = *e;
		if (dropped)
			add_dropped(batch, call->arena, e, dropped);
	}
	return NULL;
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
	TRY(events_keep(call, q, batch));
	if (batch->n == 0 && !batch->reports)
		return NULL;
	return office_write(call, events_run, facts_after, batch, false);
}
