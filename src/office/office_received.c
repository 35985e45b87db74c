/* Calls 67 and 110-114: reports that others sent us, taken with the delivery of their mail, and shown. */
#include "office/office_int.h"
#include "report/feedback.h"
#include "report/incoming.h"

/* --- report_add ---------------------------------------------------------------------------------------------- */

struct report_call {
	u64 message;
	struct received_outcome outcome;
};

static str kind_text(const struct incoming_report *r)
{
	switch (r->kind) {
	case INCOMING_AGGREGATE:
		return S("DMARC report");
	case INCOMING_TLS:
		return S("TLS report");
	default:
		return r->feedback.kind == FEEDBACK_AUTH_FAILURE ? S("DMARC failure report")
								 : S("complaint");
	}
}

static str org_text(const struct incoming_report *r)
{
	switch (r->kind) {
	case INCOMING_AGGREGATE:
		return r->aggregate.org;
	case INCOMING_TLS:
		return r->tls.org;
	default:
		return r->feedback.reporting_mta.n ? r->feedback.reporting_mta : r->sender;
	}
}

static str domain_text(const struct incoming_report *r)
{
	switch (r->kind) {
	case INCOMING_AGGREGATE:
		return r->aggregate.policy.domain;
	case INCOMING_TLS:
		return r->tls.policies_n ? r->tls.policies[0].domain : STR_NONE;
	default:
		return r->feedback.domains_n ? r->feedback.domains[0] : r->feedback.header_from;
	}
}

static const struct fail *outcome_event(struct tx *t, const struct incoming_report *r,
					const struct report_call *c)
{
	static const enum event_code codes[] = {
		[RECEIVED_TAKEN_NOW] = EVENT_REPORT_TAKEN,
		[RECEIVED_HERE_ALREADY] = EVENT_REPORT_AGAIN,
		[RECEIVED_NOT_KEPT] = EVENT_REPORT_LEFT,
	};
	struct event_args args = event_args_new(t->arena);

	event_args_str(&args, "kind", kind_text(r));
	event_args_str(&args, "org", org_text(r));
	event_args_str(&args, "domain", domain_text(r));
	event_args_str(&args, "sender", r->sender);
	event_args_str(&args, "proof", str_cstr(incoming_proof_name(r->proof)));
	if (c->outcome.why.n)
		event_args_str(&args, "why", c->outcome.why);
	return store_event_add(t, c->message, S("mda"), codes[c->outcome.what],
			       event_args_end(&args));
}

static const struct fail *bad_event(struct tx *t, u64 message, str why)
{
	struct event_args args = event_args_new(t->arena);

	event_args_str(&args, "why", why);
	return store_event_add(t, message, S("mda"), EVENT_REPORT_BAD, event_args_end(&args));
}

/* What is no report, also when the mda should not have sent it, goes to its mailbox. */
static const struct fail *report_run(struct tx *t, struct office_write *w)
{
	const struct office_received_add_request *q = w->call->request;
	struct report_call *c = w->context;
	const struct fail *f = NULL;
	str bad = q->bad;

	if (bad.n == 0)
		f = store_received_add(t, c->message, &q->report, &c->outcome);
	if (f && f->what != FAIL_INVALID)
		return f;
	if (f)
		bad = f->text;
	TRY(bad.n ? bad_event(t, c->message, bad) : outcome_event(t, &q->report, c));
	return queue_deliver(t, w->office->queue, &q->delivery, bad.n == 0, &w->changes);
}

static void report_after(struct office_write *w, const struct fail *f)
{
	const struct office_received_add_request *q = w->call->request;

	if (f)
		queue_give_back(w->office->queue, q->delivery.job);
}

const struct fail *office_serve_received_add(struct bus_call *call,
					     const struct office_received_add_request *q,
					     struct office_received_add_answer *r)
{
	struct report_call *c = arena_new_of(call->arena, struct report_call);
	struct office *o = office_of(call);

	(void)r;
	TRY(queue_job_message(o->queue, call->arena, q->delivery.job, call->peer.number,
			      &c->message));
	TRY(queue_settle(o->queue, call->arena, q->delivery.job, call->peer.number));
	return office_write(call, report_run, report_after, c, false);
}

/* --- Showing ------------------------------------------------------------------------------------------------- */

const struct fail *office_serve_received_list(struct bus_call *call,
					      const struct office_received_list_request *q,
					      struct office_received_list_answer *r)
{
	OFFICE_READ(call, t, store_received_list(t, q, r));
	return NULL;
}

const struct fail *office_serve_received_show(struct bus_call *call,
					      const struct office_received_show_request *q,
					      struct office_received_show_answer *r)
{
	OFFICE_READ(call, t, store_received_show(t, q->id, r));
	return NULL;
}

const struct fail *office_serve_received_sources(struct bus_call *call,
						 const struct office_received_sources_request *q,
						 struct office_received_sources_answer *r)
{
	OFFICE_READ(call, t, store_received_sources(t, q, r));
	return NULL;
}

const struct fail *office_serve_tlsrpt_list(struct bus_call *call,
					    const struct office_tlsrpt_list_request *q,
					    struct office_tlsrpt_list_answer *r)
{
	OFFICE_READ(call, t, store_tlsrpt_list(t, q, r));
	return NULL;
}

const struct fail *office_serve_feedback_list(struct bus_call *call,
					      const struct office_feedback_list_request *q,
					      struct office_feedback_list_answer *r)
{
	OFFICE_READ(call, t, store_feedback_list(t, q, r));
	return NULL;
}
