/*
 * CAPA, STLS, USER, PASS and AUTH (RFC 2449, 2595, 1939 7, 5034): all that leads to an open maildrop.
 */
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "edge/event.h"
#include "edge/pop3/pop3_int.h"

enum turn pop3_capa(struct pop3 *p, struct scan *s)
{
	struct buf *out = session_out(p->session);
	str mechanisms = sasl_mechanisms(p->session);

	(void)s;
	buf_add(out, S("+OK\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
		       "EXPIRE NEVER\r\nIMPLEMENTATION Postern\r\n"));
	if (p->state == AUTHORIZATION && !session_is_tls(p->session))
		buf_add(out, S("STLS\r\n"));
	if (p->state == AUTHORIZATION && mechanisms.n) {
		buf_add(out, S("USER\r\nSASL "));
		buf_add(out, mechanisms);
		buf_add(out, S("\r\n"));
	}
	buf_add(out, S(".\r\n"));
	return TURN_MORE;
}

/* RFC 2595 4. What was said before the handshake counts for nothing after it. */
enum turn pop3_stls(struct pop3 *p, struct scan *s)
{
	(void)s;
	if (session_is_tls(p->session))
		return pop3_error(p, "TLS is on already");
	p->user_n = 0;
	pop3_ok(p, "begin TLS");
	return TURN_TLS;
}

/* Maps the INBOX as it is now. What the arena owns lives as long as the session. */
static const struct fail *maildrop_open(struct pop3 *p)
{
	struct arena *keep = session_arena(p->session);
	struct office_mailbox_open_request q = { .ticket = p->ticket, .name = S("INBOX") };
	struct office_mailbox_open_answer r;
	const struct view_row **chunks;
	size_t left;

	TRY(office_mailbox_open(keep, session_process(p->session)->office, &q, &r));
	left = r.rows < POP3_MESSAGES ? r.rows : POP3_MESSAGES;
	p->drop = (struct pop3_maildrop){ .mailbox = r.info.id,
					  .uidvalidity = r.info.uidvalidity,
					  .n = (u32)left };
	chunks = arena_array_of(keep, r.chunks_n, const struct view_row *);
	for (size_t i = 0; left; i++) {
		size_t rows = left < VIEW_CHUNK_ROWS ? left : VIEW_CHUNK_ROWS;
		str bytes;
		if (i == r.chunks_n)
			return fail_new(keep, FAIL_CORRUPT, "the mailbox cannot be read");
		TRY(fd_map(keep, r.chunks[i], rows * sizeof(struct view_row), &bytes));
		chunks[i] = (const struct view_row *)(const void *)bytes.p;
		left -= rows;
	}
	p->drop.chunks = chunks;
	p->drop.deleted = arena_alloc(keep, (p->drop.n + 7) / 8);
	return NULL;
}

/* To be given back whatever comes of it: an office that was too slow for us locks all the same. */
const struct fail *pop3_hold(struct pop3 *p)
{
	struct bus *office = session_process(p->session)->office;
	struct office_maildrop_lock_request q = { .ticket = p->ticket };
	struct office_maildrop_lock_answer r;
	u64 by = bus_servers(office);

	p->locked = true;
	TRY(office_maildrop_lock(session_turn_arena(p->session), office, &q, &r));
	p->locked_by = by;
	return NULL;
}

void pop3_release(struct pop3 *p)
{
	struct office_maildrop_unlock_request q = { .account = p->ticket.account,
						    .session = p->ticket.session };
	struct office_maildrop_unlock_answer r;
	const struct fail *f;

	if (!p->locked)
		return;
	p->locked = false;
	f = office_maildrop_unlock(session_turn_arena(p->session),
				   session_process(p->session)->office, &q, &r);
	if (f)
		LOG(WARN, "pop3.unlock", LOG_FAIL("why", f));
}

enum turn pop3_not_held(struct pop3 *p, const struct fail *f)
{
	if (f->what == FAIL_BUSY) /* RFC 2449 8.1.1: another session has it, and nothing else */
		pop3_error(p, "[IN-USE] %.*s", STR_ARG(f->text));
	else
		pop3_fail(p, f);
	return TURN_CLOSE;
}

static enum turn logged_in(struct pop3 *p, const struct sasl_login *login)
{
	const struct fail *f;

	p->ticket = login->ticket;
	session_logged_in(p->session);
	session_timer(p->session, 0);
	session_line_max(p->session, POP3_LINE);
	f = pop3_hold(p);
	if (f == NULL)
		f = maildrop_open(p);
	if (f)
		return pop3_not_held(p, f);
	p->state = TRANSACTION;
	session_deadline(p->session, pop3_config(p)->limit_pop3_idle);
	LOG(INFO, "pop3.login", LOG_STR("address", login->address),
	    LOG_STR("from", session_address_text(p->session)), LOG_U64("messages", p->drop.n));
	return pop3_ok(p, "%u messages", p->drop.n);
}

/* Always these words, for an unknown user and a wrong password alike. */
static enum turn auth_failed(struct pop3 *p)
{
	struct arena *a = session_turn_arena(p->session);

	p->resume = NULL;
	return pop3_error(p, "[AUTH] %.*s",
			  STR_ARG(event_named(a, S("authentication failed"), p->login_refused)));
}

static enum turn go_on(struct pop3 *p, const struct fail *f, const struct sasl_result *r)
{
	struct buf *out = session_out(p->session);

	if (f || r->status != SASL_CONTINUE)
		session_line_max(p->session, POP3_LINE);
	if (f)
		return pop3_fail(p, f);
	if (r->status == SASL_DONE)
		return logged_in(p, r->login);
	if (r->status == SASL_CONTINUE) {
		session_line_max(p->session, SASL_LINE_MAX);
		buf_add(out, S("+ "));
		buf_add(out, r->challenge);
		buf_add(out, S("\r\n"));
		return TURN_MORE;
	}
	LOG(INFO, "pop3.login_failed", LOG_STR("from", session_address_text(p->session)));
	p->login_refused = sasl_record_failure(p->session, "pop3", r);
	if (r->delay_ms == 0)
		return auth_failed(p);
	p->resume = auth_failed;
	session_pause(p->session, r->delay_ms);
	return TURN_MORE;
}

enum turn pop3_auth_line(struct pop3 *p, str line)
{
	struct sasl_result r = { 0 };
	const struct fail *f = sasl_step(p->session, &p->sasl, line, &r);

	return go_on(p, f, &r);
}

static bool login_is_closed(struct pop3 *p)
{
	return sasl_mechanisms(p->session).n == 0;
}

/* RFC 5034 4: AUTH mechanism [initial-response]. It begins a login anew, so no PASS may follow a USER
 * that came before it (RFC 1939 7: "immediately after"). */
enum turn pop3_auth(struct pop3 *p, struct scan *s)
{
	struct sasl_result r = { 0 };
	const struct fail *f;
	str mechanism;
	bool has_initial;

	p->user_n = 0;
	if (login_is_closed(p))
		return pop3_error(p, "[AUTH] use TLS first");
	if (!scan_until(s, ' ', &mechanism)) {
		mechanism = s->rest;
		s->rest = STR_NONE;
	}
	if (mechanism.n == 0)
		return pop3_error(p, "syntax: AUTH mechanism");
	has_initial = scan_sp(s);
	f = sasl_start(p->session, &p->sasl, mechanism, has_initial, s->rest, STR_NONE, &r);
	return go_on(p, f, &r);
}

enum turn pop3_user(struct pop3 *p, struct scan *s)
{
	p->user_n = 0;
	if (login_is_closed(p))
		return pop3_error(p, "[AUTH] use TLS first");
	if (scan_end(s) || s->rest.n > sizeof p->user)
		return pop3_error(p, "syntax: USER name");
	memcpy(p->user, s->rest.p, s->rest.n);
	p->user_n = s->rest.n;
	return pop3_ok(p, "and the password?");
}

enum turn pop3_pass(struct pop3 *p, struct scan *s)
{
	struct sasl_result r = { 0 };
	const struct fail *f;
	str user = str_from(p->user, p->user_n);

	p->user_n = 0;
	if (user.n == 0)
		return pop3_error(p, "USER first");
	f = sasl_password(p->session, user, s->rest, &r);
	return go_on(p, f, &r);
}
