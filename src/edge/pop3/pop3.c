/*
 * POP3: RFC 1939 with CAPA and response codes (RFC 2449), STLS (RFC 2595), SASL (RFC 5034), AUTH codes (RFC 3206).
 *
 * States: AUTHORIZATION until a login, then TRANSACTION; QUIT does what RFC 1939 calls UPDATE in one office call.
 * Before login: nothing about accounts is told; one answer for an unknown user and a wrong password, after the same wait.
 * Login only under TLS unless the configuration says otherwise. Deviations: none known.
 * Limits: enum pop3_limit; errors by config limit.errors.
 */
#include "edge/pop3/pop3.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "edge/event.h"
#include "edge/pop3/pop3_int.h"

enum { REST = 1000, REPLY_TEXT = 400 };

static const struct pop3_command commands[] = {
#define COMMAND(keyword_, handler_, states_, arguments_, section_) \
	{ keyword_, pop3_##handler_, states_, arguments_ },
#include "edge/pop3/pop3.tbl"
#undef COMMAND
};

static void reply(struct pop3 *p, str status, const char *format, va_list args)
{
	char text[REPLY_TEXT];
	struct buf *out = session_out(p->session);
	int n = vsnprintf(text, sizeof text, format, args);
	size_t length = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;

	buf_add(out, status);
	for (size_t i = 0; i < length; i++)
		if (!char_is((u8)text[i], CHAR_CTL))
			buf_add_byte(out, (u8)text[i]);
	buf_add(out, S("\r\n"));
}

enum turn pop3_ok(struct pop3 *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reply(p, S("+OK "), format, args);
	va_end(args);
	return TURN_MORE;
}

static enum turn too_many_errors(struct pop3 *p)
{
	const str status = S("-ERR [SYS/PERM]"), text = S("too many errors, goodbye");
	struct arena *a = session_turn_arena(p->session);
	u64 attempt = event_refused_now(p->session, "connection", status, text);

	buf_printf(session_out(p->session), "%.*s %.*s\r\n", STR_ARG(status),
		   STR_ARG(event_named(a, text, attempt)));
	return TURN_CLOSE;
}

enum turn pop3_error(struct pop3 *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reply(p, S("-ERR "), format, args);
	va_end(args);
	if (++p->errors < pop3_config(p)->limit_errors)
		return TURN_MORE;
	return too_many_errors(p);
}

/* RFC 3206 4. */
static const char *response_code(const struct fail *f)
{
	if (f->what == FAIL_LOGIN)
		return "[AUTH] ";
	return f->kind == FAIL_TEMP ? "[SYS/TEMP] " : "";
}

enum turn pop3_fail(struct pop3 *p, const struct fail *f)
{
	LOG(INFO, "pop3.fail", LOG_U64("session", session_id(p->session)), LOG_FAIL("why", f));
	return pop3_error(p, "%s%.*s", response_code(f), STR_ARG(f->text));
}

const struct view_row *pop3_row(const struct pop3 *p, u32 number)
{
	u32 index = number - 1;

	return &p->drop.chunks[index / VIEW_CHUNK_ROWS][index % VIEW_CHUNK_ROWS];
}

bool pop3_is_deleted(const struct pop3 *p, u32 number)
{
	u32 index = number - 1;

	return p->drop.deleted[index / 8] & 1u << index % 8;
}

static const struct pop3_command *command_find(str keyword)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (str_eq_nocase(keyword, str_cstr(commands[i].keyword)))
			return &commands[i];
	return NULL;
}

static unsigned count_arguments(str s)
{
	unsigned n = s.n > 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == ' ';
	return n;
}

/* A new office gives the maildrop to whoever asks first: when that was another session, ours is over. */
static const struct fail *hold_still(struct pop3 *p)
{
	const struct fail *f;

	if (p->state != TRANSACTION ||
	    p->locked_by == bus_servers(session_process(p->session)->office))
		return NULL;
	f = pop3_hold(p);
	return f && f->what == FAIL_BUSY ? f : NULL;
}

static enum turn run_line(struct pop3 *p, str line)
{
	struct scan s = scan_of(line);
	const struct pop3_command *c;
	const struct fail *f = hold_still(p);
	str keyword;

	if (f)
		return pop3_not_held(p, f);
	if (!scan_span(&s, CHAR_ALPHA, &keyword) || !(scan_end(&s) || scan_sp(&s)))
		return pop3_error(p, "not a command");
	c = command_find(keyword);
	if (c == NULL)
		return pop3_error(p, "unknown command");
	if (!(c->states & p->state))
		return pop3_error(p,
				  p->state == AUTHORIZATION ? "log in first" : "logged in already");
	if (c->arguments != REST && count_arguments(s.rest) > c->arguments)
		return pop3_error(p, "too many arguments to %s", c->keyword);
	return c->handler(p, &s);
}

static enum turn greet(struct pop3 *p)
{
	p->state = AUTHORIZATION;
	session_deadline(p->session, pop3_config(p)->limit_login_time);
	session_timer(p->session, pop3_config(p)->limit_login_time);
	return pop3_ok(p, "Postern ready");
}

static enum turn turn(struct session *s, enum wake why)
{
	struct pop3 *p = session_state(s);

	p->session = s;
	switch (why) {
	case WAKE_OPEN:
		return greet(p);
	case WAKE_LINE:
		return p->sasl.under_way ? pop3_auth_line(p, session_line(s))
					 : run_line(p, session_line(s));
	case WAKE_BAD_LINE:
		sasl_abort(s, &p->sasl);
		session_line_max(s, POP3_LINE);
		pop3_error(p, session_bad(s) == BAD_LINE_LONG ? "line too long"
							      : "a line must end with CRLF");
		return session_bad(s) == BAD_LINE_LONG && p->errors < pop3_config(p)->limit_errors
			   ? TURN_MORE
			   : TURN_CLOSE;
	case WAKE_RESUME:
		return p->resume ? p->resume(p) : TURN_MORE;
	case WAKE_IDLE:
		pop3_error(p, "[SYS/TEMP] idle for too long");
		return TURN_CLOSE;
	case WAKE_SHUTDOWN:
		if (p->resume && p->state == TRANSACTION) /* within an answer: it ends short */
			return TURN_CLOSE;
		pop3_error(p, "[SYS/TEMP] shutting down");
		return TURN_CLOSE;
	case WAKE_GONE: /* it may still read what it asked for */
		return TURN_CLOSE;
	case WAKE_TIMER: /* the deadline starts anew with each command, this does not */
		pop3_error(p, "[SYS/TEMP] too slow to log in");
		return TURN_CLOSE;
	case WAKE_TLS:
	case WAKE_STRETCH:
	case WAKE_NOTICE:
		break;
	}
	return TURN_MORE;
}

/* Deletions of a session that did not QUIT are forgotten (RFC 1939 6); only the lock must be given back. */
static void session_close(struct session *s)
{
	struct pop3 *p = session_state(s);

	sasl_abort(s, &p->sasl);
	pop3_release(p);
}

static str too_many(struct arena *a, const struct session_refusal *r)
{
	const str status = S("-ERR [SYS/TEMP]"),
		  text = r->per_address ? S("too many connections from your address")
					: S("too many connections, try again later");
	u64 attempt = event_turned_away(a, r, status, text);

	return str_format(a, "%.*s %.*s\r\n", STR_ARG(status),
			  STR_ARG(event_named(a, text, attempt)));
}

const struct protocol pop3_protocol = {
	.name = "pop3",
	.session_size = sizeof(struct pop3),
	.arena_budget = 4 * 1024 * 1024,
	.keep_budget = 1024 * 1024,
	.line_max = POP3_LINE,
	.turn = turn,
	.close = session_close,
	.too_many = too_many,
	.tls_failed = event_tls_failed,
};
