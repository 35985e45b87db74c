/* Turns: what woke the session decides which part of the protocol answers, and the answer decides what comes next. */
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "edge/edge.h"
#include "edge/smtp/smtp.h"
#include "edge/smtp/smtp_int.h"

enum { SMTP_MAGIC = 0x534D5450 };

const struct config *smtp_config(struct smtp *s)
{
	return edge_config(session_process(s->session));
}

struct arena *smtp_turn_arena(struct smtp *s)
{
	return session_turn_arena(s->session);
}

struct bus *smtp_office(struct smtp *s)
{
	return session_process(s->session)->office;
}

struct bus *smtp_sign(struct smtp *s)
{
	return session_process(s->session)->sign;
}

struct bus *smtp_relay(struct smtp *s)
{
	return session_process(s->session)->relay;
}

struct client_info smtp_client(struct smtp *s)
{
	return session_client(s->session);
}

str smtp_client_text(struct smtp *s)
{
	return session_address_text(s->session);
}

bool smtp_is_lmtp(const struct smtp *s)
{
	return s->service == FOR_LMTP;
}

const struct sasl_login *smtp_login(struct smtp *s)
{
	return s->login;
}

str smtp_helo(const struct smtp *s)
{
	return str_from(s->helo, s->helo_n);
}

enum smtp_state smtp_state(const struct smtp *s)
{
	if (!s->greeted)
		return IN_START;
	if (!s->transaction)
		return IN_READY;
	if (s->transaction->chunked)
		return IN_CHUNK;
	return s->transaction->recipients_n > 0 ? IN_RCPT : IN_MAIL;
}

static size_t copy_cut(u8 *to, size_t room, str from)
{
	size_t n = from.n < room ? from.n : room;

	if (n > 0)
		memcpy(to, from.p, n);
	return n;
}

void smtp_say_later(struct smtp *s, struct reply r)
{
	size_t enhanced = copy_cut(s->later_enhanced, sizeof s->later_enhanced, r.enhanced);
	size_t text = copy_cut(s->later_text, sizeof s->later_text, r.text);

	s->later = r;
	s->later.enhanced = str_from(s->later_enhanced, enhanced);
	s->later.text = str_from(s->later_text, text);
}

void smtp_forget(struct smtp *s)
{
	transaction_end(s);
	sasl_abort(s->session, &s->sasl);
	s->greeted = s->extended = false;
	s->helo_n = 0;
	s->input = INPUT_COMMAND;
}

/* --- Turns ------------------------------------------------------------------------------------------------- */

static enum smtp_services service_bit(enum service service)
{
	switch (service) {
	case SERVICE_SMTP:
		return FOR_MX;
	case SERVICE_LMTP:
		return FOR_LMTP;
	case SERVICE_SUBMISSION:
	case SERVICE_SUBMISSIONS:
	case SERVICE_IMAP:
	case SERVICE_IMAPS:
	case SERVICE_POP3:
	case SERVICE_POP3S:
	case SERVICES:
		break;
	}
	return FOR_PEOPLE;
}

static struct reply greet(struct smtp *s)
{
	const struct config *c = smtp_config(s);
	bool people;

	s->magic = SMTP_MAGIC;
	s->service = service_bit(session_service(s->session));
	people = s->service == FOR_PEOPLE;
	s->policy = people ? &msa_policy : &mx_policy;
	session_deadline(s->session, c->limit_smtp_idle);
	if (session_has_input(s->session)) /* RFC 5321 3.1: the server speaks first; THREATS S12 */
		return REPLY_CLOSE(554, "5.5.0", "you spoke before the greeting");
	if (people) {
		session_line_max(s->session, SASL_LINE_MAX);
		session_timer(s->session, c->limit_login_time);
	}
	return (struct reply){ .code = 220,
			       .text = str_format(smtp_turn_arena(s), "%.*s %s Postern",
						  STR_ARG(c->server_hostname),
						  s->service == FOR_LMTP ? "LMTP" : "ESMTP") };
}

static struct reply take_line(struct smtp *s)
{
	str line = session_line(s->session);

	return s->input == INPUT_RESPONSE ? smtp_auth_response(s, line) : smtp_command_run(s, line);
}

static struct reply take_stretch(struct smtp *s)
{
	const struct fail *f = session_stretch_fail(s->session);
	enum smtp_input was = s->input;

	s->input = INPUT_COMMAND;
	if (was == INPUT_DATA)
		return smtp_data_end(s);
	if (was == INPUT_CHUNK)
		return smtp_chunk_end(s, f);
	CHECK(was == INPUT_DISCARD);
	return s->later;
}

/* A bare CR or LF is how mail is smuggled: the session ends, whoever the peer is (THREATS S01, S04). */
static struct reply take_bad_line(struct smtp *s)
{
	bool response = s->input == INPUT_RESPONSE;
	struct reply r = REPLY_CLOSE(521, "5.5.2", "a CR or LF alone: lines end in CRLF");

	if (session_bad(s->session) == BAD_LINE_BARE_CR || s->input == INPUT_DATA)
		return r;
	if (response) {
		sasl_abort(s->session, &s->sasl);
		s->input = INPUT_COMMAND;
	}
	if (session_bad(s->session) == BAD_LINE_NUL)
		return REPLY(500, "5.5.2", "NUL in a line");
	return response ? REPLY(500, "5.5.6", "authentication line too long") /* RFC 4954 4 */
			: REPLY(500, "5.5.2", "line too long");
}

static struct reply resume(struct smtp *s)
{
	if (s->input != INPUT_PAUSE)
		return REPLY_SILENT;
	s->input = INPUT_COMMAND;
	return s->later;
}

static struct reply time_over(struct smtp *s, const char *text)
{
	struct reply r = { .code = 421,
			   .enhanced = S("4.4.2"),
			   .text = str_cstr(text),
			   .next = REPLY_THEN_CLOSE };

	reply_name(smtp_turn_arena(s), &r, smtp_record_end(s, "timeout"));
	return r;
}

static struct reply wake(struct smtp *s, enum wake why)
{
	switch (why) {
	case WAKE_OPEN:
		return greet(s);
	case WAKE_LINE:
		return take_line(s);
	case WAKE_STRETCH:
		return take_stretch(s);
	case WAKE_BAD_LINE:
		return take_bad_line(s);
	case WAKE_TLS:
		smtp_forget(s);
		return REPLY_SILENT;
	case WAKE_RESUME:
		return resume(s);
	case WAKE_TIMER:
		return s->input == INPUT_DATA ? smtp_data_endless(s)
					      : time_over(s, "nobody logged in");
	case WAKE_IDLE:
		return time_over(s, "idle for too long");
	case WAKE_SHUTDOWN: /* RFC 5321 3.8 */
		return REPLY_CLOSE(421, "4.3.2", "this server stops, come back soon");
	case WAKE_GONE:
		smtp_record_end(s, "lost");
		return (struct reply){ .next = REPLY_THEN_CLOSE };
	case WAKE_NOTICE:
		break;
	}
	return REPLY_SILENT;
}

/* Errors are counted here, where every reply passes. */
static void count_error(struct smtp *s, struct reply *r)
{
	if (r->code < 500 || r->next == REPLY_THEN_CLOSE)
		return;
	if (++s->errors > smtp_config(s)->limit_errors)
		*r = REPLY_CLOSE(421, "4.7.0", "too many errors");
}

/* The last turn: what calls the bus must be done now. */
static void end(struct smtp *s)
{
	transaction_end(s);
	sasl_abort(s->session, &s->sasl);
}

static enum turn smtp_turn(struct session *session, enum wake why)
{
	struct smtp *s = session_state(session);
	struct reply r;

	s->session = session;
	r = wake(s, why);
	CHECK_MAGIC(s, SMTP_MAGIC);
	if (r.next != REPLY_LATER) {
		count_error(s, &r);
		smtp_record_rest(s, why, &r);
	}
	smtp_record_flush(s);
	if (r.next == REPLY_LATER)
		return TURN_MORE;
	if (r.code > 0)
		reply_print(session_out(session), &r);
	if (r.next == REPLY_THEN_TLS)
		return TURN_TLS;
	if (r.next == REPLY_THEN_READ)
		return TURN_MORE;
	end(s);
	return TURN_CLOSE;
}

/* The peer may be gone, and a worker with it that others need: nothing here waits for anybody. */
static void smtp_close(struct session *session)
{
	struct smtp *s = session_state(session);

	transaction_end(s);
	event_batch_drop(&s->events);
}

static str smtp_too_many(struct arena *a, const struct session_refusal *refusal)
{
	struct reply r = refusal->per_address
			     ? REPLY_CLOSE(421, "4.7.0", "too many connections from your address")
			     : REPLY_CLOSE(421, "4.3.2", "too many connections, try again later");
	struct buf *out = buf_new(a, REPLY_LINE + 2);

	smtp_record_turned_away(a, refusal, &r);
	reply_print(out, &r);
	return buf_str(out);
}

const struct protocol smtp_protocol = {
	.name = "smtp",
	.session_size = sizeof(struct smtp),
	.arena_budget = SMTP_TURN_ARENA,
	.keep_budget = SMTP_KEEP_ARENA,
	.line_max = SMTP_LINE,
	.turn = smtp_turn,
	.close = smtp_close,
	.too_many = smtp_too_many,
	.tls_failed = event_tls_failed,
};
