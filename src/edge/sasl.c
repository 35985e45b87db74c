#include "edge/sasl.h"

#include <string.h>

#include "base/check.h"
#include "edge/edge.h"
#include "edge/event.h"
#include "text/encoding.h"
#include "verdict/decision.h"

static const str mechanisms[] = { S("PLAIN"), S("LOGIN"), S("SCRAM-SHA-256") };

static const struct fail not_base64 = FAIL_STATIC(SYNTAX, "not base64, or too long");
static const struct fail no_such_mechanism = FAIL_STATIC(INVALID, "no such mechanism");

/* Both calls of the bus answer the same fields. */
struct answer {
	u8 status;
	u64 exchange;
	bool has_challenge;
	str challenge;
	const struct ticket *ticket;
	str address;
	u32 delay_ms;
};

str sasl_mechanisms(struct session *s)
{
	if (session_is_tls(s) || edge_config(session_process(s))->login_plaintext)
		return S("PLAIN LOGIN SCRAM-SHA-256");
	return STR_NONE;
}

/* The name as login knows it; empty: none of ours. */
static str mechanism_find(str name)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (str_eq_nocase(name, mechanisms[i]))
			return mechanisms[i];
	return STR_NONE;
}

static const struct fail *not_here(struct session *s)
{
	return fail_code(session_turn_arena(s), FAIL_DENIED, "5.7.11",
			 "log in over TLS: passwords are not taken in the clear");
}

static const struct fail *decode(struct arena *a, str text, struct buf **out)
{
	*out = buf_new(a, LOGIN_RESPONSE_MAX);
	if (!base64_decode(*out, text) || (*out)->full)
		return &not_base64;
	return NULL;
}

static void wipe(struct buf *b)
{
	if (b && b->p)
		explicit_bzero(b->p, b->cap);
}

static const struct sasl_login *login_keep(struct session *s, const struct answer *r)
{
	struct arena *a = session_arena(s);
	struct sasl_login *login = arena_new_of(a, struct sasl_login);

	login->ticket = *r->ticket;
	login->ticket.mac = str_copy(a, r->ticket->mac);
	login->address = str_copy(a, r->address);
	return login;
}

static str to_base64(struct arena *a, str bytes)
{
	struct buf *b = buf_new(a, 2 * LOGIN_RESPONSE_MAX);

	base64_encode(b, bytes);
	return buf_str(b);
}

static const struct fail *understand(struct session *s, struct sasl *x, const struct answer *r,
				     struct sasl_result *out)
{
	*out = (struct sasl_result){ .status = SASL_FAILED,
				     .delay_ms = r->delay_ms,
				     .tried = str_copy(session_turn_arena(s), r->address),
				     .mechanism = x->mechanism };
	*x = (struct sasl){ .mechanism = x->mechanism };
	if (r->status != SASL_DONE && r->status != SASL_CONTINUE)
		return NULL;
	if (r->status == SASL_DONE)
		out->login = login_keep(s, r);
	if (r->status == SASL_CONTINUE || r->has_challenge) {
		x->under_way = true;
		x->exchange = r->exchange;
		x->held = out->login;
		out->login = NULL;
		out->status = SASL_CONTINUE;
		out->challenge = to_base64(session_turn_arena(s), r->challenge);
		return NULL;
	}
	out->status = SASL_DONE;
	return NULL;
}

static const struct fail *ask_start(struct session *s, struct sasl *x,
				    struct login_sasl_start_request *q, struct sasl_result *out)
{
	struct process *p = session_process(s);
	struct login_sasl_start_answer r;

	q->instance = p->instance;
	q->session = session_id(s);
	TRY(login_sasl_start(session_turn_arena(s), p->login, q, &r));
	struct answer answer = { r.status,  r.exchange, r.has_challenge, r.challenge,
				 &r.ticket, r.address,  r.delay_ms };
	return understand(s, x, &answer, out);
}

const struct fail *sasl_start(struct session *s, struct sasl *x, str mechanism, bool has_initial,
			      str initial, str helo, struct sasl_result *out)
{
	struct arena *a = session_turn_arena(s);
	struct login_sasl_start_request q = { .client = session_client(s),
					      .mechanism = mechanism_find(mechanism),
					      .has_response = has_initial };
	struct buf *response = NULL;
	const struct fail *f = NULL;

	CHECK(!x->under_way);
	if (sasl_mechanisms(s).n == 0)
		return not_here(s);
	if (q.mechanism.n == 0)
		return &no_such_mechanism;
	q.client.helo = helo;
	x->mechanism = q.mechanism;
	if (has_initial && !str_eq(initial, S("=")))
		f = decode(a, initial, &response);
	if (!f) {
		q.response = response ? buf_str(response) : STR_NONE;
		f = ask_start(s, x, &q, out);
	}
	wipe(response);
	return f;
}

static const struct fail *ask_step(struct session *s, struct sasl *x, str response,
				   struct sasl_result *out)
{
	struct login_sasl_step_request q = { .exchange = x->exchange, .response = response };
	struct login_sasl_step_answer r;

	TRY(login_sasl_step(session_turn_arena(s), session_process(s)->login, &q, &r));
	struct answer answer = { r.status,  r.exchange, r.has_challenge, r.challenge,
				 &r.ticket, r.address,  r.delay_ms };
	return understand(s, x, &answer, out);
}

/* The client has seen the server's proof: nothing but an empty answer may come (RFC 5802 5). */
static const struct fail *finish_held(struct sasl *x, str line, struct sasl_result *out)
{
	*out = (struct sasl_result){ .status = SASL_DONE, .login = x->held };
	*x = (struct sasl){ 0 };
	return line.n == 0 || str_eq(line, S("=")) ? NULL : &not_base64;
}

const struct fail *sasl_step(struct session *s, struct sasl *x, str line, struct sasl_result *out)
{
	struct buf *response = NULL;
	const struct fail *f;

	CHECK(x->under_way);
	if (str_eq(line, S("*"))) {
		sasl_abort(s, x);
		return fail_code(session_turn_arena(s), FAIL_CONFLICT, "5.7.0",
				 "authentication cancelled");
	}
	if (x->held)
		return finish_held(x, line, out);
	f = decode(session_turn_arena(s), line, &response);
	if (!f)
		f = ask_step(s, x, buf_str(response), out);
	wipe(response);
	if (f)
		sasl_abort(s, x);
	return f;
}

void sasl_abort(struct session *s, struct sasl *x)
{
	struct login_sasl_abort_request q = { .exchange = x->exchange };
	struct login_sasl_abort_answer r;
	bool ours = x->under_way && !x->held;

	*x = (struct sasl){ 0 };
	if (!ours)
		return;
	const struct fail *f =
	    login_sasl_abort(session_turn_arena(s), session_process(s)->login, &q, &r);
	(void)f; /* it would have ended by itself after 60 s */
}

u64 sasl_record_failure(struct session *s, const char *stage, const struct sasl_result *r)
{
	struct decision d = { .n = 0 };
	struct event_argument arguments[] = { EVENT_STR("user", r->tried),
					      EVENT_STR("mechanism", r->mechanism) };

	decision_add(&d, &(struct fact){ .check = S("login"),
					 .input = r->tried,
					 .result = S("fail"),
					 .source = r->mechanism });
	decision_want(&d, DECISION_REJECT, S("login"));
	return event_note_now(s, stage, "login_failed", arguments, ARRAY_LEN(arguments),
			      decision_print(session_turn_arena(s), &d));
}

/* RFC 4616 2: [authzid] NUL authcid NUL passwd. A NUL inside either would move the border, so it is refused. */
const struct fail *sasl_password(struct session *s, str user, str password, struct sasl_result *out)
{
	struct login_sasl_start_request q = { .client = session_client(s),
					      .mechanism = S("PLAIN"),
					      .has_response = true };
	struct buf *response = buf_new(session_turn_arena(s), LOGIN_RESPONSE_MAX);
	struct sasl x = { .mechanism = S("PLAIN") };
	const struct fail *f;

	if (sasl_mechanisms(s).n == 0)
		return not_here(s);
	buf_add_byte(response, 0);
	buf_add(response, user);
	buf_add_byte(response, 0);
	buf_add(response, password);
	q.response = buf_str(response);
	if (response->full || str_has(user, 0) || str_has(password, 0))
		f = &not_base64;
	else
		f = ask_start(s, &x, &q, out);
	wipe(response);
	if (!f && out->status == SASL_CONTINUE) { /* login is broken: PLAIN has one step */
		sasl_abort(s, &x);
		out->status = SASL_FAILED;
	}
	return f;
}
