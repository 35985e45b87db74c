/* What a session has to tell the office when it took no mail: refusals, timeouts, lost connections. */
#include "base/log.h"
#include "edge/smtp/smtp_int.h"

static const char *stage(const struct smtp *s)
{
	return s->service == FOR_LMTP ? "lmtp" : s->policy->stage;
}

/* The refusal as the last fact, when none before it wanted as much. */
static void decide(struct arena *a, struct decision *d, const char *check, str input,
		   const struct reply *r)
{
	enum decision_action action = r->code < 500 ? DECISION_DEFER : DECISION_REJECT;

	if (d->action < action)
		decision_add(d, &(struct fact){ .check = str_cstr(check),
						.input = input,
						.result = str_format(a, "%u %.*s", r->code,
								     STR_ARG(r->enhanced)),
						.reason = r->text });
	decision_want(d, action, str_cstr(check));
}

/* Every refusal is a decision: what the policy found out, and in the end the refusal itself. */
static str decision_of(struct smtp *s, const char *check, str input, const struct reply *r)
{
	struct arena *a = smtp_turn_arena(s);
	struct transaction *t = s->transaction;
	const struct decision *known = t && s->policy->decision ? s->policy->decision(s, t) : NULL;
	struct decision *d = arena_new_of(a, struct decision);

	if (known)
		*d = *known;
	decide(a, d, check, input, r);
	return decision_print(a, d);
}

static u64 note(struct smtp *s, const char *code, const struct event_argument *arguments, size_t n,
		str decision)
{
	u64 attempt = event_attempt(session_process(s->session));

	event_batch_note(&s->events, attempt, stage(s), code, arguments, n, decision);
	return attempt;
}

void smtp_record_refusal(struct smtp *s, const char *code, const char *name, str value,
			 struct reply *r)
{
	struct arena *a = smtp_turn_arena(s);
	struct client_info client = session_client(s->session);
	str reply = reply_summary(a, r);
	struct event_argument arguments[] = {
		EVENT_STR(name, value),
		EVENT_STR("reply", reply),
		EVENT_STR("helo", smtp_helo(s)),
		EVENT_STR("tls", client.tls),
		EVENT_STR("from", s->transaction ? s->transaction->sender : STR_NONE),
	};
	size_t n = ARRAY_LEN(arguments) - !s->transaction;

	reply_name(a, r, note(s, code, arguments, n, decision_of(s, name, value, r)));
	LOG(INFO, "smtp.refused", LOG_STR("client", session_address_text(s->session)),
	    LOG_CSTR("event", code), LOG_STR(name, value), LOG_STR("reply", reply));
}

void smtp_record_rest(struct smtp *s, enum wake why, struct reply *r)
{
	str what = why == WAKE_BAD_LINE ? S("line") : why == WAKE_LINE ? S("AUTH") : STR_NONE;

	if (r->code < 400 || r->recorded || why == WAKE_SHUTDOWN)
		return;
	if (r->next == REPLY_THEN_CLOSE)
		smtp_record_refusal(s, "refused_connection", "connection",
				    session_address_text(s->session), r);
	else
		smtp_record_refusal(s, "refused_command", "command", what, r);
}

struct event_batch *smtp_fact_batch(struct smtp *s)
{
	if (s->events.facts_n == EVENT_FACTS)
		smtp_record_flush(s);
	return &s->events;
}

/* What the peer was about; nothing when it was between two mails. */
static str under_way(const struct smtp *s)
{
	if (s->input == INPUT_DATA)
		return S("DATA");
	if (s->input == INPUT_CHUNK || (s->transaction && s->transaction->chunked))
		return S("BDAT");
	if (s->input == INPUT_RESPONSE)
		return S("AUTH");
	return s->transaction ? S("MAIL") : STR_NONE;
}

/* There is no session, and nothing is known but the address. */
void smtp_record_turned_away(struct arena *a, const struct session_refusal *refusal,
			     struct reply *r)
{
	str status = str_format(a, "%u %.*s", r->code, STR_ARG(r->enhanced));

	reply_name(a, r, event_turned_away(a, refusal, status, r->text));
}

u64 smtp_record_end(struct smtp *s, const char *code)
{
	str command = under_way(s);
	struct event_argument arguments[] = {
		EVENT_STR("command", command),
		EVENT_STR("from", s->transaction ? s->transaction->sender : STR_NONE),
	};

	return command.n ? note(s, code, arguments, ARRAY_LEN(arguments), STR_NONE) : 0;
}

void smtp_record_flush(struct smtp *s)
{
	event_batch_flush(&s->events, session_process(s->session),
			  session_client(s->session).address);
}
