/*
 * One recipient's attempt is over: what becomes of its row, what is recorded, who is told. The one place where an entry
 * leaves the queue by an attempt.
 */
#include "base/chars.h"
#include "office/queue/queue_int.h"
#include "office/store/store_received.h"

static const struct {
	enum event_code event;
	str report; /* in DSN_DUE */
} outcomes[] = {
	[POLICY_DELIVERED] = { EVENT_DELIVERED, { (const u8 *)"delivered", 9 } },
	[POLICY_RELAYED] = { EVENT_RELAYED, { (const u8 *)"relayed", 7 } },
	[POLICY_PASSED] = { EVENT_RELAYED, { (const u8 *)"relayed", 7 } },
	[POLICY_TEMP] = { EVENT_DEFERRED, { (const u8 *)"delayed", 7 } },
	[POLICY_PERM] = { EVENT_FAILED, { (const u8 *)"failed", 6 } },
	[POLICY_EXPIRED] = { EVENT_EXPIRED, { (const u8 *)"failed", 6 } },
};

static const struct fail *outcome_event(struct tx *t, const struct queue_entry *e,
					const struct queue_outcome *o)
{
	struct event_args args = event_args_new(t->arena);

	event_args_str(&args, "recipient", e->address);
	event_args_u64(&args, "attempt", e->attempts);
	if (o->code.n)
		event_args_str(&args, "code", o->code);
	if (o->text.n)
		event_args_str(&args, "text", o->text);
	if (e->remote_mta.n)
		event_args_str(&args, "remote_mta", e->remote_mta);
	if (o->tls.n)
		event_args_str(&args, "tls", o->tls);
	if (o->outcome == POLICY_TEMP)
		event_args_u64(&args, "next", e->next_attempt);
	return store_event_add(t, e->message, e->kind == JOB_DELIVER ? S("mda") : S("relay"),
			       outcomes[o->outcome].event, event_args_end(&args));
}

/* Of a domain of ours to elsewhere: counted, to hold beside what others report about it. */
static const struct fail *sent_count(struct tx *t, struct queue *q, const struct queue_message *m,
				     const struct queue_entry *e, enum policy_outcome outcome)
{
	str local, domain;

	if ((outcome != POLICY_RELAYED && outcome != POLICY_PASSED) ||
	    !directory_split(m->sender, &local, &domain) ||
	    !directory_has_domain(q->directory, domain))
		return NULL;
	return store_sent_add(t, domain, e->domain, e->remote_mta);
}

static const struct fail *report_event(struct tx *t, const struct queue_message *m,
				       const struct queue_entry *e, enum policy_report report,
				       enum policy_outcome outcome)
{
	struct event_args args = event_args_new(t->arena);
	bool failed = outcome == POLICY_PERM || outcome == POLICY_EXPIRED;

	event_args_str(&args, "recipient", e->address);
	event_args_str(&args, "sender", m->sender);
	if (report != REPORT_NONE) {
		event_args_str(&args, "report", outcomes[outcome].report);
		return store_event_add(t, e->message, S("queue"), EVENT_DSN_DUE,
				       event_args_end(&args));
	}
	if (!failed)
		return NULL;
	event_args_str(&args, "why",
		       m->sender.n ? S("the sender did not want to know") : S("null sender"));
	return store_event_add(t, e->message, S("queue"), EVENT_DSN_NONE, event_args_end(&args));
}

static const struct fail *entry_end(struct tx *t, struct queue_entry *e, enum policy_report report,
				    struct queue_due *due)
{
	if (report == REPORT_NONE)
		return store_queue_remove(t, e);
	e->status = QUEUE_DSN_DUE;
	e->report = report;
	due->failure = due->stays = true;
	return store_queue_update(t, e);
}

/* A reply as we keep it: one line of UTF-8. */
static str reply_text(struct arena *a, str text)
{
	struct buf *out = buf_new(a, QUEUE_TEXT);
	bool utf8;

	text = str_trim(text);
	while (text.n > QUEUE_TEXT || (text.n && !str_is_utf8(text) && text.n + 4 > QUEUE_TEXT))
		text.n = text.n > QUEUE_TEXT ? QUEUE_TEXT : text.n - 1;
	utf8 = str_is_utf8(text);
	for (size_t i = 0; i < text.n; i++) {
		bool bad = char_is(text.p[i], CHAR_CTL) || (text.p[i] >= 0x80 && !utf8);
		buf_add_byte(out, bad ? ' ' : text.p[i]);
	}
	return buf_str(out);
}

/* RFC 3463 2: class "." subject "." detail, of the class that the outcome has; ours when the peer's is something else. */
static str status_code(str given, enum policy_outcome outcome)
{
	bool success = outcome <= POLICY_PASSED, good = given.n >= 5 && given.n <= 9;
	u8 class = success ? '2' : outcome == POLICY_PERM ? '5' : '4';
	size_t dots = 0;

	for (size_t i = 0; i < given.n; i++) {
		dots += given.p[i] == '.';
		good = good && (given.p[i] == '.' ? i > 0 && given.p[i - 1] != '.'
						  : char_is(given.p[i], CHAR_DIGIT));
	}
	if (good && dots == 2 && given.p[1] == '.' && given.p[given.n - 1] != '.' &&
	    given.p[0] == class)
		return given;
	if (success)
		return S("2.0.0");
	return outcome == POLICY_PERM   ? S("5.0.0")
	       : outcome == POLICY_TEMP ? S("4.0.0")
					: S("4.4.7");
}

const struct fail *queue_settle_entry(struct tx *t, struct queue *q, const struct queue_message *m,
				      struct queue_entry *e, const struct queue_outcome *given,
				      struct queue_due *due)
{
	struct policy p = queue_options_get(q).policy;
	struct queue_outcome o = *given;
	enum policy_report report =
	    policy_report(&p, o.outcome, e->notify, m->sender.n == 0,
			  e->told || e->report == REPORT_DELAY, m->arrived, t->now);

	o.code = e->code = status_code(o.code, o.outcome);
	o.text = e->text = reply_text(t->arena, o.text);
	e->remote_mta = reply_text(t->arena, e->remote_mta);
	e->site = reply_text(t->arena, e->site);
	e->last_attempt = t->now;
	TRY(outcome_event(t, e, &o));
	TRY(sent_count(t, q, m, e, o.outcome));
	TRY(report_event(t, m, e, report, o.outcome));
	if (o.outcome != POLICY_TEMP)
		return entry_end(t, e, report, due);
	due->stays = true;
	if (report == REPORT_DELAY) {
		e->report = REPORT_DELAY;
		due->delay = true;
	}
	return store_queue_update(t, e);
}

const struct fail *queue_settle_message(struct tx *t, const struct queue_message *m,
					const struct queue_due *due, struct queue_changes *c)
{
	struct schedule_job dsn = { .message = m->id };
	bool last = false;

	if (due->failure) {
		dsn.kind = JOB_DSN_FAILURE;
		queue_change_add(c, CHANGE_ADD_DSN, &dsn, STR_NONE);
	}
	if (due->delay) {
		dsn.kind = JOB_DSN_DELAY;
		queue_change_add(c, CHANGE_ADD_DSN, &dsn, STR_NONE);
	}
	if (!due->stays)
		TRY(store_queue_is_last(t, m->id, &last));
	return last ? store_queue_close(t, m->id, true) : NULL;
}
