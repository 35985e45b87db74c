#include "edge/event.h"

#include "base/arena.h"
#include "base/env.h"
#include "base/id.h"
#include "base/log.h"
#include "edge/edge.h"
#include "text/charset.h"
#include "text/json.h"
#include "verdict/decision.h"

u64 event_attempt(const struct process *p)
{
	static _Atomic u32 sequence;
	u32 edge = p->instance + (p->role == ROLE_CLIENT ? ID_EDGES / 2 : 0);

	return id_attempt(env_system(), edge, atomic_fetch_add(&sequence, 1));
}

static str cut(str text)
{
	return str_is_utf8(text) ? utf8_cut(text, EVENT_TEXT) : str_slice(text, 0, EVENT_TEXT);
}

static void add_members(struct json *j, str object)
{
	if (object.n <= 2)
		return;
	if (j->comma)
		buf_add_byte(j->out, ',');
	buf_add(j->out, str_slice(object, 1, object.n - 1));
	j->comma = true;
}

static str print_arguments(struct arena *a, const struct event_argument *arguments, size_t n,
			   str decision)
{
	struct buf *out = buf_new(a, EVENT_BYTES);
	struct json j = json_to(out);

	json_object(&j);
	for (size_t i = 0; i < n; i++) {
		json_key(&j, arguments[i].name);
		if (arguments[i].is_number)
			json_u64(&j, arguments[i].number);
		else
			json_str(&j, cut(arguments[i].text));
	}
	add_members(&j, decision);
	json_object_end(&j);
	return out->full ? S("{}") : buf_str(out);
}

static void batch_open(struct event_batch *b)
{
	if (b->arena)
		return;
	b->arena = arena_new(EVENT_ARENA);
	b->records = arena_array_of(b->arena, EVENT_BATCH, struct event_record);
	b->facts = arena_array_of(b->arena, EVENT_FACTS, struct dmarc_fact);
}

struct dmarc_fact *event_batch_fact(struct event_batch *b)
{
	if (b->facts_n == EVENT_FACTS)
		return NULL;
	batch_open(b);
	return &b->facts[b->facts_n];
}

void event_batch_note(struct event_batch *b, u64 attempt, const char *stage, const char *code,
		      const struct event_argument *arguments, size_t n, str decision)
{
	if (b->n == EVENT_BATCH) {
		b->dropped++;
		return;
	}
	batch_open(b);
	b->records[b->n++] = (struct event_record){
		.time = env_now(env_system()),
		.message = attempt,
		.stage = str_cstr(stage),
		.code = str_cstr(code),
		.arguments = print_arguments(b->arena, arguments, n, decision),
	};
}

u64 event_note_peer(const struct process *p, str client_address, const char *stage,
		    const char *code, const struct event_argument *arguments, size_t n,
		    str decision)
{
	u64 attempt = event_attempt(p);
	struct event_batch batch = { 0 };

	event_batch_note(&batch, attempt, stage, code, arguments, n, decision);
	event_batch_flush(&batch, p, client_address);
	return attempt;
}

u64 event_note_now(struct session *s, const char *stage, const char *code,
		   const struct event_argument *arguments, size_t n, str decision)
{
	return event_note_peer(session_process(s), session_client(s).address, stage, code,
			       arguments, n, decision);
}

/* --- Refusals ------------------------------------------------------------------------------------------------------ */

struct refusal {
	const struct process *process;
	const char *stage, *check;
	str status, text, address, address_text;
};

static u64 note_refusal(struct arena *a, const struct refusal *r)
{
	bool ended = str_eq(str_cstr(r->check), S("connection"));
	str reply = str_format(a, "%.*s %.*s", STR_ARG(r->status), STR_ARG(r->text));
	struct event_argument argument = EVENT_STR("reply", reply);
	struct decision *d = arena_new_of(a, struct decision);

	decision_add(d, &(struct fact){ .check = str_cstr(r->check),
					.input = ended ? r->address_text : STR_NONE,
					.result = r->status,
					.reason = r->text });
	decision_want(d, ended ? DECISION_DEFER : DECISION_REJECT, str_cstr(r->check));
	LOG(INFO, "edge.refused", LOG_STR("client", r->address_text), LOG_CSTR("stage", r->stage),
	    LOG_STR("reply", reply));
	return event_note_peer(r->process, r->address, r->stage,
			       ended ? "refused_connection" : "refused_command", &argument, 1,
			       decision_print(a, d));
}

u64 event_refused_now(struct session *s, const char *check, str status, str text)
{
	const struct refusal r = {
		session_process(s),        event_stage(session_service(s)), check, status, text,
		session_client(s).address, session_address_text(s)
	};

	return note_refusal(session_turn_arena(s), &r);
}

u64 event_turned_away(struct arena *a, const struct session_refusal *refusal, str status, str text)
{
	const struct refusal r = {
		refusal->process, event_stage(refusal->service), "connection", status, text,
		refusal->address, refusal->address_text
	};

	return note_refusal(a, &r);
}

str event_named(struct arena *a, str text, u64 attempt)
{
	return str_format(a, "%.*s (id %.*s)", STR_ARG(text), STR_ARG(id_text(a, attempt)));
}

const char *event_stage(enum service service)
{
	switch ((int)service) {
	case SERVICE_IMAP:
	case SERVICE_IMAPS:
		return "imap";
	case SERVICE_POP3:
	case SERVICE_POP3S:
		return "pop3";
	case SERVICE_SMTP:
		return "mx";
	case SERVICE_LMTP:
		return "lmtp";
	default:
		return "msa";
	}
}

void event_tls_failed(struct session *s, str why)
{
	struct event_argument arguments[] = { EVENT_STR("why", why) };

	event_note_now(s, event_stage(session_service(s)), "tls_failed", arguments, 1, STR_NONE);
}

static void send_now(struct event_batch *b, struct bus *office)
{
	struct office_event_add_request q = {
		.events = b->records, .events_n = b->n, .facts = b->facts, .facts_n = b->facts_n
	};
	struct office_event_add_answer r;
	const struct fail *f = office_event_add(b->arena, office, &q, &r);

	if (f)
		LOG(WARN, "edge.events_lost", LOG_U64("count", b->n), LOG_FAIL("why", f));
	event_batch_drop(b);
}

void event_batch_flush(struct event_batch *b, const struct process *p, str client_address)
{
	const struct edge *e = p->state;
	struct outbox_parcel *parcel;
	str source;

	if (b->dropped > 0)
		LOG(WARN, "edge.events_beyond_batch", LOG_U64("count", b->dropped));
	if (b->n + b->facts_n == 0) {
		event_batch_drop(b);
		return;
	}
	source = str_copy(b->arena, client_address);
	for (size_t i = 0; i < b->n; i++)
		b->records[i].source = source;
	if (!e || !e->outbox) {
		send_now(b, p->office);
		return;
	}
	parcel = arena_new_of(b->arena, struct outbox_parcel);
	*parcel = (struct outbox_parcel){ .arena = b->arena,
					  .records = b->records,
					  .n = b->n,
					  .facts = b->facts,
					  .facts_n = b->facts_n };
	*b = (struct event_batch){ 0 };
	outbox_put(e->outbox, parcel);
}

void event_batch_drop(struct event_batch *b)
{
	if (b->arena)
		arena_free(&b->arena);
	*b = (struct event_batch){ 0 };
}
