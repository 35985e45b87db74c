#include "office/report/outgoing.h"

#include "base/check.h"
#include "base/log.h"
#include "office/store/store_event.h"
#include "text/charset.h"

enum { DAY_S = 86400, DAY_MS = DAY_S * 1000 };

/* --- What comes in ------------------------------------------------------------------------------------------ */

static u64 due_after(struct tx *t, u64 day)
{
	return (day + 1) * DAY_MS + env_random_below(store_env(t->store), OUTGOING_SPREAD_MS);
}

static struct outgoing_report report_new(struct tx *t, u64 day, u64 first,
					 const struct dmarc_published *p)
{
	u64 last = (day + 1) * DAY_S - 1;

	return (struct outgoing_report){ .id = store_id_now(t->store),
					 .day = day,
					 .first = first < last ? first : last,
					 .last = last,
					 .state = REPORT_GATHERING,
					 .due = due_after(t, day),
					 .published = *p };
}

/* Too many domains in one day: their messages are counted together, under no name, and never sent. */
static const struct fail *drop_domain(struct tx *t, u64 day)
{
	const struct dmarc_published nobody = { 0 };
	struct outgoing_report r;
	const struct fail *f = store_outgoing_newest(t, day, STR_NONE, &r);

	if (f && f->what != FAIL_NOT_FOUND)
		return f;
	if (f) {
		r = report_new(t, day, day * DAY_S, &nobody);
		r.state = REPORT_UNSENT;
		r.why = S("too many domains that day");
		TRY(store_outgoing_add(t, &r));
		LOG(WARN, "office.dmarc_domains", LOG_U64("most", OUTGOING_DOMAINS));
	}
	r.messages++;
	r.dropped++;
	return store_outgoing_update(t, &r);
}

/* The report that is being gathered about this domain; *out.id 0: there may be no more. */
static const struct fail *report_of(struct tx *t, const struct dmarc_published *p,
				    struct outgoing_report *out, u64 *due)
{
	u64 day = t->now / DAY_MS, first = day * DAY_S, n;
	const struct fail *f = store_outgoing_newest(t, day, p->domain, out);

	if (f && f->what != FAIL_NOT_FOUND)
		return f;
	if (f == NULL && out->state == REPORT_GATHERING)
		return NULL;
	if (f == NULL)
		first = out->last + 1; /* one of today has gone already */
	*out = (struct outgoing_report){ 0 };
	TRY(store_outgoing_count(t, day, &n));
	if (n >= OUTGOING_DOMAINS)
		return NULL;
	*out = report_new(t, day, first, p);
	if (out->due < *due)
		*due = out->due;
	return store_outgoing_add(t, out);
}

static const struct fail *count_row(struct tx *t, struct outgoing_report *r,
				    const struct dmarc_row *row)
{
	bool counted;

	r->messages++;
	TRY(store_outgoing_row_count(t, r->id, row, &counted));
	if (counted)
		return NULL;
	if (r->rows >= OUTGOING_ROWS) {
		r->dropped++;
		return NULL;
	}
	r->rows++;
	return store_outgoing_row_add(t, r->id, row);
}

/* RFC 9990 3.1: of several configurations of one day the last one is told. */
static const struct fail *note_row(struct tx *t, const struct dmarc_fact *fact, u64 *due)
{
	struct outgoing_report r;

	TRY(report_of(t, &fact->published, &r, due));
	if (r.id == 0)
		return drop_domain(t, t->now / DAY_MS);
	r.published = fact->published;
	TRY(count_row(t, &r, &fact->row));
	return store_outgoing_update(t, &r);
}

/* A flood of failures makes a few reports: the aim is not to count them, the aggregate report does (RFC 9991 2). */
static const struct fail *note_failure(struct tx *t, u64 rate, const struct dmarc_fact *fact,
				       u64 *due)
{
	struct outgoing_failure f = { .id = store_id_now(t->store), .due = t->now, .fact = *fact };
	u64 waiting, sent;

	TRY(store_failure_count(t, &waiting));
	TRY(store_rate_get(t, STR_NONE, &sent));
	if (waiting >= OUTGOING_FAILURES || sent + waiting >= rate * OUTGOING_FAILURES_ALL)
		return NULL;
	*due = 0;
	return store_failure_add(t, &f);
}

const struct fail *outgoing_note(struct tx *t, u64 rate, const struct dmarc_fact *facts, size_t n,
				 u64 *due)
{
	for (size_t i = 0; i < n; i++) {
		if (facts[i].published.rua_n > 0)
			TRY(note_row(t, &facts[i], due));
		if (facts[i].failures_n > 0)
			TRY(note_failure(t, rate, &facts[i], due));
	}
	return NULL;
}

/* --- What goes out: attempts -------------------------------------------------------------------------------- */

static const struct fail *sent_event(struct tx *t, u64 message, enum event_code code, str domain,
				     str why)
{
	struct event_args args = event_args_new(t->arena);

	event_args_str(&args, "domain", domain);
	if (why.n)
		event_args_str(&args, "why", why);
	return store_event_add(t, message, S("report"), code, event_args_end(&args));
}

static const struct fail *give_up(struct tx *t, struct outgoing_report *r, str why)
{
	r->state = REPORT_UNSENT;
	r->why = why;
	TRY(store_outgoing_rows_remove(t, r->id));
	TRY(store_outgoing_update(t, r));
	return sent_event(t, 0, EVENT_REPORT_UNSENT, r->published.domain, why);
}

/* A report that keeps killing those who write it runs out of attempts, as one that nobody answers for does. */
static const struct fail *take_report(struct tx *t, struct outgoing_report *r,
				      struct office_report_next_answer *out)
{
	struct dmarc_row *rows;

	if (r->attempts >= OUTGOING_TRIES)
		return give_up(t, r,
			       r->why.n ? r->why : S("nobody could write it, after all attempts"));
	r->state = REPORT_CLOSED;
	r->due = t->now + ((u64)OUTGOING_AGAIN_MS << r->attempts++);
	TRY(store_outgoing_update(t, r));
	TRY(store_outgoing_rows(t, r->id, &rows, &out->rows_n));
	out->rows = rows;
	out->id = r->id;
	out->attempt = r->attempts;
	out->begin = r->first;
	out->end = r->last;
	out->dropped = r->dropped;
	out->published = r->published;
	return NULL;
}

static const struct fail *take_failure(struct tx *t, struct outgoing_failure *f,
				       struct office_report_next_answer *out)
{
	struct dmarc_row *row = arena_new_of(t->arena, struct dmarc_row);

	if (f->attempts >= OUTGOING_TRIES / 2 || f->fact.failures_n == 0)
		return store_failure_remove(t, f->id);
	f->due = t->now + ((u64)OUTGOING_AGAIN_MS << f->attempts++);
	TRY(store_failure_update(t, f));
	*row = f->fact.row;
	out->rows = row;
	out->rows_n = 1;
	out->id = f->id;
	out->attempt = f->attempts;
	out->begin = out->end = f->fact.failures[0].time / 1000;
	out->published = f->fact.published;
	out->failures = f->fact.failures;
	out->failures_n = f->fact.failures_n;
	return NULL;
}

static const struct fail *take_one(struct tx *t, struct office_report_next_answer *out, bool *more)
{
	struct outgoing_failure failure;
	struct outgoing_report report;
	const struct fail *f = store_failure_due(t, &failure);

	*more = true;
	if (f == NULL)
		return take_failure(t, &failure, out);
	if (f->what != FAIL_NOT_FOUND)
		return f;
	f = store_outgoing_due(t, &report);
	if (f == NULL)
		return take_report(t, &report, out);
	*more = false;
	return f->what == FAIL_NOT_FOUND ? NULL : f;
}

const struct fail *outgoing_take(struct tx *t, struct office_report_next_answer *r, u64 *due)
{
	bool more = true;

	while (more && r->id == 0)
		TRY(take_one(t, r, &more));
	return store_outgoing_next(t, due);
}

/* --- What goes out: the message ------------------------------------------------------------------------------ */

static str cut(str why)
{
	return utf8_cut(why, OUTGOING_WHY);
}

/* However the owner of a domain spells it: an address that thousands of domains name must not get a rate for each spelling. */
static str rate_key(struct arena *a, const char *kind, str address)
{
	return str_lower(a, str_format(a, "%s%.*s", kind, STR_ARG(address)));
}

/* One address that many domains name is not flooded: what is over the rate goes later. */
static const struct fail *rate_all(struct tx *t, const str *recipients, size_t n, bool *over)
{
	*over = false;
	for (size_t i = 0; i < n; i++) {
		u64 got;
		TRY(store_rate_get(t, rate_key(t->arena, "aggregate ", recipients[i]), &got));
		*over |= got >= OUTGOING_RATE;
	}
	for (size_t i = 0; i < n && !*over; i++)
		TRY(store_rate_add(t, rate_key(t->arena, "aggregate ", recipients[i])));
	return NULL;
}

static const struct fail *send_report(struct tx *t, struct queue *q, struct outgoing_report *r,
				      const struct office_report_commit_request *c,
				      const struct body_draft *body, struct queue_changes *changes)
{
	bool over;

	TRY(rate_all(t, c->recipients, c->recipients_n, &over));
	if (over) {
		r->why = S("an address of it has had enough reports this hour");
		return store_outgoing_update(t, r);
	}
	TRY(queue_own(t, q, c->recipients, c->recipients_n, body, changes, &r->message));
	if (r->message == 0)
		return give_up(t, r, S("its addresses are of ours, and nobody has them"));
	r->state = REPORT_SENT;
	r->sent = t->now;
	r->why = cut(c->why);
	TRY(store_outgoing_rows_remove(t, r->id));
	TRY(store_outgoing_update(t, r));
	return sent_event(t, r->message, EVENT_REPORT_SENT, r->published.domain, STR_NONE);
}

static const struct fail *commit_report(struct tx *t, struct queue *q, struct outgoing_report *r,
					const struct office_report_commit_request *c,
					const struct body_draft *body,
					struct queue_changes *changes)
{
	if (r->state != REPORT_CLOSED || r->attempts != c->attempt)
		return fail_new(t->arena, FAIL_DENIED, "not the last attempt at this report");
	if (c->outcome == REPORT_OUTCOME_SEND)
		return send_report(t, q, r, c, body, changes);
	if (c->outcome == REPORT_OUTCOME_NONE)
		return give_up(t, r, cut(c->why));
	r->why = cut(c->why);
	return store_outgoing_update(t, r);
}

/* Those who had enough this hour get no more. */
static const struct fail *under_rate(struct tx *t, u64 rate, const str *in, size_t in_n, str *out,
				     size_t *n)
{
	u64 sent;

	*n = 0;
	TRY(store_rate_get(t, STR_NONE, &sent));
	for (size_t i = 0; i < in_n && sent < rate * OUTGOING_FAILURES_ALL; i++) {
		u64 got;
		TRY(store_rate_get(t, rate_key(t->arena, "", in[i]), &got));
		if (got >= rate)
			continue;
		out[(*n)++] = in[i];
		TRY(store_rate_add(t, rate_key(t->arena, "", in[i])));
	}
	return *n > 0 ? store_rate_add(t, STR_NONE) : NULL;
}

static const struct fail *commit_failure(struct tx *t, struct queue *q, u64 rate,
					 const struct outgoing_failure *f,
					 const struct office_report_commit_request *c,
					 const struct body_draft *body,
					 struct queue_changes *changes)
{
	str recipients[OUTGOING_RECIPIENTS];
	u64 message;
	size_t n;

	if (f->attempts != c->attempt)
		return fail_new(t->arena, FAIL_DENIED, "not the last attempt at this report");
	if (c->outcome == REPORT_OUTCOME_LATER)
		return NULL;
	TRY(store_failure_remove(t, f->id));
	if (c->outcome == REPORT_OUTCOME_NONE)
		return NULL;
	TRY(under_rate(t, rate, c->recipients, c->recipients_n, recipients, &n));
	if (n == 0)
		return NULL;
	TRY(queue_own(t, q, recipients, n, body, changes, &message));
	return message
		   ? sent_event(t, message, EVENT_REPORT_SENT, f->fact.published.domain, STR_NONE)
		   : NULL;
}

const struct fail *outgoing_commit(struct tx *t, struct queue *q, u64 rate,
				   const struct office_report_commit_request *r,
				   const struct body_draft *body, struct queue_changes *c)
{
	struct outgoing_report report;
	struct outgoing_failure failure;
	const struct fail *f;

	CHECK(r->recipients_n <= OUTGOING_RECIPIENTS); /* office_report.c looked */
	f = store_outgoing_get(t, r->id, &report);
	if (f == NULL)
		return commit_report(t, q, &report, r, body, c);
	if (f->what != FAIL_NOT_FOUND)
		return f;
	TRY(store_failure_get(t, r->id, &failure));
	return commit_failure(t, q, rate, &failure, r, body, c);
}
