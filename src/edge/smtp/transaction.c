#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/id.h"
#include "base/log.h"
#include "edge/edge.h"
#include "edge/smtp/smtp_int.h"
#include "text/encoding.h"

_Static_assert((int)SMTP_NOTIFY_DELAY == (int)DSN_NOTIFY_DELAY &&
		   (int)SMTP_NOTIFY_NEVER == (int)DSN_NOTIFY_NEVER &&
		   (int)SMTP_NOTIFY_SUCCESS == (int)DSN_NOTIFY_SUCCESS,
	       "grammar and bus have the same NOTIFY bits");
_Static_assert((int)SMTP_RET_FULL == (int)DSN_RET_FULL && (int)SMTP_RET_HDRS == (int)DSN_RET_HDRS,
	       "grammar and bus have the same RET values");

struct transaction *transaction_begin(struct smtp *s)
{
	struct arena *a = arena_new(SMTP_MESSAGE_ARENA +
				    (size_t)smtp_config(s)->mail_recipients * SMTP_RECIPIENT_BYTES);

	CHECK(!s->transaction);
	s->transaction = arena_new_of(a, struct transaction);
	s->transaction->arena = a;
	return s->transaction;
}

void transaction_end(struct smtp *s)
{
	struct arena *a;

	if (!s->transaction)
		return;
	a = s->transaction->arena;
	s->transaction = NULL;
	arena_free(&a);
}

const struct fail *transaction_add(struct transaction *t, const struct recipient *r)
{
	if (t->recipients_n == t->recipients_cap) {
		size_t cap = t->recipients_cap ? 2 * t->recipients_cap : SMTP_RECIPIENTS_FIRST;
		struct recipient *more = arena_array_of(t->arena, cap, struct recipient);
		if (t->recipients_n > 0)
			memcpy(more, t->recipients, t->recipients_n * sizeof *more);
		t->recipients = more;
		t->recipients_cap = cap;
	}
	t->recipients[t->recipients_n++] = *r;
	return arena_check(t->arena);
}

/* The fail lies in the transaction's arena: it is read before that goes. */
struct reply transaction_refuse(struct smtp *s, const struct fail *f, const char *code,
				const char *name, str value)
{
	struct reply r = reply_from_fail(smtp_turn_arena(s), f);

	smtp_record_refusal(s, code, name, value, &r);
	transaction_end(s);
	return r;
}

/* --- The message ---------------------------------------------------------------------------------------------- */

/* RFC 3848, RFC 6531 4.3. There is no word for HELO with TLS: it is called ESMTPS, which it could have been. */
static str with_word(struct smtp *s, const struct transaction *t)
{
	bool tls = session_is_tls(s->session), login = s->login != NULL;
	bool lmtp = s->service == FOR_LMTP;
	const char *base = lmtp ? "LMTP" : s->extended || tls || login ? "ESMTP" : "SMTP";

	if (t->mail.smtputf8)
		base = lmtp ? "UTF8LMTP" : "UTF8SMTP";
	return str_format(t->arena, "%s%s%s", base, tls ? "S" : "", login ? "A" : "");
}

const struct fail *transaction_open(struct smtp *s)
{
	struct transaction *t = s->transaction;
	const struct config *c = smtp_config(s);
	struct client_info client = session_client(s->session);
	struct gate_trace *trace = arena_new_of(t->arena, struct gate_trace);
	struct gate_rules rules = { .id = edge_message_id(session_process(s->session)),
				    .trace = trace,
				    .size_max = c->mail_size,
				    .size_hint = t->mail.size,
				    .hops = c->mail_hops,
				    .complete = s->policy->completes,
				    .domain = c->server_hostname };

	*trace = (struct gate_trace){ .helo = smtp_helo(s),
				      .address = session_address_text(s->session),
				      .address_is_ipv6 = client.address.n == 16,
				      .by = c->server_hostname,
				      .with = with_word(s, t),
				      .tls = str_copy(t->arena, client.tls) };
	if (t->recipients_n == 1)
		trace->recipient = t->recipients[0].address;
	if (s->policy->open)
		TRY(s->policy->open(s, t, &rules));
	return gate_new(t->arena, smtp_office(s), &rules, &t->gate);
}

static int by_address(const void *a, const void *b)
{
	return str_cmp(((const struct recipient *)a)->address,
		       ((const struct recipient *)b)->address);
}

/* A recipient named twice gets the message once. */
static void drop_duplicates(struct transaction *t)
{
	size_t kept = 0;

	qsort(t->recipients, t->recipients_n, sizeof *t->recipients, by_address);
	for (size_t i = 0; i < t->recipients_n; i++)
		if (kept == 0 || by_address(&t->recipients[kept - 1], &t->recipients[i]) != 0)
			t->recipients[kept++] = t->recipients[i];
	t->recipients_n = kept;
}

/* What came counts more than what BODY= said: relay must know of 8-bit bytes. */
static u8 body_type(const struct transaction *t, const struct skeleton *m)
{
	bool eight = (m->flags & (SKELETON_8BIT | SKELETON_HEADER_8BIT)) != 0;

	return eight || t->mail.body != SMTP_BODY_7BIT ? BODY_8BITMIME : BODY_7BIT;
}

/* Why it is taken, to be kept with it. */
static str reasons(struct smtp *s, struct transaction *t)
{
	const struct decision *d = s->policy->decision ? s->policy->decision(s, t) : NULL;

	return d ? decision_print(t->arena, d) : STR_NONE;
}

/* As people read it, when it is not that already: the office decodes nothing (Rule 0). */
static str decoded_subject(struct transaction *t, const struct skeleton *m)
{
	str subject = m->envelope.subject;

	return str_find_str(subject, S("=?")) == SIZE_MAX ? STR_NONE
							  : words_decode(t->arena, subject);
}

static const struct fail *commit(struct smtp *s, struct transaction *t,
				 const struct gate_message *m, bool junk)
{
	struct office_message_commit_request q = {
		.id = m->id,
		.client = session_client(s->session),
		.envelope = { .sender = t->sender,
			      .envid = t->mail.envid,
			      .ret = (u8)t->mail.ret,
			      .body_type = body_type(t, m->skeleton),
			      .smtputf8 = t->mail.smtputf8 },
		.body = m->body,
		.junk = junk,
		.subject = decoded_subject(t, m->skeleton),
		.decision = reasons(s, t),
	};
	struct office_message_commit_answer r;

	drop_duplicates(t);
	q.envelope.recipients = t->recipients;
	q.envelope.recipients_n = t->recipients_n;
	q.client.helo = smtp_helo(s);
	if (s->login)
		q.ticket = s->login->ticket;
	return office_message_commit(t->arena, smtp_office(s), &q, &r);
}

static const struct fail *hand_over(struct smtp *s, struct transaction *t)
{
	struct smtp_judgement judgement = { 0 };
	const struct skeleton *skeleton;
	struct gate_message m;
	const struct fail *f;

	TRY(gate_end(t->gate, &skeleton));
	TRY(s->policy->message(s, t, skeleton, &judgement));
	TRY(gate_seal(t->gate, judgement.fields, &m));
	f = commit(s, t, &m, judgement.junk);
	if (f) {
		edge_message_id_refused(session_process(s->session), m.id);
		return f;
	}
	LOG(INFO, "smtp.accepted", LOG_ID("id", m.id),
	    LOG_STR("client", session_address_text(s->session)), LOG_STR("sender", t->sender),
	    LOG_U64("recipients", t->recipients_n), LOG_U64("size", m.body.size));
	return NULL;
}

static struct reply taken(struct smtp *s)
{
	struct arena *a = smtp_turn_arena(s);
	str id = id_text(a, gate_id(s->transaction->gate));

	transaction_end(s);
	s->junk = 0;
	s->errors = 0;
	return (struct reply){ .code = 250,
			       .enhanced = S("2.0.0"),
			       .text = str_format(a, "taken as %.*s", STR_ARG(id)) };
}

struct reply transaction_finish(struct smtp *s, const struct fail *f)
{
	struct transaction *t = s->transaction;
	size_t times = s->service == FOR_LMTP ? t->recipients_n : 1;
	struct reply r;

	if (!f)
		f = hand_over(s, t);
	if (f)
		LOG(INFO, "smtp.message_refused", LOG_FAIL("why", f));
	if (s->policy->settled)
		s->policy->settled(s, t, f);
	r = f ? transaction_refuse(s, f, "refused_message", "sender", t->sender) : taken(s);
	r.times = times;
	return r;
}
