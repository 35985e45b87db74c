/* What a session has to tell the office when it took no mail: refusals, timeouts, lost connections. */
#include "base/log.h"
#include "edge/smtp/smtp_int.h"

static const char *stage(const struct smtp *s)
{
	return s->service == FOR_LMTP ? "lmtp" : s->policy->stage;
}

void smtp_record_refusal(struct smtp *s, const char *code, const char *name, str value,
			 const struct reply *r)
{
	str reply = reply_summary(smtp_turn_arena(s), r);
	str sender = s->transaction ? s->transaction->sender : STR_NONE;
	struct event_argument arguments[] = { EVENT_STR(name, value), EVENT_STR("reply", reply),
					      EVENT_STR("from", sender) };

	event_batch_note(&s->events, 0, stage(s), code, arguments,
			 s->transaction ? ARRAY_LEN(arguments) : ARRAY_LEN(arguments) - 1);
	LOG(INFO, "smtp.refused", LOG_STR("client", session_address_text(s->session)),
	    LOG_CSTR("event", code), LOG_STR(name, value), LOG_STR("reply", reply));
}

/* The batch of a session that brings many messages is sent in between, so that no verdict is lost. */
void smtp_note(struct smtp *s, u64 message, const char *code,
	       const struct event_argument *arguments, size_t n)
{
	if (s->events.n == EVENT_BATCH)
		smtp_record_flush(s);
	event_batch_note(&s->events, message, stage(s), code, arguments, n);
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

void smtp_record_end(struct smtp *s, const char *code)
{
	str command = under_way(s);
	struct event_argument arguments[] = {
		EVENT_STR("command", command),
		EVENT_STR("from", s->transaction ? s->transaction->sender : STR_NONE),
	};

	if (command.n == 0)
		return;
	event_batch_note(&s->events, 0, stage(s), code, arguments, ARRAY_LEN(arguments));
}

void smtp_record_flush(struct smtp *s)
{
	struct client_info client = session_client(s->session);

	client.helo = smtp_helo(s);
	event_batch_flush(&s->events, smtp_office(s), &client);
}
